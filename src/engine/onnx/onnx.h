/* ONNX models: one sandboxed worker process a model runs ONNX Runtime; this is the server's side.
 * Thread-safe; runs of one model take turns. */
#ifndef MR_ENGINE_ONNX_ONNX_H
#define MR_ENGINE_ONNX_ONNX_H

#include "engine/engine.h"
#include "engine/onnx/tensors.h"

struct mr_onnx;

/* Checks the file, starts a worker, and waits until it has loaded the model. */
int mr_onnx_load(const struct mr_model_spec *spec, int fd, struct mr_onnx **ret, struct mr_err *e);
void mr_onnx_free(struct mr_onnx *m); /* NULL is fine */
uint64_t mr_onnx_memory(const struct mr_onnx *m);
int mr_onnx_predict(struct mr_onnx *m, yyjson_val *data, bool want_features, struct mr_arena *arena,
                    struct mr_buf *out, struct mr_run *ret, struct mr_err *e);
/* The same on plain tensors, for models whose inputs the server prepares itself (vision, text) and
 * for tensor protocols. `in`: one for each input, in the model's order. The outputs, in the model's
 * order, are in the arena; *ret_n of them. `alone`: nobody else is known to want the processors, so
 * the run may take the spec's threads. */
int mr_onnx_run(struct mr_onnx *m, const struct mr_tensor *in, size_t n_in, bool alone,
                struct mr_arena *arena, struct mr_onnx_result **ret, size_t *ret_n,
                struct mr_err *e);
/* What the model takes and gives; lives as long as it. */
const struct mr_onnx_value *mr_onnx_inputs(const struct mr_onnx *m, size_t *ret_n);
const struct mr_onnx_value *mr_onnx_outputs(const struct mr_onnx *m, size_t *ret_n);
void mr_onnx_input_schema(const struct mr_onnx *m, struct mr_buf *out);

/* Threads for a lone run of a catalogue model here: the processors that this process may use, at
 * most 4. */
unsigned mr_onnx_threads(void);

/* Where libonnxruntime.so is: MILLRACE_ORT, else next to the program, else the setup cache. Returns
 * a descriptor, or MR_EUNAVAIL with what to do. */
int mr_onnx_open_library(int *ret_fd, struct mr_err *e);
/* Entry of the worker: main() calls it for argv[1] == "__onnx-worker". */
int mr_onnx_worker_main(void);

#endif
