/* DecisionTree, ExtraTree, RandomForest, ExtraTrees; classifiers and regressors, one or several
 * outputs. A forest is the mean of its trees' class fractions or values. */
#include "model/convert/trees_sklearn.h"

#include "base/cleanup.h"

#define MAX_OUTPUTS 64

struct forest {
    const struct mr_pk *one; /* a single tree */
    const struct mr_pk *const *tree;
    size_t n;
    bool classify;
    uint32_t n_outputs;
    uint32_t n_classes[MAX_OUTPUTS]; /* 1 for regression */
    const struct mr_pk *classes[MAX_OUTPUTS];
    uint32_t width; /* all outputs together */
};

static int read_classes(const struct mr_pk *obj, struct forest *f, struct mr_err *e) {
    const struct mr_pk *cl;
    struct mr_pk *const *v = NULL;
    size_t n = 0;
    int r = mr_convert_need(obj, "classes_", &cl, e);
    if (r)
        return r;
    if (f->n_outputs > 1 && (!mr_pk_seq(cl, &v, &n) || n != f->n_outputs))
        return mr_fail(e, MR_EREFUSED, "classes_ does not list the classes of each output");
    for (uint32_t k = 0; k < f->n_outputs; k++) {
        f->classes[k] = v ? v[k] : cl;
        size_t m = mr_pk_len(f->classes[k]);
        if (m == 0 || m > MR_MAX_WIDTH - f->width)
            return mr_fail(e, MR_EREFUSED, "classes_ is empty");
        f->n_classes[k] = (uint32_t)m;
        f->width += (uint32_t)m;
    }
    return 0;
}

static int read_forest(struct mr_convert *c, const struct mr_pk *obj, struct forest *f,
                       struct mr_err *e) {
    *f = (struct forest){0};
    struct mr_str name = mr_pk_class_short(obj);
    f->classify = mr_str_ends(name, MR_LIT("Classifier"));
    int64_t n_outputs = 1;
    mr_pk_int(mr_pk_attr(obj, "n_outputs_"), &n_outputs);
    if (n_outputs < 1 || n_outputs > MAX_OUTPUTS)
        return mr_fail(e, MR_EUNSUPPORTED, "%lld outputs (1 to %d)", (long long)n_outputs,
                       MAX_OUTPUTS);
    f->n_outputs = (uint32_t)n_outputs;
    f->one = obj;
    f->tree = &f->one;
    f->n = 1;
    int r = mr_sk_is_tree(obj) ? 0 : mr_sk_list(c, obj, "estimators_", &f->tree, &f->n, e);
    if (r)
        return r;
    if (f->classify)
        return read_classes(obj, f, e);
    for (uint32_t k = 0; k < f->n_outputs; k++)
        f->n_classes[k] = 1;
    f->width = f->n_outputs;
    return 0;
}

static int add_tree(struct mr_convert *c, const struct forest *f, const struct mr_pk *est,
                    struct mr_tree_builder *tb, struct mr_err *e) {
    struct mr_sk_tree t;
    int r = mr_sk_tree(c, est, &t, e);
    if (r)
        return r;
    if (t.n_outputs != f->n_outputs)
        return mr_fail(e, MR_EREFUSED, "a tree has %u outputs, its forest %u", t.n_outputs,
                       f->n_outputs);
    double *value = mr_arena_array(c->arena, t.src.n * f->width, sizeof *value);
    if (!value)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t k = 0, at = 0; !r && k < f->n_outputs; at += f->n_classes[k], k++) {
        if (f->classify)
            r = mr_sk_proba(c, &t, k, f->n_classes[k], value + at, f->width, e);
        for (size_t i = 0; !f->classify && i < t.src.n; i++)
            value[i * f->width + k] = t.src.value[(i * t.n_outputs + k) * t.max_classes];
    }
    t.src.value = value;
    return r ? r : mr_tb_add(tb, &t.src, 0, e);
}

static int outputs(struct mr_convert *c, const struct forest *f, uint32_t slot,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    ret->task = f->classify ? MR_TASK_CLASSIFY : MR_TASK_REGRESS;
    ret->n_outputs = f->n_outputs;
    for (uint32_t k = 0, at = 0; k < f->n_outputs; at += f->n_classes[k], k++) {
        uint32_t s = mr_tree_select(c, slot, NULL, at, f->n_classes[k]);
        if (!f->classify) {
            ret->out[k] = (struct mr_build_output){.pred_slot = s, .proba_slot = UINT32_MAX};
            continue;
        }
        int r = mr_sk_class_output(c, f->classes[k], mr_tree_argmax(c, s), s, f->n_classes[k],
                                   &ret->out[k], e);
        if (r)
            return r;
    }
    return 0;
}

static bool takes_missing(const struct forest *f, const struct mr_pk *obj) {
    if (mr_sk_is_tree(obj))
        return mr_sk_tree_missing(obj);
    bool extra = mr_str_starts(mr_pk_class_short(obj), MR_LIT("ExtraTrees"));
    return mr_sk_version(obj) >= (extra ? 106 : 104) && mr_sk_tree_missing(f->tree[0]);
}

int mr_conv_forest(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    struct forest f;
    MR_CLEANUP(mr_tb_release) struct mr_tree_builder tb = {0};
    int r = read_forest(c, obj, &f, e);
    if (r)
        return r;
    in = mr_convert_dense(c, in);
    bool vector = f.width > 1;
    r = mr_tb_init(&tb, f.width, mr_build_slot_width(c->b, in),
                   MR_TREES_F32 | (vector ? MR_TREES_VECTOR : 0), e);
    for (size_t i = 0; !r && i < f.n; i++)
        r = add_tree(c, &f, f.tree[i], &tb, e);
    if (r)
        return r;
    ret->accepts_missing = takes_missing(&f, obj);
    return outputs(c, &f, mr_tb_op(&tb, c, in, (double)f.n), ret, e);
}
