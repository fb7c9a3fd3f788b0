/* One-vs-rest, one-vs-one, one model an output, frozen and constant models. */
#include "model/convert/families.h"

#define MAX_PARTS 4096

static int parts(const struct mr_pk *obj, struct mr_pk *const **ret, size_t *ret_n,
                 struct mr_err *e) {
    if (!mr_pk_seq(mr_pk_attr(obj, "estimators_"), ret, ret_n) || !*ret_n || *ret_n > MAX_PARTS)
        return mr_refuse_attr(obj, "estimators_", e, "is not a list of 1 to %d estimators",
                              MAX_PARTS);
    return 0;
}

/* A fixed row of `n` values, whatever the input. */
static int constant(struct mr_convert *c, uint32_t in, const double *v, uint32_t n, uint32_t *ret,
                    struct mr_err *e) {
    uint32_t d = mr_build_slot_width(c->b, in);
    double *zero = mr_convert_array(c, (size_t)d * n, sizeof *zero, e);
    if (!zero)
        return MR_ENOMEM;
    memset(zero, 0, (size_t)d * n * sizeof *zero);
    /* binarised first: a missing value counts as 0 and cannot spread */
    static const double threshold = 0;
    return mr_emit_linear_bin(c, in, d, n, zero, v, &threshold, ret, e);
}

/* One binary member: its score column (decision, else probability of the second class) and that
 * probability's column, MR_NO_SLOT where it does not exist. */
struct member {
    uint32_t score, proba;
    bool by_decision, accepts_missing;
};

static int member(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *est,
                  uint32_t in, struct member *m, struct mr_err *e) {
    if (mr_str_is(mr_pk_class_short(est), "_ConstantPredictor")) {
        const double *y;
        int r = mr_get_vector(c, est, "y_", 1, &y, e);
        if (!r)
            r = constant(c, in, y, 1, &m->score, e);
        m->proba = m->score;
        m->by_decision = m->accepts_missing = true;
        return r;
    }
    struct mr_estimator_out *sub = mr_convert_array(c, 1, sizeof *sub, e);
    if (!sub)
        return MR_ENOMEM;
    int r = mr_convert_estimator(c, est, in, sub, e);
    if (r)
        return r;
    if (sub->task != MR_TASK_CLASSIFY || sub->n_outputs != 1 || sub->out[0].n_classes != 2)
        return mr_unsupported(obj, e, "wraps an estimator that is no two-class classifier");
    uint32_t p = sub->out[0].proba_slot;
    m->proba = p == MR_NO_SLOT ? p : mr_emit_column(c, p, 1);
    m->by_decision = sub->decision_slot != MR_NO_SLOT;
    m->accepts_missing = sub->accepts_missing;
    m->score = m->by_decision ? sub->decision_slot : m->proba;
    if (m->score == MR_NO_SLOT || mr_build_slot_width(c->b, m->score) != 1)
        return mr_unsupported(obj, e, "wraps an estimator without scores");
    return 0;
}

/* Several columns side by side; one op reads at most MR_OP_MAX_IN slots. */
static uint32_t side_by_side(struct mr_convert *c, const uint32_t *slot, uint32_t n) {
    if (n == 1)
        return slot[0];
    uint32_t all = MR_NO_SLOT, at = 0, width = 0;
    while (at < n) {
        uint32_t group[MR_OP_MAX_IN], k = 0;
        if (all != MR_NO_SLOT)
            group[k++] = all;
        while (k < MR_OP_MAX_IN && at < n) {
            group[k++] = slot[at++];
            width++;
        }
        all = mr_emit_concat(c, group, k, width);
    }
    return all;
}

/* The last of equal maxima wins in OneVsRestClassifier: first maximum over reversed columns. */
static uint32_t last_argmax(struct mr_convert *c, const struct member *m, uint32_t n,
                            uint32_t *tmp) {
    for (uint32_t i = 0; i < n; i++)
        tmp[i] = m[n - 1 - i].score;
    uint32_t back = mr_emit_argmax(c, side_by_side(c, tmp, n));
    const double minus = -1, top = n - 1;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_affine));
    struct mr_ref scale = mr_blob_f64(&blob, &minus, 1), add = mr_blob_f64(&blob, &top, 1);
    struct mr_p_affine *p = mr_blob_head(&blob);
    if (p)
        *p = (struct mr_p_affine){.scale = scale, .add = add};
    return mr_emit(c, MR_OP_AFFINE, back, 1, &blob);
}

static int ovr_multilabel(struct mr_convert *c, const struct mr_pk *obj, const struct member *m,
                          uint32_t n, struct mr_estimator_out *ret, struct mr_err *e) {
    static const struct mr_label no_yes[2] = {{.i = 0}, {.i = 1, .f = 1}};
    if (n > 64)
        return mr_unsupported(obj, e, "predicts %u labels a row; at most 64 are served", n);
    ret->n_outputs = n;
    for (uint32_t i = 0; i < n; i++)
        ret->out[i] = (struct mr_build_output){
            .pred_slot = mr_emit_threshold(c, m[i].score, m[i].by_decision ? 0 : 0.5),
            .proba_slot =
                m[i].proba == MR_NO_SLOT ? MR_NO_SLOT : mr_emit_link(c, m[i].proba, MR_LINK_PAIR),
            .label_kind = MR_LABEL_INT,
            .classes = no_yes,
            .n_classes = 2};
    return 0;
}

int mr_convert_one_vs_rest(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                           struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_build_output *out = &ret->out[0];
    const struct mr_pk *lb;
    struct mr_pk *const *each;
    size_t n;
    int r = mr_convert_need(obj, "label_binarizer_", &lb, e);
    if (!r)
        r = mr_get_classes(c, lb, "classes_", out, e);
    if (!r)
        r = parts(obj, &each, &n, e);
    if (r)
        return r;
    struct member *m = mr_convert_array(c, n, sizeof *m, e);
    uint32_t *tmp = mr_convert_array(c, n, sizeof *tmp, e);
    if (!m || !tmp)
        return MR_ENOMEM;
    bool proba = true, decision = true;
    ret->accepts_missing = true;
    for (size_t i = 0; i < n; i++) {
        if ((r = member(c, obj, each[i], in, &m[i], e)))
            return r;
        ret->accepts_missing &= m[i].accepts_missing;
        proba &= m[i].proba != MR_NO_SLOT;
        decision &= m[i].by_decision;
    }
    uint32_t k = (uint32_t)n;
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    if (mr_str_is(mr_get_str(lb, "y_type_"), "multilabel-indicator"))
        return ovr_multilabel(c, obj, m, k, ret, e);
    if (out->n_classes != (n == 1 ? 2 : n))
        return mr_refuse_attr(obj, "estimators_", e, "has %zu entries for %u classes", n,
                              out->n_classes);
    out->proba_slot = MR_NO_SLOT;
    if (n == 1) {
        out->pred_slot = mr_emit_threshold(c, m[0].score, m[0].by_decision ? 0 : 0.5);
        if (proba)
            out->proba_slot = mr_emit_link(c, m[0].proba, MR_LINK_PAIR);
        ret->decision_slot = decision ? m[0].score : MR_NO_SLOT;
        return 0;
    }
    out->pred_slot = last_argmax(c, m, k, tmp);
    if (decision) {
        for (size_t i = 0; i < n; i++)
            tmp[i] = m[i].score;
        ret->decision_slot = side_by_side(c, tmp, k);
    }
    if (proba) {
        for (size_t i = 0; i < n; i++)
            tmp[i] = m[i].proba;
        out->proba_slot = mr_emit_link(c, side_by_side(c, tmp, k), MR_LINK_ROW_SUM_UNIFORM);
    }
    return 0;
}

int mr_convert_one_vs_one(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                          struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_build_output *out = &ret->out[0];
    struct mr_pk *const *each;
    size_t n;
    int r = mr_get_classes(c, obj, "classes_", out, e);
    if (!r)
        r = parts(obj, &each, &n, e);
    if (r)
        return r;
    uint32_t k = out->n_classes;
    if (k < 2 || k > 1024 || n != (size_t)k * (k - 1) / 2)
        return mr_refuse_attr(obj, "estimators_", e, "has %zu entries for %u classes", n, k);
    uint32_t *slot = mr_convert_array(c, n, sizeof *slot, e);
    if (!slot)
        return MR_ENOMEM;
    struct member m = {0};
    ret->accepts_missing = true;
    for (size_t i = 0; i < n; i++) {
        if ((r = member(c, obj, each[i], in, &m, e)))
            return r;
        ret->accepts_missing &= m.accepts_missing;
        slot[i] = m.score;
    }
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    out->proba_slot = MR_NO_SLOT;
    if (k == 2) {
        out->pred_slot = mr_emit_threshold(c, slot[0], m.by_decision ? 0 : 0.5);
        ret->decision_slot = slot[0];
        return 0;
    }
    ret->decision_slot = mr_emit_svm_post(c, side_by_side(c, slot, (uint32_t)n), MR_SVM_OVR, k,
                                          true, m.by_decision ? 0 : 0.5, NULL, NULL);
    out->pred_slot = mr_emit_argmax(c, ret->decision_slot);
    return 0;
}

/* MultiOutputClassifier and MultiOutputRegressor. */
int mr_convert_multi_output(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                            struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_pk *const *each;
    size_t n;
    int r = parts(obj, &each, &n, e);
    struct mr_estimator_out *sub = mr_convert_array(c, 1, sizeof *sub, e);
    if (r || !sub)
        return r ? r : MR_ENOMEM;
    if (n > 64)
        return mr_unsupported(obj, e, "predicts %zu outputs a row; at most 64 are served", n);
    for (size_t i = 0; i < n; i++) {
        if ((r = mr_convert_estimator(c, each[i], in, sub, e)))
            return r;
        if (sub->n_outputs != 1 || (i && sub->task != ret->task))
            return mr_unsupported(obj, e, "wraps estimators of different kinds");
        ret->task = sub->task;
        ret->out[i] = sub->out[0];
        ret->accepts_missing = sub->accepts_missing && (i == 0 || ret->accepts_missing);
    }
    ret->n_outputs = (uint32_t)n;
    return 0;
}

int mr_convert_frozen(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                      struct mr_estimator_out *ret, struct mr_err *e) {
    const struct mr_pk *est;
    int r = mr_convert_need(obj, "estimator", &est, e);
    return r ? r : mr_convert_estimator(c, est, in, ret, e);
}

int mr_convert_gaussian_process(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                                struct mr_estimator_out *ret, struct mr_err *e) {
    (void)c;
    (void)in;
    (void)ret;
    return mr_unsupported(obj, e,
                          "has no native reader: its kernel is an expression of Python objects. "
                          "Export the model to ONNX (skl2onnx) and upload the .onnx file");
}

static int constant_class(struct mr_convert *c, const struct mr_pk *obj,
                          const struct mr_build_output *out, uint32_t *ret, struct mr_err *e) {
    const struct mr_pk *want = mr_pk_item(c->arena, mr_pk_attr(obj, "constant"), 0);
    if (!want)
        want = mr_pk_attr(obj, "constant");
    struct mr_str s;
    double d;
    bool text = mr_pk_str(want, &s), num = !text && mr_pk_num(want, &d);
    for (uint32_t i = 0; i < out->n_classes; i++) {
        const struct mr_label *l = &out->classes[i];
        if (out->label_kind == MR_LABEL_STR ? text && mr_str_eq(l->s, s) : num && l->f == d) {
            *ret = i;
            return 0;
        }
    }
    return mr_refuse_attr(obj, "constant", e, "is none of the classes");
}

int mr_convert_dummy_classifier(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                                struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_build_output *out = &ret->out[0];
    struct mr_str how = mr_get_str(obj, "_strategy");
    int64_t n_out = 1;
    mr_pk_int(mr_pk_attr(obj, "n_outputs_"), &n_out);
    if (n_out != 1)
        return mr_unsupported(obj, e, "has several outputs");
    bool prior = mr_str_is(how, "prior"), fixed = mr_str_is(how, "constant");
    if (!prior && !fixed && !mr_str_is(how, "most_frequent"))
        return mr_unsupported(obj, e, "answers at random (strategy %.*s)",
                              (int)(how.n < 60 ? how.n : 60), how.p);
    const double *p;
    int r = mr_get_classes(c, obj, "classes_", out, e);
    if (!r)
        r = mr_get_vector(c, obj, "class_prior_", out->n_classes, &p, e);
    if (r)
        return r;
    uint32_t best = 0;
    for (uint32_t i = 1; i < out->n_classes; i++)
        best = p[i] > p[best] ? i : best;
    if (fixed && (r = constant_class(c, obj, out, &best, e)))
        return r;
    if (!prior) {
        double *one = mr_convert_array(c, out->n_classes, sizeof *one, e);
        if (!one)
            return MR_ENOMEM;
        for (uint32_t i = 0; i < out->n_classes; i++)
            one[i] = i == best;
        p = one;
    }
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    ret->accepts_missing = true;
    r = constant(c, in, p, out->n_classes, &out->proba_slot, e);
    if (!r)
        out->pred_slot = mr_emit_argmax(c, out->proba_slot);
    return r;
}

int mr_convert_dummy_regressor(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                               struct mr_estimator_out *ret, struct mr_err *e) {
    const double *v;
    size_t rows, cols;
    uint32_t y = MR_NO_SLOT;
    int r = mr_get_matrix(c, obj, "constant_", false, &v, &rows, &cols, e);
    if (r)
        return r;
    if (rows == 0 || cols == 0 || rows * cols > 64)
        return mr_refuse_attr(obj, "constant_", e, "has %zu values", rows * cols);
    ret->accepts_missing = true;
    r = constant(c, in, v, (uint32_t)(rows * cols), &y, e);
    return r ? r : mr_regress_columns(c, obj, y, ret, e);
}
