#include "model/convert/root.h"

#include "model/convert/boost.h"

#define MAX_DEPTH 32

static bool is_text_class(struct mr_str s) {
    return mr_str_is(s, "CountVectorizer") || mr_str_is(s, "TfidfVectorizer") ||
           mr_str_is(s, "HashingVectorizer");
}

/* Item i of a sequence, or NULL. */
static const struct mr_pk *item(const struct mr_pk *seq, size_t i) {
    struct mr_pk *const *v;
    size_t n;
    return mr_pk_seq(seq, &v, &n) && i < n ? v[i] : NULL;
}

/* First (name, object) pair whose object is a fitted step and not "passthrough" or None. */
static const struct mr_pk *first_step(const struct mr_pk *steps) {
    for (size_t i = 0, n = mr_pk_len(steps); i < n; i++) {
        const struct mr_pk *step = item(item(steps, i), 1);
        if (!step || step->type != MR_PK_OBJ)
            continue;
        /* fitted on texts, a FunctionTransformer knows nothing of its input: the next step does */
        if (mr_str_is(mr_pk_class_short(step), "FunctionTransformer") &&
            !mr_pk_attr(step, "n_features_in_"))
            continue;
        return step;
    }
    return NULL;
}

/* The object inside a wrapper that sees the wrapper's input. */
static const struct mr_pk *inner(const struct mr_pk *o) {
    static const char *const one[] = {"best_estimator_", "estimator_", "base_estimator_",
                                      "regressor_", "classifier_"};
    const struct mr_pk *v = first_step(mr_pk_attr(o, "steps"));
    if (!v)
        v = first_step(mr_pk_attr(o, "transformer_list"));
    for (size_t i = 0; !v && i < sizeof one / sizeof *one; i++) {
        const struct mr_pk *x = mr_pk_attr(o, one[i]);
        if (x && x->type == MR_PK_OBJ)
            v = x;
    }
    if (!v)
        v = item(mr_pk_attr(o, "estimators_"), 0);
    if (!v)
        v = item(mr_pk_attr(o, "calibrated_classifiers_"), 0);
    return v && v->type == MR_PK_OBJ ? v : NULL;
}

static int names(struct mr_arena *a, const struct mr_pk *o, struct mr_root_input *ret,
                 struct mr_err *e) {
    const struct mr_pk *arr = mr_pk_attr(o, "feature_names_in_");
    size_t n = mr_pk_len(arr);
    if (n == 0 || ret->feature_names || (ret->width && ret->width != n) || n > MR_MAX_WIDTH)
        return 0;
    struct mr_str *v = mr_arena_array(a, n, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        if (!mr_pk_str(mr_pk_item(a, arr, i), &v[i]))
            return 0;
    ret->feature_names = v;
    ret->width = (uint32_t)n;
    return 0;
}

static void width(const struct mr_pk *o, struct mr_root_input *ret) {
    static const char *const attr[] = {"n_features_in_", "_n_features_in", "n_features_"};
    int64_t n;
    for (size_t i = 0; !ret->width && i < sizeof attr / sizeof *attr; i++)
        if (mr_pk_int(mr_pk_attr(o, attr[i]), &n) && n > 0 && n <= MR_MAX_WIDTH)
            ret->width = (uint32_t)n;
}

int mr_root_input(struct mr_arena *a, const struct mr_pk *root, struct mr_root_input *ret,
                  struct mr_err *e) {
    struct mr_root_input in = {0};
    const struct mr_pk *o = root;
    for (int depth = 0; o && depth < MAX_DEPTH; depth++, o = inner(o)) {
        if (!in.version.p)
            mr_pk_str(mr_pk_attr(o, "_sklearn_version"), &in.version);
        if (is_text_class(mr_pk_class_short(o)) && !in.width) {
            in.width = 1;
            in.text = true;
        }
        width(o, &in);
        if (!in.width) {
            int r = mr_boost_input(a, o, &in.width, &in.feature_names, &in.version, e);
            if (r)
                return r;
        }
        int r = names(a, o, &in, e);
        if (r)
            return r;
    }
    if (mr_str_is(mr_pk_class_short(root), "LabelEncoder") ||
        mr_str_is(mr_pk_class_short(root), "LabelBinarizer"))
        in.width = 1;
    *ret = in;
    return 0;
}
