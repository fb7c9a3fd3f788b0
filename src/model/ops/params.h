/* Parameter structs of the plumbing operations: what lies at the start of an op's blob.
 * Shared by the operations (check, eval) and by the converters (which fill them). */
#ifndef MR_MODEL_OPS_PARAMS_H
#define MR_MODEL_OPS_PARAMS_H

#include "model/program.h"

/* MR_OP_SELECT: 1 input; out has the input's kind (dense, cells or sparse). */
struct mr_p_select {
    struct mr_ref cols; /* u32[out.width], each < in.width; sparse: strictly ascending */
};

/* MR_OP_CONCAT: inputs side by side. Cells take cells and dense; dense and sparse take dense and
 * sparse (zeros of a dense input are not stored in a sparse output). */
struct mr_p_concat {
    uint64_t unused;
};

/* MR_OP_TO_DENSE: 1 input of any kind, same width. A text cell is an error naming row and column.
 */
struct mr_p_to_dense {
    uint64_t unused;
};

/* MR_OP_ARGMAX: 1 dense input -> width 1, the first of equal maxima (NaN counts as the largest, as
 * numpy.argmax does). */
struct mr_p_argmax {
    uint64_t unused;
};

/* MR_OP_THRESHOLD: dense, elementwise: x > t (or x >= t) -> 1, else 0. */
struct mr_p_threshold {
    double t;
    uint32_t or_equal; /* 1: >= */
    uint32_t pad;
};

/* MR_OP_AFFINE: dense -> dense (or sparse -> sparse with only `scale`), same width, per column and
 * in this order, each step only when its array is present:
 *   x - shift;  x * scale, or x / scale when `divide`;  x + add;  clip to [lo, hi]
 * Arrays have the slot's width, or length 1 for all columns. */
struct mr_p_affine {
    struct mr_ref shift, scale, add; /* f64 */
    struct mr_ref lo, hi;            /* f64; NaN passes */
    uint32_t divide;
    uint32_t pad;
};

/* MR_OP_LINK: dense -> dense over `scale * x`. */
enum mr_link {
    MR_LINK_IDENTITY = 0,
    MR_LINK_SIGMOID = 1,        /* 1 / (1 + exp(-x)), elementwise */
    MR_LINK_SIGMOID_PAIR = 2,   /* width 1 -> 2: [1 - p, p], p = sigmoid(x) */
    MR_LINK_SOFTMAX = 3,        /* a row, maximum subtracted first */
    MR_LINK_EXP = 4,            /* exp(x) */
    MR_LINK_LOG = 5,            /* log(x) */
    MR_LINK_ROW_SUM = 6,        /* row divided by its sum; a sum of 0 leaves it */
    MR_LINK_PAIR = 7,           /* width 1 -> 2: [1 - x, x] */
    MR_LINK_NEG_PAIR = 8,       /* width 1 -> 2: [-x, x] */
    MR_LINK_SOFTPLUS = 9,       /* log(1 + exp(x)) */
    MR_LINK_SIGNED_SQUARE = 10, /* x * |x| */
    MR_LINK_NEGATE = 11,        /* -x */
    MR_LINK_SQRT = 12,
    MR_LINK_TANH = 13,
    MR_LINK_RELU = 14,
    MR_LINK_LOG_SOFTMAX = 15,     /* x - max - log(sum(exp(x - max))) */
    MR_LINK_EXP_NORMALIZE = 16,   /* exp(x - logsumexp(x)): the naive Bayes way to normalise */
    MR_LINK_ROW_SUM_UNIFORM = 17, /* as ROW_SUM; a sum of 0 gives 1 / width everywhere */
    MR_LINK_EXP2 = 18,            /* 2 to the power x */
    MR_LINK_ROUND_F32 = 19,       /* to the nearest float */
    MR_LINK_LOGIT = 20,           /* log(x / (1 - x)) */
    MR_LINK_MARK_MISSING = 21,    /* NaN where x equals `scale` as a float, else x */
    MR_LINK_COUNT_
};
struct mr_p_link {
    uint32_t link; /* enum mr_link */
    uint32_t pad;
    double scale; /* usually 1 */
};

/* MR_OP_LOOKUP: dense width 1 holding an index -> row of the table. */
struct mr_p_lookup {
    struct mr_ref table; /* f64[n * out.width] */
};

/* MR_OP_MEAN: dense inputs of one width -> (sum of w_i * x_i) / divisor, inputs added in order. */
struct mr_p_mean {
    struct mr_ref weight; /* f64[n_in], or empty for all 1 */
    double divisor;       /* not 0; 1 for a plain sum */
};

/* MR_OP_ADABOOST: dense in (one column a regressor) -> width 1, the weighted median. */
struct mr_p_adaboost {
    struct mr_ref weight; /* f64[in.width] */
};

#endif
