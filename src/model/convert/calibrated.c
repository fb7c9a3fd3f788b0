/* CalibratedClassifierCV: the mean over calibrated copies of one classifier. */
#include "model/convert/families.h"

static bool same_label(const struct mr_build_output *a, uint32_t i, const struct mr_build_output *b,
                       uint32_t j) {
    bool sa = a->label_kind == MR_LABEL_STR, sb = b->label_kind == MR_LABEL_STR;
    if (sa || sb)
        return sa && sb && mr_str_eq(a->classes[i].s, b->classes[j].s);
    return a->classes[i].f == b->classes[j].f;
}

/* Class of each calibrated column. With two classes the one column is the second class. */
static int targets(struct mr_convert *c, const struct mr_pk *obj, const struct mr_build_output *sub,
                   const struct mr_build_output *all, uint32_t n, uint32_t **ret,
                   struct mr_err *e) {
    uint32_t *t = mr_convert_array(c, n, sizeof *t, e);
    if (!t)
        return MR_ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = 0;
        if (all->n_classes == 2)
            k = 1;
        else
            while (k < all->n_classes && !same_label(sub, i, all, k))
                k++;
        if (k == all->n_classes)
            return mr_refuse_attr(obj, "classes", e, "lacks a class of its estimator");
        t[i] = k;
    }
    *ret = t;
    return 0;
}

static int put_sigmoids(struct mr_convert *c, struct mr_pk *const *cal, uint32_t n,
                        struct mr_blob *blob, struct mr_calibrate_params *p, struct mr_err *e) {
    double *a = mr_convert_array(c, n, sizeof *a, e), *b = mr_convert_array(c, n, sizeof *b, e);
    if (!a || !b)
        return MR_ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        int r = mr_get_num(cal[i], "a_", &a[i], e);
        if (!r)
            r = mr_get_num(cal[i], "b_", &b[i], e);
        if (r)
            return r;
    }
    p->a = mr_blob_f64(blob, a, n);
    p->b = mr_blob_f64(blob, b, n);
    return 0;
}

static int put_isotonic(struct mr_convert *c, struct mr_pk *const *cal, uint32_t n,
                        struct mr_blob *blob, struct mr_calibrate_params *p, struct mr_err *e) {
    uint32_t *start = mr_convert_array(c, (size_t)n + 1, sizeof *start, e);
    double *tx = NULL, *ty = NULL;
    size_t total = 0;
    if (!start)
        return MR_ENOMEM;
    start[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        const double *x, *y;
        size_t rows, cols;
        int r = mr_get_matrix(c, cal[i], "X_thresholds_", false, &x, &rows, &cols, e);
        size_t m = r ? 0 : rows * cols;
        if (!r)
            r = mr_get_vector(c, cal[i], "y_thresholds_", m, &y, e);
        if (r)
            return r;
        if (!m || total + m > UINT32_MAX / 2)
            return mr_refuse_attr(cal[i], "X_thresholds_", e, "has %zu values", m);
        if (!mr_str_is(mr_get_str(cal[i], "out_of_bounds"), "clip"))
            return mr_refuse_attr(cal[i], "out_of_bounds", e, "is not clip");
        for (size_t j = 1; j < m; j++)
            if (!(x[j - 1] < x[j]))
                return mr_refuse_attr(cal[i], "X_thresholds_", e, "does not ascend");
        double *nx = mr_convert_array(c, total + m, sizeof *nx, e);
        double *ny = mr_convert_array(c, total + m, sizeof *ny, e);
        if (!nx || !ny)
            return MR_ENOMEM;
        if (total) {
            memcpy(nx, tx, total * sizeof *nx);
            memcpy(ny, ty, total * sizeof *ny);
        }
        memcpy(nx + total, x, m * sizeof *nx);
        memcpy(ny + total, y, m * sizeof *ny);
        tx = nx;
        ty = ny;
        total += m;
        start[i + 1] = (uint32_t)total;
    }
    p->start = mr_blob_u32(blob, start, (size_t)n + 1);
    p->tx = mr_blob_f64(blob, tx, total);
    p->ty = mr_blob_f64(blob, ty, total);
    return 0;
}

/* The scores that were calibrated: decision values, else probabilities (two classes: the second).
 */
static int scores(struct mr_convert *c, const struct mr_pk *obj, const struct mr_estimator_out *sub,
                  uint32_t *ret, uint32_t *ret_first, uint32_t *ret_n, struct mr_err *e) {
    bool two = sub->out[0].n_classes == 2;
    *ret = sub->decision_slot != MR_NO_SLOT ? sub->decision_slot : sub->out[0].proba_slot;
    if (sub->task != MR_TASK_CLASSIFY || sub->n_outputs != 1 || *ret == MR_NO_SLOT)
        return mr_unsupported(obj, e,
                              "wraps an estimator without decision values and "
                              "probabilities");
    bool proba = sub->decision_slot == MR_NO_SLOT;
    *ret_first = two && proba ? 1 : 0;
    *ret_n = two ? 1 : sub->out[0].n_classes;
    if (mr_build_slot_width(c->b, *ret) != *ret_first + *ret_n)
        return mr_unsupported(obj, e, "wraps an estimator whose scores are not one a class");
    return 0;
}

/* softmax(beta * logits): decision values are logits as they are, two classes [-d, d];
 * probabilities become log(p + 1e-12). */
static int temperature(struct mr_convert *c, const struct mr_pk *obj, uint32_t n_class,
                       const struct mr_estimator_out *sub, uint32_t *ret, struct mr_err *e) {
    static const double eps = 1e-12;
    struct mr_pk *const *cal;
    size_t n;
    double beta;
    if (!mr_pk_seq(mr_pk_attr(obj, "calibrators"), &cal, &n) || n != 1)
        return mr_refuse_attr(obj, "calibrators", e, "is not a list of one");
    int r = mr_get_num(cal[0], "beta_", &beta, e);
    if (r)
        return r;
    if (sub->out[0].n_classes != n_class)
        return mr_refuse_attr(obj, "classes", e, "are not the classes of its estimator");
    struct mr_blob blob;
    uint32_t logits = sub->decision_slot;
    if (logits == MR_NO_SLOT) {
        logits = sub->out[0].proba_slot;
        if (n_class == 2) /* scikit-learn keeps the second probability only */
            logits = mr_emit_link(c, mr_emit_column(c, logits, 1), MR_LINK_PAIR);
        mr_blob_begin(c->b, &blob, sizeof(struct mr_p_affine));
        struct mr_ref add = mr_blob_f64(&blob, &eps, 1);
        struct mr_p_affine *p = mr_blob_head(&blob);
        if (p)
            p->add = add;
        logits = mr_emit(c, MR_OP_AFFINE, logits, n_class, &blob);
        logits = mr_emit_link(c, logits, MR_LINK_LOG);
    } else if (n_class == 2) {
        logits = mr_emit_link(c, logits, MR_LINK_NEG_PAIR);
    }
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_link));
    struct mr_p_link *p = mr_blob_head(&blob);
    if (p)
        *p = (struct mr_p_link){.link = MR_LINK_SOFTMAX, .scale = beta};
    *ret = mr_emit(c, MR_OP_LINK, logits, n_class, &blob);
    return 0;
}

static int one(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
               const struct mr_build_output *all, uint32_t *ret, bool *accepts_missing,
               struct mr_err *e) {
    struct mr_estimator_out *sub = mr_convert_array(c, 1, sizeof *sub, e);
    const struct mr_pk *est = mr_pk_attr(obj, "estimator");
    struct mr_calibrate_params p = {.n_class = all->n_classes};
    struct mr_pk *const *cal;
    uint32_t slot = MR_NO_SLOT, *target = NULL;
    size_t n_cal;
    if (!sub)
        return MR_ENOMEM;
    if (!est)
        est = mr_pk_attr(obj, "base_estimator");
    int r = mr_convert_estimator(c, est, in, sub, e);
    if (!r)
        r = scores(c, obj, sub, &slot, &p.first, &p.n_in, e);
    if (!r)
        *accepts_missing &= sub->accepts_missing;
    struct mr_str method = mr_get_str(obj, "method");
    if (!r && mr_str_is(method, "temperature"))
        return temperature(c, obj, p.n_class, sub, ret, e);
    if (!r)
        r = targets(c, obj, &sub->out[0], all, p.n_in, &target, e);
    if (r)
        return r;
    if (!mr_pk_seq(mr_pk_attr(obj, "calibrators"), &cal, &n_cal) || n_cal != p.n_in)
        return mr_refuse_attr(obj, "calibrators", e, "is not a list of %u", p.n_in);
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof p);
    p.target = mr_blob_u32(&blob, target, p.n_in);
    if (mr_str_is(method, "sigmoid")) {
        p.kind = MR_CAL_SIGMOID;
        r = put_sigmoids(c, cal, p.n_in, &blob, &p, e);
    } else if (mr_str_is(method, "isotonic")) {
        p.kind = MR_CAL_ISOTONIC;
        r = put_isotonic(c, cal, p.n_in, &blob, &p, e);
    } else {
        r = mr_unsupported(obj, e,
                           "calibrates by \"%.*s\"; served are sigmoid, isotonic and temperature",
                           (int)(method.n < 60 ? method.n : 60), method.p);
    }
    if (r)
        return r;
    void *head = mr_blob_head(&blob);
    if (!head)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    memcpy(head, &p, sizeof p);
    *ret = mr_emit(c, MR_OP_CALIBRATE, slot, p.n_class, &blob);
    return 0;
}

int mr_convert_calibrated(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                          struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_build_output *out = &ret->out[0];
    struct mr_pk *const *each;
    size_t n;
    int r = mr_get_classes(c, obj, "classes_", out, e);
    if (r)
        return r;
    if (!mr_pk_seq(mr_pk_attr(obj, "calibrated_classifiers_"), &each, &n) || !n || n > 1000 ||
        out->n_classes < 2)
        return mr_refuse_attr(obj, "calibrated_classifiers_", e, "is no list of classifiers");
    uint32_t *slot = mr_convert_array(c, n, sizeof *slot, e);
    if (!slot)
        return MR_ENOMEM;
    ret->accepts_missing = true;
    for (size_t i = 0; i < n; i++)
        if ((r = one(c, each[i], in, out, &slot[i], &ret->accepts_missing, e)))
            return r;
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    out->proba_slot = mr_emit_mean(c, slot, (uint32_t)n, (double)n);
    out->pred_slot = mr_emit_argmax(c, out->proba_slot);
    return 0;
}
