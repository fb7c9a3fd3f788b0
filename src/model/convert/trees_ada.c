/* AdaBoost over decision trees. A tree's vote depends only on the leaf, so votes are written into
 * the leaves: SAMME and SAMME.R become sums over an ensemble; the regressor (AdaBoost.R2) takes the
 * weighted median of its trees. */
#include "base/cleanup.h"
#include "model/convert/trees_sklearn.h"
#include "model/op_ids.h"
#include "model/ops/params.h"

#include <float.h>
#include <math.h>

struct ada {
    const struct mr_pk *const *tree;
    size_t n;
    const double *weight; /* at least n */
    double total;
    bool real;     /* SAMME.R */
    double others; /* what a tree gives the classes it does not predict, times its weight */
    uint32_t n_classes;
};

static int read_ada(struct mr_convert *c, const struct mr_pk *obj, struct ada *a,
                    struct mr_err *e) {
    size_t rows, cols;
    struct mr_str algorithm = {0};
    *a = (struct ada){0};
    int r = mr_sk_list(c, obj, "estimators_", &a->tree, &a->n, e);
    if (!r)
        r = mr_convert_need_f64(c, obj, "estimator_weights_", &a->weight, &rows, &cols, e);
    if (r)
        return r;
    if (rows < a->n || cols != 1)
        return mr_fail(e, MR_EREFUSED, "estimator_weights_ does not fit the estimators");
    for (size_t i = 0; i < rows; i++)
        a->total += a->weight[i];
    if (!(a->total > 0))
        return mr_fail(e, MR_EREFUSED, "the weights of the estimators add up to %g", a->total);
    for (size_t i = 0; i < a->n; i++)
        if (!mr_sk_is_tree(a->tree[i]))
            return mr_fail(e, MR_EUNSUPPORTED,
                           "AdaBoost over %.*s; only decision trees have a native reader. Export "
                           "the model to ONNX",
                           (int)mr_pk_class_short(a->tree[i]).n, mr_pk_class_short(a->tree[i]).p);
    mr_pk_str(mr_pk_attr(obj, "algorithm"), &algorithm);
    a->real = mr_str_is(algorithm, "SAMME.R");
    a->n_classes = (uint32_t)mr_pk_len(mr_pk_attr(obj, "classes_"));
    if (mr_sk_version(obj) >= 103 && a->n_classes > 1)
        a->others = -1.0 / (a->n_classes - 1);
    return 0;
}

/* Turns class fractions p into this tree's votes. */
static void votes(const struct ada *a, double weight, double *p) {
    uint32_t n = a->n_classes;
    if (a->real) {
        double sum = 0;
        for (uint32_t k = 0; k < n; k++)
            sum += p[k] = log(fmax(p[k], DBL_EPSILON));
        for (uint32_t k = 0; k < n; k++)
            p[k] = (n - 1) * (p[k] - (1.0 / n) * sum);
        return;
    }
    uint32_t top = 0;
    for (uint32_t k = 1; k < n; k++)
        if (p[k] > p[top])
            top = k;
    for (uint32_t k = 0; k < n; k++)
        p[k] = k == top ? weight : a->others * weight;
}

static int add_votes(struct mr_convert *c, const struct ada *a, struct mr_tree_builder *tb,
                     struct mr_err *e) {
    for (size_t i = 0; i < a->n; i++) {
        struct mr_sk_tree t;
        int r = mr_sk_tree(c, a->tree[i], &t, e);
        if (r)
            return r;
        if (mr_pk_len(mr_pk_attr(a->tree[i], "classes_")) != a->n_classes)
            return mr_fail(e, MR_EUNSUPPORTED, "an estimator knows fewer classes than AdaBoost");
        double *v = mr_arena_array(c->arena, t.src.n * a->n_classes, sizeof *v);
        if (!v)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        r = mr_sk_proba(c, &t, 0, a->n_classes, v, a->n_classes, e);
        for (size_t k = 0; !r && k < t.src.n; k++)
            votes(a, a->weight[i], v + k * a->n_classes);
        t.src.value = v;
        if (!r)
            r = mr_tb_add(tb, &t.src, 0, e);
        if (r)
            return r;
    }
    return 0;
}

static int classifier(struct mr_convert *c, const struct mr_pk *obj, const struct ada *a,
                      uint32_t in, struct mr_estimator_out *ret, struct mr_err *e) {
    MR_CLEANUP(mr_tb_release) struct mr_tree_builder tb = {0};
    if (a->n_classes < 2)
        return mr_fail(e, MR_EUNSUPPORTED, "AdaBoost with one class");
    int r = mr_tb_init(&tb, a->n_classes, mr_build_slot_width(c->b, in),
                       MR_TREES_F32 | MR_TREES_VECTOR, e);
    if (!r)
        r = add_votes(c, a, &tb, e);
    if (r)
        return r;
    uint32_t score = mr_tb_op(&tb, c, in, a->total), pred, proba;
    if (a->n_classes == 2) {
        uint32_t two[2] = {mr_tree_select(c, score, NULL, 0, 1),
                           mr_tree_select(c, score, NULL, 1, 1)};
        score = mr_tree_mean(c, two, 2, (double[]){-1, 1}, 1);
        proba = mr_tree_link(c, mr_tree_link(c, score, MR_LINK_NEG_PAIR, 0.5, 2), MR_LINK_SOFTMAX,
                             1, 2);
        pred = mr_tree_threshold(c, score, 0, false);
    } else {
        proba = mr_tree_link(c, score, MR_LINK_SOFTMAX, 1.0 / (a->n_classes - 1), a->n_classes);
        pred = mr_tree_argmax(c, score);
    }
    ret->task = MR_TASK_CLASSIFY;
    ret->decision_slot = score;
    return mr_sk_class_output(c, mr_pk_attr(obj, "classes_"), pred, proba, a->n_classes,
                              &ret->out[0], e);
}

static int regressor(struct mr_convert *c, const struct ada *a, uint32_t in,
                     struct mr_estimator_out *ret, struct mr_err *e) {
    MR_CLEANUP(mr_tb_release) struct mr_tree_builder tb = {0};
    int r = mr_tb_init(&tb, (uint32_t)a->n, mr_build_slot_width(c->b, in), MR_TREES_F32, e);
    for (size_t i = 0; !r && i < a->n; i++) {
        struct mr_sk_tree t;
        r = mr_sk_tree(c, a->tree[i], &t, e);
        if (!r && (t.n_outputs != 1 || t.max_classes != 1))
            r = mr_fail(e, MR_EREFUSED, "a boosted tree has several outputs");
        if (!r)
            r = mr_tb_add(&tb, &t.src, (uint32_t)i, e);
    }
    if (r)
        return r;
    uint32_t all = mr_tb_op(&tb, c, in, 1);
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, 1);
    struct mr_p_adaboost p = {0};
    struct mr_blob b;
    mr_blob_begin(c->b, &b, sizeof p);
    p.weight = mr_blob_f64(&b, a->weight, a->n);
    memcpy(mr_blob_head(&b), &p, sizeof p);
    mr_build_op(c->b, MR_OP_ADABOOST, &all, 1, out, &b);
    ret->task = MR_TASK_REGRESS;
    ret->out[0] = (struct mr_build_output){.pred_slot = out, .proba_slot = UINT32_MAX};
    return 0;
}

int mr_conv_ada(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                struct mr_estimator_out *ret, struct mr_err *e) {
    struct ada a;
    int r = read_ada(c, obj, &a, e);
    if (r)
        return r;
    in = mr_convert_dense(c, in);
    ret->n_outputs = 1;
    return mr_str_ends(mr_pk_class_short(obj), MR_LIT("Classifier"))
               ? classifier(c, obj, &a, in, ret, e)
               : regressor(c, &a, in, ret, e);
}
