/* LightGBM's model text (src/boosting/gbdt_model_text.cpp and src/io/tree.cpp of LightGBM). */
#include "base/cleanup.h"
#include "base/num.h"
#include "model/convert/boost.h"

#define MAX_LEAVES (1u << 24)

static int bad(struct mr_err *e, const char *what) {
    return mr_fail(e, MR_EREFUSED, "LightGBM model: %s", what);
}

static struct mr_str next_line(struct mr_str *rest) {
    struct mr_str l = mr_str_cut(rest, '\n');
    if (l.n && l.p[l.n - 1] == '\r')
        l.n--;
    return l;
}

/* "key=value": the value when the key is this one. */
static bool value_of(struct mr_str line, const char *key, struct mr_str *ret) {
    size_t n = strlen(key);
    if (line.n <= n || memcmp(line.p, key, n) != 0 || line.p[n] != '=')
        return false;
    *ret = mr_strn(line.p + n + 1, line.n - n - 1);
    return true;
}

/* How many numbers, separated by single spaces. */
static size_t count_of(struct mr_str v) {
    size_t n = v.n > 0;
    for (size_t i = 0; i < v.n; i++)
        n += v.p[i] == ' ';
    return n;
}

int mr_lgb_read(struct mr_str text, struct mr_lgb *l, struct mr_err *e) {
    struct mr_str rest = text, v;
    int64_t n_class = 1, per_round = 1, top = -1, n;
    *l = (struct mr_lgb){.n_trees = SIZE_MAX};
    if (!mr_str_is(next_line(&rest), "tree"))
        return bad(e, "the first line is not \"tree\"");
    while (rest.p) {
        struct mr_str before = rest, line = next_line(&rest);
        if (mr_str_starts(line, MR_LIT("Tree=")) || mr_str_is(line, "end of trees")) {
            l->text = before;
            break;
        }
        if (mr_str_is(line, "average_output"))
            l->average = true;
        else if (value_of(line, "objective", &v))
            l->objective = v;
        else if (value_of(line, "feature_names", &v))
            l->names = v;
        else if (value_of(line, "tree_sizes", &v))
            l->n_trees = count_of(v);
        else if (value_of(line, "num_class", &v) && mr_str_i64(v, 1, 1 << 20, &n))
            n_class = n;
        else if (value_of(line, "num_tree_per_iteration", &v) && mr_str_i64(v, 1, 1 << 20, &n))
            per_round = n;
        else if (value_of(line, "max_feature_idx", &v) && mr_str_i64(v, 0, (1 << 24) - 1, &n))
            top = n;
    }
    if (!l->text.p || top < 0)
        return bad(e, "the header is cut off or has no max_feature_idx");
    l->n_features = (uint32_t)top + 1;
    l->n_class = (uint32_t)n_class;
    l->n_groups = (uint32_t)per_round;
    return 0;
}

/* --- one tree ----------------------------------------------------------------------------------
 */

enum key {
    K_LEAVES,
    K_CAT,
    K_FEATURE,
    K_THRESHOLD,
    K_DECISION,
    K_LEFT,
    K_RIGHT,
    K_VALUE,
    K_CAT_BOUND,
    K_CAT_WORD,
    K_LINEAR,
    K_COUNT_
};

static const char *const key_name[K_COUNT_] = {
    "num_leaves",  "num_cat",    "split_feature",  "threshold",     "decision_type", "left_child",
    "right_child", "leaf_value", "cat_boundaries", "cat_threshold", "is_linear"};

/* Numbers separated by single spaces, exactly n of them. */
static int numbers(struct mr_str s, double *out, size_t n, const char *what, struct mr_err *e) {
    for (size_t i = 0; i < n; i++) {
        struct mr_str item = s.p ? mr_str_cut(&s, ' ') : (struct mr_str){0};
        if (!item.p || !mr_f64_parse(item, &out[i]))
            return mr_fail(e, MR_EREFUSED, "LightGBM model: %s does not hold %zu numbers", what, n);
    }
    return 0;
}

struct ltree {
    size_t n_inner, n_leaves, n_cat, n_word;
    double *feature, *threshold, *decision, *left, *right, *value, *bound, *word;
};

static int sizes(const struct mr_str *v, struct ltree *t, struct mr_err *e) {
    int64_t leaves, n_cat = 0, is_linear = 0;
    if (!v[K_LEAVES].p || !mr_str_i64(v[K_LEAVES], 1, MAX_LEAVES, &leaves))
        return bad(e, "a tree has no num_leaves");
    if (v[K_CAT].p && !mr_str_i64(v[K_CAT], 0, MAX_LEAVES, &n_cat))
        return bad(e, "num_cat is out of range");
    if (v[K_LINEAR].p && mr_str_i64(v[K_LINEAR], 0, 1, &is_linear) && is_linear)
        return mr_fail(e, MR_EUNSUPPORTED,
                       "LightGBM trees with linear models in their leaves (linear_tree) have no "
                       "native reader; train with linear_tree=false");
    /* A number takes two bytes at least, so the text bounds what may be claimed. */
    if ((size_t)leaves > v[K_VALUE].n / 2 + 1 || (size_t)n_cat > v[K_CAT_BOUND].n / 2 + 1)
        return bad(e, "a tree claims more leaves than it lists");
    t->n_leaves = (size_t)leaves;
    t->n_inner = (size_t)leaves - 1;
    t->n_cat = (size_t)n_cat;
    t->n_word = 0;
    for (size_t i = 0; n_cat && i < v[K_CAT_WORD].n; i++)
        t->n_word += v[K_CAT_WORD].p[i] == ' ';
    t->n_word += n_cat > 0;
    return 0;
}

static int read_tree(struct mr_arena *a, const struct mr_str *v, struct ltree *t,
                     struct mr_err *e) {
    int r = sizes(v, t, e);
    if (r)
        return r;
    const struct {
        enum key key;
        double **to;
        size_t n;
    } arrays[] = {{K_FEATURE, &t->feature, t->n_inner},
                  {K_THRESHOLD, &t->threshold, t->n_inner},
                  {K_DECISION, &t->decision, t->n_inner},
                  {K_LEFT, &t->left, t->n_inner},
                  {K_RIGHT, &t->right, t->n_inner},
                  {K_VALUE, &t->value, t->n_leaves},
                  {K_CAT_BOUND, &t->bound, t->n_cat ? t->n_cat + 1 : 0},
                  {K_CAT_WORD, &t->word, t->n_word}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i].to = mr_arena_array(a, arrays[i].n + 1, sizeof(double));
        if (!*arrays[i].to)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        r = numbers(v[arrays[i].key], *arrays[i].to, arrays[i].n, key_name[arrays[i].key], e);
        if (r)
            return r;
    }
    return 0;
}

/* First set of the tree in the builder, or < 0. */
static int64_t add_sets(struct mr_arena *a, const struct ltree *t, struct mr_tree_builder *tb,
                        struct mr_err *e) {
    int64_t first = 0;
    uint32_t *word = mr_arena_array(a, t->n_word + 1, sizeof *word);
    if (!word)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < t->n_word; i++) {
        if (!(t->word[i] >= 0 && t->word[i] <= UINT32_MAX))
            return bad(e, "cat_threshold is out of range");
        word[i] = (uint32_t)t->word[i];
    }
    for (size_t s = 0; s < t->n_cat; s++) {
        double from = t->bound[s], to = t->bound[s + 1];
        if (!(from >= 0 && to >= from && to <= (double)t->n_word))
            return bad(e, "cat_boundaries is out of range");
        int64_t k = mr_tb_set(tb, word + (size_t)from, (size_t)to - (size_t)from, NULL, 0, e);
        if (k < 0)
            return k;
        first = s ? first : k;
    }
    return first;
}

/* A child as a node number: leaves (negative in the text) come after the inner nodes. */
static int64_t child(const struct ltree *t, double v) {
    if (v >= 0)
        return v < (double)t->n_inner ? (int64_t)v : -1;
    return -v <= (double)t->n_leaves ? (int64_t)t->n_inner + (int64_t)(-v) - 1 : -1;
}

static int add_tree(struct mr_arena *a, const struct ltree *t, uint32_t group,
                    struct mr_tree_builder *tb, struct mr_err *e) {
    size_t n = t->n_inner + t->n_leaves;
    int64_t first = t->n_cat ? add_sets(a, t, tb, e) : 0;
    int64_t *link = mr_arena_zalloc(a, 3 * n * sizeof *link);
    double *num = mr_arena_zalloc(a, 2 * n * sizeof *num);
    uint8_t *flags = mr_arena_zalloc(a, n);
    if (first < 0)
        return (int)first;
    if (!link || !num || !flags)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int64_t *left = link, *right = link + n, *feature = link + 2 * n;
    double *threshold = num, *value = num + n;
    for (size_t i = 0; i < t->n_inner; i++) {
        left[i] = child(t, t->left[i]);
        right[i] = child(t, t->right[i]);
        if (left[i] < 0 || right[i] < 0 || !(t->decision[i] >= 0 && t->decision[i] < 16) ||
            !(t->feature[i] >= 0 && t->feature[i] < tb->n_features))
            return bad(e, "a tree's node is out of range");
        feature[i] = (int64_t)t->feature[i];
        threshold[i] = t->threshold[i];
        unsigned d = (unsigned)t->decision[i], missing = d >> 2;
        if (d & 1) {
            if (!(threshold[i] >= 0 && threshold[i] < (double)t->n_cat))
                return bad(e, "a tree's category set is out of range");
            threshold[i] += (double)first;
            flags[i] = MR_NODE_CATEGORY;
            continue;
        }
        flags[i] = (d & 2 ? MR_NODE_DEFAULT_LEFT : 0) | (missing < 2 ? MR_NODE_NAN_IS_ZERO : 0) |
                   (missing == 1 ? MR_NODE_ZERO_MISSING : 0);
    }
    for (size_t i = 0; i < t->n_leaves; i++) {
        left[t->n_inner + i] = -1;
        value[t->n_inner + i] = t->value[i];
    }
    struct mr_tree_src src = {.n = n,
                              .left = left,
                              .right = right,
                              .feature = feature,
                              .threshold = threshold,
                              .flags = flags,
                              .value = value};
    return mr_tb_add(tb, &src, group, e);
}

/* --- all trees ---------------------------------------------------------------------------------
 */

/* Lines of one tree up to the empty one. False when there are no more trees. */
static bool next_tree(struct mr_str *rest, struct mr_str *v) {
    struct mr_str line;
    for (;;) {
        if (!rest->p)
            return false;
        line = next_line(rest);
        if (mr_str_starts(line, MR_LIT("Tree=")))
            break;
        if (mr_str_is(line, "end of trees"))
            return false;
    }
    memset(v, 0, K_COUNT_ * sizeof *v);
    while (rest->p && (line = next_line(rest)).n)
        for (int k = 0; k < K_COUNT_; k++)
            value_of(line, key_name[k], &v[k]);
    return true;
}

static int add_trees(const struct mr_lgb *l, struct mr_tree_builder *tb, size_t *ret_rounds,
                     struct mr_err *e) {
    struct mr_str v[K_COUNT_], rest = l->text;
    struct mr_arena tmp;
    size_t n = 0, max = l->rounds > 0 ? (size_t)l->rounds * l->n_groups : SIZE_MAX;
    int r = 0;
    mr_arena_init(&tmp, (size_t)2 << 30);
    while (!r && n < max && next_tree(&rest, v)) {
        struct ltree t;
        r = read_tree(&tmp, v, &t, e);
        if (!r)
            r = add_tree(&tmp, &t, (uint32_t)(n % l->n_groups), tb, e);
        mr_arena_reset(&tmp);
        n++;
    }
    mr_arena_release(&tmp);
    if (!r && l->n_trees != SIZE_MAX && n != (l->n_trees < max ? l->n_trees : max))
        return bad(e, "trees are missing: is the file cut off?");
    if (!r && n % l->n_groups)
        r = bad(e, "the number of trees does not fit num_tree_per_iteration");
    *ret_rounds = n / l->n_groups;
    return r;
}

/* "pandas_categorical:[[…]]" after the trees: category values that the library maps itself. */
static int no_pandas(struct mr_str text, struct mr_err *e) {
    const struct mr_str key = MR_LIT("pandas_categorical:");
    while (text.p) {
        struct mr_str line = next_line(&text);
        if (!mr_str_starts(line, key))
            continue;
        struct mr_str v = mr_strn(line.p + key.n, line.n - key.n);
        if (!mr_str_is(v, "null") && !mr_str_is(v, "[]"))
            return mr_fail(e, MR_EUNSUPPORTED,
                           "the LightGBM model was trained on data frame categories; train it on "
                           "category numbers (categorical_feature) instead");
    }
    return 0;
}

int mr_lgb_raw(struct mr_convert *c, const struct mr_lgb *l, uint32_t in, uint32_t *ret,
               struct mr_err *e) {
    MR_CLEANUP(mr_tb_release) struct mr_tree_builder tb = {0};
    size_t rounds;
    if (mr_build_slot_width(c->b, in) != l->n_features)
        return bad(e, "the number of columns does not fit the step before it");
    int r = no_pandas(l->text, e);
    if (!r)
        r = mr_tb_init(&tb, l->n_groups, l->n_features, 0, e);
    tb.cat = MR_CAT_LIGHTGBM;
    if (!r)
        r = add_trees(l, &tb, &rounds, e);
    if (!r)
        *ret = mr_tb_op(&tb, c, in, l->average && rounds ? (double)rounds : 1);
    return r;
}
