/* XGBoost's model document (doc/model.schema): JSON, or UBJSON read into the same shape. */
#include "base/cleanup.h"
#include "base/num.h"
#include "model/convert/boost.h"
#include "model/convert/emit.h"

#include <math.h>

#define MAX_CAT (1u << 20)

static struct mr_str str_of(yyjson_val *v) {
    return yyjson_is_str(v) ? mr_strn(yyjson_get_str(v), yyjson_get_len(v)) : (struct mr_str){0};
}

/* XGBoost writes its parameters as text. */
static bool param(yyjson_val *obj, const char *key, int64_t lo, int64_t hi, int64_t *ret) {
    yyjson_val *v = yyjson_obj_get(obj, key);
    if (yyjson_is_int(v)) {
        *ret = yyjson_get_sint(v);
        return *ret >= lo && *ret <= hi;
    }
    return yyjson_is_str(v) && mr_str_i64(str_of(v), lo, hi, ret);
}

static int bad(struct mr_err *e, const char *what) {
    return mr_fail(e, MR_EREFUSED, "XGBoost model: %s", what);
}

static void version_of(struct mr_arena *a, yyjson_val *root, struct mr_xgb *x) {
    yyjson_val *v = yyjson_obj_get(root, "version");
    if (yyjson_arr_size(v) == 3) {
        char *s = mr_arena_fmt(a, "%d.%d.%d", yyjson_get_int(yyjson_arr_get(v, 0)),
                               yyjson_get_int(yyjson_arr_get(v, 1)),
                               yyjson_get_int(yyjson_arr_get(v, 2)));
        x->version = mr_str(s);
    }
}

int mr_xgb_read(struct mr_arena *a, yyjson_doc *doc, struct mr_xgb *x, struct mr_err *e) {
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (yyjson_obj_get(root, "Model"))
        root = yyjson_obj_get(root, "Model");
    *x = (struct mr_xgb){.rounds = -1, .missing = NAN};
    x->learner = yyjson_obj_get(root, "learner");
    yyjson_val *p = yyjson_obj_get(x->learner, "learner_model_param");
    yyjson_val *gb = yyjson_obj_get(x->learner, "gradient_booster");
    yyjson_val *obj = yyjson_obj_get(x->learner, "objective");
    int64_t n_features, n_class = 0, n_target = 1;
    if (!x->learner || !p || !gb || !obj)
        return bad(e, "no learner (is this a model that XGBoost saved?)");
    if (!param(p, "num_feature", 1, 1 << 24, &n_features))
        return bad(e, "num_feature is missing or out of range");
    if (yyjson_obj_get(p, "num_class") && !param(p, "num_class", 0, 1 << 20, &n_class))
        return bad(e, "num_class is out of range");
    if (yyjson_obj_get(p, "num_target") && !param(p, "num_target", 0, 1 << 20, &n_target))
        return bad(e, "num_target is out of range");
    x->booster = str_of(yyjson_obj_get(gb, "name"));
    x->objective = str_of(yyjson_obj_get(obj, "name"));
    if (!x->booster.p || !x->objective.p)
        return bad(e, "booster or objective has no name");
    if (mr_str_is(x->booster, "dart"))
        gb = yyjson_obj_get(gb, "gbtree");
    x->model = yyjson_obj_get(gb, "model");
    x->n_features = (uint32_t)n_features;
    x->n_class = (uint32_t)n_class;
    x->n_target = n_target > 1 ? (uint32_t)n_target : 1;
    x->n_groups = n_class > 1 ? x->n_class : x->n_target;
    version_of(a, root, x);
    return 0;
}

/* --- base score ------------------------------------------------------------------------------- */

/* The intercept is stored on the output's scale; margins start from its inverse transform. */
static double to_margin(struct mr_str objective, double v) {
    float f = (float)v;
    if (mr_str_is(objective, "binary:logistic") || mr_str_is(objective, "reg:logistic"))
        return -logf(1.0f / f - 1.0f);
    if (mr_str_is(objective, "count:poisson") || mr_str_is(objective, "reg:gamma") ||
        mr_str_is(objective, "reg:tweedie") || mr_str_is(objective, "survival:cox"))
        return logf(f);
    return f;
}

/* "5E-1", or from 3.1 "[5E-1,2E-1]". */
static int base_scores(const struct mr_xgb *x, double *bias, struct mr_err *e) {
    yyjson_val *v = yyjson_obj_get(yyjson_obj_get(x->learner, "learner_model_param"), "base_score");
    struct mr_str s = yyjson_is_str(v) ? str_of(v) : MR_LIT("0.5");
    if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        s = mr_strn(s.p + 1, s.n - 2);
    uint32_t n = 0;
    while (s.p && n < x->n_groups) {
        double d;
        if (!mr_f64_parse(mr_str_trim(mr_str_cut(&s, ',')), &d))
            return bad(e, "base_score is not a number");
        bias[n] = to_margin(x->objective, d);
        if (bias[n] - bias[n] != 0)
            return bad(e, "base_score is out of the objective's range");
        n++;
    }
    if (s.p || (n != 1 && n != x->n_groups))
        return bad(e, "base_score does not fit the outputs");
    for (uint32_t k = n; k < x->n_groups; k++)
        bias[k] = bias[0];
    return 0;
}

/* --- trees -------------------------------------------------------------------------------------
 */

struct xtree {
    size_t n;
    uint32_t leaf_width;
    int64_t *left, *right, *feature;
    double *threshold, *value;
    uint8_t *flags;
};

/* An array of exactly n numbers (bools count as numbers), or of any length when n is SIZE_MAX. */
static int numbers(struct mr_arena *a, yyjson_val *obj, const char *key, size_t n, double **ret,
                   size_t *ret_n, struct mr_err *e) {
    yyjson_val *arr = yyjson_obj_get(obj, key), *v;
    size_t have = yyjson_arr_size(arr), i, max;
    if (!yyjson_is_arr(arr) || (n != SIZE_MAX && have != n))
        return mr_fail(e, MR_EREFUSED,
                       "XGBoost model: a tree's %s is missing or has the wrong "
                       "length",
                       key);
    double *out = mr_arena_array(a, have + 1, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    yyjson_arr_foreach (arr, i, max, v) {
        if (!yyjson_is_num(v) && !yyjson_is_bool(v))
            return mr_fail(e, MR_EREFUSED, "XGBoost model: a tree's %s holds no number", key);
        out[i] = yyjson_is_bool(v) ? (double)yyjson_get_bool(v) : yyjson_get_num(v);
    }
    *ret = out;
    if (ret_n)
        *ret_n = have;
    return 0;
}

static int integers(struct mr_arena *a, yyjson_val *obj, const char *key, size_t n, int64_t **ret,
                    struct mr_err *e) {
    double *v;
    int r = numbers(a, obj, key, n, &v, NULL, e);
    int64_t *out = r ? NULL : mr_arena_array(a, n + 1, sizeof *out);
    if (!r && !out)
        r = mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; !r && i < n; i++) {
        if (!(v[i] >= -1 && v[i] <= 2147483647.0) || v[i] != (double)(int64_t)v[i])
            return mr_fail(e, MR_EREFUSED, "XGBoost model: a tree's %s is out of range", key);
        out[i] = (int64_t)v[i];
    }
    *ret = out;
    return r;
}

/* Category sets: listed categories go right; ours go left, so the children change places. */
static int categories(struct mr_arena *a, yyjson_val *tree, struct xtree *t,
                      struct mr_tree_builder *tb, struct mr_err *e) {
    double *cat, *node, *seg, *size;
    size_t n_cat, n;
    int r = numbers(a, tree, "categories", SIZE_MAX, &cat, &n_cat, e);
    if (!r)
        r = numbers(a, tree, "categories_nodes", SIZE_MAX, &node, &n, e);
    if (!r)
        r = numbers(a, tree, "categories_segments", n, &seg, NULL, e);
    if (!r)
        r = numbers(a, tree, "categories_sizes", n, &size, NULL, e);
    for (size_t k = 0; !r && k < n; k++) {
        if (!(node[k] >= 0 && node[k] < (double)t->n && seg[k] >= 0 && size[k] >= 0 &&
              seg[k] + size[k] <= (double)n_cat))
            return bad(e, "a category set is out of range");
        size_t i = (size_t)node[k], from = (size_t)seg[k], to = from + (size_t)size[k];
        if (t->flags[i] & MR_NODE_CATEGORY)
            return bad(e, "a node has two category sets");
        uint32_t top = 0;
        for (size_t j = from; j < to; j++) {
            if (!(cat[j] >= 0 && cat[j] < MAX_CAT))
                return bad(e, "a category number is out of range");
            top = cat[j] > top ? (uint32_t)cat[j] : top;
        }
        uint32_t *bits = mr_arena_zalloc(a, (top / 32 + 1) * sizeof *bits);
        if (!bits)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        for (size_t j = from; j < to; j++)
            bits[(uint32_t)cat[j] / 32] |= 1u << ((uint32_t)cat[j] % 32);
        int64_t set = mr_tb_set(tb, bits, to > from ? top / 32 + 1 : 0, NULL, 0, e), left;
        if (set < 0)
            return (int)set;
        t->threshold[i] = (double)set;
        t->flags[i] = MR_NODE_CATEGORY | (t->flags[i] ^ MR_NODE_DEFAULT_LEFT);
        left = t->left[i];
        t->left[i] = t->right[i];
        t->right[i] = left;
    }
    return r;
}

/* Vector leaves: from 3.1 in leaf_weights at the leaf's right_children, before in base_weights. */
static int vector_leaves(struct mr_arena *a, yyjson_val *tree, struct xtree *t, struct mr_err *e) {
    double *w;
    size_t n;
    bool own = yyjson_obj_get(tree, "leaf_weights") != NULL;
    int r = numbers(a, tree, own ? "leaf_weights" : "base_weights", SIZE_MAX, &w, &n, e);
    for (size_t i = 0; !r && i < t->n; i++) {
        size_t at = own ? (size_t)t->right[i] : i;
        if (t->left[i] >= 0)
            continue;
        if (t->right[i] < 0 && own)
            return bad(e, "a leaf has no weights");
        if (at >= n / t->leaf_width)
            return bad(e, "a leaf's weights are out of range");
        memcpy(t->value + i * t->leaf_width, w + at * t->leaf_width, t->leaf_width * sizeof *w);
    }
    return r;
}

/* split_type (from 1.3 on) says the same as the category sets: 0 by threshold, 1 by set. */
static int split_types(struct mr_arena *a, yyjson_val *tree, const struct xtree *t,
                       struct mr_err *e) {
    int64_t *type;
    if (!yyjson_obj_get(tree, "split_type"))
        return 0;
    int r = integers(a, tree, "split_type", t->n, &type, e);
    for (size_t i = 0; !r && i < t->n; i++)
        if (type[i] != !!(t->flags[i] & MR_NODE_CATEGORY) && t->left[i] >= 0)
            return bad(e, "a split has a type that does not fit its categories");
    return r;
}

static int read_tree(struct mr_arena *a, yyjson_val *tree, struct xtree *t,
                     struct mr_tree_builder *tb, struct mr_err *e) {
    int64_t n, width = 1;
    double *cond, *def;
    yyjson_val *p = yyjson_obj_get(tree, "tree_param");
    if (!param(p, "num_nodes", 1, 1 << 28, &n))
        return bad(e, "a tree has no num_nodes");
    if (yyjson_obj_get(p, "size_leaf_vector") && !param(p, "size_leaf_vector", 0, 1 << 20, &width))
        return bad(e, "size_leaf_vector is out of range");
    *t = (struct xtree){.n = (size_t)n, .leaf_width = width > 1 ? (uint32_t)width : 1};
    if (t->leaf_width != tb->leaf_width)
        return bad(e, "leaf vectors of different sizes");
    int r = integers(a, tree, "left_children", t->n, &t->left, e);
    if (!r)
        r = integers(a, tree, "right_children", t->n, &t->right, e);
    if (!r)
        r = integers(a, tree, "split_indices", t->n, &t->feature, e);
    if (!r)
        r = numbers(a, tree, "split_conditions", t->n, &cond, NULL, e);
    if (!r)
        r = numbers(a, tree, "default_left", t->n, &def, NULL, e);
    if (r)
        return r;
    t->threshold = mr_arena_array(a, t->n, sizeof(double));
    t->value = mr_arena_array(a, t->n * t->leaf_width, sizeof(double));
    t->flags = mr_arena_zalloc(a, t->n);
    if (!t->threshold || !t->value || !t->flags)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < t->n; i++) {
        /* x < t in floats is x <= the float before t */
        t->threshold[i] = nextafterf((float)cond[i], -INFINITY);
        t->flags[i] = def[i] != 0 ? MR_NODE_DEFAULT_LEFT : 0;
        if (t->leaf_width == 1)
            t->value[i] = (float)cond[i];
    }
    if (t->leaf_width > 1)
        r = vector_leaves(a, tree, t, e);
    if (!r && yyjson_arr_size(yyjson_obj_get(tree, "categories_nodes")))
        r = categories(a, tree, t, tb, e);
    return r ? r : split_types(a, tree, t, e);
}

static int add_tree(struct mr_arena *a, yyjson_val *tree, uint32_t group, double weight,
                    struct mr_tree_builder *tb, struct mr_err *e) {
    struct xtree t;
    int r = read_tree(a, tree, &t, tb, e);
    if (r)
        return r;
    for (size_t i = 0; i < t.n * t.leaf_width; i++)
        t.value[i] = (float)weight * (float)t.value[i];
    struct mr_tree_src src = {.n = t.n,
                              .left = t.left,
                              .right = t.right,
                              .feature = t.feature,
                              .threshold = t.threshold,
                              .flags = t.flags,
                              .value = t.value};
    return mr_tb_add(tb, &src, group, e);
}

/* Trees of the rounds in use: iteration_indptr from 2.0, else counted. */
static size_t trees_in_use(const struct mr_xgb *x, size_t n_trees) {
    int64_t parallel = 1;
    yyjson_val *end = yyjson_obj_get(x->model, "iteration_indptr");
    if (x->rounds < 0)
        return n_trees;
    if (yyjson_is_arr(end)) {
        yyjson_val *v = yyjson_arr_get(end, (size_t)x->rounds);
        int64_t n = yyjson_is_int(v) ? yyjson_get_sint(v) : -1;
        return n >= 0 && (size_t)n < n_trees ? (size_t)n : n_trees;
    }
    param(yyjson_obj_get(x->model, "gbtree_model_param"), "num_parallel_tree", 1, 1 << 20,
          &parallel);
    uint64_t n = (uint64_t)x->rounds * (uint64_t)parallel * x->n_groups;
    return n < n_trees ? n : n_trees;
}

static int add_trees(const struct mr_xgb *x, struct mr_tree_builder *tb, struct mr_err *e) {
    yyjson_val *trees = yyjson_obj_get(x->model, "trees"), *tree;
    yyjson_val *info = yyjson_obj_get(x->model, "tree_info");
    yyjson_val *drop =
        mr_str_is(x->booster, "dart")
            ? yyjson_obj_get(yyjson_obj_get(x->learner, "gradient_booster"), "weight_drop")
            : NULL;
    size_t n = yyjson_arr_size(trees), i, max;
    if (!yyjson_is_arr(trees) || yyjson_arr_size(info) != n || (drop && yyjson_arr_size(drop) != n))
        return bad(e, "trees, tree_info or weight_drop are missing");
    size_t use = trees_in_use(x, n);
    struct mr_arena tmp;
    mr_arena_init(&tmp, (size_t)2 << 30);
    int r = 0;
    yyjson_arr_foreach (trees, i, max, tree) {
        if (i >= use || r)
            break;
        yyjson_val *g = yyjson_arr_get(info, i);
        double w = drop ? yyjson_get_num(yyjson_arr_get(drop, i)) : 1;
        if (!yyjson_is_int(g) || yyjson_get_sint(g) < 0 || yyjson_get_sint(g) >= x->n_groups)
            r = bad(e, "tree_info is out of range");
        else
            r = add_tree(&tmp, tree, (uint32_t)yyjson_get_sint(g), w, tb, e);
        mr_arena_reset(&tmp);
    }
    mr_arena_release(&tmp);
    return r;
}

static bool vector_trees(const struct mr_xgb *x) {
    int64_t width = 1;
    yyjson_val *first = yyjson_arr_get_first(yyjson_obj_get(x->model, "trees"));
    param(yyjson_obj_get(first, "tree_param"), "size_leaf_vector", 0, 1 << 20, &width);
    return width > 1;
}

/* --- linear ------------------------------------------------------------------------------------
 */

static int linear(struct mr_convert *c, const struct mr_xgb *x, uint32_t in, const double *bias,
                  uint32_t *ret, struct mr_err *e) {
    size_t f = x->n_features, g = x->n_groups;
    double *w, *t = mr_arena_array(c->arena, (f + 1) * g, sizeof *t);
    int r = numbers(c->arena, x->model, "weights", (f + 1) * g, &w, NULL, e);
    if (r || !t)
        return r ? r : mr_fail(e, MR_ENOMEM, "out of memory");
    double *b = t + f * g;
    for (size_t k = 0; k < g; k++) {
        for (size_t j = 0; j < f; j++)
            t[k * f + j] = w[j * g + k];
        b[k] = (float)w[f * g + k] + (float)bias[k];
    }
    return mr_emit_linear_f32(c, in, x->n_features, x->n_groups, t, b, ret, e);
}

int mr_xgb_margin(struct mr_convert *c, const struct mr_xgb *x, uint32_t in, uint32_t *ret,
                  struct mr_err *e) {
    MR_CLEANUP(mr_tb_release) struct mr_tree_builder tb = {0};
    if (mr_build_slot_width(c->b, in) != x->n_features)
        return bad(e, "the number of columns does not fit the step before it");
    if (yyjson_arr_size(yyjson_obj_get(yyjson_obj_get(x->model, "cats"), "enc")))
        return mr_fail(e, MR_EUNSUPPORTED,
                       "the XGBoost model was trained on data frame categories; train it on "
                       "category numbers (feature_types=\"c\") instead");
    bool vector = vector_trees(x);
    int r = mr_tb_init(&tb, x->n_groups, x->n_features,
                       MR_TREES_F32 | MR_TREES_SUM_F32 | (vector ? MR_TREES_VECTOR : 0), e);
    tb.cat = MR_CAT_XGBOOST;
    if (!r)
        r = base_scores(x, tb.bias, e);
    if (r)
        return r;
    if (mr_str_is(x->booster, "gblinear"))
        return linear(c, x, in, tb.bias, ret, e);
    if (!mr_str_is(x->booster, "gbtree") && !mr_str_is(x->booster, "dart"))
        return mr_fail(e, MR_EUNSUPPORTED, "XGBoost booster \"%.*s\" has no native reader",
                       (int)x->booster.n, x->booster.p);
    if (x->missing == x->missing)
        in = mr_tree_link(c, in, MR_LINK_MARK_MISSING, x->missing, x->n_features);
    r = add_trees(x, &tb, e);
    if (!r)
        *ret = mr_tb_op(&tb, c, in, 1);
    return r;
}
