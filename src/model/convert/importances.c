/* feature_importances_ of tree models. The library computes them from the trees on demand, so a
 * selector's choice has to be computed from the trees in the file as well. */
#include "model/convert/importances.h"

/* Adds one tree's importances (the decrease of weighted impurity a feature brought). */
static int add_tree(struct mr_convert *c, const struct mr_pk *tree, uint32_t n, bool normalize,
                    double *sum, bool *ret_split, struct mr_err *e) {
    const struct mr_pk *nodes = mr_pk_attr(mr_pk_attr(tree, "tree_"), "nodes");
    const int64_t *left, *right, *feature;
    const double *impurity, *weight;
    size_t k[5];
    if (!nodes)
        return mr_fail(e, MR_EREFUSED, "a tree has no nodes");
    int rc = mr_pk_field_i64(c->arena, nodes, "left_child", &left, &k[0], e);
    if (rc == 0)
        rc = mr_pk_field_i64(c->arena, nodes, "right_child", &right, &k[1], e);
    if (rc == 0)
        rc = mr_pk_field_i64(c->arena, nodes, "feature", &feature, &k[2], e);
    if (rc == 0)
        rc = mr_pk_field_f64(c->arena, nodes, "impurity", &impurity, &k[3], e);
    if (rc == 0)
        rc = mr_pk_field_f64(c->arena, nodes, "weighted_n_node_samples", &weight, &k[4], e);
    if (rc)
        return rc;
    double *own = mr_arena_zalloc(c->arena, ((size_t)n + 1) * sizeof *own), total = 0;
    if (!own)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < k[0]; i++) {
        int64_t l = left[i], r = right[i], f = feature[i];
        if (l < 0)
            continue;
        if ((size_t)l >= k[0] || r < 0 || (size_t)r >= k[0] || f < 0 || f >= n)
            return mr_fail(e, MR_EREFUSED, "a tree's nodes are out of range");
        own[f] += weight[i] * impurity[i] - weight[l] * impurity[l] - weight[r] * impurity[r];
    }
    *ret_split = k[0] > 1;
    if (!*ret_split)
        return 0;
    for (uint32_t j = 0; j < n; j++) {
        own[j] /= weight[0];
        total += own[j];
    }
    for (uint32_t j = 0; j < n; j++)
        sum[j] += normalize && total > 0 ? own[j] / total : own[j];
    return 0;
}

static void share(double *v, uint32_t n) {
    double total = 0;
    for (uint32_t j = 0; j < n; j++)
        total += v[j];
    for (uint32_t j = 0; j < n && total > 0; j++)
        v[j] /= total;
}

int mr_importances(struct mr_convert *c, const struct mr_pk *est, uint32_t n, const double **ret,
                   struct mr_err *e) {
    double *sum = mr_arena_zalloc(c->arena, ((size_t)n + 1) * sizeof *sum);
    uint32_t used = 0;
    bool split;
    int rc = 0;
    if (!sum)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    if (mr_pk_attr(est, "tree_")) {
        rc = add_tree(c, est, n, true, sum, &split, e);
        *ret = sum;
        return rc;
    }
    struct mr_str cls = mr_pk_class_short(est);
    bool boosted = mr_str_starts(cls, MR_LIT("GradientBoosting"));
    bool forest =
        mr_str_starts(cls, MR_LIT("RandomForest")) || mr_str_starts(cls, MR_LIT("ExtraTrees"));
    const struct mr_pk *list = mr_pk_attr(est, "estimators_");
    size_t n_tree = mr_pk_len(list);
    if ((!boosted && !forest) || n_tree == 0)
        return MR_EUNSUPPORTED;
    for (size_t i = 0; i < n_tree && rc == 0; i++) {
        const struct mr_pk *row = mr_pk_item(c->arena, list, i);
        struct mr_pk *const *item;
        size_t k = 0;
        if (forest) {
            rc = add_tree(c, row, n, true, sum, &split, e);
            used += rc == 0 && split;
            continue;
        }
        /* boosting: an array of rounds x classes; items of a row, or of the flat list */
        if (!mr_pk_seq(list, &item, &k) || k == 0)
            return MR_EUNSUPPORTED;
        for (size_t j = 0; j < k && rc == 0; j++) {
            rc = add_tree(c, item[j], n, false, sum, &split, e);
            used += rc == 0 && split;
        }
        break;
    }
    if (rc)
        return rc;
    for (uint32_t j = 0; j < n && used; j++)
        sum[j] /= used;
    share(sum, n);
    *ret = sum;
    return 0;
}
