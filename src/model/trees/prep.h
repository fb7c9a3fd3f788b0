/* What a tree ensemble keeps beside its file arrays once loaded: the layouts of the kernels.
 *
 * QuickScorer (Lucchese et al. 2015): trees of at most 32 leaves as bit masks. A node whose test
 * fails (x > threshold) clears the leaves of its left subtree; the lowest bit left is the exit
 * leaf. Two transpositions: lane = tree for one row, lane = row for blocks (V-QuickScorer).
 * Walk: nodes in pairs, eight trees at a time, no branches; for larger trees.
 *
 * All of them compare floats. For ensembles over doubles, input and thresholds are rounded towards
 * minus infinity: unequal floats decide as the doubles do, equal ones are left to the reference.
 * So are ensembles with categories, and rows with missing values where a layout has no rule for
 * them (AVX2, and columns whose nodes disagree on how a missing value is read). */
#ifndef MR_MODEL_TREES_PREP_H
#define MR_MODEL_TREES_PREP_H

#include "model/trees/trees.h"

#define MR_QS_LEAVES    32u
#define MR_QS_FEATURES  32u
#define MR_WALK_TREES   8u
#define MR_QS_NAN_RIGHT 128u /* a missing value goes right */

enum mr_trees_level { MR_LEVEL_REFERENCE = 0, MR_LEVEL_SCALAR, MR_LEVEL_AVX2, MR_LEVEL_AVX512 };
enum mr_trees_level mr_trees_cpu(void);

enum mr_trees_sum {
    MR_SUM_LEAVES,  /* leaf numbers first, values added in order afterwards */
    MR_SUM_ONE,     /* one output of doubles */
    MR_SUM_ONE_F32, /* one output of floats */
    MR_SUM_MANY,    /* several outputs, a tree adds to one of them */
    MR_SUM_COUNT,   /* leaves name a class: counting */
};

struct mr_qs_node {
    float t;
    uint32_t mask; /* leaves that stay when x > t */
    uint32_t tree;
};

struct mr_qs {
    uint32_t lanes; /* trees a group: 16 (AVX-512) or 8 (AVX2) */
    uint32_t n_groups;
    uint32_t *start, *steps; /* n_groups: first row of 16 or 8 nodes, number of rows */
    float *t;                /* [row * lanes + lane], 64-byte aligned */
    uint32_t *mask;
    uint8_t *feature; /* | MR_QS_NAN_RIGHT */
    uint32_t *order;  /* tree of (group, lane), n_trees used */
    /* by place in `order` (lane = tree) or by tree (lane = row): [i * 32 + leaf] */
    double *value, *row_value;
    int32_t *number, *row_number; /* leaf number, or the class when counting */
    /* Counting: leaves of each class as bits, [(group * n_out + class) * lanes + lane] and
     * [tree * n_out + class]. */
    uint32_t *class_bits, *row_class_bits;
    struct mr_qs_node *node; /* by feature, thresholds ascending */
    uint32_t *from;          /* n_features + 1 */
};

struct mr_walk_node {
    float t;
    uint32_t link; /* left child << 8 | feature; the right child follows the left */
};
struct mr_walk_wide {
    float t;
    uint32_t left, feature;
};

struct mr_walk {
    struct mr_walk_node *node; /* up to 256 features and 2^24 nodes */
    struct mr_walk_wide *wide; /* else */
    uint32_t *leaf;            /* leaf number of each node that is one */
    uint8_t *nan_right;        /* of each node */
    uint32_t *root, *depth, *order;
    size_t n;
};

struct mr_trees_prep {
    struct mr_trees m;
    enum mr_trees_level level;
    enum mr_trees_sum sum;
    bool f32;  /* compare as floats is exact; else ties go to the reference */
    bool fast; /* one of the layouts below may be used */
    bool has_qs, has_walk;
    bool nan_ok;            /* the layouts may decide missing values */
    uint8_t *nan_zero;      /* n_features; 1: a missing value is read as 0 */
    uint32_t nan_zero_bits; /* the first 32 of them */
    struct mr_qs qs;
    struct mr_walk walk;
    uint8_t *leaf_class; /* with MR_SUM_COUNT: class of each leaf */
    size_t bytes;
    double row_ns; /* rough cost of one row */
};

int mr_trees_prep_new(const struct mr_trees *m, enum mr_trees_level level,
                      struct mr_trees_prep **ret, struct mr_err *e);
void mr_trees_prep_free(struct mr_trees_prep *p);
/* rows x n_features doubles -> rows x n_out. Thread-safe. */
int mr_trees_run(const struct mr_trees_prep *p, const double *x, size_t rows, double *out,
                 struct mr_arena *scratch, struct mr_err *e);

/* The largest float not above t (t not NaN); 0 for -0. */
static inline float mr_float_down(double t) {
    float f = (float)t + 0.0f;
    if ((double)f > t) { /* the float before f: one step down in its bits */
        int32_t bits;
        memcpy(&bits, &f, sizeof bits);
        bits = f > 0 ? bits - 1 : f < 0 ? bits + 1 : INT32_MIN + 1;
        memcpy(&f, &bits, sizeof f);
    }
    return f;
}

/* Layout builders; each leaves what it allocated to mr_trees_prep_free. */
int mr_qs_build(struct mr_trees_prep *p, struct mr_err *e);
int mr_walk_build(struct mr_trees_prep *p, struct mr_err *e);
/* Memory that the prep accounts for, 64-byte aligned and zeroed. */
void *mr_prep_alloc(struct mr_trees_prep *p, size_t n, size_t size);

/* --- kernels ------------------------------------------------------------------------------- */
/* One row; false when the reference must decide (missing value, or a tie between doubles).
 * `leaf` (n_trees) is written with MR_SUM_LEAVES and MR_SUM_MANY, `out` (sums without bias and
 * divisor) with the others. n_features <= 32. */
bool mr_qs_row_avx512(const struct mr_trees_prep *p, const double *x, double *out, uint32_t *leaf);
bool mr_qs_row_avx2(const struct mr_trees_prep *p, const double *x, double *out, uint32_t *leaf);
/* A block of up to 16 (8) rows, their columns transposed and rounded in `cols` (n_features x 16 or
 * 8 floats). `live` has n_trees * 16 (8) words. Writes sums to acc[output * lanes + row] (doubles)
 * or leaf numbers to leaf[tree * lanes + row]. Returns the rows with ties as bits. */
/* Rows to columns for it; tmp has 16 * n_features floats. Returns rows with missing values as bits;
 * exact: no value was rounded. */
uint32_t mr_qs_cols_avx512(const struct mr_trees_prep *p, const double *x, size_t rows, float *tmp,
                           float *cols, bool *ret_exact);
uint32_t mr_qs_block_avx512(const struct mr_trees_prep *p, const float *cols, uint32_t *live,
                            double *acc, uint32_t *leaf);
uint32_t mr_qs_block_avx2(const struct mr_trees_prep *p, const float *cols, uint32_t *live,
                          double *acc, uint32_t *leaf);
/* One row as floats. False on a tie when !p->f32. */
bool mr_walk_row(const struct mr_trees_prep *p, const float *x, bool missing, uint32_t *leaf);

#endif
