#include "engine/tensor_run.h"

#include "engine/internal.h"

int mr_instance_io(const struct mr_instance *i, struct mr_arena *arena, struct mr_tensor_io *ret,
                   struct mr_err *e) {
    if (i->kind == MR_ENGINE_ONNX)
        return mr_onnx_io(i->onnx, arena, ret, e);
    return mr_native_io(i, arena, ret, e);
}

int mr_instance_run(struct mr_instance *i, const struct mr_named_tensor *in, size_t n_in,
                    struct mr_arena *arena, struct mr_named_tensor **ret, size_t *ret_n,
                    size_t *ret_rows, struct mr_err *e) {
    if (i->kind == MR_ENGINE_ONNX)
        return mr_onnx_run_named(i->onnx, in, n_in, arena, ret, ret_n, ret_rows, e);
    return mr_native_run(i, in, n_in, arena, ret, ret_n, ret_rows, e);
}
