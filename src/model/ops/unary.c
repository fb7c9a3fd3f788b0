/* MR_OP_UNARY (numpy functions applied to each value), MR_OP_POWER (PowerTransformer) and
 * MR_OP_VOTE (majority of several classifiers). */
#include "model/ops/prep.h"
#include "model/ops/util.h"

#include <float.h>
#include <math.h>

static int same_shape(const struct mr_op *op, const struct mr_slot_decl *slots, size_t params,
                      struct mr_err *e) {
    int rc = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (rc == 0)
        rc = mr_op_params(op, params, e);
    if (rc)
        return rc;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (out->kind != MR_SLOT_DENSE || in->width != out->width)
        return mr_op_bad(op, "output does not fit", e);
    return 0;
}

static int check_unary(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int rc = same_shape(op, slots, sizeof(struct mr_p_unary), e);
    if (rc)
        return rc;
    const struct mr_p_unary *p = op->params;
    if (p->fn < 1 || p->fn >= MR_UNARY_COUNT_)
        return mr_op_bad(op, "unknown function", e);
    return 0;
}

static double apply(uint32_t fn, double x) {
    switch (fn) {
    case MR_UNARY_LOG1P:
        return log1p(x);
    case MR_UNARY_LOG:
        return log(x);
    case MR_UNARY_LOG2:
        return log2(x);
    case MR_UNARY_LOG10:
        return log10(x);
    case MR_UNARY_EXP:
        return exp(x);
    case MR_UNARY_EXPM1:
        return expm1(x);
    case MR_UNARY_EXP2:
        return exp2(x);
    case MR_UNARY_SQRT:
        return sqrt(x);
    case MR_UNARY_CBRT:
        return cbrt(x);
    case MR_UNARY_SQUARE:
        return x * x;
    case MR_UNARY_ABS:
        return fabs(x);
    case MR_UNARY_NEGATE:
        return -x;
    case MR_UNARY_RECIPROCAL:
        return 1 / x;
    case MR_UNARY_SIGN:
        return isnan(x) ? x : (x > 0) - (x < 0);
    case MR_UNARY_SIN:
        return sin(x);
    case MR_UNARY_COS:
        return cos(x);
    case MR_UNARY_TAN:
        return tan(x);
    case MR_UNARY_TANH:
        return tanh(x);
    case MR_UNARY_ARCSINH:
        return asinh(x);
    case MR_UNARY_FLOOR:
        return floor(x);
    case MR_UNARY_CEIL:
        return ceil(x);
    default:
        return rint(x);
    }
}

static int eval_unary(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_p_unary *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    double *out = mr_op_out(op, f)->dense;
    for (size_t i = 0; i < f->rows * in->width; i++)
        out[i] = apply(p->fn, in->dense[i]);
    return 0;
}

extern const struct mr_op_type mr_op_unary;
const struct mr_op_type mr_op_unary = {
    .id = MR_OP_UNARY, .name = "unary", .check = check_unary, .eval = eval_unary};

static int check_power(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int rc = same_shape(op, slots, sizeof(struct mr_p_power), e);
    if (rc)
        return rc;
    const struct mr_p_power *p = op->params;
    if ((p->method != MR_POWER_YEO_JOHNSON && p->method != MR_POWER_BOX_COX) ||
        !mr_ref_f64(op, p->lambda) || p->lambda.n != slots[op->out].width)
        return mr_op_bad(op, "parameters out of range", e);
    return 0;
}

/* (exp(l * log(y)) - 1) / l, the power function both methods share; y = exp(log_y). */
static double power(double log_y, double l) {
    return fabs(l) < DBL_EPSILON ? log_y : expm1(l * log_y) / l;
}

static double yeo_johnson(double x, double l) {
    if (x >= 0)
        return power(log1p(x), l);
    return -power(log1p(-x), 2 - l);
}

static int eval_power(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_p_power *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    const double *l = mr_ref_f64(op, p->lambda);
    double *out = mr_op_out(op, f)->dense;
    for (size_t row = 0; row < f->rows; row++)
        for (size_t j = 0; j < in->width; j++) {
            double x = in->dense[row * in->width + j];
            if (isnan(x)) {
                *out++ = x;
            } else if (p->method == MR_POWER_YEO_JOHNSON) {
                *out++ = yeo_johnson(x, l[j]);
            } else {
                if (x <= 0)
                    return mr_fail(e, MR_EINVAL,
                                   "row %zu, column %zu: the Box-Cox transformation takes only "
                                   "positive numbers",
                                   row, j);
                *out++ = power(log(x), l[j]);
            }
        }
    return 0;
}

extern const struct mr_op_type mr_op_power;
const struct mr_op_type mr_op_power = {
    .id = MR_OP_POWER, .name = "power", .check = check_power, .eval = eval_power};

static int check_vote(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int rc = mr_op_params(op, sizeof(struct mr_p_vote), e);
    if (rc)
        return rc;
    const struct mr_p_vote *p = op->params;
    if (op->n_in == 0 || !mr_ref_f64(op, p->weight) || p->weight.n != op->n_in ||
        slots[op->out].kind != MR_SLOT_DENSE)
        return mr_op_bad(op, "weights do not fit", e);
    for (uint32_t k = 0; k < op->n_in; k++)
        if (slots[op->in[k]].kind != MR_SLOT_DENSE || slots[op->in[k]].width != 1)
            return mr_op_bad(op, "an input does not fit", e);
    return 0;
}

static int eval_vote(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_p_vote *p = op->params;
    const double *w = mr_ref_f64(op, p->weight);
    struct mr_vec *out = mr_op_out(op, f);
    memset(out->dense, 0, f->rows * out->width * sizeof(double));
    for (uint32_t k = 0; k < op->n_in; k++)
        for (size_t row = 0; row < f->rows; row++) {
            double c = mr_op_in(op, f, k)->dense[row];
            if (c >= 0 && c < out->width)
                out->dense[row * out->width + (size_t)c] += w[k];
        }
    return 0;
}

extern const struct mr_op_type mr_op_vote;
const struct mr_op_type mr_op_vote = {
    .id = MR_OP_VOTE, .name = "vote", .check = check_vote, .eval = eval_vote};
