/* Linear classifiers: decision = x coef' + intercept, then the class's own way to probabilities. */
#include "model/convert/families.h"

int mr_linear_weights(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                      const double **ret_w, const double **ret_b, uint32_t *ret_n_out,
                      struct mr_err *e) {
    size_t rows, cols, br, bc;
    const double *w, *b;
    int r = mr_get_matrix(c, obj, "coef_", true, &w, &rows, &cols, e);
    if (!r)
        r = mr_get_matrix(c, obj, "intercept_", true, &b, &br, &bc, e);
    if (!r)
        r = mr_want_width(c, obj, in, cols, e);
    if (r)
        return r;
    if (!rows || !cols || rows > MR_MAX_WIDTH)
        return mr_refuse_attr(obj, "coef_", e, "has the shape %zu x %zu", rows, cols);
    if (br * bc != rows && br * bc != 1)
        return mr_refuse_attr(obj, "intercept_", e, "has %zu values for %zu outputs", br * bc,
                              rows);
    if (br * bc != rows) { /* fit_intercept=False leaves one 0.0 for all */
        double *all = mr_convert_array(c, rows, sizeof *all, e);
        if (!all)
            return MR_ENOMEM;
        for (size_t k = 0; k < rows; k++)
            all[k] = b[0];
        b = all;
    }
    *ret_w = w;
    *ret_b = b;
    *ret_n_out = (uint32_t)rows;
    return 0;
}

int mr_linear_decision(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                       struct mr_estimator_out *ret, struct mr_err *e) {
    const double *w, *b;
    uint32_t n_out, decision, k = ret->out[0].n_classes;
    int r = mr_linear_weights(c, obj, in, &w, &b, &n_out, e);
    if (r)
        return r;
    if (k < 2 || n_out != (k == 2 ? 1 : k))
        return mr_refuse_attr(obj, "coef_", e, "has %u rows for %u classes", n_out, k);
    r = mr_emit_linear(c, in, mr_build_slot_width(c->b, in), n_out, w, b, &decision, e);
    if (!r)
        mr_classify_decision(c, decision, ret);
    return r;
}

/* One-vs-rest probabilities: sigmoid of each column, rows divided by their sum. */
static uint32_t ovr_proba(struct mr_convert *c, uint32_t decision) {
    if (mr_build_slot_width(c->b, decision) == 1)
        return mr_emit_link(c, decision, MR_LINK_SIGMOID_PAIR);
    return mr_emit_link(c, mr_emit_link(c, decision, MR_LINK_SIGMOID), MR_LINK_ROW_SUM_UNIFORM);
}

/* scikit-learn before 1.8 stores multi_class ("auto", since 1.5 "deprecated" by default): explicit
 * "ovr", and "auto" with two classes, liblinear or (before 1.6) newton-cholesky, normalise
 * one-vs-rest; all else is softmax, with two classes over [-d, d]. Newer files have no such
 * attribute: two classes take the sigmoid, more the softmax. */
int mr_convert_logistic(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                        struct mr_estimator_out *ret, struct mr_err *e) {
    int r = mr_get_classes(c, obj, "classes_", &ret->out[0], e);
    if (!r)
        r = mr_linear_decision(c, obj, in, ret, e);
    if (r)
        return r;
    struct mr_str multi = mr_get_str(obj, "multi_class"), solver = mr_get_str(obj, "solver");
    bool two = ret->out[0].n_classes == 2, ovr = two;
    if (mr_str_is(multi, "ovr"))
        ovr = true;
    else if (mr_str_is(multi, "multinomial"))
        ovr = false;
    else if (mr_str_is(multi, "auto") || mr_str_is(multi, "deprecated"))
        ovr = two || mr_str_is(solver, "liblinear") ||
              (mr_str_is(solver, "newton-cholesky") && mr_sklearn_version(obj) < 106);
    uint32_t d = ret->decision_slot;
    if (ovr)
        ret->out[0].proba_slot = ovr_proba(c, d);
    else
        ret->out[0].proba_slot =
            mr_emit_link(c, two ? mr_emit_link(c, d, MR_LINK_NEG_PAIR) : d, MR_LINK_SOFTMAX);
    return 0;
}

/* (clip(d, -1, 1) + 1) / 2, normalised over the classes. */
static uint32_t huber_proba(struct mr_convert *c, uint32_t d) {
    const double half = 0.5, lo = 0, hi = 1;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_affine));
    struct mr_ref scale = mr_blob_f64(&blob, &half, 1), zero = mr_blob_f64(&blob, &lo, 1),
                  one = mr_blob_f64(&blob, &hi, 1);
    struct mr_p_affine *p = mr_blob_head(&blob);
    if (p)
        *p = (struct mr_p_affine){.scale = scale, .add = scale, .lo = zero, .hi = one};
    uint32_t width = mr_build_slot_width(c->b, d), out = mr_emit(c, MR_OP_AFFINE, d, width, &blob);
    return mr_emit_link(c, out, width == 1 ? MR_LINK_PAIR : MR_LINK_ROW_SUM_UNIFORM);
}

int mr_convert_sgd_classifier(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                              struct mr_estimator_out *ret, struct mr_err *e) {
    int r = mr_convert_linear_classifier(c, obj, in, ret, e);
    if (r)
        return r;
    struct mr_str loss = mr_get_str(obj, "loss");
    if (mr_str_is(loss, "log_loss") || mr_str_is(loss, "log"))
        ret->out[0].proba_slot = ovr_proba(c, ret->decision_slot);
    else if (mr_str_is(loss, "modified_huber"))
        ret->out[0].proba_slot = huber_proba(c, ret->decision_slot);
    return 0;
}

int mr_convert_linear_classifier(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                                 struct mr_estimator_out *ret, struct mr_err *e) {
    int r = mr_get_classes(c, obj, "classes_", &ret->out[0], e);
    return r ? r : mr_linear_decision(c, obj, in, ret, e);
}

/* classes_ is a property over the label binarizer. */
int mr_convert_ridge_classifier(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                                struct mr_estimator_out *ret, struct mr_err *e) {
    const struct mr_pk *lb;
    int r = mr_convert_need(obj, "_label_binarizer", &lb, e);
    if (r)
        return r;
    struct mr_str type = mr_get_str(lb, "y_type_");
    if (!mr_str_is(type, "binary") && !mr_str_is(type, "multiclass"))
        return mr_unsupported(obj, e, "was fitted on several labels a row (y_type_ %.*s)",
                              (int)(type.n < 60 ? type.n : 60), type.p);
    r = mr_get_classes(c, lb, "classes_", &ret->out[0], e);
    return r ? r : mr_linear_decision(c, obj, in, ret, e);
}
