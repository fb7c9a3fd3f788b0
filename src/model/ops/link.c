#include "model/ops/util.h"

#include <math.h>

static bool makes_pair(uint32_t link) {
    return link == MR_LINK_SIGMOID_PAIR || link == MR_LINK_PAIR || link == MR_LINK_NEG_PAIR;
}

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (!r)
        r = mr_op_params(op, sizeof(struct mr_p_link), e);
    if (r)
        return r;
    const struct mr_p_link *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (p->link >= MR_LINK_COUNT_)
        return mr_op_bad(op, "unknown function", e);
    bool fits = makes_pair(p->link) ? in->width == 1 && out->width == 2 : in->width == out->width;
    return out->kind == MR_SLOT_DENSE && fits ? 0 : mr_op_bad(op, "output does not fit", e);
}

/* As scipy.special.expit: no overflow on either side. */
static double sigmoid(double x) {
    if (x >= 0)
        return 1 / (1 + exp(-x));
    double t = exp(x);
    return t / (1 + t);
}

static double one(uint32_t link, double x) {
    switch (link) {
    case MR_LINK_SIGMOID:
        return sigmoid(x);
    case MR_LINK_EXP:
        return exp(x);
    case MR_LINK_LOG:
        return log(x);
    case MR_LINK_SOFTPLUS:
        return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case MR_LINK_SIGNED_SQUARE:
        return x * fabs(x);
    case MR_LINK_NEGATE:
        return -x;
    case MR_LINK_ROUND_F32:
        return (float)x;
    case MR_LINK_LOGIT:
        return log(x / (1 - x));
    case MR_LINK_EXP2:
        return pow(2, x);
    case MR_LINK_SQRT:
        return sqrt(x);
    case MR_LINK_TANH:
        return tanh(x);
    case MR_LINK_RELU:
        return x < 0 ? 0 : x;
    default:
        return x;
    }
}

static void softmax(uint32_t link, double *y, uint32_t n) {
    double top = y[0], sum = 0;
    for (uint32_t j = 1; j < n; j++)
        if (y[j] > top)
            top = y[j];
    if (link == MR_LINK_SOFTMAX) {
        for (uint32_t j = 0; j < n; j++)
            sum += y[j] = exp(y[j] - top);
        for (uint32_t j = 0; j < n; j++)
            y[j] /= sum;
        return;
    }
    for (uint32_t j = 0; j < n; j++)
        sum += exp(y[j] - top);
    double lse = top + log(sum);
    for (uint32_t j = 0; j < n; j++)
        y[j] = link == MR_LINK_LOG_SOFTMAX ? y[j] - lse : exp(y[j] - lse);
}

static void row_sum(uint32_t link, double *y, uint32_t n) {
    double sum = 0;
    for (uint32_t j = 0; j < n; j++)
        sum += y[j];
    for (uint32_t j = 0; j < n; j++) {
        if (sum != 0)
            y[j] /= sum;
        else if (link == MR_LINK_ROW_SUM_UNIFORM)
            y[j] = 1.0 / n;
    }
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_p_link *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    const double *x = in->dense;
    double *y = mr_op_out(op, f)->dense;
    if (makes_pair(p->link)) {
        for (size_t i = 0; i < f->rows; i++) {
            double v = p->scale * x[i];
            if (p->link == MR_LINK_SIGMOID_PAIR)
                v = sigmoid(v);
            y[2 * i] = p->link == MR_LINK_NEG_PAIR ? -v : 1 - v;
            y[2 * i + 1] = v;
        }
        return 0;
    }
    if (p->link == MR_LINK_MARK_MISSING) {
        for (size_t i = 0; i < f->rows * in->width; i++)
            y[i] = (float)x[i] == (float)p->scale ? NAN : x[i];
        return 0;
    }
    for (size_t i = 0; i < f->rows * in->width; i++)
        y[i] = one(p->link, p->scale * x[i]);
    for (size_t i = 0; i < f->rows; i++) {
        if (p->link == MR_LINK_SOFTMAX || p->link == MR_LINK_LOG_SOFTMAX ||
            p->link == MR_LINK_EXP_NORMALIZE)
            softmax(p->link, y + i * in->width, in->width);
        if (p->link == MR_LINK_ROW_SUM || p->link == MR_LINK_ROW_SUM_UNIFORM)
            row_sum(p->link, y + i * in->width, in->width);
    }
    return 0;
}

extern const struct mr_op_type mr_op_link;
const struct mr_op_type mr_op_link = {
    .id = MR_OP_LINK, .name = "link", .check = check, .eval = eval};
