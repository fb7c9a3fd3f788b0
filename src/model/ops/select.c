#include "model/ops/util.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, 1, 0, e);
    if (!r)
        r = mr_op_params(op, sizeof(struct mr_p_select), e);
    if (r)
        return r;
    const struct mr_p_select *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    const uint32_t *cols = mr_ref_u32(op, p->cols);
    if (!cols || p->cols.n != out->width || in->kind != out->kind)
        return mr_op_bad(op, "columns do not fit", e);
    for (uint32_t j = 0; j < out->width; j++)
        if (cols[j] >= in->width || (in->kind == MR_SLOT_SPARSE && j && cols[j] <= cols[j - 1]))
            return mr_op_bad(op, "column out of range", e);
    return 0;
}

static int eval_sparse(const struct mr_op *op, struct mr_frame *f, const uint32_t *cols,
                       struct mr_err *e) {
    const struct mr_vec *in = mr_op_in(op, f, 0);
    struct mr_vec *out = mr_op_out(op, f);
    int r = mr_op_sparse(f, op->out, in->sparse.start[f->rows], e);
    if (r)
        return r;
    size_t n = 0;
    for (size_t i = 0; i < f->rows; i++) {
        uint32_t j = 0;
        for (size_t k = in->sparse.start[i]; k < in->sparse.start[i + 1]; k++) {
            while (j < out->width && cols[j] < in->sparse.index[k])
                j++;
            if (j < out->width && cols[j] == in->sparse.index[k]) {
                out->sparse.index[n] = j;
                out->sparse.value[n++] = in->sparse.value[k];
            }
        }
        out->sparse.start[i + 1] = n;
    }
    return 0;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_p_select *p = op->params;
    const uint32_t *cols = mr_ref_u32(op, p->cols);
    const struct mr_vec *in = mr_op_in(op, f, 0);
    struct mr_vec *out = mr_op_out(op, f);
    if (in->kind == MR_SLOT_SPARSE)
        return eval_sparse(op, f, cols, e);
    if (in->kind == MR_SLOT_CELLS) {
        int r = mr_op_cells(f, op->out, e);
        if (r)
            return r;
        for (size_t i = 0; i < f->rows; i++)
            for (uint32_t j = 0; j < out->width; j++)
                out->cells[i * out->width + j] = in->cells[i * in->width + cols[j]];
        return 0;
    }
    for (size_t i = 0; i < f->rows; i++)
        for (uint32_t j = 0; j < out->width; j++)
            out->dense[i * out->width + j] = in->dense[i * in->width + cols[j]];
    return 0;
}

extern const struct mr_op_type mr_op_select;
const struct mr_op_type mr_op_select = {
    .id = MR_OP_SELECT, .name = "select", .check = check, .eval = eval};
