/* Estimators made of estimators: voting, stacking, chains, transformed
 * targets, recursive feature elimination. */
#include "model/convert/steps.h"

#define MAX_MEMBERS 4096

static int members(const struct mr_pk *obj, const struct mr_pk **ret, uint32_t *ret_n,
                   struct mr_err *e) {
    int rc = mr_convert_need(obj, "estimators_", ret, e);
    if (rc)
        return rc;
    size_t n = mr_pk_len(*ret);
    if (n == 0 || n > MAX_MEMBERS)
        return mr_fail(e, MR_EREFUSED, "estimators_ is empty or damaged");
    *ret_n = (uint32_t)n;
    return 0;
}

/* Converts member i; it must have exactly one output. */
static int member(struct mr_convert *c, const struct mr_pk *list, uint32_t i, uint32_t in,
                  struct mr_estimator_out *ret, struct mr_err *e) {
    int rc = mr_convert_estimator(c, mr_pk_item(c->arena, list, i), in, ret, e);
    if (rc == 0 && ret->n_outputs != 1)
        rc = mr_fail(e, MR_EUNSUPPORTED, "a member of an ensemble has %u outputs", ret->n_outputs);
    return rc;
}

static struct mr_estimator_out *new_outs(struct mr_convert *c, size_t n) {
    return mr_arena_array(c->arena, n, sizeof(struct mr_estimator_out));
}

/* True when the member's classes are 0..n-1, as ensembles encode them. */
static bool encoded(const struct mr_build_output *o, uint32_t n) {
    if (o->n_classes != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct mr_label *l = &o->classes[i];
        if (o->label_kind == MR_LABEL_STR ||
            (o->label_kind == MR_LABEL_FLOAT ? l->f != i : l->i != (int64_t)i))
            return false;
    }
    return true;
}

/* Predicted label as a number instead of a class index. */
static int label_value(struct mr_convert *c, const struct mr_build_output *o, uint32_t *ret,
                       struct mr_err *e) {
    if (o->label_kind == MR_LABEL_STR)
        return mr_fail(e, MR_EUNSUPPORTED, "text labels cannot be the input of another estimator");
    double *v = mr_arena_array(c->arena, o->n_classes, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < o->n_classes; i++)
        v[i] = o->label_kind == MR_LABEL_FLOAT ? o->classes[i].f : (double)o->classes[i].i;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_lookup));
    struct mr_ref r = mr_blob_f64(&blob, v, o->n_classes);
    struct mr_p_lookup *p = mr_blob_head(&blob);
    if (p)
        p->table = r;
    *ret = mr_step_op(c, MR_OP_LOOKUP, o->pred_slot, MR_SLOT_DENSE, 1, &blob);
    return 0;
}

/* Weighted sum of slots of one width divided by `divisor`; any number of slots. */
static uint32_t mean(struct mr_convert *c, uint32_t *slot, uint32_t n, const double *weight,
                     double divisor) {
    uint32_t width = mr_build_slot_width(c->b, slot[0]), k;
    for (bool first = true; first || n > 1; first = false, n = k) {
        k = 0;
        for (uint32_t i = 0; i < n; i += MR_OP_MAX_IN) {
            uint32_t m = n - i < MR_OP_MAX_IN ? n - i : MR_OP_MAX_IN;
            uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, width);
            struct mr_blob blob;
            mr_blob_begin(c->b, &blob, sizeof(struct mr_p_mean));
            struct mr_p_mean v = {.divisor = n <= MR_OP_MAX_IN ? divisor : 1};
            if (first && weight)
                v.weight = mr_blob_f64(&blob, weight + i, m);
            struct mr_p_mean *p = mr_blob_head(&blob);
            if (p)
                *p = v;
            mr_build_op(c->b, MR_OP_MEAN, slot + i, m, out, &blob);
            slot[k++] = out;
        }
    }
    return slot[0];
}

static uint32_t argmax(struct mr_convert *c, uint32_t in) {
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_argmax));
    return mr_step_op(c, MR_OP_ARGMAX, in, MR_SLOT_DENSE, 1, &blob);
}

/* Votes of class-index slots, divided by `divisor`. */
static uint32_t votes(struct mr_convert *c, uint32_t *slot, uint32_t n, const double *weight,
                      uint32_t n_class, double divisor) {
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i += MR_OP_MAX_IN) {
        uint32_t m = n - i < MR_OP_MAX_IN ? n - i : MR_OP_MAX_IN;
        uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, n_class);
        struct mr_blob blob;
        mr_blob_begin(c->b, &blob, sizeof(struct mr_p_vote));
        struct mr_ref r = mr_blob_f64(&blob, weight + i, m);
        struct mr_p_vote *p = mr_blob_head(&blob);
        if (p)
            p->weight = r;
        mr_build_op(c->b, MR_OP_VOTE, slot + i, m, out, &blob);
        slot[k++] = out;
    }
    return k == 1 && divisor == 1 ? slot[0] : mean(c, slot, k, NULL, divisor);
}

/* weights of the estimators that were not dropped; all 1 without. */
static int weights(struct mr_convert *c, const struct mr_pk *obj, uint32_t n, double **ret,
                   double *ret_sum, struct mr_err *e) {
    const struct mr_pk *w = mr_pk_attr(obj, "weights"), *named = mr_pk_attr(obj, "estimators");
    double *v = mr_arena_array(c->arena, n, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    uint32_t k = 0;
    bool given = w && w->type != MR_PK_NONE;
    for (size_t i = 0; given && i < mr_pk_len(w); i++) {
        const struct mr_pk *pair = mr_pk_item(c->arena, named, i);
        struct mr_pk *const *item;
        size_t len;
        struct mr_str s;
        if (mr_pk_seq(pair, &item, &len) && len == 2 && mr_pk_str(item[1], &s) &&
            mr_str_is(s, "drop"))
            continue;
        if (k == n || !mr_pk_num(mr_pk_item(c->arena, w, i), &v[k++]))
            return mr_fail(e, MR_EREFUSED, "weights do not fit the estimators");
    }
    if (given && k != n)
        return mr_fail(e, MR_EREFUSED, "weights do not fit the estimators");
    *ret_sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!given)
            v[i] = 1;
        *ret_sum += v[i];
    }
    if (!(*ret_sum > 0))
        return mr_fail(e, MR_EREFUSED, "weights sum to nothing");
    *ret = v;
    return 0;
}

/* Start of an ensemble's answer: classification over the object's classes_, or regression. */
static int begin(struct mr_convert *c, const struct mr_pk *obj, bool classify,
                 struct mr_estimator_out *ret, struct mr_err *e) {
    memset(ret, 0, sizeof *ret);
    ret->n_outputs = 1;
    ret->decision_slot = UINT32_MAX;
    ret->accepts_missing = true;
    ret->task = classify ? MR_TASK_CLASSIFY : MR_TASK_REGRESS;
    ret->out[0].proba_slot = UINT32_MAX;
    const struct mr_pk *cls;
    if (!classify)
        return 0;
    int rc = mr_convert_need(obj, "classes_", &cls, e);
    return rc ? rc
              : mr_convert_classes(c->arena, cls, &ret->out[0].label_kind, &ret->out[0].classes,
                                   &ret->out[0].n_classes, e);
}

static bool is_classifier(const struct mr_pk *obj) {
    return mr_str_ends(mr_pk_class_short(obj), MR_LIT("Classifier"));
}

MR_EST(mr_compose_voting) {
    const struct mr_pk *list;
    uint32_t n, *slot;
    double *w, sum;
    bool classify = is_classifier(obj), soft = mr_step_is(obj, "voting", "soft");
    int rc = members(obj, &list, &n, e);
    if (rc == 0)
        rc = begin(c, obj, classify, ret, e);
    if (rc == 0)
        rc = weights(c, obj, n, &w, &sum, e);
    struct mr_estimator_out *m = new_outs(c, 1);
    slot = mr_arena_array(c->arena, n, sizeof *slot);
    if (rc || !m || !slot)
        return rc ? rc : mr_fail(e, MR_ENOMEM, "out of memory");
    struct mr_build_output *o = &ret->out[0];
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        rc = member(c, list, i, in, m, e);
        if (rc)
            return rc;
        ret->accepts_missing &= m->accepts_missing;
        slot[i] = soft ? m->out[0].proba_slot : m->out[0].pred_slot;
        if (classify && !encoded(&m->out[0], o->n_classes))
            return mr_step_refuse(obj, e, "has a member that knows other classes");
        if (soft && (slot[i] == UINT32_MAX || mr_build_slot_width(c->b, slot[i]) != o->n_classes))
            return mr_step_refuse(obj, e, "has a member without probabilities");
    }
    if (!classify) {
        o->pred_slot = mean(c, slot, n, w, sum);
    } else if (soft) {
        o->proba_slot = mean(c, slot, n, w, sum);
        o->pred_slot = argmax(c, o->proba_slot);
    } else {
        o->pred_slot = argmax(c, votes(c, slot, n, w, o->n_classes, 1));
    }
    return rc;
}

/* What one stacked member contributes. */
static int stacked(struct mr_convert *c, const struct mr_pk *obj, const struct mr_estimator_out *m,
                   struct mr_str method, bool binary, uint32_t *ret, struct mr_err *e) {
    const struct mr_build_output *o = &m->out[0];
    if (mr_str_is(method, "predict_proba")) {
        if (o->proba_slot == UINT32_MAX)
            return mr_step_refuse(obj, e, "has a member without probabilities");
        *ret = o->proba_slot;
        uint32_t width = mr_build_slot_width(c->b, *ret);
        if (!binary || width < 2) /* two classes: the first column adds nothing */
            return 0;
        uint32_t *rest = mr_arena_array(c->arena, width, sizeof *rest);
        if (!rest)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        for (uint32_t i = 1; i < width; i++)
            rest[i - 1] = i;
        *ret = mr_step_select(c, *ret, rest, width - 1);
        return 0;
    }
    if (mr_str_is(method, "decision_function")) {
        if (m->decision_slot == UINT32_MAX)
            return mr_step_refuse(obj, e, "has a member without decision values");
        *ret = m->decision_slot;
        return 0;
    }
    if (!mr_str_is(method, "predict"))
        return mr_step_refuse(obj, e, "has an unknown stack_method");
    if (m->task == MR_TASK_REGRESS) {
        *ret = o->pred_slot;
        return 0;
    }
    return label_value(c, o, ret, e);
}

MR_EST(mr_compose_stacking) {
    const struct mr_pk *list, *methods, *final;
    uint32_t n, *slot;
    bool classify = is_classifier(obj), accepts = true;
    struct mr_estimator_out *own = new_outs(c, 1);
    if (!own)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = members(obj, &list, &n, e);
    if (rc == 0)
        rc = begin(c, obj, classify, own, e);
    if (rc == 0)
        rc = mr_convert_need(obj, "stack_method_", &methods, e);
    if (rc == 0)
        rc = mr_convert_need(obj, "final_estimator_", &final, e);
    if (rc)
        return rc;
    slot = mr_arena_array(c->arena, (size_t)n + 1, sizeof *slot);
    if (!slot)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    if (mr_pk_len(methods) != n)
        return mr_fail(e, MR_EREFUSED, "stack_method_ does not fit the estimators");
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        struct mr_str method;
        if (!mr_pk_str(mr_pk_item(c->arena, methods, i), &method))
            return mr_fail(e, MR_EREFUSED, "stack_method_ is damaged");
        rc = member(c, list, i, in, ret, e);
        if (rc == 0)
            rc = stacked(c, obj, ret, method, own->out[0].n_classes == 2, &slot[i], e);
        accepts &= ret->accepts_missing;
    }
    bool through = mr_step_flag(obj, "passthrough", false);
    if (through)
        slot[n] = in;
    uint32_t features;
    if (rc == 0)
        rc = mr_step_concat(c, slot, n + through, false, &features, e);
    if (rc == 0)
        rc = mr_convert_estimator(c, final, features, ret, e);
    if (rc)
        return rc;
    struct mr_build_output *o = &ret->out[0];
    if (ret->n_outputs != 1 ||
        (classify && (ret->task != MR_TASK_CLASSIFY || !encoded(o, own->out[0].n_classes))))
        return mr_step_refuse(obj, e, "has a final estimator that knows other classes");
    if (classify) {
        o->label_kind = own->out[0].label_kind;
        o->classes = own->out[0].classes;
    }
    ret->accepts_missing = accepts && (!through || ret->accepts_missing);
    return 0;
}

/* order_[i]: which output member i predicts; each once. */
static int chain_order(struct mr_convert *c, const struct mr_pk *obj, uint32_t n, uint32_t *order,
                       struct mr_err *e) {
    const double *v;
    bool seen[64] = {false};
    int rc = mr_step_f64(c, obj, "order_", n, &v, e);
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        if (!(v[i] >= 0 && v[i] < n) || seen[(uint32_t)v[i]])
            return mr_fail(e, MR_EREFUSED, "order_ is damaged");
        order[i] = (uint32_t)v[i];
        seen[order[i]] = true;
    }
    return rc;
}

MR_EST(mr_compose_chain) {
    const struct mr_pk *list;
    uint32_t n, order[64], slot[65];
    struct mr_estimator_out *m = new_outs(c, 1);
    int rc = members(obj, &list, &n, e);
    if (rc || !m)
        return rc ? rc : mr_fail(e, MR_ENOMEM, "out of memory");
    if (n > 63)
        return mr_step_refuse(obj, e, "has %u outputs, 63 are served", n);
    if (!mr_step_none(obj, "chain_method_") && !mr_step_is(obj, "chain_method_", "predict"))
        return mr_step_refuse(obj, e,
                              "hands on probabilities; only chain_method=\"predict\" is served");
    rc = chain_order(c, obj, n, order, e);
    memset(ret, 0, sizeof *ret);
    ret->n_outputs = n;
    ret->decision_slot = UINT32_MAX;
    slot[0] = mr_convert_dense(c, in);
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        uint32_t features = slot[0];
        if (i)
            rc = mr_step_concat(c, slot, i + 1, false, &features, e);
        if (rc == 0)
            rc = member(c, list, i, features, m, e);
        if (rc)
            return rc;
        ret->task = m->task;
        ret->out[order[i]] = m->out[0];
        slot[i + 1] = m->out[0].pred_slot;
        if (m->task == MR_TASK_CLASSIFY)
            rc = label_value(c, &m->out[0], &slot[i + 1], e);
    }
    return rc;
}

/* Inverse of the transformer that was put on the target. */
static int inverse(struct mr_convert *c, const struct mr_pk *t, uint32_t in, uint32_t *ret,
                   struct mr_err *e) {
    struct mr_str cls = mr_pk_class_short(t);
    const double *shift = NULL, *scale = NULL;
    int rc = 0;
    if (mr_str_is(cls, "FunctionTransformer")) {
        const struct mr_pk *fn = mr_pk_attr(t, "inverse_func");
        uint32_t u = mr_step_ufunc(fn);
        *ret = in;
        if (!fn || fn->type == MR_PK_NONE)
            return 0;
        if (!u)
            return mr_step_refuse(t, e,
                                  "undoes the target by a function that is not numpy's; the code "
                                  "of a model file is never run");
        *ret = mr_step_unary(c, in, u);
        return 0;
    }
    if (mr_str_is(cls, "StandardScaler")) {
        if (mr_step_flag(t, "with_std", true))
            rc = mr_step_f64(c, t, "scale_", 1, &scale, e);
        if (rc == 0 && mr_step_flag(t, "with_mean", true))
            rc = mr_step_f64(c, t, "mean_", 1, &shift, e);
        if (rc == 0)
            *ret = mr_step_affine(c, in, &(struct mr_affine){.scale = scale, .add = shift});
        return rc;
    }
    if (mr_str_is(cls, "RobustScaler")) {
        if (mr_step_flag(t, "with_scaling", true))
            rc = mr_step_f64(c, t, "scale_", 1, &scale, e);
        if (rc == 0 && mr_step_flag(t, "with_centering", true))
            rc = mr_step_f64(c, t, "center_", 1, &shift, e);
        if (rc == 0)
            *ret = mr_step_affine(c, in, &(struct mr_affine){.scale = scale, .add = shift});
        return rc;
    }
    if (mr_str_is(cls, "MinMaxScaler")) {
        rc = mr_step_f64(c, t, "scale_", 1, &scale, e);
        if (rc == 0)
            rc = mr_step_f64(c, t, "min_", 1, &shift, e);
        if (rc == 0)
            *ret = mr_step_affine(
                c, in, &(struct mr_affine){.shift = shift, .scale = scale, .divide = true});
        return rc;
    }
    return mr_step_refuse(t, e,
                          "cannot be undone natively on a target; use StandardScaler, "
                          "RobustScaler, MinMaxScaler or numpy functions");
}

MR_EST(mr_compose_target) {
    const struct mr_pk *reg, *t;
    int rc = mr_convert_need(obj, "regressor_", &reg, e);
    if (rc == 0)
        rc = mr_convert_need(obj, "transformer_", &t, e);
    if (rc == 0)
        rc = mr_convert_estimator(c, reg, in, ret, e);
    if (rc)
        return rc;
    if (ret->n_outputs != 1)
        return mr_step_refuse(obj, e, "has several targets");
    return inverse(c, t, ret->out[0].pred_slot, &ret->out[0].pred_slot, e);
}

MR_EST(mr_compose_rfe) {
    const struct mr_pk *est;
    int rc = mr_convert_need(obj, "estimator_", &est, e);
    if (rc == 0)
        rc = mr_prep_select(c, obj, in, &in, e);
    return rc ? rc : mr_convert_estimator(c, est, in, ret, e);
}
