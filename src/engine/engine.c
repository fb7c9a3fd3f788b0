#include "engine/engine.h"

#include "base/alloc.h"
#include "engine/internal.h"
#include "engine/onnx/onnx.h"

#define QUICK_NS 100e3

int mr_instance_load(const struct mr_model_spec *spec, int fd, struct mr_instance **ret,
                     struct mr_err *e) {
    struct mr_instance *i = mr_calloc(1, sizeof *i);
    if (!i)
        return mr_fail(e, MR_ENOMEM, "out of memory loading a model");
    atomic_init(&i->refs, 1);
    i->kind = spec->kind;
    i->timeout_ms = spec->timeout_ms;
    int r;
    if (spec->kind == MR_ENGINE_NATIVE)
        r = mr_native_load(i, fd, spec, e);
    else if (spec->kind == MR_ENGINE_ONNX)
        r = mr_onnx_load(spec, fd, &i->onnx, e);
    else
        r = mr_fail(e, MR_EINTERNAL, "unknown engine %d", (int)spec->kind);
    if (r) {
        mr_instance_unref(i);
        return r;
    }
    *ret = i;
    return 0;
}

struct mr_instance *mr_instance_ref(struct mr_instance *i) {
    atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
    return i;
}

void mr_instance_unref(struct mr_instance *i) {
    if (!i || atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (i->kind == MR_ENGINE_NATIVE)
        mr_native_release(i);
    mr_onnx_free(i->onnx);
    mr_free(i);
}

uint64_t mr_instance_memory(const struct mr_instance *i) {
    if (i->kind == MR_ENGINE_ONNX)
        return mr_onnx_memory(i->onnx);
    return mr_model_info(i->model)->memory;
}

int mr_instance_fits(const struct mr_instance *i, uint64_t limit, struct mr_err *e) {
    uint64_t bytes = mr_instance_memory(i);
    if (!limit || bytes <= limit)
        return 0;
    return mr_fail(e, MR_ETOOBIG, "the model needs %.1f MB, over its limit of %.1f MB",
                   (double)bytes / 1e6, (double)limit / 1e6);
}

bool mr_instance_is_quick(const struct mr_instance *i, size_t rows) {
    /* An ONNX run waits for another process, which a loop thread must not. */
    return i->kind == MR_ENGINE_NATIVE &&
           (double)rows * mr_model_info(i->model)->est_row_ns < QUICK_NS;
}

int mr_instance_predict(struct mr_instance *i, yyjson_val *data, bool want_features,
                        struct mr_arena *arena, struct mr_buf *out, struct mr_run *ret,
                        struct mr_err *e) {
    if (i->kind == MR_ENGINE_ONNX)
        return mr_onnx_predict(i->onnx, data, want_features, arena, out, ret, e);
    return mr_native_predict(i, data, want_features, arena, out, ret, e);
}

void mr_instance_input_schema(const struct mr_instance *i, struct mr_buf *out) {
    if (i->kind == MR_ENGINE_ONNX)
        mr_onnx_input_schema(i->onnx, out);
    else
        mr_native_input_schema(i, out);
}
