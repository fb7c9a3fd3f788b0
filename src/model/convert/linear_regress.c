/* Linear and generalised linear regressors. */
#include "model/convert/families.h"

int mr_convert_linear_regressor(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                                struct mr_estimator_out *ret, struct mr_err *e) {
    const double *w, *b;
    uint32_t n_out, y;
    int r = mr_linear_weights(c, obj, in, &w, &b, &n_out, e);
    if (!r)
        r = mr_emit_linear(c, in, mr_build_slot_width(c->b, in), n_out, w, b, &y, e);
    return r ? r : mr_regress_columns(c, obj, y, ret, e);
}

/* Poisson and Gamma have the log link; Tweedie chooses by `link`, "auto" meaning log from power
 * above 0. */
static int has_log_link(const struct mr_pk *obj, bool *ret, struct mr_err *e) {
    *ret = true;
    if (!mr_str_is(mr_pk_class_short(obj), "TweedieRegressor"))
        return 0;
    struct mr_str link = mr_get_str(obj, "link");
    if (mr_str_is(link, "log"))
        return 0;
    if (mr_str_is(link, "identity")) {
        *ret = false;
        return 0;
    }
    if (!mr_str_is(link, "auto"))
        return mr_refuse_attr(obj, "link", e, "is neither auto, log nor identity");
    double power;
    int r = mr_get_num(obj, "power", &power, e);
    *ret = power > 0;
    return r;
}

int mr_convert_glm(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    const double *w, *b;
    uint32_t n_out, y;
    bool exponential = true;
    int r = has_log_link(obj, &exponential, e);
    if (!r)
        r = mr_linear_weights(c, obj, in, &w, &b, &n_out, e);
    if (!r && n_out != 1)
        r = mr_refuse_attr(obj, "coef_", e, "has %u rows where one is needed", n_out);
    if (!r)
        r = mr_emit_linear(c, in, mr_build_slot_width(c->b, in), 1, w, b, &y, e);
    if (!r && exponential)
        y = mr_emit_link(c, y, MR_LINK_EXP);
    return r ? r : mr_regress_columns(c, obj, y, ret, e);
}

/* (x - x_mean) coef' + intercept. Up to 1.3 the centred x is also divided by x_std, and 1.2 keeps
 * the coefficients as _coef_; from 1.5 coef_ holds the scale. */
int mr_convert_pls(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    const char *attr = mr_pk_attr(obj, "coef_") ? "coef_" : "_coef_";
    int version = mr_sklearn_version(obj);
    uint32_t n = mr_build_slot_width(c->b, in), y = MR_NO_SLOT;
    const double *w, *mean, *b, *std = NULL;
    size_t k, cols;
    if (version < 102 || version == 104)
        return mr_unsupported(obj, e,
                              "of this scikit-learn version is not served; fit it with "
                              "1.2, 1.3, or 1.5 or newer");
    int r = mr_get_matrix(c, obj, attr, true, &w, &k, &cols, e);
    if (!r && (k == 0 || k > 64 || cols != n))
        r = mr_refuse_attr(obj, attr, e, "has the shape %zu x %zu for %u columns", k, cols, n);
    if (!r)
        r = mr_get_vector(c, obj, "_x_mean", n, &mean, e);
    if (!r && version < 104)
        r = mr_get_vector(c, obj, "_x_std", n, &std, e);
    if (!r)
        r = mr_get_vector(c, obj, "intercept_", k, &b, e);
    if (r)
        return r;
    double *ws = mr_convert_array(c, k * n, sizeof *ws, e);
    double *bias = mr_convert_array(c, k, sizeof *bias, e);
    if (!ws || !bias)
        return MR_ENOMEM;
    for (size_t i = 0; i < k; i++) {
        long double s = b[i];
        for (size_t j = 0; j < n; j++) {
            ws[i * n + j] = w[i * n + j] / (std ? std[j] : 1);
            s -= (long double)mean[j] * ws[i * n + j];
        }
        bias[i] = (double)s;
    }
    r = mr_emit_linear(c, in, n, (uint32_t)k, ws, bias, &y, e);
    return r ? r : mr_regress_columns(c, obj, y, ret, e);
}

int mr_convert_ransac(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                      struct mr_estimator_out *ret, struct mr_err *e) {
    const struct mr_pk *est;
    int r = mr_convert_need(obj, "estimator_", &est, e);
    return r ? r : mr_convert_estimator(c, est, in, ret, e);
}
