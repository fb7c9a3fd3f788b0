/* PolynomialFeatures and KBinsDiscretizer. */
#include "model/convert/steps.h"

#define MAX_TERMS (1u << 20)

struct terms {
    uint32_t *parent, *feature;
    uint32_t n, cap;
    uint32_t *first; /* first feature of the term's lexicographic tuple */
};

/* All terms of degree 1..max: those of one degree are grouped by their first feature, in the order
 * of itertools.combinations(_with_replacement). level[d] is where degree d starts. */
static int grow(struct terms *t, uint32_t width, uint32_t max, bool interaction, uint32_t *level,
                struct mr_err *e) {
    t->n = 1;
    for (uint32_t d = 1; d <= max; d++) {
        level[d] = t->n;
        for (uint32_t f = 0; f < width; f++) {
            if (d == 1) {
                if (t->n == t->cap)
                    return mr_fail(e, MR_EUNSUPPORTED, "PolynomialFeatures gives too many columns");
                t->parent[t->n] = 0;
                t->feature[t->n] = f;
                t->first[t->n++] = f;
                continue;
            }
            for (uint32_t k = level[d - 1]; k < level[d]; k++) {
                if (interaction ? t->first[k] <= f : t->first[k] < f)
                    continue;
                if (t->n == t->cap)
                    return mr_fail(e, MR_EUNSUPPORTED, "PolynomialFeatures gives too many columns");
                t->parent[t->n] = k;
                t->feature[t->n] = f;
                t->first[t->n++] = f;
            }
        }
    }
    level[max + 1] = t->n;
    return 0;
}

/* How many terms up to degree `max` there are at most; MAX_TERMS + 1 when that is too many. */
static uint32_t bound(uint32_t width, uint32_t max) {
    double all = 1, level = 1;
    for (uint32_t d = 1; d <= max; d++) {
        level *= (double)(width + d - 1) / d; /* combinations with replacement */
        all += level;
        if (all > MAX_TERMS)
            return MAX_TERMS + 1;
    }
    return (uint32_t)all + 1;
}

static int degrees(const struct mr_pk *obj, int64_t *lo, int64_t *hi, struct mr_err *e) {
    struct mr_pk *const *v;
    size_t n;
    const struct mr_pk *d = mr_pk_attr(obj, "degree");
    *lo = 0;
    bool ok = mr_pk_seq(d, &v, &n) ? n == 2 && mr_pk_int(v[0], lo) && mr_pk_int(v[1], hi)
                                   : mr_pk_int(d, hi);
    if (!ok || *lo < 0 || *lo > *hi || *hi > 30)
        return mr_step_refuse(obj, e, "has a degree outside 0 to 30");
    return 0;
}

MR_STEP(mr_prep_poly) {
    uint32_t width = mr_build_slot_width(c->b, in), level[34], n_keep = 0;
    int64_t lo, hi, want;
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = degrees(obj, &lo, &hi, e);
    if (rc)
        return rc;
    bool interaction = mr_step_flag(obj, "interaction_only", false);
    if (interaction && hi > width)
        hi = width;
    struct terms t = {.cap = bound(width, (uint32_t)hi)};
    if (t.cap > MAX_TERMS)
        return mr_step_refuse(obj, e, "gives more than %u columns", MAX_TERMS);
    t.parent = mr_arena_array(c->arena, (size_t)t.cap * 4, sizeof *t.parent);
    if (!t.parent)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    t.feature = t.parent + t.cap;
    t.first = t.feature + t.cap;
    uint32_t *keep = t.first + t.cap;
    t.parent[0] = t.feature[0] = t.first[0] = 0;
    rc = grow(&t, width, (uint32_t)hi, interaction, level, e);
    if (rc)
        return rc;
    if (mr_step_flag(obj, "include_bias", true))
        keep[n_keep++] = 0;
    for (uint32_t k = hi >= 1 && lo <= hi ? level[lo < 1 ? 1 : lo] : t.n; k < t.n; k++)
        keep[n_keep++] = k;
    if (mr_pk_int(mr_pk_attr(obj, "n_output_features_"), &want) && want != n_keep)
        return mr_fail(e, MR_EREFUSED, "PolynomialFeatures: %lld columns are announced, %u follow",
                       (long long)want, n_keep);
    struct mr_blob blob;
    in = mr_convert_dense(c, in);
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_poly));
    struct mr_p_poly v;
    v.parent = mr_blob_u32(&blob, t.parent, t.n);
    v.feature = mr_blob_u32(&blob, t.feature, t.n);
    v.keep = mr_blob_u32(&blob, keep, n_keep);
    struct mr_p_poly *p = mr_blob_head(&blob);
    if (p)
        *p = v;
    *ret_out = mr_step_op(c, MR_OP_POLY, in, MR_SLOT_DENSE, n_keep, &blob);
    return 0;
}

/* Inner edges of all columns, one after the other. */
static int edges(struct mr_convert *c, const struct mr_pk *obj, uint32_t width, uint32_t *start,
                 const double **ret, struct mr_err *e) {
    const struct mr_pk *arr;
    int rc = mr_convert_need(obj, "bin_edges_", &arr, e);
    if (rc)
        return rc;
    if (mr_pk_len(arr) != width)
        return mr_fail(e, MR_EREFUSED, "KBinsDiscretizer: bin_edges_ has the wrong length");
    const double **col = mr_arena_array(c->arena, width + 1, sizeof *col);
    if (!col)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    uint64_t n = 0;
    for (uint32_t j = 0; j < width; j++) {
        size_t rows, cols;
        const struct mr_pk *item = mr_pk_item(c->arena, arr, j);
        if (!item)
            return mr_fail(e, MR_EREFUSED, "KBinsDiscretizer: bin_edges_ is damaged");
        rc = mr_pk_f64(c->arena, item, &col[j], &rows, &cols, e);
        if (rc)
            return rc;
        if (cols != 1 || rows < 2 || n + rows > UINT32_MAX / 2)
            return mr_fail(e, MR_EREFUSED, "KBinsDiscretizer: bin_edges_ is damaged");
        start[j] = (uint32_t)n;
        n += rows - 2;
        col[j]++;
    }
    start[width] = (uint32_t)n;
    double *v = mr_arena_array(c->arena, n + 1, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t j = 0; j < width; j++)
        if (start[j + 1] > start[j])
            memcpy(v + start[j], col[j], (start[j + 1] - start[j]) * sizeof *v);
    *ret = v;
    return 0;
}

MR_STEP(mr_prep_kbins) {
    uint32_t width = mr_build_slot_width(c->b, in);
    const double *edge;
    int rc = mr_step_width(c, obj, in, e);
    if (rc)
        return rc;
    uint32_t *start = mr_arena_array(c->arena, (size_t)width + 1, sizeof *start);
    if (!start)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    rc = edges(c, obj, width, start, &edge, e);
    if (rc)
        return rc;
    struct mr_blob blob;
    in = mr_convert_dense(c, in);
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_bins));
    struct mr_p_bins v;
    v.start = mr_blob_u32(&blob, start, (size_t)width + 1);
    v.edge = mr_blob_f64(&blob, edge, start[width]);
    struct mr_p_bins *p = mr_blob_head(&blob);
    if (p)
        *p = v;
    *ret_out = mr_step_op(c, MR_OP_BINS, in, MR_SLOT_DENSE, width, &blob);
    if (mr_step_is(obj, "encode", "ordinal"))
        return 0;
    const struct mr_pk *enc;
    rc = mr_convert_need(obj, "_encoder", &enc, e);
    return rc ? rc : mr_convert_transform(c, enc, *ret_out, ret_out, e);
}
