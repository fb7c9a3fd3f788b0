#include "model/ops/util.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, op->n_in, MR_SLOT_DENSE, e);
    if (!r)
        r = mr_op_params(op, sizeof(struct mr_p_mean), e);
    if (r)
        return r;
    const struct mr_p_mean *p = op->params;
    const struct mr_slot_decl *out = &slots[op->out];
    for (uint32_t k = 0; k < op->n_in; k++)
        if (slots[op->in[k]].width != out->width)
            return mr_op_bad(op, "widths differ", e);
    if (out->kind != MR_SLOT_DENSE || (p->weight.n != 0 && p->weight.n != op->n_in) ||
        !mr_ref_f64(op, p->weight) || !(p->divisor < 0 || p->divisor > 0))
        return mr_op_bad(op, "weights do not fit", e);
    return 0;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_p_mean *p = op->params;
    const double *w = p->weight.n ? mr_ref_f64(op, p->weight) : NULL;
    struct mr_vec *out = mr_op_out(op, f);
    size_t n = f->rows * out->width;
    for (uint32_t k = 0; k < op->n_in; k++) {
        const double *x = mr_op_in(op, f, k)->dense;
        double wk = w ? w[k] : 1;
        for (size_t i = 0; i < n; i++)
            out->dense[i] = k ? out->dense[i] + wk * x[i] : wk * x[i];
    }
    for (size_t i = 0; i < n; i++)
        out->dense[i] /= p->divisor;
    return 0;
}

extern const struct mr_op_type mr_op_mean;
const struct mr_op_type mr_op_mean = {
    .id = MR_OP_MEAN, .name = "mean", .check = check, .eval = eval};
