/* MR_OP_LINEAR: x W + b over dense or sparse rows. */
#include "model/ops/check_util.h"
#include "model/ops/dense_kernel.h"
#include "model/ops/linear_params.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_linear_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->n_in || !p->n_out || p->n_in > MR_MAX_WIDTH || p->n_out > MR_MAX_WIDTH ||
        p->stride != mr_linear_stride(p->n_out) ||
        (p->flags != 0 && p->flags != MR_LINEAR_BINARIZE && p->flags != MR_LINEAR_F32))
        return mr_op_bad(op, "sizes out of range", e);
    uint32_t kind = op->n_in == 1 ? slots[op->in[0]].kind : MR_SLOT_DENSE;
    if (kind != MR_SLOT_DENSE && kind != MR_SLOT_SPARSE)
        return mr_op_bad(op, "input must be numbers", e);
    int rc = mr_op_shape(op, slots, kind, p->n_in, p->n_out, e);
    if (rc)
        return rc;
    if (!mr_op_f64(op, p->w, (uint64_t)p->n_in * p->stride) || !mr_op_f64(op, p->b, p->stride))
        return mr_op_bad(op, "weights leave the file", e);
    if (kind == MR_SLOT_SPARSE && (p->flags & MR_LINEAR_F32))
        return mr_op_bad(op, "single precision sums need dense input", e);
    /* a zero that is not stored must stay zero */
    if (kind == MR_SLOT_SPARSE && (p->flags & MR_LINEAR_BINARIZE) && !(p->threshold >= 0))
        return mr_op_bad(op, "threshold below 0 on sparse input", e);
    return 0;
}

static void sparse_row(const struct mr_linear_params *p, const double *w, const double *b,
                       const uint32_t *index, const double *value, size_t n, double *acc,
                       double *y) {
    size_t stride = p->stride;
    for (size_t k = 0; k < stride; k++)
        acc[k] = 0;
    for (size_t i = 0; i < n; i++) {
        double v = value[i];
        if (p->flags & MR_LINEAR_BINARIZE)
            v = v > p->threshold;
        const double *q = w + (size_t)index[i] * stride;
        for (size_t k = 0; k < stride; k++)
            acc[k] += v * q[k];
    }
    for (size_t k = 0; k < p->n_out; k++)
        y[k] = acc[k] + b[k];
}

/* XGBoost's own order and precision (src/gbm/gblinear.cc): float sums, bias first. */
static void f32_row(const struct mr_linear_params *p, const double *w, const double *b,
                    const double *x, double *y) {
    for (size_t k = 0; k < p->n_out; k++) {
        float acc = (float)b[k];
        for (size_t j = 0; j < p->n_in; j++) {
            float term = (float)x[j] * (float)w[j * p->stride + k];
            acc += term;
        }
        y[k] = acc;
    }
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_linear_params *p = op->params;
    const struct mr_vec *in = &f->slot[op->in[0]];
    double *y = f->slot[op->out].dense;
    const double *w = mr_ref_f64(op, p->w), *b = mr_ref_f64(op, p->b);
    if (in->kind == MR_SLOT_SPARSE) {
        double *acc = mr_op_scratch(f, p->stride, sizeof *acc, e);
        if (!acc)
            return MR_ENOMEM;
        for (size_t r = 0; r < f->rows; r++) {
            size_t s = in->sparse.start[r], n = in->sparse.start[r + 1] - s;
            sparse_row(p, w, b, in->sparse.index + s, in->sparse.value + s, n, acc,
                       y + r * p->n_out);
        }
        return 0;
    }
    const double *x = in->dense;
    if (p->flags & MR_LINEAR_F32) {
        for (size_t r = 0; r < f->rows; r++)
            f32_row(p, w, b, x + r * p->n_in, y + r * p->n_out);
        return 0;
    }
    if (p->flags & MR_LINEAR_BINARIZE) {
        double *t = mr_op_scratch(f, f->rows * p->n_in, sizeof *t, e);
        if (!t)
            return MR_ENOMEM;
        for (size_t i = 0; i < f->rows * p->n_in; i++)
            t[i] = x[i] > p->threshold;
        x = t;
    }
    mr_dense_kernel()->linear(x, f->rows, p->n_in, p->n_in, w, b, p->stride, p->n_out, y, p->n_out);
    return 0;
}

static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_linear_params *p = op->params;
    return 8 + 0.15 * p->n_in * p->stride;
}

const struct mr_op_type mr_op_linear = {
    .id = MR_OP_LINEAR, .name = "linear", .check = check, .eval = eval, .cost = cost};
