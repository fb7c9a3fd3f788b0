/* Linear and quadratic discriminant analysis. */
#include "model/convert/families.h"

#include <math.h>

int mr_convert_lda(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    int r = mr_get_classes(c, obj, "classes_", &ret->out[0], e);
    if (!r)
        r = mr_linear_decision(c, obj, in, ret, e);
    if (r)
        return r;
    bool two = ret->out[0].n_classes == 2;
    ret->out[0].proba_slot =
        mr_emit_link(c, ret->decision_slot, two ? MR_LINK_SIGMOID_PAIR : MR_LINK_SOFTMAX);
    return 0;
}

/* First max_components columns of (x - xbar_) scalings_ (svd) or x scalings_ (eigen). */
int mr_convert_lda_transform(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                             uint32_t *ret_out, struct mr_err *e) {
    struct mr_str solver = mr_get_str(obj, "solver");
    bool svd = mr_str_is(solver, "svd");
    if (!svd && !mr_str_is(solver, "eigen"))
        return mr_unsupported(obj, e, "cannot transform with this solver (svd and eigen can)");
    const double *s, *mean = NULL;
    size_t d, n;
    int64_t keep;
    int r = mr_get_matrix(c, obj, "scalings_", false, &s, &d, &n, e);
    if (!r)
        r = mr_want_width(c, obj, in, d, e);
    if (!r)
        r = mr_get_int(obj, "_max_components", 1, MR_MAX_WIDTH, &keep, e);
    if (!r && svd)
        r = mr_get_vector(c, obj, "xbar_", d, &mean, e);
    if (r)
        return r;
    size_t k = (size_t)keep < n ? (size_t)keep : n;
    double *w = mr_convert_array(c, k * d, sizeof *w, e);
    double *b = mr_convert_array(c, k, sizeof *b, e);
    if (!w || !b)
        return MR_ENOMEM;
    for (size_t i = 0; i < k; i++) {
        long double shift = 0;
        for (size_t j = 0; j < d; j++) {
            w[i * d + j] = s[j * n + i];
            shift += mean ? (long double)mean[j] * s[j * n + i] : 0;
        }
        b[i] = (double)-shift;
    }
    return mr_emit_linear(c, in, (uint32_t)d, (uint32_t)k, w, b, ret_out, e);
}

/* One class's axes: rotation column i / sqrt(scaling i), appended as rows to w. */
static int qda_axes(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *rot,
                    const struct mr_pk *scale, size_t d, double **w, size_t *n_w,
                    uint32_t *ret_rank, double *ret_logdet, struct mr_err *e) {
    const double *r, *s;
    size_t rows, rank, sr, sc;
    int rc = mr_node_matrix(c, obj, rot, "rotations_", false, &r, &rows, &rank, e);
    if (!rc)
        rc = mr_node_matrix(c, obj, scale, "scalings_", false, &s, &sr, &sc, e);
    if (rc)
        return rc;
    if (rows != d || !rank || rank > d || sr * sc != rank)
        return mr_refuse_attr(obj, "rotations_", e, "has the shape %zu x %zu", rows, rank);
    double *all = mr_convert_array(c, *n_w + rank * d, sizeof *all, e);
    if (!all)
        return MR_ENOMEM;
    if (*n_w)
        memcpy(all, *w, *n_w * sizeof *all);
    double sum = 0;
    for (size_t i = 0; i < rank; i++) {
        if (!(s[i] > 0))
            return mr_refuse_attr(obj, "scalings_", e, "holds a value that is not positive");
        double f = 1 / sqrt(s[i]);
        sum += log(s[i]);
        for (size_t j = 0; j < d; j++)
            all[*n_w + i * d + j] = r[j * rank + i] * f;
    }
    *w = all;
    *n_w += rank * d;
    *ret_rank = (uint32_t)rank;
    *ret_logdet = sum;
    return 0;
}

static int qda_scores(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t k,
                      uint32_t *ret, struct mr_err *e) {
    const double *mean, *prior;
    size_t rows, d, n_rot, n_scale, n_w = 0;
    struct mr_pk *const *rot, *const *scale;
    double *w = NULL;
    int r = mr_get_matrix(c, obj, "means_", false, &mean, &rows, &d, e);
    if (!r)
        r = mr_want_width(c, obj, in, d, e);
    if (!r && rows != k)
        r = mr_refuse_attr(obj, "means_", e, "has %zu rows for %u classes", rows, k);
    if (!r)
        r = mr_get_vector(c, obj, "priors_", k, &prior, e);
    if (r)
        return r;
    if (!mr_pk_seq(mr_pk_attr(obj, "rotations_"), &rot, &n_rot) ||
        !mr_pk_seq(mr_pk_attr(obj, "scalings_"), &scale, &n_scale) || n_rot != k || n_scale != k)
        return mr_refuse_attr(obj, "rotations_", e, "is not a list of %u arrays", k);
    uint32_t *rank = mr_convert_array(c, k, sizeof *rank, e);
    double *bias = mr_convert_array(c, k, sizeof *bias, e);
    if (!rank || !bias)
        return MR_ENOMEM;
    for (uint32_t i = 0; i < k; i++) {
        double logdet = 0;
        if ((r = qda_axes(c, obj, rot[i], scale[i], d, &w, &n_w, &rank[i], &logdet, e)))
            return r;
        bias[i] = log(prior[i]) - 0.5 * logdet;
    }
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_qda_params));
    struct mr_ref mr = mr_blob_f64(&blob, mean, k * d), kr = mr_blob_u32(&blob, rank, k),
                  wr = mr_blob_f64(&blob, w, n_w), br = mr_blob_f64(&blob, bias, k);
    struct mr_qda_params *p = mr_blob_head(&blob);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_qda_params){
        .n_in = (uint32_t)d, .n_class = k, .mean = mr, .rank = kr, .rot = wr, .bias = br};
    *ret = mr_emit(c, MR_OP_QDA, mr_convert_dense(c, in), k, &blob);
    return 0;
}

int mr_convert_qda(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_build_output *out = &ret->out[0];
    uint32_t s = MR_NO_SLOT;
    int r = mr_get_classes(c, obj, "classes_", out, e);
    if (!r)
        r = qda_scores(c, obj, in, out->n_classes, &s, e);
    if (!r && out->n_classes == 2)
        r = mr_emit_difference(c, s, &ret->decision_slot, e);
    if (r)
        return r;
    if (out->n_classes != 2)
        ret->decision_slot = s;
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    out->pred_slot = mr_emit_argmax(c, s);
    out->proba_slot = mr_emit_link(c, s, MR_LINK_SOFTMAX);
    return 0;
}
