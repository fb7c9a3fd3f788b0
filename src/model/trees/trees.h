/* MR_OP_TREES: an ensemble of binary decision trees.
 *
 * Inner nodes and leaves are numbered over the whole ensemble. A child >= 0 is an inner node, a
 * child < 0 is leaf ~child; inner children have a higher number than their parent and every node
 * and leaf has one parent, so walks end. A tree that is one leaf has root ~leaf.
 *
 * Out: sum over trees, in order, of leaf values, started from `bias`, then divided by `divisor`.
 *
 * A row goes left at a numeric node when x <= threshold, x being the input as double or rounded to
 * float first (MR_TREES_F32). Libraries that test x < t store the next float below t.
 * Missing (NaN) and categories: see the flags. */
#ifndef MR_MODEL_TREES_TREES_H
#define MR_MODEL_TREES_TREES_H

#include "model/program.h"

enum mr_trees_flags {
    MR_TREES_F32 = 1,     /* round inputs to float; thresholds are floats too */
    MR_TREES_VECTOR = 2,  /* leaves hold n_out values; else one, added to tree_out[tree] */
    MR_TREES_SUM_F32 = 4, /* add in float, as XGBoost does; leaves and bias are floats */
};

enum mr_trees_node {
    MR_NODE_DEFAULT_LEFT = 1, /* where missing values go; else right */
    MR_NODE_CATEGORY = 2,     /* threshold is the number of a category set */
    MR_NODE_ZERO_MISSING = 4, /* |x| <= 1e-35 and NaN are missing (LightGBM "Zero") */
    MR_NODE_NAN_IS_ZERO = 8,  /* NaN is read as 0 (LightGBM "None") */
    MR_NODE_FLAGS_ = 15,
};

/* How a category node reads its value. In set: left. */
enum mr_trees_cat {
    MR_CAT_NONE = 0,
    MR_CAT_LIGHTGBM = 1, /* truncated; NaN, negative or not in the set: right */
    MR_CAT_SKLEARN = 2,  /* low byte; NaN, negative, not known: default; known: right */
    MR_CAT_XGBOOST = 3,  /* NaN: default; negative, too large or not in the set: right */
};

struct mr_p_trees {
    uint32_t n_trees;
    uint32_t flags; /* enum mr_trees_flags */
    uint32_t cat;   /* enum mr_trees_cat */
    uint32_t pad;
    double divisor;
    struct mr_ref bias;      /* f64[out.width] */
    struct mr_ref root;      /* i32[n_trees] */
    struct mr_ref tree_out;  /* u32[n_trees]; empty with MR_TREES_VECTOR */
    struct mr_ref feature;   /* u32[nodes] */
    struct mr_ref threshold; /* f64[nodes] */
    struct mr_ref left;      /* i32[nodes] */
    struct mr_ref right;     /* i32[nodes] */
    struct mr_ref node_flag; /* u8[nodes] */
    struct mr_ref leaf;      /* f64[leaves * (VECTOR ? out.width : 1)] */
    struct mr_ref cat_off;   /* u32[2 * sets + 1]: words of set s start at [2s], of its known set at
                              * [2s + 1] */
    struct mr_ref cat_word;  /* u32 */
};

/* The arrays of a checked op. */
struct mr_trees {
    uint32_t n_trees, n_out, n_features, flags, cat;
    size_t n_nodes, n_leaves;
    double divisor;
    const double *bias;
    const int32_t *root;
    const uint32_t *tree_out;
    const uint32_t *feature;
    const double *threshold;
    const int32_t *left, *right;
    const uint8_t *node_flag;
    const double *leaf;
    const uint32_t *cat_off, *cat_word;
};
void mr_trees_view(const struct mr_op *op, uint32_t n_out, uint32_t n_features,
                   struct mr_trees *ret);

/* Leaf that row x (n_features doubles) reaches in tree t. Handles everything; the reference. */
size_t mr_trees_walk(const struct mr_trees *m, uint32_t t, const double *x);
/* One row by mr_trees_walk. */
void mr_trees_row(const struct mr_trees *m, const double *x, double *out);

#endif
