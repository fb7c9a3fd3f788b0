/* Naive Bayes: Gaussian, and the discrete ones as linear scores. */
#include "model/convert/families.h"

#include <math.h>

/* jll -> first maximum and exp(jll - logsumexp). */
static void from_scores(struct mr_convert *c, uint32_t jll, struct mr_estimator_out *ret) {
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    ret->out[0].pred_slot = mr_emit_argmax(c, jll);
    ret->out[0].proba_slot = mr_emit_link(c, jll, MR_LINK_EXP_NORMALIZE);
}

int mr_convert_gaussian_nb(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                           struct mr_estimator_out *ret, struct mr_err *e) {
    const double *mean, *var, *prior;
    size_t k, d;
    int r = mr_get_classes(c, obj, "classes_", &ret->out[0], e);
    if (!r)
        r = mr_get_matrix(c, obj, "theta_", false, &mean, &k, &d, e);
    if (!r)
        r = mr_want_width(c, obj, in, d, e);
    if (!r && k != ret->out[0].n_classes)
        r = mr_refuse_attr(obj, "theta_", e, "has %zu rows for %u classes", k,
                           ret->out[0].n_classes);
    if (!r)
        r = mr_get_vector(c, obj, mr_pk_attr(obj, "var_") ? "var_" : "sigma_", k * d, &var, e);
    if (!r)
        r = mr_get_vector(c, obj, "class_prior_", k, &prior, e);
    if (r)
        return r;
    double *bias = mr_convert_array(c, k, sizeof *bias, e);
    if (!bias)
        return MR_ENOMEM;
    for (size_t i = 0; i < k; i++) {
        double s = 0;
        for (size_t j = 0; j < d; j++) {
            if (!(var[i * d + j] > 0))
                return mr_refuse_attr(obj, "var_", e, "holds a variance that is not positive");
            s += log(2.0 * M_PI * var[i * d + j]);
        }
        bias[i] = log(prior[i]) + -0.5 * s;
    }
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_gnb_params));
    struct mr_ref mr = mr_blob_f64(&blob, mean, k * d), vr = mr_blob_f64(&blob, var, k * d),
                  br = mr_blob_f64(&blob, bias, k);
    struct mr_gnb_params *p = mr_blob_head(&blob);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_gnb_params){
        .n_in = (uint32_t)d, .n_class = (uint32_t)k, .mean = mr, .var = vr, .bias = br};
    from_scores(c, mr_emit(c, MR_OP_GNB, mr_convert_dense(c, in), (uint32_t)k, &blob), ret);
    return 0;
}

static int log_probs(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                     struct mr_estimator_out *ret, const double **flp, const double **prior,
                     struct mr_err *e) {
    size_t k, d;
    int r = mr_get_classes(c, obj, "classes_", &ret->out[0], e);
    if (!r)
        r = mr_get_matrix(c, obj, "feature_log_prob_", false, flp, &k, &d, e);
    if (!r)
        r = mr_want_width(c, obj, in, d, e);
    if (!r && k != ret->out[0].n_classes)
        r = mr_refuse_attr(obj, "feature_log_prob_", e, "has %zu rows for %u classes", k,
                           ret->out[0].n_classes);
    return r ? r : mr_get_vector(c, obj, "class_log_prior_", k, prior, e);
}

/* MultinomialNB and ComplementNB; the latter adds no prior unless it knows one class only. */
int mr_convert_discrete_nb(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                           struct mr_estimator_out *ret, struct mr_err *e) {
    const double *flp, *prior;
    uint32_t jll, k;
    int r = log_probs(c, obj, in, ret, &flp, &prior, e);
    if (r)
        return r;
    k = ret->out[0].n_classes;
    bool complement = mr_str_is(mr_pk_class_short(obj), "ComplementNB");
    r = mr_emit_linear(c, in, mr_build_slot_width(c->b, in), k, flp,
                       complement && k > 1 ? NULL : prior, &jll, e);
    if (!r)
        from_scores(c, jll, ret);
    return r;
}

int mr_convert_bernoulli_nb(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                            struct mr_estimator_out *ret, struct mr_err *e) {
    const double *flp, *prior;
    int r = log_probs(c, obj, in, ret, &flp, &prior, e);
    if (r)
        return r;
    uint32_t k = ret->out[0].n_classes, jll;
    size_t d = mr_build_slot_width(c->b, in);
    double *w = mr_convert_array(c, k * d, sizeof *w, e);
    double *b = mr_convert_array(c, k, sizeof *b, e);
    if (!w || !b)
        return MR_ENOMEM;
    for (size_t i = 0; i < k; i++) {
        double s = 0;
        for (size_t j = 0; j < d; j++) {
            double neg = log(1 - exp(flp[i * d + j]));
            if (!isfinite(neg))
                return mr_refuse_attr(obj, "feature_log_prob_", e,
                                      "holds a probability that is not below 1");
            w[i * d + j] = flp[i * d + j] - neg;
            s += neg;
        }
        b[i] = prior[i] + s;
    }
    const struct mr_pk *bin = mr_pk_attr(obj, "binarize");
    double t = 0;
    bool binarize = bin && bin->type != MR_PK_NONE;
    if (binarize && (!mr_pk_num(bin, &t) || !isfinite(t)))
        return mr_refuse_attr(obj, "binarize", e, "is not a number");
    if (binarize && t < 0)
        in = mr_convert_dense(c, in); /* zeros that are not stored become ones */
    r = mr_emit_linear_bin(c, in, (uint32_t)d, k, w, b, binarize ? &t : NULL, &jll, e);
    if (!r)
        from_scores(c, jll, ret);
    return r;
}
