#include "model/ops/util.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (r)
        return r;
    if (slots[op->out].kind != MR_SLOT_DENSE || slots[op->out].width != 1)
        return mr_op_bad(op, "output does not fit", e);
    return 0;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    double *out = mr_op_out(op, f)->dense;
    for (size_t i = 0; i < f->rows; i++) {
        const double *x = in->dense + i * in->width;
        uint32_t best = 0;
        for (uint32_t j = 1; j < in->width && x[best] == x[best]; j++)
            if (!(x[j] <= x[best]))
                best = j;
        out[i] = best;
    }
    return 0;
}

extern const struct mr_op_type mr_op_argmax;
const struct mr_op_type mr_op_argmax = {
    .id = MR_OP_ARGMAX, .name = "argmax", .check = check, .eval = eval};
