/* A model file run by ONNX Runtime in sandboxed workers: one to begin with, more (up to
 * MR_NETS_MAX, and the machine's CPUs) when callers wait for each other. Thread-safe. */
#ifndef MR_ENGINE_VISION_NETS_H
#define MR_ENGINE_VISION_NETS_H

#include "engine/onnx/onnx.h"

#define MR_NETS_MAX 4

struct mr_nets;
/* Loads <dir>/<file>. MR_ENOTFOUND names the file. */
int mr_nets_open(const char *dir, const char *file, struct mr_nets **ret, struct mr_err *e);
void mr_nets_free(struct mr_nets *n); /* takes NULL */
uint64_t mr_nets_memory(struct mr_nets *n);
/* As mr_onnx_run with one input of floats and outputs of floats (MR_EPREDICT else): `out` gets
 * n_out of them, in the model's order. */
int mr_nets_run(struct mr_nets *n, const struct mr_tensor *in, struct mr_arena *arena,
                const struct mr_tensor **out, size_t n_out, struct mr_err *e);
/* MR_EREFUSED unless the model has one float input and these outputs, in any order; order[k] says
 * where output k is. A name that is NULL stands for the first. */
int mr_nets_expect(struct mr_nets *n, const char *const *outputs, size_t n_out, size_t *order,
                   struct mr_err *e);
/* One of them, as long as `n` lives: for who runs tensors of his own. */
struct mr_onnx *mr_nets_first(const struct mr_nets *n);
/* A float tensor over `data`. */
struct mr_tensor mr_nets_tensor(const float *data, int rank, const int64_t *dim);

#endif
