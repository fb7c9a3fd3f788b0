/* HistGradientBoosting: doubles all the way, missing values and categories in the trees. From
 * scikit-learn 1.4 a model with categories first sorts its columns (encoded ones, then numbers). */
#include "base/cleanup.h"
#include "model/convert/trees_sklearn.h"
#include "model/op_ids.h"
#include "model/ops/params.h"

#define MAX_COLUMNS 1000000u

struct hist {
    const struct mr_pk *known; /* bin_thresholds_: the categories of categorical columns */
    uint32_t k;                /* trees an iteration */
    bool classify;
};

/* --- column preparation ------------------------------------------------------------------------
 */

static const struct mr_pk *item(const struct mr_pk *seq, size_t i) {
    struct mr_pk *const *v;
    size_t n;
    return mr_pk_seq(seq, &v, &n) && i < n ? v[i] : NULL;
}

static const struct mr_pk *fitted_step(const struct mr_pk *pre, const char *name) {
    const struct mr_pk *list = mr_pk_attr(pre, "transformers_");
    for (size_t i = 0, n = mr_pk_len(list); i < n; i++) {
        struct mr_str s;
        if (mr_pk_str(item(item(list, i), 0), &s) && mr_str_is(s, name))
            return item(item(list, i), 1);
    }
    return NULL;
}

static int preprocess(struct mr_convert *c, const struct mr_pk *pre, uint32_t in, uint32_t *ret,
                      struct mr_err *e) {
    const struct mr_pk *columns = mr_pk_attr(pre, "_transformer_to_input_indices");
    const uint32_t *enc, *num;
    size_t n_enc = 0, n_num = 0;
    uint32_t width = mr_build_slot_width(c->b, in), part[2], n = 0;
    int r = mr_sk_columns(c, mr_pk_get(columns, "encoder"), width, &enc, &n_enc, e);
    if (!r && mr_pk_len(mr_pk_get(columns, "numerical")))
        r = mr_sk_columns(c, mr_pk_get(columns, "numerical"), width, &num, &n_num, e);
    if (r)
        return r;
    if (n_enc) {
        uint32_t s = mr_tree_select(c, in, enc, 0, (uint32_t)n_enc);
        r = mr_convert_transform(c, fitted_step(pre, "encoder"), s, &s, e);
        if (r)
            return r;
        part[n++] = mr_convert_dense(c, s);
    }
    if (n_num)
        part[n++] = mr_convert_dense(c, mr_tree_select(c, in, num, 0, (uint32_t)n_num));
    if (n == 0)
        return mr_fail(e, MR_EREFUSED, "the model's column preparation is empty");
    *ret = part[0];
    if (n == 2) {
        struct mr_blob b;
        mr_blob_begin(c->b, &b, sizeof(struct mr_p_concat));
        *ret = mr_build_slot(c->b, MR_SLOT_DENSE, (uint32_t)(n_enc + n_num));
        mr_build_op(c->b, MR_OP_CONCAT, part, 2, *ret, &b);
    }
    return 0;
}

/* --- trees -------------------------------------------------------------------------------------
 */

static int known_bits(struct mr_convert *c, const struct hist *h, int64_t feature, uint32_t *bits,
                      struct mr_err *e) {
    const double *v;
    size_t n, cols;
    memset(bits, 0, 8 * sizeof *bits);
    if (feature < 0 || feature >= MAX_COLUMNS)
        return mr_fail(e, MR_EREFUSED, "a tree's column is out of range");
    int r = mr_pk_f64(c->arena, item(h->known, (size_t)feature), &v, &n, &cols, e);
    if (r)
        return r;
    for (size_t i = 0; i < n * cols; i++)
        if (v[i] >= 0 && v[i] < 256)
            bits[(uint32_t)v[i] / 32] |= 1u << ((uint32_t)v[i] % 32);
    return 0;
}

struct hist_nodes {
    const int64_t *leaf, *cat, *missing, *bitset, *left, *right, *feature;
    const double *threshold, *value;
    size_t n;
};

static int read_nodes(struct mr_convert *c, const struct mr_pk *arr, struct hist_nodes *h,
                      struct mr_err *e) {
    const struct {
        const char *name;
        const int64_t **to;
    } ints[] = {{"is_leaf", &h->leaf},
                {"is_categorical", &h->cat},
                {"missing_go_to_left", &h->missing},
                {"bitset_idx", &h->bitset},
                {"left", &h->left},
                {"right", &h->right},
                {"feature_idx", &h->feature}};
    int r = mr_pk_field_f64(c->arena, arr, "value", &h->value, &h->n, e);
    if (!r)
        r = mr_pk_field_f64(c->arena, arr, "num_threshold", &h->threshold, &h->n, e);
    for (size_t i = 0; !r && i < sizeof ints / sizeof *ints; i++)
        r = mr_pk_field_i64(c->arena, arr, ints[i].name, ints[i].to, &h->n, e);
    return r;
}

/* Category node: its set of left categories (raw_left_cat_bitsets) and the known ones. */
static int category(struct mr_convert *c, const struct hist *h, const struct hist_nodes *t,
                    size_t i, const double *sets, size_t n_sets, struct mr_tree_builder *tb,
                    double *ret, struct mr_err *e) {
    uint32_t left[8], known[8];
    if (t->bitset[i] < 0 || (size_t)t->bitset[i] >= n_sets)
        return mr_fail(e, MR_EREFUSED, "a tree's category set is out of range");
    for (int k = 0; k < 8; k++)
        left[k] = (uint32_t)sets[t->bitset[i] * 8 + k];
    int r = known_bits(c, h, t->feature[i], known, e);
    if (r)
        return r;
    int64_t set = mr_tb_set(tb, left, 8, known, 8, e);
    *ret = (double)set;
    return set < 0 ? (int)set : 0;
}

static int add_tree(struct mr_convert *c, const struct hist *h, const struct mr_pk *pred,
                    uint32_t out, struct mr_tree_builder *tb, struct mr_err *e) {
    const struct mr_pk *nodes;
    struct hist_nodes t = {0};
    const double *sets = NULL;
    size_t n_sets = 0, cols = 8;
    int r = mr_convert_need(pred, "nodes", &nodes, e);
    if (!r)
        r = read_nodes(c, nodes, &t, e);
    if (!r && mr_pk_len(mr_pk_attr(pred, "raw_left_cat_bitsets")))
        r = mr_convert_need_f64(c, pred, "raw_left_cat_bitsets", &sets, &n_sets, &cols, e);
    if (!r && cols != 8)
        r = mr_fail(e, MR_EREFUSED, "a tree's category sets are damaged");
    if (r)
        return r;
    int64_t *left = mr_arena_array(c->arena, t.n + 1, sizeof *left);
    double *threshold = mr_arena_array(c->arena, t.n + 1, sizeof *threshold);
    uint8_t *flags = mr_arena_array(c->arena, t.n + 1, 1);
    if (!left || !threshold || !flags)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < t.n; i++) {
        left[i] = t.leaf[i] ? -1 : t.left[i];
        threshold[i] = t.threshold[i];
        flags[i] = t.missing[i] ? MR_NODE_DEFAULT_LEFT : 0;
        if (t.leaf[i] || !t.cat[i])
            continue;
        flags[i] |= MR_NODE_CATEGORY;
        r = category(c, h, &t, i, sets, n_sets, tb, &threshold[i], e);
        if (r)
            return r;
    }
    struct mr_tree_src src = {.n = t.n,
                              .left = left,
                              .right = t.right,
                              .feature = t.feature,
                              .threshold = threshold,
                              .flags = flags,
                              .value = t.value};
    return mr_tb_add(tb, &src, out, e);
}

static int add_all(struct mr_convert *c, const struct mr_pk *obj, const struct hist *h,
                   struct mr_tree_builder *tb, struct mr_err *e) {
    const struct mr_pk *const *round;
    const struct mr_pk *all = mr_pk_attr(obj, "_predictors");
    const double *base;
    size_t n, rows, cols;
    int r = mr_convert_need_f64(c, obj, "_baseline_prediction", &base, &rows, &cols, e);
    if (r)
        return r;
    if (rows * cols != h->k)
        return mr_fail(e, MR_EREFUSED, "_baseline_prediction does not fit the trees");
    memcpy(tb->bias, base, h->k * sizeof *base);
    if (mr_pk_len(all) == 0)
        return 0;
    r = mr_sk_list(c, obj, "_predictors", &round, &n, e);
    for (size_t i = 0; !r && i < n; i++) {
        if (mr_pk_len(round[i]) != h->k)
            return mr_fail(e, MR_EREFUSED, "an iteration has %zu trees, not %u",
                           mr_pk_len(round[i]), h->k);
        for (uint32_t k = 0; !r && k < h->k; k++)
            r = add_tree(c, h, item(round[i], k), k, tb, e);
    }
    return r;
}

static int finish(struct mr_convert *c, const struct mr_pk *obj, const struct hist *h, uint32_t raw,
                  struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_str loss = {0};
    ret->n_outputs = 1;
    ret->decision_slot = raw;
    ret->accepts_missing = true;
    ret->task = h->classify ? MR_TASK_CLASSIFY : MR_TASK_REGRESS;
    if (!h->classify) {
        mr_pk_str(mr_pk_attr(obj, "loss"), &loss);
        bool log_link = mr_str_is(loss, "poisson") || mr_str_is(loss, "gamma");
        uint32_t out = log_link ? mr_tree_link(c, raw, MR_LINK_EXP, 1, 1) : raw;
        ret->out[0] = (struct mr_build_output){.pred_slot = out, .proba_slot = UINT32_MAX};
        return 0;
    }
    int version = mr_sk_version(obj);
    bool binary = h->k == 1, by_proba = version && version < 104;
    uint32_t proba = binary ? mr_tree_link(c, raw, MR_LINK_SIGMOID_PAIR, 1, 2)
                            : mr_tree_link(c, raw, MR_LINK_SOFTMAX, 1, h->k);
    uint32_t pred = by_proba ? mr_tree_argmax(c, proba)
                    : binary ? mr_tree_threshold(c, raw, 0, false)
                             : mr_tree_argmax(c, raw);
    return mr_sk_class_output(c, mr_pk_attr(obj, "classes_"), pred, proba, binary ? 2 : h->k,
                              &ret->out[0], e);
}

int mr_conv_hist(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                 struct mr_estimator_out *ret, struct mr_err *e) {
    MR_CLEANUP(mr_tb_release) struct mr_tree_builder tb = {0};
    const struct mr_pk *pre = mr_pk_attr(obj, "_preprocessor");
    struct hist h = {.known = mr_pk_attr(mr_pk_attr(obj, "_bin_mapper"), "bin_thresholds_")};
    int64_t k;
    if (!mr_pk_int(mr_pk_attr(obj, "n_trees_per_iteration_"), &k) || k < 1 || k > 100000)
        return mr_fail(e, MR_EREFUSED, "n_trees_per_iteration_ is missing");
    h.k = (uint32_t)k;
    h.classify = mr_str_ends(mr_pk_class_short(obj), MR_LIT("Classifier"));
    int r = 0;
    if (pre && pre->type == MR_PK_OBJ)
        r = preprocess(c, pre, in, &in, e);
    if (r)
        return r;
    in = mr_convert_dense(c, in);
    r = mr_tb_init(&tb, h.k, mr_build_slot_width(c->b, in), 0, e);
    tb.cat = MR_CAT_SKLEARN;
    if (!r)
        r = add_all(c, obj, &h, &tb, e);
    return r ? r : finish(c, obj, &h, mr_tb_op(&tb, c, in, 1), ret, e);
}
