#include "model/ops/util.h"

static bool array_ok(const struct mr_op *op, struct mr_ref r, uint32_t width) {
    return r.n == 0 || ((r.n == 1 || r.n == width) && mr_ref_f64(op, r));
}

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, 1, 0, e);
    if (!r)
        r = mr_op_params(op, sizeof(struct mr_p_affine), e);
    if (r)
        return r;
    const struct mr_p_affine *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (in->kind == MR_SLOT_CELLS || in->kind != out->kind || in->width != out->width)
        return mr_op_bad(op, "output does not fit", e);
    if (!array_ok(op, p->shift, in->width) || !array_ok(op, p->scale, in->width) ||
        !array_ok(op, p->add, in->width) || !array_ok(op, p->lo, in->width) ||
        !array_ok(op, p->hi, in->width))
        return mr_op_bad(op, "an array does not fit", e);
    if (in->kind == MR_SLOT_SPARSE && (p->shift.n || p->add.n || p->lo.n || p->hi.n))
        return mr_op_bad(op, "sparse input can only be scaled", e);
    return 0;
}

/* An optional array: value of column j. */
struct column {
    const double *v;
    uint32_t step;
};

static struct column column(const struct mr_op *op, struct mr_ref r) {
    return (struct column){r.n ? mr_ref_f64(op, r) : NULL, r.n > 1};
}

static double scaled(struct column scale, uint32_t divide, double x, size_t j) {
    if (!scale.v)
        return x;
    double s = scale.v[j * scale.step];
    return divide ? x / s : x * s;
}

static int eval_sparse(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_p_affine *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    struct mr_vec *out = mr_op_out(op, f);
    size_t n = in->sparse.start[f->rows];
    int r = mr_op_sparse(f, op->out, n, e);
    if (r)
        return r;
    struct column scale = column(op, p->scale);
    memcpy(out->sparse.start, in->sparse.start, (f->rows + 1) * sizeof(size_t));
    memcpy(out->sparse.index, in->sparse.index, n * sizeof(uint32_t));
    for (size_t k = 0; k < n; k++)
        out->sparse.value[k] = scaled(scale, p->divide, in->sparse.value[k], in->sparse.index[k]);
    return 0;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_p_affine *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    if (in->kind == MR_SLOT_SPARSE)
        return eval_sparse(op, f, e);
    struct column shift = column(op, p->shift), scale = column(op, p->scale),
                  add = column(op, p->add), lo = column(op, p->lo), hi = column(op, p->hi);
    double *out = mr_op_out(op, f)->dense;
    for (size_t i = 0; i < f->rows; i++)
        for (size_t j = 0; j < in->width; j++) {
            double x = in->dense[i * in->width + j];
            if (shift.v)
                x -= shift.v[j * shift.step];
            x = scaled(scale, p->divide, x, j);
            if (add.v)
                x += add.v[j * add.step];
            if (lo.v && x < lo.v[j * lo.step])
                x = lo.v[j * lo.step];
            if (hi.v && x > hi.v[j * hi.step])
                x = hi.v[j * hi.step];
            out[i * in->width + j] = x;
        }
    return 0;
}

extern const struct mr_op_type mr_op_affine;
const struct mr_op_type mr_op_affine = {
    .id = MR_OP_AFFINE, .name = "affine", .check = check, .eval = eval};
