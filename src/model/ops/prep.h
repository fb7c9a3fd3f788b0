/* Parameters of the preprocessing operations as they lie in a compiled model, shared by the
 * operations and the converters. */
#ifndef MR_MODEL_OPS_PREP_H
#define MR_MODEL_OPS_PREP_H

#include "model/program.h"

/* --- category maps (ops/catmap.c) --------------------------------------------------------- */
#define MR_CAT_NONE  (-1) /* no column of the block: all zeros (MR_OP_ONEHOT only) */
#define MR_CAT_ERROR (-2) /* the prediction fails, naming row, column and value */

/* What one input column's values mean. A code is >= 0 or one of the two above; MR_OP_ONEHOT:
 * position in the column's block; MR_OP_ORDINAL: position in `value`. */
struct mr_p_cat {
    uint32_t in_col;
    uint32_t first, width; /* MR_OP_ONEHOT: the block of output columns */
    int32_t missing, unknown;
    uint32_t pad;
    struct mr_ref num, num_code; /* f64 strictly ascending, and i32 */
    struct mr_ref str, str_code; /* strtab without repeats, and i32 */
    struct mr_ref value;         /* MR_OP_ORDINAL: f64 */
};

/* MR_OP_ONEHOT (dense or cells -> dense or sparse, blocks side by side) and MR_OP_ORDINAL
 * (dense or cells -> dense, one column a map). */
struct mr_p_encode {
    struct mr_ref cats; /* bytes: struct mr_p_cat[n], n = bytes / sizeof */
};

/* --- missing values (ops/impute.c) -------------------------------------------------------- */
enum mr_missing { MR_MISSING_NAN = 0, MR_MISSING_NUM = 1, MR_MISSING_STR = 2 };
struct mr_p_missing {
    uint32_t kind, pad; /* enum mr_missing: which value counts as missing */
    double num;
    struct mr_ref str;  /* bytes */
    struct mr_ref cols; /* u32 */
};
/* MR_OP_IMPUTE: dense -> dense or cells -> cells. First the columns `fill_col` with what is missing
 * filled in, then, for each of `missing.cols`, 1 where that column was missing. */
struct mr_p_impute {
    struct mr_p_missing missing;
    struct mr_ref fill_col;    /* u32 */
    struct mr_ref fill_num;    /* f64, one a fill_col */
    struct mr_ref fill_str;    /* strtab, one a fill_col, or empty */
    struct mr_ref fill_is_str; /* u32 0/1, one a fill_col, or empty */
};
/* MR_OP_MISSING: dense or cells -> dense; struct mr_p_missing, one column an entry of cols. */

/* MR_OP_PRESENT: dense -> the same, failing on NaN; no parameters. */

/* --- numbers (ops/normalize.c, poly.c, quantile.c, power.c, unary.c) ----------------------- */
struct mr_p_normalize {
    uint32_t norm, pad; /* enum mr_norm of ops/text.h */
};
/* MR_OP_POLY: dense -> dense. Term 0 is 1; term t is term[parent[t]] * x[feature[t]], parent < t.
 * Output column j is term keep[j]. */
struct mr_p_poly {
    struct mr_ref parent, feature; /* u32, n terms each (entry 0 unused) */
    struct mr_ref keep;            /* u32 */
};
/* MR_OP_BINS: dense -> dense. Column j becomes the number of its edges that are <= x. */
struct mr_p_bins {
    struct mr_ref start; /* u32[width + 1] into edge */
    struct mr_ref edge;  /* f64, ascending within a column */
};
/* MR_OP_QUANTILE: dense -> dense, NaN stays. */
struct mr_p_quantile {
    uint32_t normal;         /* 1: normal output, 0: uniform */
    uint32_t n;              /* quantiles a column */
    struct mr_ref quantile;  /* f64[width][n], ascending */
    struct mr_ref reference; /* f64[n], ascending */
};
enum mr_power { MR_POWER_YEO_JOHNSON = 1, MR_POWER_BOX_COX = 2 };
struct mr_p_power {
    uint32_t method, pad;
    struct mr_ref lambda; /* f64[width] */
};
enum mr_unary {
    MR_UNARY_LOG1P = 1,
    MR_UNARY_LOG,
    MR_UNARY_LOG2,
    MR_UNARY_LOG10,
    MR_UNARY_EXP,
    MR_UNARY_EXPM1,
    MR_UNARY_EXP2,
    MR_UNARY_SQRT,
    MR_UNARY_CBRT,
    MR_UNARY_SQUARE,
    MR_UNARY_ABS,
    MR_UNARY_NEGATE,
    MR_UNARY_RECIPROCAL,
    MR_UNARY_SIGN,
    MR_UNARY_SIN,
    MR_UNARY_COS,
    MR_UNARY_TAN,
    MR_UNARY_TANH,
    MR_UNARY_ARCSINH,
    MR_UNARY_FLOOR,
    MR_UNARY_CEIL,
    MR_UNARY_RINT,
    MR_UNARY_COUNT_
};
struct mr_p_unary {
    uint32_t fn, pad;
};
/* MR_OP_VOTE: dense inputs of width 1 holding class indices -> sum of weights a class. */
struct mr_p_vote {
    struct mr_ref weight; /* f64[n_in] */
};

/* Inverse of the normal distribution's cumulative function. */
double mr_normal_quantile(double p);

#endif
