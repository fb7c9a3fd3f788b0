/* Small checks that the numeric operations share. Each returns 0 or MR_EREFUSED naming the part. */
#ifndef MR_MODEL_OPS_CHECK_UTIL_H
#define MR_MODEL_OPS_CHECK_UTIL_H

#include "model/ops/util.h"

#include <math.h>

/* One input of `in_kind` and `in_width`, a dense output of `out_width`. */
static inline int mr_op_shape(const struct mr_op *op, const struct mr_slot_decl *slots,
                              uint32_t in_kind, uint64_t in_width, uint64_t out_width,
                              struct mr_err *e) {
    if (op->n_in != 1)
        return mr_op_bad(op, "takes one input", e);
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (in->kind != in_kind || in->width != in_width)
        return mr_op_bad(op, "input kind or width does not fit", e);
    if (out->kind != MR_SLOT_DENSE || out->width != out_width)
        return mr_op_bad(op, "output kind or width does not fit", e);
    return 0;
}

/* The array lies in the blob and has exactly `n` values. */
static inline bool mr_op_f64(const struct mr_op *op, struct mr_ref r, uint64_t n) {
    return r.n == n && mr_ref_f64(op, r);
}
static inline bool mr_op_u32(const struct mr_op *op, struct mr_ref r, uint64_t n) {
    return r.n == n && mr_ref_u32(op, r);
}
/* The same, all values below `limit`. */
static inline bool mr_op_u32_below(const struct mr_op *op, struct mr_ref r, uint64_t n,
                                   uint32_t limit) {
    if (!mr_op_u32(op, r, n))
        return false;
    const uint32_t *v = mr_ref_u32(op, r);
    for (uint64_t i = 0; i < n; i++)
        if (v[i] >= limit)
            return false;
    return true;
}
/* start[0] = 0, ascending, start[n] = total. */
static inline bool mr_op_starts(const struct mr_op *op, struct mr_ref r, uint64_t n,
                                uint64_t total) {
    if (!mr_op_u32(op, r, n + 1))
        return false;
    const uint32_t *v = mr_ref_u32(op, r);
    for (uint64_t i = 0; i < n; i++)
        if (v[i] > v[i + 1])
            return false;
    return v[0] == 0 && v[n] == total;
}
/* Row scratch that stays small enough for the arena; NULL sets MR_ENOMEM. */
static inline void *mr_op_scratch(struct mr_frame *f, size_t n, size_t size, struct mr_err *e) {
    void *p = mr_arena_array(f->arena, n ? n : 1, size);
    if (!p)
        mr_fail(e, MR_ENOMEM, "out of memory while predicting");
    return p;
}

#endif
