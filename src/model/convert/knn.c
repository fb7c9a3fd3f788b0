/* Nearest neighbours and nearest centroids. */
#include "model/convert/families.h"

#include <math.h>

static int metric_of(const struct mr_pk *obj, struct mr_knn_params *p, struct mr_err *e) {
    static const struct {
        const char *name;
        uint32_t metric;
    } names[] = {{"euclidean", MR_METRIC_EUCLIDEAN}, {"l2", MR_METRIC_EUCLIDEAN},
                 {"manhattan", MR_METRIC_MANHATTAN}, {"cityblock", MR_METRIC_MANHATTAN},
                 {"l1", MR_METRIC_MANHATTAN},        {"chebyshev", MR_METRIC_CHEBYSHEV},
                 {"infinity", MR_METRIC_CHEBYSHEV},  {"minkowski", MR_METRIC_MINKOWSKI},
                 {"cosine", MR_METRIC_COSINE}};
    struct mr_str s = mr_get_str(obj, "effective_metric_");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mr_str_is(s, names[i].name))
            p->metric = names[i].metric;
    if (!p->metric)
        return mr_unsupported(obj, e,
                              "measures distance by \"%.*s\"; served are euclidean, manhattan, "
                              "chebyshev, minkowski and cosine",
                              (int)(s.n < 60 ? s.n : 60), s.p);
    const struct mr_pk *params = mr_pk_attr(obj, "effective_metric_params_");
    const struct mr_pk *w = mr_pk_get(params, "w");
    if (w && w->type != MR_PK_NONE)
        return mr_unsupported(obj, e, "weighs the columns in its metric (metric_params w)");
    if (p->metric != MR_METRIC_MINKOWSKI)
        return 0;
    if (!mr_pk_num(mr_pk_get(params, "p"), &p->p) || !(p->p > 0 && p->p < 1e6))
        return mr_refuse_attr(obj, "effective_metric_params_", e, "has no usable p");
    if (p->p == 1)
        p->metric = MR_METRIC_MANHATTAN;
    else if (p->p == 2)
        p->metric = MR_METRIC_EUCLIDEAN;
    return 0;
}

/* Fields of BinaryTree.__getstate__: data, idx_array, node_data, node_bounds, … */
struct tree {
    const double *data;
    const uint32_t *order;
    uint32_t *node;
    const double *radius, *lo, *hi;
    size_t n_node;
};

static int tree_nodes(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *arr,
                      size_t n_fit, struct tree *t, struct mr_err *e) {
    const int64_t *first, *last, *leaf;
    size_t n[4];
    struct mr_err inner = {0};
    if (mr_pk_field_i64(c->arena, arr, "idx_start", &first, &n[0], &inner) ||
        mr_pk_field_i64(c->arena, arr, "idx_end", &last, &n[1], &inner) ||
        mr_pk_field_i64(c->arena, arr, "is_leaf", &leaf, &n[2], &inner) ||
        mr_pk_field_f64(c->arena, arr, "radius", &t->radius, &n[3], &inner))
        return mr_refuse_attr(obj, "_tree", e, "node data is damaged: %s", inner.msg);
    t->n_node = n[0];
    if (!n[0] || n[0] > (1u << 28) || n[1] != n[0] || n[2] != n[0] || n[3] != n[0])
        return mr_refuse_attr(obj, "_tree", e, "has no nodes");
    t->node = mr_convert_array(c, t->n_node, 3 * sizeof *t->node, e);
    if (!t->node)
        return MR_ENOMEM;
    uint64_t in_leaves = 0;
    for (size_t i = 0; i < t->n_node; i++) {
        bool is_leaf = leaf[i] != 0;
        if (first[i] < 0 || last[i] < first[i] || (uint64_t)last[i] > n_fit ||
            (!is_leaf && 2 * i + 2 >= t->n_node) || !isfinite(t->radius[i]))
            return mr_refuse_attr(obj, "_tree", e, "node %zu is out of range", i);
        t->node[i * 3] = (uint32_t)first[i];
        t->node[i * 3 + 1] = (uint32_t)last[i];
        t->node[i * 3 + 2] = is_leaf;
        in_leaves += is_leaf ? (uint64_t)(last[i] - first[i]) : 0;
    }
    if (in_leaves > n_fit)
        return mr_refuse_attr(obj, "_tree", e, "leaves overlap");
    return 0;
}

static int read_tree(struct mr_convert *c, const struct mr_pk *obj, size_t n_fit, size_t n_in,
                     bool ball, struct tree *t, struct mr_err *e) {
    const struct mr_pk *node = mr_pk_attr(obj, "_tree");
    const struct mr_pk *state = node && node->type == MR_PK_OBJ ? node->o.state : NULL;
    struct mr_pk *const *v;
    size_t n, rows, cols;
    if (!state || state->type != MR_PK_TUPLE || !mr_pk_seq(state, &v, &n) || n < 4)
        return mr_refuse_attr(obj, "_tree", e, "is no k-d or ball tree");
    int r = mr_node_matrix(c, obj, v[0], "_tree", false, &t->data, &rows, &cols, e);
    if (r)
        return r;
    if (rows != n_fit || cols != n_in)
        return mr_refuse_attr(obj, "_tree", e, "holds %zu x %zu values, not %zu x %zu", rows, cols,
                              n_fit, n_in);
    const double *order;
    r = mr_node_matrix(c, obj, v[1], "_tree", false, &order, &rows, &cols, e);
    if (!r && rows * cols != n_fit)
        r = mr_refuse_attr(obj, "_tree", e, "index array has the wrong length");
    uint32_t *idx = r ? NULL : mr_convert_array(c, n_fit, sizeof *idx, e);
    if (!r && !idx)
        r = MR_ENOMEM;
    for (size_t i = 0; !r && i < n_fit; i++) {
        if (!(order[i] >= 0 && order[i] < (double)n_fit))
            r = mr_refuse_attr(obj, "_tree", e, "index %zu is out of range", i);
        else
            idx[i] = (uint32_t)order[i];
    }
    t->order = idx;
    if (!r)
        r = tree_nodes(c, obj, v[2], n_fit, t, e);
    if (!r)
        r = mr_node_matrix(c, obj, v[3], "_tree", false, &t->lo, &rows, &cols, e);
    if (r)
        return r;
    size_t box = t->n_node * n_in;
    if (rows != (ball ? 1u : 2u) || cols != box)
        return mr_refuse_attr(obj, "_tree", e, "bounds have the wrong shape");
    t->hi = ball ? NULL : t->lo + box;
    return 0;
}

static int put_tree(struct mr_convert *c, const struct mr_pk *obj, struct mr_blob *blob,
                    struct mr_knn_params *p, struct mr_err *e) {
    struct tree t = {0};
    bool ball = p->method == MR_KNN_BALLTREE;
    if (p->metric == MR_METRIC_COSINE)
        return mr_refuse_attr(obj, "effective_metric_", e, "cosine needs brute force");
    int r = read_tree(c, obj, p->n_fit, p->n_in, ball, &t, e);
    if (r)
        return r;
    double *x = mr_convert_array(c, p->n_fit, p->n_in * sizeof *x, e); /* in the tree's order */
    if (!x)
        return MR_ENOMEM;
    for (size_t i = 0; i < p->n_fit; i++)
        memcpy(x + i * p->n_in, t.data + (size_t)t.order[i] * p->n_in, p->n_in * sizeof *x);
    p->n_node = (uint32_t)t.n_node;
    p->x = mr_blob_f64(blob, x, (size_t)p->n_fit * p->n_in);
    p->order = mr_blob_u32(blob, t.order, p->n_fit);
    p->node = mr_blob_u32(blob, t.node, t.n_node * 3);
    p->lo = mr_blob_f64(blob, t.lo, t.n_node * p->n_in);
    if (ball)
        p->radius = mr_blob_f64(blob, t.radius, t.n_node);
    else
        p->hi = mr_blob_f64(blob, t.hi, t.n_node * p->n_in);
    return 0;
}

static int put_brute(struct mr_convert *c, const double *x, struct mr_blob *blob,
                     struct mr_knn_params *p, struct mr_err *e) {
    if (p->metric == MR_METRIC_COSINE) {
        double *unit = mr_convert_array(c, p->n_fit, p->n_in * sizeof *unit, e);
        if (!unit)
            return MR_ENOMEM;
        for (size_t i = 0; i < p->n_fit; i++) {
            double s = 0;
            for (size_t j = 0; j < p->n_in; j++)
                s += x[i * p->n_in + j] * x[i * p->n_in + j];
            s = s > 0 ? sqrt(s) : 1;
            for (size_t j = 0; j < p->n_in; j++)
                unit[i * p->n_in + j] = x[i * p->n_in + j] / s;
        }
        x = unit;
    }
    if (p->metric == MR_METRIC_EUCLIDEAN) {
        double *norm = mr_convert_array(c, p->n_fit, sizeof *norm, e);
        if (!norm)
            return MR_ENOMEM;
        for (size_t i = 0; i < p->n_fit; i++)
            norm[i] = mr_norm_fma(x + i * p->n_in, p->n_in);
        p->norm = mr_blob_f64(blob, norm, p->n_fit);
    }
    return mr_blob_blocks(c, blob, x, p->n_fit, p->n_in, &p->x, e);
}

/* Emits MR_OP_KNN; ret_k and ret_n are needed for pooling. */
static int neighbours(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t *ret,
                      uint32_t *ret_k, uint32_t *ret_n, struct mr_err *e) {
    struct mr_knn_params p = {0};
    const double *x;
    size_t rows, cols;
    int64_t k;
    int r = mr_get_rows(c, obj, "_fit_X", &x, &rows, &cols, e);
    if (!r && (!rows || rows > (1u << 28)))
        r = mr_refuse_attr(obj, "_fit_X", e, "has %zu rows", rows);
    if (!r)
        r = mr_want_width(c, obj, in, cols, e);
    if (!r)
        r = mr_get_int(obj, "n_neighbors", 1, (int64_t)rows, &k, e);
    if (!r)
        r = metric_of(obj, &p, e);
    if (r)
        return r;
    p.n_fit = (uint32_t)rows;
    p.n_in = (uint32_t)cols;
    p.k = (uint32_t)k;
    struct mr_str method = mr_get_str(obj, "_fit_method");
    p.method = mr_str_is(method, "kd_tree")     ? MR_KNN_KDTREE
               : mr_str_is(method, "ball_tree") ? MR_KNN_BALLTREE
               : mr_str_is(method, "brute")     ? MR_KNN_BRUTE
                                                : 0;
    if (!p.method)
        return mr_refuse_attr(obj, "_fit_method", e, "is neither kd_tree, ball_tree nor brute");
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof p);
    r = p.method == MR_KNN_BRUTE ? put_brute(c, x, &blob, &p, e) : put_tree(c, obj, &blob, &p, e);
    if (r)
        return r;
    void *head = mr_blob_head(&blob);
    if (!head)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    memcpy(head, &p, sizeof p);
    *ret = mr_emit(c, MR_OP_KNN, mr_convert_dense(c, in), 2 * p.k, &blob);
    *ret_k = p.k;
    *ret_n = p.n_fit;
    return 0;
}

static int weighting(const struct mr_pk *obj, uint32_t *ret, struct mr_err *e) {
    const struct mr_pk *w = mr_pk_attr(obj, "weights");
    struct mr_str s = mr_get_str(obj, "weights");
    *ret = mr_str_is(s, "distance");
    if (*ret || mr_str_is(s, "uniform") || (w && w->type == MR_PK_NONE))
        return 0;
    return mr_unsupported(obj, e,
                          "weighs neighbours by a function; served are uniform and "
                          "distance");
}

/* Classes of output `col` out of `cols`, pooled to probabilities. */
static int classify(struct mr_convert *c, const struct mr_pk *obj, uint32_t knn,
                    struct mr_knn_pool_params p, const double *y, size_t col, size_t cols,
                    struct mr_build_output *out, struct mr_err *e) {
    uint32_t *cls = mr_convert_array(c, p.n_fit, sizeof *cls, e);
    if (!cls)
        return MR_ENOMEM;
    for (size_t i = 0; i < p.n_fit; i++) {
        double v = y[i * cols + col];
        if (!(v >= 0 && v < out->n_classes))
            return mr_refuse_attr(obj, "_y", e, "holds a class out of range");
        cls[i] = (uint32_t)v;
    }
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof p);
    p.n_class = out->n_classes;
    p.y = mr_blob_u32(&blob, cls, p.n_fit);
    void *head = mr_blob_head(&blob);
    if (!head)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    memcpy(head, &p, sizeof p);
    out->proba_slot = mr_emit(c, MR_OP_KNN_POOL, knn, p.n_class, &blob);
    out->pred_slot = mr_emit_argmax(c, out->proba_slot);
    return 0;
}

int mr_convert_knn_classifier(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                              struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_knn_pool_params p = {0};
    uint32_t knn;
    const double *y;
    size_t rows, cols;
    const struct mr_pk *classes;
    bool several = false;
    int r = weighting(obj, &p.by_distance, e);
    if (!r)
        r = neighbours(c, obj, in, &knn, &p.k, &p.n_fit, e);
    if (!r)
        r = mr_get_matrix(c, obj, "_y", false, &y, &rows, &cols, e);
    if (!r)
        r = mr_convert_need(obj, "classes_", &classes, e);
    if (r)
        return r;
    mr_pk_bool(mr_pk_attr(obj, "outputs_2d_"), &several);
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = several ? (uint32_t)(cols < 65 ? cols : 65) : 1;
    if (rows != p.n_fit || ret->n_outputs > 64 || (!several && cols != 1))
        return mr_refuse_attr(obj, "_y", e, "has the shape %zu x %zu", rows, cols);
    struct mr_pk *const *each = NULL;
    size_t n_each = 0;
    if (several && (!mr_pk_seq(classes, &each, &n_each) || n_each != cols))
        return mr_refuse_attr(obj, "classes_", e, "is not a list of %zu arrays", cols);
    for (uint32_t i = 0; !r && i < ret->n_outputs; i++) {
        struct mr_build_output *o = &ret->out[i];
        r = mr_convert_classes(c->arena, several ? each[i] : classes, &o->label_kind, &o->classes,
                               &o->n_classes, e);
        if (!r)
            r = classify(c, obj, knn, p, y, i, cols, o, e);
    }
    return r;
}

int mr_convert_knn_regressor(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                             struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_knn_pool_params p = {0};
    uint32_t knn;
    const double *y;
    size_t rows, cols;
    int r = weighting(obj, &p.by_distance, e);
    if (!r)
        r = neighbours(c, obj, in, &knn, &p.k, &p.n_fit, e);
    if (!r)
        r = mr_get_matrix(c, obj, "_y", false, &y, &rows, &cols, e);
    if (r)
        return r;
    if (rows != p.n_fit || !cols || cols > 64)
        return mr_refuse_attr(obj, "_y", e, "has the shape %zu x %zu", rows, cols);
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof p);
    p.n_out = (uint32_t)cols;
    p.y = mr_blob_f64(&blob, y, rows * cols);
    void *head = mr_blob_head(&blob);
    if (!head)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    memcpy(head, &p, sizeof p);
    return mr_regress_columns(c, obj, mr_emit(c, MR_OP_KNN_POOL, knn, p.n_out, &blob), ret, e);
}
