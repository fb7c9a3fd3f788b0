/* XGBoost: from margins to answers, and the ways into a model (files, pickles). */
#include "base/num.h"
#include "model/build_priv.h"
#include "model/convert/boost.h"
#include "model/convert/emit.h"
#include "wire/ubjson.h"

#include <math.h>

#define MAX_DOC ((size_t)3 << 30)

static bool is(const struct mr_xgb *x, const char *name) {
    return mr_str_is(x->objective, name);
}

static bool in_list(const struct mr_xgb *x, const char *const *names) {
    for (; *names; names++)
        if (is(x, *names))
            return true;
    return false;
}

int mr_boost_numbers(struct mr_arena *a, uint32_t n, const struct mr_label **ret,
                     struct mr_err *e) {
    struct mr_label *v = mr_arena_array(a, n, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++)
        v[i] = (struct mr_label){.i = i, .f = i};
    *ret = v;
    return 0;
}

static int class_output(struct mr_convert *c, const struct mr_pk *classes, uint32_t n,
                        struct mr_build_output *o, struct mr_err *e) {
    o->label_kind = MR_LABEL_INT;
    o->n_classes = n;
    if (!classes)
        return mr_boost_numbers(c->arena, n, &o->classes, e);
    int r = mr_convert_classes(c->arena, classes, &o->label_kind, &o->classes, &o->n_classes, e);
    if (!r && o->n_classes != n)
        r = mr_fail(e, MR_EREFUSED, "XGBoost model: %u labels for %u classes", o->n_classes, n);
    return r;
}

/* Two classes from one margin. The library computes in floats, so ties are decided on floats. */
static int binary(struct mr_convert *c, const struct mr_xgb *x, const struct mr_pk *classes,
                  uint32_t margin, struct mr_estimator_out *ret, struct mr_err *e) {
    uint32_t p = margin;
    if (is(x, "binary:logistic") || is(x, "reg:logistic"))
        p = mr_tree_link(c, mr_tree_link(c, margin, MR_LINK_SIGMOID, 1, 1), MR_LINK_ROUND_F32, 1,
                         1);
    else if (is(x, "binary:hinge"))
        p = mr_tree_threshold(c, margin, 0, false);
    ret->out[0].pred_slot = mr_tree_threshold(c, p, 0.5, false);
    ret->out[0].proba_slot = mr_tree_link(c, p, MR_LINK_PAIR, 1, 2);
    return class_output(c, classes, 2, &ret->out[0], e);
}

static int regress(struct mr_convert *c, const struct mr_xgb *x, uint32_t margin,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    static const char *const plain[] = {
        "reg:squarederror",  "reg:linear",      "reg:squaredlogerror", "reg:pseudohubererror",
        "reg:absoluteerror", "rank:pairwise",   "rank:ndcg",           "rank:map",
        "reg:quantileerror", "binary:logitraw", "reg:expectileerror",  NULL};
    static const char *const log_link[] = {"count:poisson", "reg:gamma", "reg:tweedie",
                                           "survival:cox", NULL};
    uint32_t out = margin, n = x->n_groups;
    if (in_list(x, log_link))
        out = mr_tree_link(c, margin, MR_LINK_EXP, 1, n);
    else if (is(x, "reg:logistic") || is(x, "binary:logistic"))
        out = mr_tree_link(c, margin, MR_LINK_SIGMOID, 1, n);
    else if (!in_list(x, plain))
        return mr_fail(e, MR_EUNSUPPORTED, "XGBoost objective \"%.*s\" has no native reader",
                       (int)x->objective.n, x->objective.p);
    if (n > 64)
        return mr_fail(e, MR_EUNSUPPORTED, "%u outputs (1 to 64)", n);
    ret->task = MR_TASK_REGRESS;
    ret->n_outputs = n;
    for (uint32_t k = 0; k < n; k++)
        ret->out[k] = (struct mr_build_output){.pred_slot = mr_tree_select(c, out, NULL, k, 1),
                                               .proba_slot = UINT32_MAX};
    return 0;
}

int mr_xgb_output(struct mr_convert *c, const struct mr_xgb *x, const struct mr_pk *classes,
                  bool classifier, uint32_t margin, struct mr_estimator_out *ret,
                  struct mr_err *e) {
    static const char *const two[] = {"binary:logistic", "binary:logitraw", "binary:hinge",
                                      "reg:logistic", NULL};
    bool multi = is(x, "multi:softprob") || is(x, "multi:softmax");
    ret->accepts_missing = !mr_str_is(x->booster, "gblinear");
    ret->decision_slot = margin;
    ret->n_outputs = 1;
    if (!multi && !(classifier && in_list(x, two)))
        return regress(c, x, margin, ret, e);
    ret->task = MR_TASK_CLASSIFY;
    if (!multi)
        return x->n_groups == 1 ? binary(c, x, classes, margin, ret, e)
                                : mr_fail(e, MR_EUNSUPPORTED, "XGBoost with several labels a row");
    ret->out[0].pred_slot = mr_tree_argmax(c, margin);
    ret->out[0].proba_slot = mr_tree_link(c, margin, MR_LINK_SOFTMAX, 1, x->n_groups);
    return class_output(c, classes, x->n_groups, &ret->out[0], e);
}

/* --- files -------------------------------------------------------------------------------------
 */

static int names_of(struct mr_arena *a, const struct mr_xgb *x, const struct mr_str **ret,
                    struct mr_err *e) {
    yyjson_val *arr = yyjson_obj_get(x->learner, "feature_names"), *v;
    size_t i, max;
    *ret = NULL;
    if (yyjson_arr_size(arr) != x->n_features)
        return 0;
    struct mr_str *out = mr_arena_array(a, x->n_features, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    yyjson_arr_foreach (arr, i, max, v) {
        if (!yyjson_is_str(v))
            return 0;
        char *s = mr_arena_strn(a, yyjson_get_str(v), yyjson_get_len(v));
        if (!s)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        out[i] = mr_strn(s, yyjson_get_len(v));
    }
    *ret = out;
    return 0;
}

static int from_doc(yyjson_doc *doc, struct mr_build *b, struct mr_err *e) {
    struct mr_convert c = {.b = b, .arena = b->arena};
    struct mr_estimator_out *out = mr_arena_zalloc(c.arena, sizeof *out);
    struct mr_xgb x;
    struct mr_build_info info = {.framework = MR_LIT("xgboost"), .model_type = MR_LIT("Booster")};
    uint32_t margin;
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = mr_xgb_read(c.arena, doc, &x, e);
    if (!r)
        r = names_of(c.arena, &x, &info.feature_names, e);
    if (r)
        return r;
    mr_build_input(b, MR_SLOT_DENSE, x.n_features);
    r = mr_xgb_margin(&c, &x, 0, &margin, e);
    if (!r)
        r = mr_xgb_output(&c, &x, NULL, true, margin, out, e);
    if (r)
        return r;
    for (uint32_t k = 0; k < out->n_outputs; k++)
        mr_build_output(b, &out->out[k]);
    info.task = out->task;
    info.framework_version = x.version;
    info.accepts_missing = out->accepts_missing;
    mr_build_info(b, &info);
    return 0;
}

int mr_convert_xgboost_json(struct mr_str file, struct mr_build *b, struct mr_err *e) {
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)file.p, file.n,
                                       YYJSON_READ_ALLOW_INF_AND_NAN, NULL, &why);
    if (!doc)
        return mr_fail(e, MR_EREFUSED, "not JSON: %s at byte %zu", why.msg, why.pos);
    int r = from_doc(doc, b, e);
    yyjson_doc_free(doc);
    return r;
}

int mr_convert_xgboost_ubj(struct mr_str file, struct mr_build *b, struct mr_err *e) {
    yyjson_doc *doc;
    int r = mr_ubjson_read(file, MAX_DOC, &doc, e);
    if (r)
        return r;
    r = from_doc(doc, b, e);
    yyjson_doc_free(doc);
    return r;
}

/* --- pickles -----------------------------------------------------------------------------------
 */

int mr_xgb_pickled(const struct mr_pk *obj, yyjson_doc **ret, struct mr_err *e) {
    const struct mr_pk *booster = mr_pk_attr(obj, "_Booster");
    const struct mr_pk *h = mr_pk_attr(booster ? booster : obj, "handle");
    if (!h || h->type != MR_PK_BYTES)
        return mr_fail(e, MR_EREFUSED, "the XGBoost model is not fitted (no booster in the file)");
    if (h->s.n < 2 || h->s.p[0] != '{')
        return mr_fail(e, MR_EUNSUPPORTED,
                       "the XGBoost model is in the old binary form; load it with XGBoost 1.6 or "
                       "newer and save it again");
    if (h->s.p[1] == '"' || h->s.p[1] == ' ' || h->s.p[1] == '\n') {
        *ret = yyjson_read(h->s.p, h->s.n, 0);
        return *ret ? 0 : mr_fail(e, MR_EREFUSED, "the XGBoost booster is not JSON");
    }
    return mr_ubjson_read(h->s, MAX_DOC, ret, e);
}

static bool wraps(const struct mr_pk *obj) {
    return !mr_str_is(mr_pk_class_short(obj), "Booster");
}

/* The wrapper predicts with the best iteration of early stopping; a bare Booster with all. */
static void wrapper_settings(const struct mr_pk *obj, struct mr_xgb *x) {
    yyjson_val *best = yyjson_obj_get(yyjson_obj_get(x->learner, "attributes"), "best_iteration");
    int64_t n;
    if (yyjson_is_str(best) &&
        mr_str_i64(mr_strn(yyjson_get_str(best), yyjson_get_len(best)), 0, 1 << 28, &n))
        x->rounds = n + 1;
    mr_pk_num(mr_pk_attr(obj, "missing"), &x->missing);
}

static int convert(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    yyjson_doc *doc;
    struct mr_xgb x;
    uint32_t margin;
    bool classifier = !wraps(obj) || mr_str_ends(mr_pk_class_short(obj), MR_LIT("Classifier"));
    const struct mr_pk *classes = mr_pk_attr(obj, "classes_");
    if (!classes)
        classes = mr_pk_attr(mr_pk_attr(obj, "_le"), "classes_");
    int r = mr_xgb_pickled(obj, &doc, e);
    if (r)
        return r;
    r = mr_xgb_read(c->arena, doc, &x, e);
    if (!r && wraps(obj))
        wrapper_settings(obj, &x);
    if (!r)
        r = mr_xgb_margin(c, &x, mr_convert_dense(c, in), &margin, e);
    if (!r)
        r = mr_xgb_output(c, &x, mr_pk_len(classes) ? classes : NULL, classifier, margin, ret, e);
    yyjson_doc_free(doc);
    return r;
}

#define XGB(name)                                                                                  \
    { "xgboost", name, NULL, convert }
#define LGB(name)                                                                                  \
    { "lightgbm", name, NULL, mr_conv_lightgbm }

const struct mr_converter mr_convert_boost[] = {
    XGB("XGBClassifier"),  XGB("XGBRegressor"), XGB("XGBRanker"),      XGB("XGBRFClassifier"),
    XGB("XGBRFRegressor"), XGB("Booster"),      LGB("LGBMClassifier"), LGB("LGBMRegressor"),
    LGB("LGBMRanker"),     LGB("LGBMModel"),    LGB("Booster"),        {NULL, NULL, NULL, NULL},
};

/* --- columns -----------------------------------------------------------------------------------
 */

static int xgb_input(struct mr_arena *a, const struct mr_pk *obj, uint32_t *ret_width,
                     const struct mr_str **ret_names, struct mr_str *ret_version,
                     struct mr_err *e) {
    yyjson_doc *doc;
    struct mr_xgb x;
    int r = mr_xgb_pickled(obj, &doc, e);
    if (r)
        return r;
    r = mr_xgb_read(a, doc, &x, e);
    if (!r)
        r = names_of(a, &x, ret_names, e);
    if (!r) {
        *ret_width = x.n_features;
        *ret_version = x.version;
    }
    yyjson_doc_free(doc);
    return r;
}

static int lgb_input(struct mr_arena *a, const struct mr_pk *obj, uint32_t *ret_width,
                     const struct mr_str **ret_names, struct mr_err *e) {
    struct mr_lgb l;
    int r = mr_lgb_pickled(obj, &l, e);
    if (r)
        return r;
    *ret_width = l.n_features;
    return mr_lgb_names(a, &l, ret_names, e);
}

int mr_boost_input(struct mr_arena *a, const struct mr_pk *obj, uint32_t *ret_width,
                   const struct mr_str **ret_names, struct mr_str *ret_version, struct mr_err *e) {
    char full[256];
    mr_pk_class_name(obj, full, sizeof full);
    *ret_width = 0;
    if (strncmp(full, "xgboost.", 8) == 0)
        return xgb_input(a, obj, ret_width, ret_names, ret_version, e);
    if (strncmp(full, "lightgbm.", 9) == 0)
        return lgb_input(a, obj, ret_width, ret_names, e);
    return 0;
}
