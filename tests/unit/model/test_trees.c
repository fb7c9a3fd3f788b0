/* Kernels against the reference walker on random ensembles, and the reference on hand-made trees.
 */
#include "model/convert/trees_build.h"
#include "model/op_ids.h"
#include "model/trees/prep.h"
#include "mr_test.h"

#include "base/alloc.h"
#include "model/build.h"
#include "model/model.h"

#include <sys/mman.h>
#include <unistd.h>

static uint64_t seed = 1;

static uint32_t rnd(uint32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static double real(void) {
    return (rnd(2000001) / 1000000.0 - 1) * (rnd(4) ? 10 : 1e-3);
}

struct kind {
    uint32_t flags, n_out, features, max_leaves, trees, cat;
    bool one_hot, zero_missing, nan_zero; /* nan_zero: in odd columns */
};

/* A random tree by splitting a random leaf until it has its leaves. */
static void add_tree(struct mr_tree_builder *tb, const struct kind *k) {
    enum { MAX = 512 };
    int64_t left[MAX], right[MAX], feature[MAX];
    double thr[MAX], value[MAX * 8];
    uint8_t flags[MAX];
    size_t n = 1, leaves = 1 + rnd(k->max_leaves);
    struct mr_err e;
    left[0] = -1;
    for (size_t made = 1; made < leaves; made++) {
        size_t i;
        do
            i = rnd((uint32_t)n);
        while (left[i] >= 0);
        left[i] = (int64_t)n;
        right[i] = (int64_t)n + 1;
        left[n] = left[n + 1] = -1;
        n += 2;
    }
    for (size_t i = 0; i < n; i++) {
        feature[i] = rnd(k->features);
        thr[i] = rnd(8) ? real() : rnd(5);
        if (k->flags & MR_TREES_SUM_F32)
            thr[i] = (float)thr[i];
        if (rnd(40) == 0)
            thr[i] = INFINITY;
        flags[i] = rnd(2) ? MR_NODE_DEFAULT_LEFT : 0;
        if (k->zero_missing && rnd(2))
            flags[i] |= rnd(2) ? MR_NODE_ZERO_MISSING | MR_NODE_NAN_IS_ZERO : MR_NODE_NAN_IS_ZERO;
        if (k->nan_zero && feature[i] % 2)
            flags[i] |= MR_NODE_NAN_IS_ZERO;
        if (k->cat && rnd(3) == 0) {
            uint32_t set = rnd(UINT32_MAX), known = set | rnd(UINT32_MAX);
            flags[i] |= MR_NODE_CATEGORY;
            thr[i] = (double)mr_tb_set(tb, &set, 1, &known, 1, &e);
        }
        uint32_t hot = rnd(k->n_out);
        for (uint32_t j = 0; j < tb->leaf_width; j++) {
            double v = k->one_hot ? j == hot : real();
            value[i * tb->leaf_width + j] = k->flags & MR_TREES_SUM_F32 ? (float)v : v;
        }
    }
    struct mr_tree_src src = {.n = n,
                              .left = left,
                              .right = right,
                              .feature = feature,
                              .threshold = thr,
                              .flags = flags,
                              .value = value};
    CHECK_INT(mr_tb_add(tb, &src, k->flags & MR_TREES_VECTOR ? 0 : rnd(k->n_out), &e), 0);
}

static struct mr_trees view(const struct mr_tree_builder *tb, double divisor) {
    return (struct mr_trees){.n_trees = (uint32_t)tb->n_trees,
                             .n_out = tb->n_out,
                             .n_features = tb->n_features,
                             .flags = tb->flags,
                             .cat = tb->cat,
                             .n_nodes = tb->n_nodes,
                             .n_leaves = tb->n_leaves,
                             .divisor = divisor,
                             .bias = tb->bias,
                             .root = tb->root,
                             .tree_out = tb->tree_out,
                             .feature = tb->feature,
                             .threshold = tb->threshold,
                             .left = tb->left,
                             .right = tb->right,
                             .node_flag = tb->node_flag,
                             .leaf = tb->leaf,
                             .cat_off = tb->cat_off,
                             .cat_word = tb->cat_word};
}

/* Values that hurt: thresholds and their neighbours as doubles and floats, zeros, NaN. */
static double hard(const struct mr_trees *m) {
    double t = m->n_nodes ? m->threshold[rnd((uint32_t)m->n_nodes)] : 0;
    switch (rnd(12)) {
    case 0:
        return t;
    case 1:
        return nextafter(t, -1e30);
    case 2:
        return nextafter(t, 1e30);
    case 3:
        return nextafterf((float)t, -1e30f);
    case 4:
        return nextafterf((float)t, 1e30f);
    case 5:
        return (float)t;
    case 6:
        return rnd(2) ? 0.0 : -0.0;
    case 7:
        return rnd(30) ? rnd(40) : -1.5;
    default:
        return real();
    }
}

static void compare(const struct mr_trees *m, enum mr_trees_level level, size_t rows, bool nan) {
    struct mr_trees_prep *p = NULL;
    struct mr_arena a;
    struct mr_err e;
    mr_arena_init(&a, 64u << 20);
    CHECK_INT(mr_trees_prep_new(m, level, &p, &e), 0);
    double *x = mr_arena_array(&a, rows * m->n_features, sizeof *x);
    double *got = mr_arena_array(&a, rows * m->n_out, sizeof *got);
    double want[16];
    for (size_t i = 0; i < rows * m->n_features; i++)
        x[i] = nan && rnd(20) == 0 ? NAN : hard(m);
    CHECK_INT(mr_trees_run(p, x, rows, got, &a, &e), 0);
    for (size_t i = 0; i < rows; i++) {
        mr_trees_row(m, x + i * m->n_features, want);
        for (uint32_t k = 0; k < m->n_out; k++) {
            double tol = p->sum == MR_SUM_ONE ? 1e-12 : 0;
            CHECK_NEAR(got[i * m->n_out + k], want[k], tol);
        }
    }
    mr_trees_prep_free(p);
    mr_arena_release(&a);
}

static void try_kind(const struct kind *k) {
    struct mr_tree_builder tb;
    struct mr_err e;
    CHECK_INT(mr_tb_init(&tb, k->n_out, k->features, k->flags, &e), 0);
    tb.cat = k->cat;
    for (uint32_t j = 0; j < k->n_out && !k->one_hot; j++)
        tb.bias[j] = (float)real();
    for (uint32_t t = 0; t < k->trees; t++)
        add_tree(&tb, k);
    struct mr_trees m = view(&tb, k->flags & MR_TREES_SUM_F32 ? 1 : k->trees);
    for (int level = MR_LEVEL_SCALAR; level <= (int)mr_trees_cpu(); level++) {
        compare(&m, level, 1, false);
        compare(&m, level, 3, true);
        compare(&m, level, 13, false);
        compare(&m, level, 16, false);
        compare(&m, level, 50, true);
    }
    mr_tb_release(&tb);
}

MR_TEST(kernels_agree_with_the_reference) {
    static const struct kind kinds[] = {
        {MR_TREES_F32 | MR_TREES_VECTOR, 3, 4, 20, 40, 0, true, false, false},
        {MR_TREES_F32 | MR_TREES_VECTOR, 3, 17, 32, 19, 0, false, false, false},
        {MR_TREES_F32 | MR_TREES_VECTOR, 5, 64, 120, 21, 0, true, false, false},
        {MR_TREES_F32, 1, 30, 8, 100, 0, false, false, false},
        {MR_TREES_F32, 1, 300, 60, 10, 0, false, false, false},
        {MR_TREES_F32, 1, 40, 16, 33, 0, false, false, false},
        {MR_TREES_F32, 4, 12, 16, 40, 0, false, false, false},
        {MR_TREES_F32 | MR_TREES_SUM_F32, 1, 9, 30, 50, 0, false, false, false},
        {MR_TREES_F32 | MR_TREES_SUM_F32, 3, 9, 30, 50, 0, false, false, false},
        {MR_TREES_F32 | MR_TREES_SUM_F32 | MR_TREES_VECTOR, 2, 9, 30, 20, 0, false, false, false},
        {0, 1, 30, 31, 60, 0, false, false, false},
        {0, 3, 33, 31, 30, 0, false, false, false},
        {0, 1, 10, 200, 12, 0, false, false, false},
        {0, 1, 300, 200, 12, 0, false, false, false},
        {0, 1, 10, 31, 20, 0, false, true, false},
        {0, 1, 10, 31, 20, 0, false, false, true},
        {0, 1, 31, 200, 20, 0, false, false, true},
        {0, 2, 40, 20, 20, 0, false, false, true},
        {0, 1, 10, 31, 20, MR_CAT_LIGHTGBM, false, true, false},
        {0, 2, 10, 31, 20, MR_CAT_SKLEARN, false, false, false},
        {MR_TREES_F32 | MR_TREES_SUM_F32, 1, 10, 31, 20, MR_CAT_XGBOOST, false, false, false},
        {MR_TREES_F32, 1, 3, 1, 5, 0, false, false, false},
    };
    for (int round = 0; round < 12; round++)
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            try_kind(&kinds[i]);
}

MR_TEST(float_down_is_the_floor_among_floats) {
    CHECK(mr_float_down(0.1) <= 0.1 && nextafterf(mr_float_down(0.1), 1) > 0.1);
    CHECK(mr_float_down(-0.1) <= -0.1 && nextafterf(mr_float_down(-0.1), 1) > -0.1);
    CHECK(mr_float_down(1e-60) == 0 && mr_float_down(-1e-60) < 0);
    CHECK(mr_float_down(1e300) == 3.4028234663852886e38);
    CHECK(mr_float_down(-1e300) == -INFINITY && mr_float_down(INFINITY) == INFINITY);
    CHECK(!signbit(mr_float_down(-0.0)));
    for (int i = 0; i < 100000; i++) {
        double t = real() * pow(10, (int)rnd(80) - 40);
        float f = mr_float_down(t);
        CHECK((double)f <= t && (double)nextafterf(f, INFINITY) > t);
    }
}

/* --- the reference's own meaning -------------------------------------------------------------- */

struct stump {
    uint8_t flags;
    uint32_t cat, op_flags;
    double threshold, x;
    bool left;
};

MR_TEST(stumps_decide_as_their_libraries_do) {
    /* one set: categories 0, 2, 31; known: those and 5 */
    static const uint32_t off[3] = {0, 1, 2}, word[2] = {0x80000005u, 0x80000025u};
    const uint8_t cat = MR_NODE_CATEGORY, left = MR_NODE_DEFAULT_LEFT;
    const struct stump rows[] = {
        {0, 0, MR_TREES_F32, 0.1, 0.1, false}, /* (float)0.1 is above 0.1 */
        {0, 0, 0, 0.1, 0.1, true},
        {0, 0, 0, 0.1, nextafter(0.1, 1), false},
        {0, 0, MR_TREES_F32, (float)0.1, nextafter(0.1, 0), true},
        {left, 0, 0, 1, NAN, true},
        {0, 0, 0, 1, NAN, false},
        {left | MR_NODE_NAN_IS_ZERO, 0, 0, -1, NAN, false},
        {MR_NODE_NAN_IS_ZERO, 0, 0, 1, NAN, true},
        {left | MR_NODE_ZERO_MISSING, 0, 0, -1, 1e-36, true},
        {left | MR_NODE_ZERO_MISSING, 0, 0, -1, 1e-34, false},
        {MR_NODE_ZERO_MISSING | MR_NODE_NAN_IS_ZERO, 0, 0, 1, NAN, false},
        {cat, MR_CAT_LIGHTGBM, 0, 0, 2.9, true},
        {cat, MR_CAT_LIGHTGBM, 0, 0, 1, false},
        {cat, MR_CAT_LIGHTGBM, 0, 0, -0.5, true}, /* truncates to 0 */
        {cat, MR_CAT_LIGHTGBM, 0, 0, -1, false},
        {cat | left, MR_CAT_LIGHTGBM, 0, 0, NAN, false},
        {cat, MR_CAT_LIGHTGBM, 0, 0, 1e12, false},
        {cat, MR_CAT_SKLEARN, 0, 0, 31, true},
        {cat | left, MR_CAT_SKLEARN, 0, 0, 5, false}, /* known, not in the set */
        {cat | left, MR_CAT_SKLEARN, 0, 0, 7, true},  /* unknown: as missing */
        {cat, MR_CAT_SKLEARN, 0, 0, 7, false},
        {cat | left, MR_CAT_SKLEARN, 0, 0, -2, true},
        {cat, MR_CAT_SKLEARN, 0, 0, 258, true}, /* low byte is 2 */
        {cat, MR_CAT_XGBOOST, 0, 0, 31.5, true},
        {cat | left, MR_CAT_XGBOOST, 0, 0, 32, false},
        {cat | left, MR_CAT_XGBOOST, 0, 0, NAN, true},
        {cat | left, MR_CAT_XGBOOST, 0, 0, -1, false},
    };
    static const int32_t root = 0, l = ~0, r = ~1;
    static const uint32_t zero = 0;
    static const double bias = 0, leaf[2] = {1, 2};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_trees m = {.n_trees = 1,
                             .n_out = 1,
                             .n_features = 1,
                             .flags = rows[i].op_flags,
                             .cat = rows[i].cat,
                             .n_nodes = 1,
                             .n_leaves = 2,
                             .divisor = 1,
                             .bias = &bias,
                             .root = &root,
                             .tree_out = &zero,
                             .feature = &zero,
                             .threshold = &rows[i].threshold,
                             .left = &l,
                             .right = &r,
                             .node_flag = &rows[i].flags,
                             .leaf = leaf,
                             .cat_off = off,
                             .cat_word = word};
        double out;
        mr_trees_row(&m, &rows[i].x, &out);
        if (out != (rows[i].left ? 1 : 2))
            fprintf(stderr, "row %zu\n", i);
        CHECK(out == (rows[i].left ? 1 : 2));
    }
}

/* --- check -------------------------------------------------------------------------------------
 */

/* Writes a one-op model with these links and opens it. */
static int open_with(const int32_t *root, const int32_t *left, const int32_t *right,
                     const uint32_t *feature, size_t n, size_t leaves) {
    struct mr_arena a;
    struct mr_err e = {0};
    struct mr_model *m = NULL;
    mr_arena_init(&a, 1u << 20);
    struct mr_build *b = mr_build_new(&a);
    uint32_t in = mr_build_input(b, MR_SLOT_DENSE, 2), out = mr_build_slot(b, MR_SLOT_DENSE, 1);
    double num[8] = {0};
    uint8_t flag[8] = {0};
    uint32_t zero[8] = {0};
    struct mr_p_trees p = {.n_trees = 1, .divisor = 1};
    struct mr_blob blob;
    mr_blob_begin(b, &blob, sizeof p);
    p.bias = mr_blob_f64(&blob, num, 1);
    p.root = mr_blob_i32(&blob, root, 1);
    p.tree_out = mr_blob_u32(&blob, zero, 1);
    p.feature = mr_blob_u32(&blob, feature, n);
    p.threshold = mr_blob_f64(&blob, num, n);
    p.left = mr_blob_i32(&blob, left, n);
    p.right = mr_blob_i32(&blob, right, n);
    p.node_flag = mr_blob_bytes(&blob, flag, n);
    p.leaf = mr_blob_f64(&blob, num, leaves);
    memcpy(mr_blob_head(&blob), &p, sizeof p);
    mr_build_op(b, MR_OP_TREES, &in, 1, out, &blob);
    mr_build_output(b, &(struct mr_build_output){.pred_slot = out, .proba_slot = UINT32_MAX});
    mr_build_info(b, &(struct mr_build_info){.task = MR_TASK_REGRESS,
                                             .framework = MR_LIT("test"),
                                             .framework_version = MR_LIT(""),
                                             .model_type = MR_LIT("test")});
    int fd = memfd_create("m", MFD_CLOEXEC);
    int r = mr_build_write(b, fd, &e);
    if (!r)
        r = mr_model_open(fd, &m, &e);
    mr_model_free(m);
    close(fd);
    mr_build_free(b);
    mr_arena_release(&a);
    return r;
}

MR_TEST(broken_structures_are_refused) {
    int32_t root = 0, left[2] = {1, ~0}, right[2] = {~2, ~1};
    uint32_t feature[2] = {0, 1};
    CHECK_INT(open_with(&root, left, right, feature, 2, 3), 0);
    left[0] = 0; /* a node under itself */
    CHECK_INT(open_with(&root, left, right, feature, 2, 3), MR_EREFUSED);
    left[0] = 2; /* beyond the nodes */
    CHECK_INT(open_with(&root, left, right, feature, 2, 3), MR_EREFUSED);
    left[0] = 1;
    right[1] = ~0; /* a leaf with two parents */
    CHECK_INT(open_with(&root, left, right, feature, 2, 3), MR_EREFUSED);
    right[1] = ~3; /* beyond the leaves */
    CHECK_INT(open_with(&root, left, right, feature, 2, 3), MR_EREFUSED);
    right[1] = ~1;
    feature[1] = 2;
    CHECK_INT(open_with(&root, left, right, feature, 2, 3), MR_EREFUSED);
    feature[1] = 1;
    root = ~5;
    CHECK_INT(open_with(&root, left, right, feature, 2, 3), MR_EREFUSED);
    root = INT32_MIN;
    CHECK_INT(open_with(&root, left, right, feature, 2, 3), MR_EREFUSED);
}

MR_TEST_MAIN(CASE(kernels_agree_with_the_reference), CASE(float_down_is_the_floor_among_floats),
             CASE(stumps_decide_as_their_libraries_do), CASE(broken_structures_are_refused))
