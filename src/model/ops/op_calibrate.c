/* MR_OP_CALIBRATE: scores -> calibrated probabilities, as CalibratedClassifierCV does it. */
#include "model/ops/check_util.h"
#include "model/ops/linear_params.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_calibrate_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->n_in || p->n_in > MR_MAX_WIDTH || p->first > MR_MAX_WIDTH || p->n_class < 2 ||
        p->n_class > MR_MAX_WIDTH || p->kind < MR_CAL_SIGMOID || p->kind > MR_CAL_ISOTONIC)
        return mr_op_bad(op, "sizes or kind out of range", e);
    if (op->n_in != 1 || slots[op->in[0]].width < p->first + p->n_in)
        return mr_op_bad(op, "input is too narrow", e);
    int rc = mr_op_shape(op, slots, MR_SLOT_DENSE, slots[op->in[0]].width, p->n_class, e);
    if (rc)
        return rc;
    if (!mr_op_u32_below(op, p->target, p->n_in, p->n_class))
        return mr_op_bad(op, "class out of range", e);
    if (p->kind == MR_CAL_SIGMOID)
        return mr_op_f64(op, p->a, p->n_in) && mr_op_f64(op, p->b, p->n_in)
                   ? 0
                   : mr_op_bad(op, "sigmoid parameters leave the file", e);
    if (!mr_op_starts(op, p->start, p->n_in, p->tx.n) || !mr_op_f64(op, p->tx, p->tx.n) ||
        !mr_op_f64(op, p->ty, p->tx.n))
        return mr_op_bad(op, "isotonic thresholds leave the file", e);
    const uint32_t *s = mr_ref_u32(op, p->start);
    for (uint32_t i = 0; i < p->n_in; i++)
        if (s[i] == s[i + 1])
            return mr_op_bad(op, "isotonic map without thresholds", e);
    return 0;
}

/* Linear interpolation between thresholds, constant outside. */
static double interpolate(const double *tx, const double *ty, size_t n, double x) {
    if (isnan(x))
        return x;
    if (x <= tx[0])
        return ty[0];
    if (x >= tx[n - 1])
        return ty[n - 1];
    size_t lo = 0, hi = n - 1; /* tx[lo] <= x < tx[hi] */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (tx[mid] <= x)
            lo = mid;
        else
            hi = mid;
    }
    double slope = (ty[hi] - ty[lo]) / (tx[hi] - tx[lo]);
    return slope * (x - tx[lo]) + ty[lo];
}

static double sigmoid(double z) {
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

static void finish(double *y, size_t k) {
    if (k == 2) {
        y[0] = 1 - y[1];
    } else {
        double sum = 0;
        for (size_t i = 0; i < k; i++)
            sum += y[i];
        for (size_t i = 0; i < k; i++)
            y[i] = sum != 0 ? y[i] / sum : 1.0 / (double)k;
    }
    for (size_t i = 0; i < k; i++)
        if (y[i] > 1 && y[i] <= 1 + 1e-5)
            y[i] = 1;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_calibrate_params *p = op->params;
    const struct mr_vec *in = &f->slot[op->in[0]];
    const uint32_t *target = mr_ref_u32(op, p->target), *start = mr_ref_u32(op, p->start);
    const double *a = mr_ref_f64(op, p->a), *b = mr_ref_f64(op, p->b);
    const double *tx = mr_ref_f64(op, p->tx), *ty = mr_ref_f64(op, p->ty);
    for (size_t r = 0; r < f->rows; r++) {
        const double *x = in->dense + r * in->width + p->first;
        double *y = f->slot[op->out].dense + r * p->n_class;
        for (uint32_t k = 0; k < p->n_class; k++)
            y[k] = 0;
        for (uint32_t i = 0; i < p->n_in; i++)
            y[target[i]] = p->kind == MR_CAL_SIGMOID ? sigmoid(-(a[i] * x[i] + b[i]))
                                                     : interpolate(tx + start[i], ty + start[i],
                                                                   start[i + 1] - start[i], x[i]);
        finish(y, p->n_class);
    }
    return 0;
}

static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_calibrate_params *p = op->params;
    return 5 + 25.0 * p->n_in;
}

const struct mr_op_type mr_op_calibrate = {
    .id = MR_OP_CALIBRATE, .name = "calibrate", .check = check, .eval = eval, .cost = cost};
