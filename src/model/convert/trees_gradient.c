/* GradientBoosting: an initial raw prediction plus learning_rate times every stage's trees, in
 * order. Losses before scikit-learn 1.4 live in _gb_losses, later ones in _loss. */
#include "base/cleanup.h"
#include "model/convert/trees_sklearn.h"
#include "model/ops/params.h"

#include <float.h>
#include <math.h>

enum gb_loss { GB_REGRESS, GB_BINARY, GB_MULTI };

struct gb {
    bool classify;
    bool exponential;
    bool old; /* losses of scikit-learn before 1.4 */
    enum gb_loss loss;
    uint32_t n_classes;
    uint32_t k; /* trees a stage */
    double eps;
    const struct mr_pk *init;
};

static int read_gb(const struct mr_pk *obj, struct gb *g, struct mr_err *e) {
    struct mr_str loss;
    const struct mr_pk *est = mr_pk_attr(obj, "estimators_");
    int version = mr_sk_version(obj);
    *g = (struct gb){.k = 1};
    if (!est || est->type != MR_PK_ARRAY || est->a.ndim != 2 || est->a.shape[1] < 1 ||
        est->a.shape[1] > 100000)
        return mr_fail(e, MR_EREFUSED, "estimators_ is not a table of trees");
    g->k = (uint32_t)est->a.shape[1];
    g->classify = mr_str_ends(mr_pk_class_short(obj), MR_LIT("Classifier"));
    g->exponential = mr_pk_str(mr_pk_attr(obj, "loss"), &loss) && mr_str_is(loss, "exponential");
    g->old = version && version < 104;
    g->eps = version >= 109 ? DBL_EPSILON : (double)FLT_EPSILON;
    g->init = mr_pk_attr(obj, "init_");
    if (g->classify) {
        g->n_classes = (uint32_t)mr_pk_len(mr_pk_attr(obj, "classes_"));
        g->loss = g->k == 1 ? GB_BINARY : GB_MULTI;
        if (g->n_classes != (g->k == 1 ? 2 : g->k))
            return mr_fail(e, MR_EREFUSED, "%u classes with %u trees a stage", g->n_classes, g->k);
    }
    return 0;
}

/* Raw prediction of constant class fractions. */
static int constant_classes(struct gb *g, const double *prior, double *bias) {
    double mean = 0;
    for (uint32_t k = 0; k < g->n_classes; k++) {
        double p = fmin(fmax(prior[k], g->eps), 1 - g->eps);
        if (g->loss == GB_BINARY && k == 1)
            bias[0] = (g->exponential ? 0.5 : 1) * log(p / (1 - p));
        if (g->loss == GB_MULTI) {
            bias[k] = log(p);
            mean += bias[k] / g->n_classes;
        }
    }
    for (uint32_t k = 0; g->loss == GB_MULTI && !g->old && k < g->k; k++)
        bias[k] -= mean; /* the newer link is centred */
    return 0;
}

static int dummy_classifier(struct mr_convert *c, struct gb *g, double *bias, struct mr_err *e) {
    struct mr_str strategy = {0};
    const double *prior;
    size_t n, cols;
    mr_pk_str(mr_pk_attr(g->init, "strategy"), &strategy);
    int r = mr_convert_need_f64(c, g->init, "class_prior_", &prior, &n, &cols, e);
    if (r)
        return r;
    if (n != g->n_classes || cols != 1)
        return mr_fail(e, MR_EREFUSED, "class_prior_ does not fit the classes");
    if (mr_str_is(strategy, "prior"))
        return constant_classes(g, prior, bias);
    if (!mr_str_is(strategy, "most_frequent"))
        return mr_fail(e, MR_EUNSUPPORTED,
                       "gradient boosting that starts from DummyClassifier(strategy=\"%.*s\")",
                       (int)strategy.n, strategy.p ? strategy.p : "");
    double *one = mr_arena_zalloc(c->arena, n * sizeof *one);
    if (!one)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    size_t top = 0;
    for (size_t k = 1; k < n; k++)
        if (prior[k] > prior[top])
            top = k;
    one[top] = 1;
    return constant_classes(g, one, bias);
}

static int dummy_regressor(struct mr_convert *c, struct gb *g, double *bias, struct mr_err *e) {
    const double *v;
    size_t n, cols;
    int r = mr_convert_need_f64(c, g->init, "constant_", &v, &n, &cols, e);
    if (r)
        return r;
    if (n * cols != 1)
        return mr_fail(e, MR_EREFUSED, "the initial constant is not one number");
    bias[0] = v[0];
    return 0;
}

/* Any other start is a model of its own; it sees the columns as floats, as the library does. */
static int init_model(struct mr_convert *c, struct gb *g, uint32_t in, uint32_t *ret,
                      struct mr_err *e) {
    struct mr_estimator_out *o = mr_arena_zalloc(c->arena, sizeof *o);
    if (!o)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    struct mr_str name = mr_pk_class_short(g->init);
    bool forest =
        mr_str_starts(name, MR_LIT("RandomForest")) || mr_str_starts(name, MR_LIT("ExtraTrees"));
    if (!mr_sk_is_tree(g->init) && !forest)
        return mr_fail(e, MR_EUNSUPPORTED,
                       "gradient boosting that starts from a fitted %.*s: the library evaluates it "
                       "in single precision, which is not reproduced. Export the model to ONNX",
                       (int)name.n, name.p ? name.p : "");
    uint32_t x = mr_tree_link(c, in, MR_LINK_ROUND_F32, 1, mr_build_slot_width(c->b, in));
    int r = mr_convert_estimator(c, g->init, x, o, e);
    if (r)
        return r;
    if (!g->classify && o->task == MR_TASK_REGRESS && o->n_outputs == 1) {
        *ret = o->out[0].pred_slot;
        return 0;
    }
    if (g->loss != GB_BINARY || o->n_outputs != 1 || o->out[0].proba_slot == UINT32_MAX ||
        mr_build_slot_width(c->b, o->out[0].proba_slot) != 2)
        return mr_fail(e, MR_EUNSUPPORTED,
                       "gradient boosting over several classes that starts from a fitted %.*s",
                       (int)name.n, name.p);
    double lo = g->eps, hi = 1 - g->eps, half = 0.5;
    uint32_t p = mr_tree_select(c, o->out[0].proba_slot, NULL, 1, 1);
    p = mr_tree_affine(c, p, NULL, NULL, false, &lo, &hi);
    p = mr_tree_link(c, p, MR_LINK_LOGIT, 1, 1);
    *ret = g->exponential ? mr_tree_affine(c, p, NULL, &half, false, NULL, NULL) : p;
    return 0;
}

static int start(struct mr_convert *c, struct gb *g, uint32_t in, double *bias, uint32_t *ret_slot,
                 struct mr_err *e) {
    struct mr_str text, name = mr_pk_class_short(g->init);
    *ret_slot = UINT32_MAX;
    if (mr_pk_str(g->init, &text) && mr_str_is(text, "zero"))
        return 0;
    if (mr_str_is(name, "DummyClassifier") && g->classify)
        return dummy_classifier(c, g, bias, e);
    if (mr_str_is(name, "DummyRegressor") && !g->classify)
        return dummy_regressor(c, g, bias, e);
    return init_model(c, g, in, ret_slot, e);
}

static int add_stages(struct mr_convert *c, const struct mr_pk *obj, const struct gb *g,
                      struct mr_tree_builder *tb, struct mr_err *e) {
    const struct mr_pk *const *tree;
    size_t n;
    double rate;
    int r = mr_sk_list(c, obj, "estimators_", &tree, &n, e);
    if (r)
        return r;
    if (!mr_pk_num(mr_pk_attr(obj, "learning_rate"), &rate))
        return mr_fail(e, MR_EREFUSED, "learning_rate is missing");
    for (size_t i = 0; i < n; i++) {
        struct mr_sk_tree t;
        if ((r = mr_sk_tree(c, tree[i], &t, e)) < 0)
            return r;
        double *v = mr_arena_array(c->arena, t.src.n, sizeof *v);
        if (!v || t.n_outputs != 1 || t.max_classes != 1)
            return mr_fail(e, MR_EREFUSED, "a boosted tree has several outputs");
        for (size_t k = 0; k < t.src.n; k++)
            v[k] = rate * t.src.value[k];
        t.src.value = v;
        if ((r = mr_tb_add(tb, &t.src, (uint32_t)(i % g->k), e)) < 0)
            return r;
    }
    return 0;
}

int mr_conv_gradient(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                     struct mr_estimator_out *ret, struct mr_err *e) {
    struct gb g;
    MR_CLEANUP(mr_tb_release) struct mr_tree_builder tb = {0};
    uint32_t first;
    int r = read_gb(obj, &g, e);
    if (r)
        return r;
    in = mr_convert_dense(c, in);
    r = mr_tb_init(&tb, g.k, mr_build_slot_width(c->b, in), MR_TREES_F32, e);
    if (!r)
        r = start(c, &g, in, tb.bias, &first, e);
    if (!r)
        r = add_stages(c, obj, &g, &tb, e);
    if (r)
        return r;
    uint32_t raw = mr_tb_op(&tb, c, in, 1);
    if (first != UINT32_MAX)
        raw = mr_tree_mean(c, (uint32_t[]){first, raw}, 2, NULL, 1);
    ret->n_outputs = 1;
    ret->decision_slot = raw;
    ret->task = g.classify ? MR_TASK_CLASSIFY : MR_TASK_REGRESS;
    if (!g.classify) {
        ret->out[0] = (struct mr_build_output){.pred_slot = raw, .proba_slot = UINT32_MAX};
        return 0;
    }
    uint32_t proba = g.loss == GB_BINARY
                         ? mr_tree_link(c, raw, MR_LINK_SIGMOID_PAIR, g.exponential ? 2 : 1, 2)
                         : mr_tree_link(c, raw, MR_LINK_SOFTMAX, 1, g.k);
    uint32_t pred =
        g.loss == GB_BINARY ? mr_tree_threshold(c, raw, 0, !g.old) : mr_tree_argmax(c, raw);
    return mr_sk_class_output(c, mr_pk_attr(obj, "classes_"), pred, proba, g.n_classes,
                              &ret->out[0], e);
}
