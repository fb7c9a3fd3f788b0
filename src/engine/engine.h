/* Engines: what can load a model and run it. native (compiled programs, in process) and onnx
 * (ONNX Runtime in a sandboxed worker process). Thread-safe. */
#ifndef MR_ENGINE_ENGINE_H
#define MR_ENGINE_ENGINE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/model.h"

#include <yyjson.h>

struct mr_instance; /* one loaded model */

enum mr_engine_kind { MR_ENGINE_NATIVE = 1, MR_ENGINE_ONNX = 2 };

/* What intake found, as stored with a version. */
struct mr_model_spec {
    enum mr_engine_kind kind;
    uint64_t memory_limit; /* bytes; 0 = none */
    int64_t timeout_ms;    /* one run; 0 = none */
    /* ONNX models of the catalogue: threads of a run that has the machine for itself (mr_onnx_run);
     * above 1, a second session is held for it. 0: a user's model, which has one. */
    unsigned threads;
};

/* `fd`: the compiled program (native) or the .onnx file (onnx); not kept. */
int mr_instance_load(const struct mr_model_spec *spec, int fd, struct mr_instance **ret,
                     struct mr_err *e);
struct mr_instance *mr_instance_ref(struct mr_instance *i);
void mr_instance_unref(struct mr_instance *i); /* NULL is fine */
uint64_t mr_instance_memory(const struct mr_instance *i);
/* MR_ETOOBIG with both figures when it needs more than `limit` bytes (0 = none). */
int mr_instance_fits(const struct mr_instance *i, uint64_t limit, struct mr_err *e);
/* True when a run over `rows` rows is expected to take under ~100 us and may stay on a loop
 * thread. */
bool mr_instance_is_quick(const struct mr_instance *i, size_t rows);

/* A run from the request's `data` value to reply members. Appends, without braces,
 *   "prediction":…,"probabilities":[…]            for one row, or
 *   "predictions":[…],"probabilities":[[…]],…     for a batch (ret_batch true)
 * MR_EINVAL / MR_EFIELD name the row and field; MR_EPREDICT and MR_ETIMEOUT come from the model. */
struct mr_run {
    size_t rows;
    bool batch;
    struct mr_str features_read; /* JSON: rows as read, only when want_features */
};
int mr_instance_predict(struct mr_instance *i, yyjson_val *data, bool want_features,
                        struct mr_arena *arena, struct mr_buf *out, struct mr_run *ret,
                        struct mr_err *e);
/* JSON object describing the input (features, kinds, missing allowed), for test-model. */
void mr_instance_input_schema(const struct mr_instance *i, struct mr_buf *out);

#endif
