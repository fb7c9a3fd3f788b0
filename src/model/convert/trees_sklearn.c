#include "model/convert/trees_sklearn.h"

#include <math.h>

#define MAX_LIST 1000000u

int mr_sk_version(const struct mr_pk *obj) {
    struct mr_str s;
    int64_t major, minor;
    if (!mr_pk_str(mr_pk_attr(obj, "_sklearn_version"), &s))
        return 0;
    struct mr_str a = mr_str_cut(&s, '.'), b = mr_str_cut(&s, '.');
    return mr_str_i64(a, 0, 100, &major) && mr_str_i64(b, 0, 99, &minor)
               ? (int)(major * 100 + minor)
               : 0;
}

bool mr_sk_is_tree(const struct mr_pk *obj) {
    static const char *const names[] = {"DecisionTreeClassifier", "DecisionTreeRegressor",
                                        "ExtraTreeClassifier", "ExtraTreeRegressor"};
    char full[256];
    mr_pk_class_name(obj, full, sizeof full);
    if (strncmp(full, "sklearn.tree.", 13) != 0)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mr_str_is(mr_pk_class_short(obj), names[i]))
            return true;
    return false;
}

static bool has_field(const struct mr_pk *arr, const char *name) {
    const struct mr_pk *d = arr && arr->type == MR_PK_ARRAY ? arr->a.dtype : NULL;
    for (uint32_t i = 0; d && i < d->d.n_field; i++)
        if (mr_str_is(d->d.field[i].name, name))
            return true;
    return false;
}

bool mr_sk_tree_missing(const struct mr_pk *est) {
    struct mr_str split = {0}, criterion = {0};
    int version = mr_sk_version(est);
    bool extra = mr_str_starts(mr_pk_class_short(est), MR_LIT("ExtraTree"));
    const struct mr_pk *mono = mr_pk_attr(est, "monotonic_cst");
    if (!has_field(mr_pk_attr(mr_pk_attr(est, "tree_"), "nodes"), "missing_go_to_left") ||
        (mono && mono->type != MR_PK_NONE))
        return false;
    mr_pk_str(mr_pk_attr(est, "splitter"), &split);
    mr_pk_str(mr_pk_attr(est, "criterion"), &criterion);
    if (extra)
        return version >= 106 && mr_str_is(split, "random");
    return version >= 109 || (mr_str_is(split, "best") && !mr_str_is(criterion, "absolute_error"));
}

int mr_sk_list(struct mr_convert *c, const struct mr_pk *obj, const char *attr,
               const struct mr_pk *const **ret, size_t *ret_n, struct mr_err *e) {
    const struct mr_pk *v;
    int r = mr_convert_need(obj, attr, &v, e);
    if (r)
        return r;
    struct mr_pk *const *items;
    size_t n;
    if (!mr_pk_seq(v, &items, &n) || n == 0 || n > MAX_LIST)
        return mr_fail(e, MR_EREFUSED, "%s is not a list of fitted models", attr);
    (void)c;
    *ret = (const struct mr_pk *const *)items;
    *ret_n = n;
    return 0;
}

int mr_sk_columns(struct mr_convert *c, const struct mr_pk *arr, uint32_t width,
                  const uint32_t **ret, size_t *ret_n, struct mr_err *e) {
    const double *v;
    size_t rows, cols;
    int r = mr_pk_f64(c->arena, arr, &v, &rows, &cols, e);
    if (r)
        return r;
    size_t n = rows * cols;
    uint32_t *map = mr_arena_array(c->arena, n ? n : 1, sizeof *map);
    if (!map)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (!(v[i] >= 0 && v[i] < width))
            return mr_fail(e, MR_EREFUSED, "estimators_features_ names column %g of %u", v[i],
                           width);
        map[i] = (uint32_t)v[i];
    }
    *ret = map;
    *ret_n = n;
    return 0;
}

/* --- one tree --------------------------------------------------------------------------------- */

static int read_nodes(struct mr_convert *c, const struct mr_pk *nodes, struct mr_sk_tree *t,
                      struct mr_err *e) {
    size_t n[6];
    t->has_missing = has_field(nodes, "missing_go_to_left");
    int r = mr_pk_field_i64(c->arena, nodes, "left_child", &t->src.left, &n[0], e);
    if (!r)
        r = mr_pk_field_i64(c->arena, nodes, "right_child", &t->src.right, &n[1], e);
    if (!r)
        r = mr_pk_field_i64(c->arena, nodes, "feature", &t->src.feature, &n[2], e);
    if (!r)
        r = mr_pk_field_f64(c->arena, nodes, "threshold", &t->src.threshold, &n[3], e);
    if (!r)
        r = mr_pk_field_f64(c->arena, nodes, "n_node_samples", &t->n_samples, &n[4], e);
    if (r)
        return r;
    t->src.n = n[0];
    for (size_t i = 0; i < n[0]; i++)
        if (t->src.left[i] < -1)
            return mr_fail(e, MR_EREFUSED, "a tree's node %zu has child %lld", i,
                           (long long)t->src.left[i]);
    if (!t->has_missing)
        return 0;
    const int64_t *left;
    r = mr_pk_field_i64(c->arena, nodes, "missing_go_to_left", &left, &n[5], e);
    uint8_t *flags = r ? NULL : mr_arena_array(c->arena, n[5] ? n[5] : 1, 1);
    if (!r && !flags)
        r = mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; !r && i < n[5]; i++)
        flags[i] = left[i] ? MR_NODE_DEFAULT_LEFT : 0;
    t->src.flags = flags;
    return r;
}

int mr_sk_tree(struct mr_convert *c, const struct mr_pk *estimator, struct mr_sk_tree *ret,
               struct mr_err *e) {
    const struct mr_pk *tree, *nodes, *values;
    struct mr_sk_tree t = {0};
    if (!mr_sk_is_tree(estimator)) {
        struct mr_str s = mr_pk_class_short(estimator);
        return mr_fail(e, MR_EUNSUPPORTED, "a decision tree is needed here, not %.*s", (int)s.n,
                       s.p ? s.p : "");
    }
    int r = mr_convert_need(estimator, "tree_", &tree, e);
    if (!r)
        r = mr_convert_need(tree, "nodes", &nodes, e);
    if (!r)
        r = mr_convert_need(tree, "values", &values, e);
    if (r)
        return r;
    if (nodes->type != MR_PK_ARRAY || values->type != MR_PK_ARRAY || values->a.ndim != 3)
        return mr_fail(e, MR_EREFUSED, "a tree's arrays are damaged");
    r = read_nodes(c, nodes, &t, e);
    size_t rows, cols;
    if (!r)
        r = mr_pk_f64(c->arena, values, &t.src.value, &rows, &cols, e);
    if (r)
        return r;
    if (rows != t.src.n || rows == 0 || values->a.shape[1] <= 0 || values->a.shape[2] <= 0 ||
        values->a.shape[1] > 4096 || values->a.shape[2] > MR_MAX_WIDTH)
        return mr_fail(e, MR_EREFUSED, "a tree's values do not fit its nodes");
    t.n_outputs = (uint32_t)values->a.shape[1];
    t.max_classes = (uint32_t)values->a.shape[2];
    *ret = t;
    return 0;
}

int mr_sk_proba(struct mr_convert *c, const struct mr_sk_tree *t, uint32_t output,
                uint32_t n_classes, double *ret, size_t stride, struct mr_err *e) {
    (void)c;
    if (output >= t->n_outputs || n_classes > t->max_classes ||
        (t->n_outputs == 1 && n_classes != t->max_classes))
        return mr_fail(e, MR_EREFUSED, "a tree has other classes than its ensemble");
    for (size_t i = 0; i < t->src.n; i++) {
        const double *v = t->src.value + (i * t->n_outputs + output) * t->max_classes;
        double sum = 0;
        for (uint32_t k = 0; k < n_classes; k++)
            sum += v[k];
        /* Older versions store weighted counts, newer ones fractions. */
        bool counts = fabs(sum - 1) > 1e-9 && sum != 0;
        for (uint32_t k = 0; k < n_classes; k++)
            ret[i * stride + k] = counts ? v[k] / sum : v[k];
    }
    return 0;
}

int mr_sk_class_output(struct mr_convert *c, const struct mr_pk *classes, uint32_t pred,
                       uint32_t proba, uint32_t n_classes, struct mr_build_output *ret,
                       struct mr_err *e) {
    *ret = (struct mr_build_output){.pred_slot = pred, .proba_slot = proba};
    int r =
        mr_convert_classes(c->arena, classes, &ret->label_kind, &ret->classes, &ret->n_classes, e);
    if (r)
        return r;
    if (ret->n_classes != n_classes)
        return mr_fail(e, MR_EREFUSED, "%u class labels for %u classes", ret->n_classes, n_classes);
    return 0;
}
