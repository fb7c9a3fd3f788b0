/* NearestCentroid. Since 1.6 euclidean models also carry priors and within-class deviations: then
 * the decision values are -|(x - c) / s|^2 + 2 log prior, and unequal priors decide the class. */
#include "model/convert/families.h"

#include <math.h>

static int scores(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, const double *centre,
                  uint32_t k, uint32_t d, uint32_t *ret, struct mr_err *e) {
    const double *dev, *prior;
    int r = mr_get_vector(c, obj, "within_class_std_dev_", d, &dev, e);
    if (!r)
        r = mr_get_vector(c, obj, "class_prior_", k, &prior, e);
    double *var = mr_convert_array(c, (size_t)k * d, sizeof *var, e);
    double *bias = mr_convert_array(c, k, sizeof *bias, e);
    if (r || !var || !bias)
        return r ? r : MR_ENOMEM;
    for (size_t i = 0; i < (size_t)k * d; i++)
        var[i] = dev[i % d] != 0 ? dev[i % d] * dev[i % d] / 2 : 0.5;
    for (uint32_t i = 0; i < k; i++)
        bias[i] = 2 * log(prior[i]);
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_gnb_params));
    struct mr_ref mr = mr_blob_f64(&blob, centre, (size_t)k * d),
                  vr = mr_blob_f64(&blob, var, (size_t)k * d), br = mr_blob_f64(&blob, bias, k);
    struct mr_gnb_params *p = mr_blob_head(&blob);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_gnb_params){.n_in = d, .n_class = k, .mean = mr, .var = vr, .bias = br};
    *ret = mr_emit(c, MR_OP_GNB, in, k, &blob);
    return 0;
}

/* All priors within numpy.isclose of 1 / k. */
static int equal_priors(struct mr_convert *c, const struct mr_pk *obj, uint32_t k, bool *ret,
                        struct mr_err *e) {
    const double *prior;
    int r = mr_get_vector(c, obj, "class_prior_", k, &prior, e);
    for (uint32_t i = 0; !r && i < k; i++)
        *ret &= fabs(prior[i] - 1.0 / k) <= 1e-8 + 1e-5 / k;
    return r;
}

int mr_convert_nearest_centroid(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                                struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_build_output *out = &ret->out[0];
    const double *x;
    size_t rows, cols;
    int r = mr_get_classes(c, obj, "classes_", out, e);
    if (!r)
        r = mr_get_matrix(c, obj, "centroids_", false, &x, &rows, &cols, e);
    if (!r)
        r = mr_want_width(c, obj, in, cols, e);
    if (r)
        return r;
    if (rows != out->n_classes)
        return mr_refuse_attr(obj, "centroids_", e, "has %zu rows for %u classes", rows,
                              out->n_classes);
    struct mr_str metric = mr_get_str(obj, "metric");
    bool l1 = mr_str_is(metric, "manhattan");
    if (!l1 && !mr_str_is(metric, "euclidean"))
        return mr_unsupported(obj, e, "has a metric other than euclidean and manhattan");
    in = mr_convert_dense(c, in);
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    out->proba_slot = MR_NO_SLOT;
    bool equal = true;
    if (mr_pk_attr(obj, "class_prior_") && !l1) {
        uint32_t s = MR_NO_SLOT;
        r = equal_priors(c, obj, (uint32_t)rows, &equal, e);
        if (!r)
            r = scores(c, obj, in, x, (uint32_t)rows, (uint32_t)cols, &s, e);
        if (!r && rows == 2)
            r = mr_emit_difference(c, s, &ret->decision_slot, e);
        if (r)
            return r;
        if (rows != 2)
            ret->decision_slot = s;
        out->proba_slot = mr_emit_link(c, s, MR_LINK_SOFTMAX);
        if (!equal) {
            out->pred_slot = mr_emit_argmax(c, s);
            return 0;
        }
    }
    struct mr_blob blob;
    struct mr_ref xr;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_kmeans_params));
    r = mr_blob_blocks(c, &blob, x, rows, cols, &xr, e);
    struct mr_kmeans_params *p = r ? NULL : mr_blob_head(&blob);
    if (!p)
        return r ? r : mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_kmeans_params){.n_in = (uint32_t)cols,
                                   .n_cluster = (uint32_t)rows,
                                   .mode = MR_KMEANS_INDEX,
                                   .metric = l1 ? MR_METRIC_MANHATTAN : MR_METRIC_EUCLIDEAN,
                                   .x = xr};
    out->pred_slot = mr_emit(c, MR_OP_KMEANS, in, 1, &blob);
    return 0;
}
