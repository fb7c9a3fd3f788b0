#include "model/ops/util.h"

int mr_op_params(const struct mr_op *op, size_t size, struct mr_err *e) {
    return op->params_len < size ? mr_op_bad(op, "parameters are cut off", e) : 0;
}

int mr_op_bad(const struct mr_op *op, const char *what, struct mr_err *e) {
    return mr_fail(e, MR_EREFUSED, "compiled model: %s: %s", op->type->name, what);
}

int mr_op_inputs(const struct mr_op *op, const struct mr_slot_decl *slots, uint32_t n,
                 uint32_t kind, struct mr_err *e) {
    if (op->n_in != n)
        return mr_op_bad(op, "wrong number of inputs", e);
    for (uint32_t k = 0; kind && k < n; k++)
        if (slots[op->in[k]].kind != kind)
            return mr_op_bad(op, "wrong kind of input", e);
    return 0;
}

int mr_op_sparse(struct mr_frame *f, uint32_t slot, size_t nnz, struct mr_err *e) {
    struct mr_vec *v = &f->slot[slot];
    v->sparse.start = mr_arena_array(f->arena, f->rows + 1, sizeof *v->sparse.start);
    v->sparse.index = mr_arena_array(f->arena, nnz ? nnz : 1, sizeof *v->sparse.index);
    v->sparse.value = mr_arena_array(f->arena, nnz ? nnz : 1, sizeof *v->sparse.value);
    if (!v->sparse.start || !v->sparse.index || !v->sparse.value)
        return mr_fail(e, MR_ENOMEM, "%zu rows need more memory than this model may use", f->rows);
    v->sparse.start[0] = 0;
    return 0;
}

int mr_op_cells(struct mr_frame *f, uint32_t slot, struct mr_err *e) {
    struct mr_vec *v = &f->slot[slot];
    size_t n;
    v->cells = NULL;
    if (!__builtin_mul_overflow(f->rows, (size_t)v->width, &n))
        v->cells = mr_arena_array(f->arena, n, sizeof *v->cells);
    if (!v->cells)
        return mr_fail(e, MR_ENOMEM, "%zu rows need more memory than this model may use", f->rows);
    return 0;
}
