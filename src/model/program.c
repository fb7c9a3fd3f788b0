#include "model/program.h"

static const void *ref(const struct mr_op *op, struct mr_ref r, size_t size, size_t align) {
    static const uint64_t nothing[8];
    if (r.n == 0)
        return nothing;
    if (r.off % align || r.off > op->params_len || r.n > (op->params_len - r.off) / size)
        return NULL;
    return (const char *)op->params + r.off;
}

const double *mr_ref_f64(const struct mr_op *op, struct mr_ref r) {
    return ref(op, r, sizeof(double), _Alignof(double));
}

const float *mr_ref_f32(const struct mr_op *op, struct mr_ref r) {
    return ref(op, r, sizeof(float), _Alignof(float));
}

const uint32_t *mr_ref_u32(const struct mr_op *op, struct mr_ref r) {
    return ref(op, r, sizeof(uint32_t), _Alignof(uint32_t));
}

const int32_t *mr_ref_i32(const struct mr_op *op, struct mr_ref r) {
    return ref(op, r, sizeof(int32_t), _Alignof(int32_t));
}

const uint8_t *mr_ref_u8(const struct mr_op *op, struct mr_ref r) {
    return ref(op, r, 1, 1);
}

bool mr_ref_strtab(const struct mr_op *op, struct mr_ref r, struct mr_strtab *ret) {
    static const uint32_t zero[1];
    if (r.n == 0) {
        *ret = (struct mr_strtab){0, zero, ""};
        return true;
    }
    if (r.n >= UINT32_MAX)
        return false;
    const uint32_t *off = mr_ref_u32(op, (struct mr_ref){r.off, r.n + 1});
    if (!off)
        return false;
    size_t room = op->params_len - r.off - (r.n + 1) * sizeof(uint32_t);
    if (off[0] != 0 || off[r.n] > room)
        return false;
    for (uint64_t i = 0; i < r.n; i++)
        if (off[i] > off[i + 1])
            return false;
    *ret = (struct mr_strtab){(uint32_t)r.n, off, (const char *)(off + r.n + 1)};
    return true;
}
