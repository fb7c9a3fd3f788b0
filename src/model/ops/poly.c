/* MR_OP_POLY (sklearn.preprocessing.PolynomialFeatures) and MR_OP_BINS (KBinsDiscretizer). */
#include "model/ops/prep.h"
#include "model/ops/util.h"

#include <math.h>

static int check_poly(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int rc = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (rc == 0)
        rc = mr_op_params(op, sizeof(struct mr_p_poly), e);
    if (rc)
        return rc;
    const struct mr_p_poly *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    const uint32_t *parent = mr_ref_u32(op, p->parent), *feature = mr_ref_u32(op, p->feature),
                   *keep = mr_ref_u32(op, p->keep);
    if (!parent || !feature || !keep || p->parent.n == 0 || p->parent.n > MR_MAX_WIDTH ||
        p->feature.n != p->parent.n || out->kind != MR_SLOT_DENSE || p->keep.n != out->width)
        return mr_op_bad(op, "terms do not fit", e);
    for (uint64_t t = 1; t < p->parent.n; t++)
        if (parent[t] >= t || feature[t] >= in->width)
            return mr_op_bad(op, "a term is out of range", e);
    for (uint64_t j = 0; j < p->keep.n; j++)
        if (keep[j] >= p->parent.n)
            return mr_op_bad(op, "an output is out of range", e);
    return 0;
}

static int eval_poly(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_p_poly *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    const uint32_t *parent = mr_ref_u32(op, p->parent), *feature = mr_ref_u32(op, p->feature),
                   *keep = mr_ref_u32(op, p->keep);
    double *out = mr_op_out(op, f)->dense;
    double *term = mr_arena_array(f->arena, p->parent.n, sizeof *term);
    if (!term)
        return mr_fail(e, MR_ETOOBIG, "the prediction needs more memory than it may use");
    term[0] = 1;
    for (size_t row = 0; row < f->rows; row++) {
        const double *x = in->dense + row * in->width;
        for (uint64_t t = 1; t < p->parent.n; t++)
            term[t] = term[parent[t]] * x[feature[t]];
        for (uint64_t j = 0; j < p->keep.n; j++)
            *out++ = term[keep[j]];
    }
    return 0;
}

extern const struct mr_op_type mr_op_poly;
const struct mr_op_type mr_op_poly = {
    .id = MR_OP_POLY, .name = "poly", .check = check_poly, .eval = eval_poly};

static int check_bins(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int rc = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (rc == 0)
        rc = mr_op_params(op, sizeof(struct mr_p_bins), e);
    if (rc)
        return rc;
    const struct mr_p_bins *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    const uint32_t *start = mr_ref_u32(op, p->start);
    if (!start || !mr_ref_f64(op, p->edge) || p->start.n != (uint64_t)in->width + 1 ||
        out->kind != MR_SLOT_DENSE || in->width != out->width || start[0] != 0 ||
        start[in->width] != p->edge.n)
        return mr_op_bad(op, "edges do not fit", e);
    for (uint32_t j = 0; j < in->width; j++)
        if (start[j] > start[j + 1])
            return mr_op_bad(op, "edges do not fit", e);
    return 0;
}

static int eval_bins(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_p_bins *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    const uint32_t *start = mr_ref_u32(op, p->start);
    const double *edge = mr_ref_f64(op, p->edge), *x = in->dense;
    double *out = mr_op_out(op, f)->dense;
    for (size_t row = 0; row < f->rows; row++)
        for (uint32_t j = 0; j < in->width; j++, x++) {
            uint32_t lo = start[j], hi = start[j + 1];
            while (lo < hi) { /* first edge > x; NaN goes last, as numpy sorts it */
                uint32_t mid = lo + (hi - lo) / 2;
                if (edge[mid] <= *x || isnan(*x))
                    lo = mid + 1;
                else
                    hi = mid;
            }
            *out++ = lo - start[j];
        }
    return 0;
}

extern const struct mr_op_type mr_op_bins;
const struct mr_op_type mr_op_bins = {
    .id = MR_OP_BINS, .name = "bins", .check = check_bins, .eval = eval_bins};
