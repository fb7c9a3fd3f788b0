#include "model/ops/util.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, 1, 0, e);
    if (r)
        return r;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (out->kind != MR_SLOT_DENSE || in->width != out->width)
        return mr_op_bad(op, "output does not fit", e);
    return 0;
}

static int text_cell(const struct mr_cell *c, size_t row, size_t col, struct mr_err *e) {
    int n = c->s.n > 40 ? 40 : (int)c->s.n;
    return mr_fail(e, MR_EINVAL, "row %zu, column %zu: \"%.*s\" is text where a number is needed",
                   row, col, n, c->s.p);
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_vec *in = mr_op_in(op, f, 0);
    struct mr_vec *out = mr_op_out(op, f);
    size_t n = f->rows * in->width;
    if (in->kind == MR_SLOT_DENSE) {
        memcpy(out->dense, in->dense, n * sizeof(double));
        return 0;
    }
    if (in->kind == MR_SLOT_CELLS) {
        for (size_t i = 0; i < n; i++) {
            if (in->cells[i].s.p)
                return text_cell(&in->cells[i], i / in->width, i % in->width, e);
            out->dense[i] = in->cells[i].num;
        }
        return 0;
    }
    memset(out->dense, 0, n * sizeof(double));
    for (size_t i = 0; i < f->rows; i++)
        for (size_t k = in->sparse.start[i]; k < in->sparse.start[i + 1]; k++)
            out->dense[i * out->width + in->sparse.index[k]] = in->sparse.value[k];
    return 0;
}

extern const struct mr_op_type mr_op_to_dense;
const struct mr_op_type mr_op_to_dense = {
    .id = MR_OP_TO_DENSE, .name = "to_dense", .check = check, .eval = eval};
