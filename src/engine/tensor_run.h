/* Models on named tensors, for protocols that speak them (KServe v2): ONNX models take and give
 * their own; compiled programs take a matrix [rows, features] or one column an input, and give what
 * scikit-learn's predict and predict_proba would. Thread-safe. */
#ifndef MR_ENGINE_TENSOR_RUN_H
#define MR_ENGINE_TENSOR_RUN_H

#include "engine/engine.h"
#include "engine/onnx/tensors.h"

struct mr_named_tensor {
    struct mr_str name;
    struct mr_tensor t;
};

/* What an instance takes and gives. Dimensions of -1 are free. */
struct mr_tensor_io {
    const struct mr_onnx_value *in, *out;
    size_t n_in, n_out;
    bool columns;           /* native: also (or, with mixed features, only) one input a feature */
    bool any_in;            /* native: names of a matrix do not matter, nor do its numbers' types */
    struct mr_str platform; /* "onnx_onnxv1", "sklearn", "xgboost", "lightgbm" */
};
/* Lives in the arena and as long as the instance. */
int mr_instance_io(const struct mr_instance *i, struct mr_arena *arena, struct mr_tensor_io *ret,
                   struct mr_err *e);

/* Strings of `in` are UTF-8 as far as the caller cares. FP16 is MR_ONNX_FLOAT16, two bytes an
 * element. MR_EINVAL / MR_EFIELD name the input; the outputs, all of them in the order of
 * mr_instance_io, are in the arena; *ret_rows is the first dimension. Blocks for ONNX models. */
int mr_instance_run(struct mr_instance *i, const struct mr_named_tensor *in, size_t n_in,
                    struct mr_arena *arena, struct mr_named_tensor **ret, size_t *ret_n,
                    size_t *ret_rows, struct mr_err *e);

/* engine/native_tensors.c, onnx/run_named.c: by kind */
int mr_native_io(const struct mr_instance *i, struct mr_arena *arena, struct mr_tensor_io *ret,
                 struct mr_err *e);
int mr_native_run(struct mr_instance *i, const struct mr_named_tensor *in, size_t n_in,
                  struct mr_arena *arena, struct mr_named_tensor **ret, size_t *ret_n,
                  size_t *ret_rows, struct mr_err *e);
struct mr_onnx;
int mr_onnx_io(const struct mr_onnx *m, struct mr_arena *arena, struct mr_tensor_io *ret,
               struct mr_err *e);
int mr_onnx_run_named(struct mr_onnx *m, const struct mr_named_tensor *in, size_t n_in,
                      struct mr_arena *arena, struct mr_named_tensor **ret, size_t *ret_n,
                      size_t *ret_rows, struct mr_err *e);

#endif
