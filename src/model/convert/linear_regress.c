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
