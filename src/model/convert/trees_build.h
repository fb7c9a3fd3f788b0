/* Collecting trees of any library into one MR_OP_TREES. Private to convert/. */
#ifndef MR_MODEL_CONVERT_TREES_BUILD_H
#define MR_MODEL_CONVERT_TREES_BUILD_H

#include "model/convert/convert.h"
#include "model/trees/trees.h"

struct mr_tree_builder {
    uint32_t n_out, n_features; /* n_features: width of the op's input */
    uint32_t flags, cat;        /* enum mr_trees_flags, enum mr_trees_cat */
    uint32_t leaf_width;
    double *bias; /* n_out, zero at first */
    int32_t *root, *left, *right;
    uint32_t *tree_out, *feature;
    double *threshold, *leaf;
    uint8_t *node_flag;
    size_t n_trees, n_nodes, n_leaves;
    size_t cap_trees, cap_nodes, cap_leaves; /* leaves counted in leaves */
    uint32_t *cat_off, *cat_word;
    size_t n_off, cap_off, n_word, cap_word;
};

/* One tree as its library keeps it. Node i is a leaf when left[i] < 0; node 0 is the root. */
struct mr_tree_src {
    size_t n;
    const int64_t *left, *right, *feature; /* n each; feature is not read at leaves */
    const double *threshold;               /* n */
    const uint8_t *flags;                  /* n of enum mr_trees_node, or NULL for 0 */
    const double *value;                   /* n * leaf_width; only leaves are read */
    const uint32_t *map; /* column of the op's input for each of the tree's features, or NULL */
    size_t n_map;
};

int mr_tb_init(struct mr_tree_builder *tb, uint32_t n_out, uint32_t n_features, uint32_t flags,
               struct mr_err *e);
void mr_tb_release(struct mr_tree_builder *tb);
/* Adds a tree, checking its links (every node reached at most once) and features. */
int mr_tb_add(struct mr_tree_builder *tb, const struct mr_tree_src *src, uint32_t out,
              struct mr_err *e);
/* A category set; returns its number, the `threshold` of the nodes that use it, or < 0. `known` may
 * be empty. */
int64_t mr_tb_set(struct mr_tree_builder *tb, const uint32_t *words, size_t n,
                  const uint32_t *known, size_t n_known, struct mr_err *e);
/* Writes the op: `in` (dense) -> a new slot of n_out columns. */
uint32_t mr_tb_op(struct mr_tree_builder *tb, struct mr_convert *c, uint32_t in, double divisor);

/* The small operations after an ensemble. Each returns the new slot. */
uint32_t mr_tree_link(struct mr_convert *c, uint32_t in, uint32_t link, double scale,
                      uint32_t width);
uint32_t mr_tree_argmax(struct mr_convert *c, uint32_t in);
uint32_t mr_tree_threshold(struct mr_convert *c, uint32_t in, double t, bool or_equal);
/* Steps of MR_OP_AFFINE with one constant for all columns; NULL leaves a step out. */
uint32_t mr_tree_affine(struct mr_convert *c, uint32_t in, const double *shift, const double *scale,
                        bool divide, const double *lo, const double *hi);
/* (sum of w[i] * slot[i]) / divisor over any number of slots of one width; w NULL = all 1. */
uint32_t mr_tree_mean(struct mr_convert *c, const uint32_t *slot, size_t n, const double *w,
                      double divisor);
/* Columns of a slot; cols NULL = at, at + 1, … */
uint32_t mr_tree_select(struct mr_convert *c, uint32_t in, const uint32_t *cols, uint32_t at,
                        uint32_t n);

#endif
