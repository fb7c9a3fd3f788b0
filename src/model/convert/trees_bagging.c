/* Bagging (the mean of its members, each on its own columns) and IsolationForest. */
#include "base/cleanup.h"
#include "model/convert/trees_sklearn.h"
#include "model/op_ids.h"
#include "model/ops/params.h"

#include <math.h>

#define EULER_GAMMA 0.57721566490153286061

struct bag {
    const struct mr_pk *const *est, *const *cols;
    size_t n;
    bool classify, all_trees, missing;
    uint32_t n_classes;
};

static int read_bag(struct mr_convert *c, const struct mr_pk *obj, struct bag *g,
                    struct mr_err *e) {
    size_t n;
    *g = (struct bag){.all_trees = true, .missing = true};
    int r = mr_sk_list(c, obj, "estimators_", &g->est, &g->n, e);
    if (!r)
        r = mr_sk_list(c, obj, "estimators_features_", &g->cols, &n, e);
    if (r)
        return r;
    if (n != g->n)
        return mr_fail(e, MR_EREFUSED, "estimators_features_ does not fit the estimators");
    g->classify = mr_str_ends(mr_pk_class_short(obj), MR_LIT("Classifier"));
    if (g->classify)
        g->n_classes = (uint32_t)mr_pk_len(mr_pk_attr(obj, "classes_"));
    for (size_t i = 0; i < n; i++)
        g->all_trees &= mr_sk_is_tree(g->est[i]);
    return 0;
}

/* Position of each class of a member among the ensemble's; members are fitted on class numbers. */
static int class_map(struct mr_convert *c, const struct mr_pk *classes, uint32_t n_classes,
                     const uint32_t **ret, size_t *ret_n, struct mr_err *e) {
    int r = mr_sk_columns(c, classes, n_classes, ret, ret_n, e);
    if (!r && (*ret_n == 0 || *ret_n > n_classes))
        r = mr_fail(e, MR_EREFUSED, "a member's classes do not fit the ensemble's");
    return r;
}

static int add_member(struct mr_convert *c, const struct bag *g, size_t i,
                      struct mr_tree_builder *tb, struct mr_err *e) {
    struct mr_sk_tree t;
    const uint32_t *map;
    size_t n;
    int r = mr_sk_tree(c, g->est[i], &t, e);
    if (!r)
        r = mr_sk_columns(c, g->cols[i], tb->n_features, &t.src.map, &t.src.n_map, e);
    if (!r && t.n_outputs != 1)
        r = mr_fail(e, MR_EUNSUPPORTED, "bagging over several outputs");
    if (!r && g->classify)
        r = class_map(c, mr_pk_attr(g->est[i], "classes_"), g->n_classes, &map, &n, e);
    if (r || !g->classify)
        return r ? r : mr_tb_add(tb, &t.src, 0, e);
    double *v = mr_arena_zalloc(c->arena, t.src.n * g->n_classes * sizeof *v);
    double *own = mr_arena_array(c->arena, t.src.n * n, sizeof *own);
    if (!v || !own)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    r = mr_sk_proba(c, &t, 0, (uint32_t)n, own, n, e);
    for (size_t k = 0; !r && k < t.src.n * n; k++)
        v[k / n * g->n_classes + map[k % n]] = own[k];
    t.src.value = v;
    return r ? r : mr_tb_add(tb, &t.src, 0, e);
}

static int trees_only(struct mr_convert *c, struct bag *g, uint32_t in, uint32_t *ret,
                      struct mr_err *e) {
    MR_CLEANUP(mr_tb_release) struct mr_tree_builder tb = {0};
    in = mr_convert_dense(c, in);
    int r = mr_tb_init(&tb, g->classify ? g->n_classes : 1, mr_build_slot_width(c->b, in),
                       MR_TREES_F32 | (g->classify ? MR_TREES_VECTOR : 0), e);
    for (size_t i = 0; !r && i < g->n; i++) {
        g->missing &= mr_sk_tree_missing(g->est[i]);
        r = add_member(c, g, i, &tb, e);
    }
    if (!r)
        *ret = mr_tb_op(&tb, c, in, (double)g->n);
    return r;
}

/* A member's class number -> a one-hot row, or its probabilities -> the ensemble's classes. */
static int class_scores(struct mr_convert *c, const struct bag *g, const struct mr_pk *est,
                        const struct mr_build_output *o, uint32_t *ret, struct mr_err *e) {
    const uint32_t *map;
    size_t n;
    int r = class_map(c, mr_pk_attr(est, "classes_"), g->n_classes, &map, &n, e);
    if (r)
        return r;
    if (o->proba_slot != UINT32_MAX) {
        if (n != g->n_classes)
            return mr_fail(e, MR_EUNSUPPORTED, "a member of the ensemble saw fewer classes");
        *ret = o->proba_slot;
        return 0;
    }
    double *table = mr_arena_zalloc(c->arena, n * g->n_classes * sizeof *table);
    if (!table)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t k = 0; k < n; k++)
        table[k * g->n_classes + map[k]] = 1;
    struct mr_p_lookup p = {0};
    struct mr_blob b;
    mr_blob_begin(c->b, &b, sizeof p);
    p.table = mr_blob_f64(&b, table, n * g->n_classes);
    memcpy(mr_blob_head(&b), &p, sizeof p);
    *ret = mr_build_slot(c->b, MR_SLOT_DENSE, g->n_classes);
    mr_build_op(c->b, MR_OP_LOOKUP, &o->pred_slot, 1, *ret, &b);
    return 0;
}

static int any_members(struct mr_convert *c, struct bag *g, uint32_t in, uint32_t *ret,
                       struct mr_err *e) {
    struct mr_estimator_out *o = mr_arena_zalloc(c->arena, sizeof *o);
    uint32_t *slot = mr_arena_array(c->arena, g->n, sizeof *slot);
    if (!o || !slot)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < g->n; i++) {
        const uint32_t *map;
        size_t n;
        int r = mr_sk_columns(c, g->cols[i], mr_build_slot_width(c->b, in), &map, &n, e);
        if (!r)
            r = mr_convert_estimator(c, g->est[i], mr_tree_select(c, in, map, 0, (uint32_t)n), o,
                                     e);
        if (r)
            return r;
        if (o->n_outputs != 1 || (o->task == MR_TASK_CLASSIFY) != g->classify)
            return mr_fail(e, MR_EUNSUPPORTED, "bagging over this kind of member");
        g->missing &= o->accepts_missing;
        slot[i] = o->out[0].pred_slot;
        r = g->classify ? class_scores(c, g, g->est[i], &o->out[0], &slot[i], e) : 0;
        if (r)
            return r;
    }
    *ret = mr_tree_mean(c, slot, g->n, NULL, (double)g->n);
    return 0;
}

int mr_conv_bagging(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                    struct mr_estimator_out *ret, struct mr_err *e) {
    struct bag g;
    uint32_t out;
    int r = read_bag(c, obj, &g, e);
    if (!r)
        r = g.all_trees ? trees_only(c, &g, in, &out, e) : any_members(c, &g, in, &out, e);
    if (r)
        return r;
    ret->n_outputs = 1;
    ret->accepts_missing = g.missing;
    ret->task = g.classify ? MR_TASK_CLASSIFY : MR_TASK_REGRESS;
    if (g.classify)
        return mr_sk_class_output(c, mr_pk_attr(obj, "classes_"), mr_tree_argmax(c, out), out,
                                  g.n_classes, &ret->out[0], e);
    ret->out[0] = (struct mr_build_output){.pred_slot = out, .proba_slot = UINT32_MAX};
    return 0;
}

/* --- IsolationForest ---------------------------------------------------------------------------
 */

/* Mean depth of an unsuccessful search in a tree of n samples (Liu, Ting, Zhou 2008, eq. 1). */
static double average_path(double n) {
    if (n <= 1)
        return 0;
    return n == 2 ? 1 : 2 * (log(n - 1) + EULER_GAMMA) - 2 * (n - 1) / n;
}

/* Path length of every leaf. Children come after their parents in scikit-learn's arrays; mr_tb_add
 * refuses trees in which they do not. */
static int path_lengths(struct mr_convert *c, struct mr_sk_tree *t, struct mr_err *e) {
    size_t n = t->src.n;
    double *depth = mr_arena_zalloc(c->arena, n * sizeof *depth);
    double *value = mr_arena_array(c->arena, n, sizeof *value);
    if (!depth || !value)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    depth[0] = 1;
    for (size_t i = 0; i < n; i++) {
        int64_t child[2] = {t->src.left[i], t->src.right[i]};
        for (int k = 0; k < 2 && t->src.left[i] >= 0; k++) {
            if (child[k] <= (int64_t)i || child[k] >= (int64_t)n)
                return mr_fail(e, MR_EREFUSED, "a tree's nodes are linked wrongly");
            depth[child[k]] = depth[i] + 1;
        }
        value[i] = depth[i] + average_path(t->n_samples[i]) - 1.0;
    }
    t->src.value = value;
    return 0;
}

int mr_conv_iforest(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                    struct mr_estimator_out *ret, struct mr_err *e) {
    MR_CLEANUP(mr_tb_release) struct mr_tree_builder tb = {0};
    struct bag g;
    double offset, samples;
    int r = read_bag(c, obj, &g, e);
    if (r)
        return r;
    if (!mr_pk_num(mr_pk_attr(obj, "offset_"), &offset) ||
        (!mr_pk_num(mr_pk_attr(obj, "_max_samples"), &samples) &&
         !mr_pk_num(mr_pk_attr(obj, "max_samples_"), &samples)))
        return mr_fail(e, MR_EREFUSED, "IsolationForest has no offset_ or max_samples_");
    in = mr_convert_dense(c, in);
    r = mr_tb_init(&tb, 1, mr_build_slot_width(c->b, in), MR_TREES_F32, e);
    for (size_t i = 0; !r && i < g.n; i++) {
        struct mr_sk_tree t;
        r = mr_sk_tree(c, g.est[i], &t, e);
        if (!r)
            r = mr_sk_columns(c, g.cols[i], tb.n_features, &t.src.map, &t.src.n_map, e);
        if (!r)
            r = path_lengths(c, &t, e);
        if (!r)
            r = mr_tb_add(&tb, &t.src, 0, e);
        g.missing &= !r && mr_sk_tree_missing(g.est[i]);
    }
    if (r)
        return r;
    /* score = -2^(-depth / (n c(max_samples))); a forest of single samples scores -1 / 2. */
    double norm = (double)g.n * average_path(samples), minus = -1, zero = 0, one = 1;
    uint32_t s = mr_tb_op(&tb, c, in, 1);
    s = norm != 0 ? mr_tree_affine(c, s, NULL, &norm, true, NULL, NULL)
                  : mr_tree_affine(c, s, NULL, &zero, false, &one, NULL);
    s = mr_tree_link(c, s, MR_LINK_EXP2, -1, 1);
    s = mr_tree_affine(c, s, NULL, &minus, false, NULL, NULL);
    s = mr_tree_affine(c, s, &offset, NULL, false, NULL, NULL);
    static const struct mr_label labels[2] = {{.i = -1, .f = -1}, {.i = 1, .f = 1}};
    ret->task = MR_TASK_OUTLIER;
    ret->n_outputs = 1;
    ret->decision_slot = s;
    ret->accepts_missing = g.missing && mr_sk_version(obj) >= 106;
    ret->out[0] = (struct mr_build_output){.pred_slot = mr_tree_threshold(c, s, 0, true),
                                           .proba_slot = UINT32_MAX,
                                           .label_kind = MR_LABEL_INT,
                                           .classes = labels,
                                           .n_classes = 2};
    return 0;
}
