/* Helpers for operations. Private to src/model. */
#ifndef MR_MODEL_OPS_UTIL_H
#define MR_MODEL_OPS_UTIL_H

#include "model/op_ids.h"
#include "model/ops/params.h"

/* The fixed struct, or fails with MR_EREFUSED when the blob is shorter. */
int mr_op_params(const struct mr_op *op, size_t size, struct mr_err *e);
/* MR_EREFUSED "op NAME: WHAT". */
int mr_op_bad(const struct mr_op *op, const char *what, struct mr_err *e);
/* Exactly n inputs, all of `kind` (0 = any). */
int mr_op_inputs(const struct mr_op *op, const struct mr_slot_decl *slots, uint32_t n,
                 uint32_t kind, struct mr_err *e);
/* Allocates a sparse output with room for `nnz` entries: start, index, value. */
int mr_op_sparse(struct mr_frame *f, uint32_t slot, size_t nnz, struct mr_err *e);
/* Allocates a cells output. */
int mr_op_cells(struct mr_frame *f, uint32_t slot, struct mr_err *e);

static inline const struct mr_vec *mr_op_in(const struct mr_op *op, const struct mr_frame *f,
                                            uint32_t k) {
    return &f->slot[op->in[k]];
}
static inline struct mr_vec *mr_op_out(const struct mr_op *op, const struct mr_frame *f) {
    return &f->slot[op->out];
}

#endif
