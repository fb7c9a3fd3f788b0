/* KMeans, MiniBatchKMeans (predict and transform) and BisectingKMeans. */
#include "model/convert/families.h"

#define MAX_TREE_NODES ((size_t)1 << 20)

static int cluster_labels(struct mr_convert *c, uint32_t k, struct mr_estimator_out *ret,
                          struct mr_err *e) {
    struct mr_label *l = mr_convert_array(c, k, sizeof *l, e);
    if (!l)
        return MR_ENOMEM;
    for (uint32_t i = 0; i < k; i++)
        l[i] = (struct mr_label){.i = i, .f = i};
    ret->task = MR_TASK_CLUSTER;
    ret->n_outputs = 1;
    ret->out[0].proba_slot = MR_NO_SLOT;
    ret->out[0].label_kind = MR_LABEL_INT;
    ret->out[0].classes = l;
    ret->out[0].n_classes = k;
    return 0;
}

static int centres(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   enum mr_kmeans_mode mode, uint32_t *ret, uint32_t *ret_k, struct mr_err *e) {
    const double *x;
    size_t k, d;
    struct mr_ref xr;
    int r = mr_get_matrix(c, obj, "cluster_centers_", false, &x, &k, &d, e);
    if (!r)
        r = mr_want_width(c, obj, in, d, e);
    if (!r && (!k || k > MR_MAX_WIDTH))
        r = mr_refuse_attr(obj, "cluster_centers_", e, "has %zu rows", k);
    if (r)
        return r;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_kmeans_params));
    r = mr_blob_blocks(c, &blob, x, k, d, &xr, e);
    struct mr_kmeans_params *p = r ? NULL : mr_blob_head(&blob);
    if (!p)
        return r ? r : mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_kmeans_params){.n_in = (uint32_t)d,
                                   .n_cluster = (uint32_t)k,
                                   .mode = mode,
                                   .metric = MR_METRIC_EUCLIDEAN,
                                   .x = xr};
    uint32_t width = mode == MR_KMEANS_DISTANCE ? (uint32_t)k : 1;
    *ret = mr_emit(c, MR_OP_KMEANS, mr_convert_dense(c, in), width, &blob);
    *ret_k = (uint32_t)k;
    return 0;
}

int mr_convert_kmeans(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                      struct mr_estimator_out *ret, struct mr_err *e) {
    uint32_t k = 0;
    int r = centres(c, obj, in, MR_KMEANS_INDEX, &ret->out[0].pred_slot, &k, e);
    return r ? r : cluster_labels(c, k, ret, e);
}

int mr_convert_kmeans_transform(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                                uint32_t *ret_out, struct mr_err *e) {
    uint32_t k;
    return centres(c, obj, in, MR_KMEANS_DISTANCE, ret_out, &k, e);
}

/* Breadth first, so that children always have larger numbers than their parent; a shared or
 * circular node shows up as a tree of more than 2k - 1 nodes. */
struct bisect {
    const struct mr_pk **obj;
    uint32_t *node;
    double *x;
    size_t n, max;
};

static int bisect_node(struct mr_convert *c, const struct mr_pk *obj, struct bisect *t, size_t i,
                       size_t d, const double *mean, uint32_t k, struct mr_err *e) {
    const struct mr_pk *o = t->obj[i], *left = mr_pk_attr(o, "left"),
                       *right = mr_pk_attr(o, "right");
    const double *centre;
    int r = mr_get_vector(c, o, "center", d, &centre, e);
    if (r)
        return r;
    for (size_t j = 0; j < d; j++)
        t->x[i * d + j] = centre[j] + (mean ? mean[j] : 0);
    bool inner = left && left->type == MR_PK_OBJ && right && right->type == MR_PK_OBJ;
    if (inner) {
        if (t->n + 2 > t->max)
            return mr_refuse_attr(obj, "_bisecting_tree", e, "has too many nodes");
        t->node[i * 3] = (uint32_t)t->n;
        t->node[i * 3 + 1] = (uint32_t)t->n + 1;
        t->obj[t->n++] = left;
        t->obj[t->n++] = right;
        return 0;
    }
    int64_t label;
    r = mr_get_int(o, "label", 0, (int64_t)k - 1, &label, e);
    t->node[i * 3] = t->node[i * 3 + 1] = 0;
    t->node[i * 3 + 2] = r ? 0 : (uint32_t)label;
    return r;
}

int mr_convert_bisecting_kmeans(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                                struct mr_estimator_out *ret, struct mr_err *e) {
    const double *x, *mean = NULL;
    size_t k, d;
    const struct mr_pk *root;
    int r = mr_get_matrix(c, obj, "cluster_centers_", false, &x, &k, &d, e);
    if (!r)
        r = mr_want_width(c, obj, in, d, e);
    if (!r)
        r = mr_convert_need(obj, "_bisecting_tree", &root, e);
    if (!r && mr_pk_attr(obj, "_X_mean"))
        r = mr_get_vector(c, obj, "_X_mean", d, &mean, e);
    if (!r && (!k || k > MAX_TREE_NODES / 2))
        r = mr_refuse_attr(obj, "cluster_centers_", e, "has %zu rows", k);
    if (r)
        return r;
    struct bisect t = {.max = 2 * k - 1, .n = 1};
    t.obj = mr_convert_array(c, t.max, sizeof *t.obj, e);
    t.node = mr_convert_array(c, t.max * 3, sizeof *t.node, e);
    t.x = mr_convert_array(c, t.max, d * sizeof *t.x, e);
    if (!t.obj || !t.node || !t.x)
        return MR_ENOMEM;
    memset(t.node, 0, t.max * 3 * sizeof *t.node);
    t.obj[0] = root;
    for (size_t i = 0; i < t.n; i++)
        if ((r = bisect_node(c, obj, &t, i, d, mean, (uint32_t)k, e)))
            return r;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_kmeans_params));
    struct mr_ref xr = mr_blob_f64(&blob, t.x, t.n * d), nr = mr_blob_u32(&blob, t.node, t.n * 3);
    struct mr_kmeans_params *p = mr_blob_head(&blob);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_kmeans_params){.n_in = (uint32_t)d,
                                   .n_cluster = (uint32_t)k,
                                   .mode = MR_KMEANS_TREE,
                                   .metric = MR_METRIC_EUCLIDEAN,
                                   .x = xr,
                                   .node = nr};
    ret->out[0].pred_slot = mr_emit(c, MR_OP_KMEANS, mr_convert_dense(c, in), 1, &blob);
    return cluster_labels(c, (uint32_t)k, ret, e);
}
