/* LightGBM: from raw scores to answers, and the ways into a model (text file, pickle). */
#include "base/num.h"
#include "model/build_priv.h"
#include "model/convert/boost.h"
#include "model/ops/params.h"

/* "binary sigmoid:1": the name and a numeric parameter. */
static struct mr_str objective_name(const struct mr_lgb *l) {
    struct mr_str rest = l->objective;
    return rest.p ? mr_str_cut(&rest, ' ') : MR_LIT("");
}

static bool objective_has(const struct mr_lgb *l, const char *word) {
    struct mr_str rest = l->objective;
    while (rest.p)
        if (mr_str_is(mr_str_cut(&rest, ' '), word))
            return true;
    return false;
}

static double objective_number(const struct mr_lgb *l, const char *key, double otherwise) {
    struct mr_str rest = l->objective;
    while (rest.p) {
        struct mr_str word = mr_str_cut(&rest, ' '), name = mr_str_cut(&word, ':');
        double v;
        if (word.p && mr_str_is(name, key) && mr_f64_parse(word, &v))
            return v;
    }
    return otherwise;
}

static int labels(struct mr_convert *c, const struct mr_pk *classes, uint32_t n,
                  struct mr_build_output *o, struct mr_err *e) {
    o->label_kind = MR_LABEL_INT;
    o->n_classes = n;
    if (!mr_pk_len(classes))
        return mr_boost_numbers(c->arena, n, &o->classes, e);
    int r = mr_convert_classes(c->arena, classes, &o->label_kind, &o->classes, &o->n_classes, e);
    if (!r && o->n_classes != n)
        r = mr_fail(e, MR_EREFUSED, "LightGBM model: %u labels for %u classes", o->n_classes, n);
    return r;
}

static int regress(struct mr_convert *c, const struct mr_lgb *l, uint32_t raw,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    static const char *const plain[] = {
        "regression", "regression_l1", "regression_l2", "huber",       "fair",
        "quantile",   "mape",          "lambdarank",    "rank_xendcg", ""};
    struct mr_str name = objective_name(l);
    uint32_t out = UINT32_MAX;
    if (mr_str_is(name, "poisson") || mr_str_is(name, "gamma") || mr_str_is(name, "tweedie"))
        out = mr_tree_link(c, raw, MR_LINK_EXP, 1, 1);
    else if (mr_str_is(name, "cross_entropy"))
        out = mr_tree_link(c, raw, MR_LINK_SIGMOID, 1, 1);
    else if (mr_str_is(name, "cross_entropy_lambda"))
        out = mr_tree_link(c, raw, MR_LINK_SOFTPLUS, 1, 1);
    else if (objective_has(l, "sqrt"))
        out = mr_tree_link(c, raw, MR_LINK_SIGNED_SQUARE, 1, 1);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (out == UINT32_MAX && mr_str_is(name, plain[i]))
            out = raw;
    if (out == UINT32_MAX || l->n_groups != 1)
        return mr_fail(e, MR_EUNSUPPORTED, "LightGBM objective \"%.*s\" has no native reader",
                       (int)l->objective.n, l->objective.p ? l->objective.p : "");
    ret->task = MR_TASK_REGRESS;
    ret->out[0] = (struct mr_build_output){.pred_slot = out, .proba_slot = UINT32_MAX};
    return 0;
}

int mr_lgb_output(struct mr_convert *c, const struct mr_lgb *l, const struct mr_pk *classes,
                  uint32_t raw, struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_str name = objective_name(l);
    bool two = mr_str_is(name, "binary"), soft = mr_str_is(name, "multiclass"),
         ova = mr_str_is(name, "multiclassova");
    ret->n_outputs = 1;
    ret->decision_slot = raw;
    ret->accepts_missing = true;
    if (!two && !soft && !ova)
        return regress(c, l, raw, ret, e);
    ret->task = MR_TASK_CLASSIFY;
    uint32_t n = two ? 2 : l->n_groups, proba;
    double scale = objective_number(l, "sigmoid", 1);
    if (two && l->n_groups == 1)
        proba = mr_tree_link(c, raw, MR_LINK_SIGMOID_PAIR, scale, 2);
    else if (!two && n == l->n_class)
        proba = soft ? mr_tree_link(c, raw, MR_LINK_SOFTMAX, 1, n)
                     : mr_tree_link(c, raw, MR_LINK_SIGMOID, scale, n);
    else
        return mr_fail(e, MR_EREFUSED, "LightGBM model: classes do not fit the trees");
    ret->out[0].proba_slot = proba;
    ret->out[0].pred_slot = mr_tree_argmax(c, proba);
    return labels(c, classes, n, &ret->out[0], e);
}

int mr_lgb_pickled(const struct mr_pk *obj, struct mr_lgb *ret, struct mr_err *e) {
    const struct mr_pk *booster = mr_pk_attr(obj, "_Booster");
    struct mr_str text;
    int64_t best;
    if (!booster)
        booster = obj;
    if (!mr_pk_str(mr_pk_attr(booster, "_handle"), &text) &&
        !mr_pk_str(mr_pk_attr(booster, "handle"), &text) &&
        !mr_pk_str(mr_pk_attr(booster, "model_str"), &text))
        return mr_fail(e, MR_EREFUSED, "the LightGBM model is not fitted (no model text)");
    int r = mr_lgb_read(text, ret, e);
    if (!r && mr_pk_int(mr_pk_attr(booster, "best_iteration"), &best) && best > 0 && best < 1 << 28)
        ret->rounds = best;
    return r;
}

int mr_conv_lightgbm(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                     struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_lgb l;
    uint32_t raw;
    int r = mr_lgb_pickled(obj, &l, e);
    if (!r)
        r = mr_lgb_raw(c, &l, mr_convert_dense(c, in), &raw, e);
    return r ? r : mr_lgb_output(c, &l, mr_pk_attr(obj, "_classes"), raw, ret, e);
}

int mr_convert_lightgbm_text(struct mr_str file, struct mr_build *b, struct mr_err *e) {
    struct mr_convert c = {.b = b, .arena = b->arena};
    struct mr_build_info info = {.framework = MR_LIT("lightgbm"), .model_type = MR_LIT("Booster")};
    struct mr_estimator_out *out = mr_arena_zalloc(c.arena, sizeof *out);
    struct mr_lgb l;
    uint32_t raw;
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = mr_lgb_read(file, &l, e);
    if (r)
        return r;
    mr_build_input(b, MR_SLOT_DENSE, l.n_features);
    r = mr_lgb_raw(&c, &l, 0, &raw, e);
    if (!r)
        r = mr_lgb_output(&c, &l, NULL, raw, out, e);
    if (!r)
        r = mr_lgb_names(c.arena, &l, &info.feature_names, e);
    if (r)
        return r;
    mr_build_output(b, &out->out[0]);
    info.task = out->task;
    info.accepts_missing = out->accepts_missing;
    mr_build_info(b, &info);
    return 0;
}

int mr_lgb_names(struct mr_arena *a, const struct mr_lgb *l, const struct mr_str **ret,
                 struct mr_err *e) {
    struct mr_str *v = mr_arena_array(a, l->n_features, sizeof *v), rest = l->names;
    bool given = false;
    *ret = NULL;
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < l->n_features; i++) {
        if (!rest.p)
            return 0;
        v[i] = mr_str_cut(&rest, ' ');
        given |= !mr_str_starts(v[i], MR_LIT("Column_"));
    }
    if (given && !rest.p)
        *ret = v;
    return 0;
}
