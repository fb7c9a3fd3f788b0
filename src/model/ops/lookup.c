#include "model/ops/util.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (!r)
        r = mr_op_params(op, sizeof(struct mr_p_lookup), e);
    if (r)
        return r;
    const struct mr_p_lookup *p = op->params;
    const struct mr_slot_decl *out = &slots[op->out];
    if (slots[op->in[0]].width != 1 || out->kind != MR_SLOT_DENSE || p->table.n == 0 ||
        p->table.n % out->width || !mr_ref_f64(op, p->table))
        return mr_op_bad(op, "table does not fit", e);
    return 0;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_p_lookup *p = op->params;
    const double *table = mr_ref_f64(op, p->table);
    const double *x = mr_op_in(op, f, 0)->dense;
    struct mr_vec *out = mr_op_out(op, f);
    double n = (double)(p->table.n / out->width);
    for (size_t i = 0; i < f->rows; i++) {
        if (!(x[i] >= 0 && x[i] < n))
            return mr_fail(e, MR_EINVAL, "row %zu: an index is out of the table", i);
        memcpy(out->dense + i * out->width, table + (size_t)x[i] * out->width,
               out->width * sizeof(double));
    }
    return 0;
}

extern const struct mr_op_type mr_op_lookup;
const struct mr_op_type mr_op_lookup = {
    .id = MR_OP_LOOKUP, .name = "lookup", .check = check, .eval = eval};
