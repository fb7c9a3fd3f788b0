#include "model/ops/util.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (!r)
        r = mr_op_params(op, sizeof(struct mr_p_threshold), e);
    if (r)
        return r;
    const struct mr_slot_decl *out = &slots[op->out];
    if (out->kind != MR_SLOT_DENSE || out->width != slots[op->in[0]].width)
        return mr_op_bad(op, "output does not fit", e);
    return 0;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_p_threshold *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    double *out = mr_op_out(op, f)->dense;
    for (size_t i = 0; i < f->rows * in->width; i++)
        out[i] = p->or_equal ? in->dense[i] >= p->t : in->dense[i] > p->t;
    return 0;
}

extern const struct mr_op_type mr_op_threshold;
const struct mr_op_type mr_op_threshold = {
    .id = MR_OP_THRESHOLD, .name = "threshold", .check = check, .eval = eval};
