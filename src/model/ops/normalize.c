/* MR_OP_NORMALIZE (sklearn.preprocessing.normalize on dense rows). */
#include "model/ops/prep.h"
#include "model/ops/text.h"
#include "model/ops/util.h"

#include <float.h>
#include <math.h>

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int rc = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (rc == 0)
        rc = mr_op_params(op, sizeof(struct mr_p_normalize), e);
    if (rc)
        return rc;
    const struct mr_p_normalize *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (out->kind != MR_SLOT_DENSE || in->width != out->width || p->norm < MR_NORM_L1 ||
        p->norm > MR_NORM_MAX)
        return mr_op_bad(op, "parameters out of range", e);
    return 0;
}

static double norm_of(uint32_t norm, const double *x, size_t n) {
    double s = 0;
    for (size_t j = 0; j < n; j++) {
        double a = fabs(x[j]);
        if (norm == MR_NORM_L1)
            s += a;
        else if (norm == MR_NORM_L2)
            s += a * a;
        else if (a > s || isnan(a))
            s = a;
    }
    return norm == MR_NORM_L2 ? sqrt(s) : s;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_p_normalize *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    double *out = mr_op_out(op, f)->dense;
    for (size_t row = 0; row < f->rows; row++) {
        const double *x = in->dense + row * in->width;
        double s = norm_of(p->norm, x, in->width);
        if (s < 10 * DBL_EPSILON) /* the library leaves such rows alone */
            s = 1;
        for (size_t j = 0; j < in->width; j++)
            *out++ = x[j] / s;
    }
    return 0;
}

extern const struct mr_op_type mr_op_normalize;
const struct mr_op_type mr_op_normalize = {
    .id = MR_OP_NORMALIZE, .name = "normalize", .check = check, .eval = eval};
