/* Where missing values go, step by step (the library's allow_nan tags). */
#include "model/convert/steps.h"

#include <math.h>

#define MAX_DEPTH  32
#define MAX_VISITS 2000 /* objects may be shared and nested: the tree can be far larger */

struct walk {
    unsigned depth, left;
};
static enum mr_flow flow_of(const struct mr_pk *step, struct walk *w);

static const char *const passing[] = {
    "StandardScaler",      "MinMaxScaler",     "MaxAbsScaler",        "RobustScaler",
    "QuantileTransformer", "PowerTransformer", "FunctionTransformer", "VarianceThreshold",
};

static bool is_nan(const struct mr_pk *v) {
    double x;
    return !v || v->type == MR_PK_NONE || v->type == MR_PK_GLOBAL || v->type == MR_PK_OBJ ||
           (mr_pk_num(v, &x) && isnan(x));
}

/* Two branches side by side over different columns. */
static enum mr_flow beside(enum mr_flow a, enum mr_flow b) {
    if (a == b)
        return a;
    /* A refusing branch is guarded by itself, so the others may accept. */
    if (a == MR_FLOW_REFUSE)
        return b == MR_FLOW_CLEAN ? MR_FLOW_CLEAN : b;
    if (b == MR_FLOW_REFUSE)
        return a == MR_FLOW_CLEAN ? MR_FLOW_CLEAN : a;
    return MR_FLOW_PART;
}

static const struct mr_pk *part(const struct mr_pk *tuple, size_t i) {
    struct mr_pk *const *v;
    size_t n;
    return mr_pk_seq(tuple, &v, &n) && i < n ? v[i] : NULL;
}

static enum mr_flow of_steps(const struct mr_pk *list, struct walk *w) {
    enum mr_flow state = MR_FLOW_PASS;
    for (size_t i = 0, n = mr_pk_len(list); i < n; i++) {
        enum mr_flow f = flow_of(part(part(list, i), 1), w);
        if (f == MR_FLOW_CLEAN)
            return MR_FLOW_CLEAN;
        if (f == MR_FLOW_REFUSE)
            return state == MR_FLOW_PASS ? MR_FLOW_REFUSE : MR_FLOW_CLEAN;
        if (f == MR_FLOW_PART)
            state = MR_FLOW_PART;
    }
    return state;
}

static enum mr_flow of_columns(const struct mr_pk *obj, struct walk *w) {
    const struct mr_pk *list = mr_pk_attr(obj, "transformers_");
    enum mr_flow all = MR_FLOW_REFUSE;
    bool any = false;
    for (size_t i = 0, n = mr_pk_len(list); i < n; i++) {
        const struct mr_pk *step = part(part(list, i), 1);
        struct mr_str s;
        if (mr_pk_str(step, &s) && mr_str_is(s, "drop"))
            continue;
        enum mr_flow f = flow_of(step, w);
        all = any ? beside(all, f) : f;
        any = true;
    }
    return all;
}

/* All branches read the same columns, so each of them must take what comes. */
static enum mr_flow of_union(const struct mr_pk *obj, struct walk *w) {
    const struct mr_pk *list = mr_pk_attr(obj, "transformer_list");
    enum mr_flow all = MR_FLOW_CLEAN;
    for (size_t i = 0, n = mr_pk_len(list); i < n; i++) {
        const struct mr_pk *step = part(part(list, i), 1);
        struct mr_str s;
        if (mr_pk_str(step, &s) && mr_str_is(s, "drop"))
            continue;
        enum mr_flow f = flow_of(step, w);
        if (f < all)
            all = f;
    }
    return all;
}

static enum mr_flow of_ordinal(const struct mr_pk *obj) {
    double x;
    if (mr_pk_num(mr_pk_attr(obj, "unknown_value"), &x) && isnan(x))
        return MR_FLOW_PASS;
    return is_nan(mr_pk_attr(obj, "encoded_missing_value")) ? MR_FLOW_PASS : MR_FLOW_CLEAN;
}

static enum mr_flow of_object(const struct mr_pk *step, struct walk *w) {
    struct mr_str cls = mr_pk_class_short(step);
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (mr_str_is(cls, passing[i]))
            return MR_FLOW_PASS;
    if (mr_str_is(cls, "SimpleImputer") || mr_str_is(cls, "MissingIndicator"))
        return is_nan(mr_pk_attr(step, "missing_values")) ? MR_FLOW_CLEAN : MR_FLOW_REFUSE;
    if (mr_str_is(cls, "OneHotEncoder") || mr_str_is(cls, "TargetEncoder"))
        return MR_FLOW_CLEAN;
    if (mr_str_is(cls, "OrdinalEncoder"))
        return of_ordinal(step);
    if (mr_str_is(cls, "Pipeline"))
        return of_steps(mr_pk_attr(step, "steps"), w);
    if (mr_str_is(cls, "ColumnTransformer"))
        return of_columns(step, w);
    if (mr_str_is(cls, "FeatureUnion"))
        return of_union(step, w);
    const struct mr_pk *best = mr_pk_attr(step, "best_estimator_");
    return best ? flow_of(best, w) : MR_FLOW_REFUSE;
}

static enum mr_flow flow_of(const struct mr_pk *step, struct walk *w) {
    if (!step || step->type != MR_PK_OBJ) /* "passthrough", None */
        return MR_FLOW_PASS;
    if (w->depth >= MAX_DEPTH || w->left == 0)
        return MR_FLOW_REFUSE;
    w->left--;
    w->depth++;
    enum mr_flow f = of_object(step, w);
    w->depth--;
    return f;
}

enum mr_flow mr_flow_of(const struct mr_pk *step) {
    struct walk w = {.left = MAX_VISITS};
    return flow_of(step, &w);
}
