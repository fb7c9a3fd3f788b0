/* Parameter blobs of the linear, kernel and neighbour operations (little-endian, as in memory).
 * Feature-major weights are padded to `stride` columns so that kernels run without tails. */
#ifndef MR_MODEL_OPS_LINEAR_PARAMS_H
#define MR_MODEL_OPS_LINEAR_PARAMS_H

#include "model/program.h"

#include <math.h>

/* Columns kept for n outputs: 1, 4, or the next multiple of 8. */
static inline uint32_t mr_linear_stride(uint32_t n) {
    return n <= 1 ? 1 : n <= 4 ? 4 : (n + 7) & ~7u;
}

/* MR_OP_LINEAR: out[k] = b[k] + sum_j w[j * stride + k] * x[j]; dense or sparse input. */
enum {
    MR_LINEAR_BINARIZE = 1, /* x[j] is first replaced by x[j] > threshold */
    MR_LINEAR_F32 = 2,      /* dense only: ((b + w0 x0) + w1 x1) + … in single precision */
};
struct mr_linear_params {
    uint32_t n_in, n_out, stride, flags;
    double threshold;
    struct mr_ref w; /* f64 n_in * stride */
    struct mr_ref b; /* f64 stride */
};

/* MR_OP_MLP: layers of y = act(x W + b). The last layer stays linear (a LINK op follows). */
enum mr_mlp_act { MR_ACT_IDENTITY = 0, MR_ACT_RELU = 1, MR_ACT_TANH = 2, MR_ACT_LOGISTIC = 3 };
#define MR_MLP_MAX_LAYERS 256
struct mr_mlp_params {
    uint32_t n_layers, activation;
    struct mr_ref dims; /* u32 n_layers + 1 widths */
    struct mr_ref w; /* f64: per layer dims[i] * stride(dims[i + 1]) weights, then the bias row */
};

/* Points for mr_dist8: blocks of 8 points, [block][feature][lane], zero-padded. */

/* MR_OP_SVM: libsvm decision values of x.
 * Source: C.-C. Chang, C.-J. Lin, LIBSVM: a library for support vector machines (2011), eq. 1-4. */
enum mr_svm_kernel { MR_SVM_LINEAR = 0, MR_SVM_POLY = 1, MR_SVM_RBF = 2, MR_SVM_SIGMOID = 3 };
struct mr_svm_params {
    uint32_t n_in, n_sv;
    uint32_t n_class; /* >= 2: one value a pair (i < j); 0: one function over all vectors */
    uint32_t kernel;
    uint32_t degree, sparse;
    double gamma, coef0;
    struct mr_ref sv;    /* dense: f64 blocks; sparse: f64 values */
    struct mr_ref start; /* sparse: u32 n_sv + 1 */
    struct mr_ref index; /* sparse: u32 columns, ascending in a vector */
    struct mr_ref coef;  /* f64 (n_class - 1 or 1) * n_sv */
    struct mr_ref bias;  /* f64 a value */
    struct mr_ref n_of;  /* u32 n_class vectors of each class; empty when n_class is 0 */
};

/* MR_OP_SVM_PROBA: what is made of one-against-one decision values. */
enum mr_svm_post {
    MR_SVM_COUPLE = 1, /* probabilities: Wu, Lin, Weng (2004), second method, as libsvm iterates */
    MR_SVM_VOTE = 2,   /* class index by votes, first maximum */
    MR_SVM_OVR = 3,    /* votes + squashed confidences (one value a class) */
};
struct mr_svm_post_params {
    uint32_t mode, n_class;
    uint32_t negate; /* votes and OVR: a pair's value is for the second class when positive */
    uint32_t pad;
    double cut;         /* MR_SVM_OVR: the second class gets the vote above this */
    struct mr_ref a, b; /* f64 a pair: sigmoid slope and offset (MR_SVM_COUPLE) */
};

/* MR_OP_KNN: out = k distances, then k row numbers of the nearest training rows. */
enum mr_metric {
    MR_METRIC_EUCLIDEAN = 1,
    MR_METRIC_MANHATTAN = 2,
    MR_METRIC_CHEBYSHEV = 3,
    MR_METRIC_MINKOWSKI = 4,
    MR_METRIC_COSINE = 5, /* brute only; points are stored with length 1 */
};
enum mr_knn_method { MR_KNN_BRUTE = 1, MR_KNN_KDTREE = 2, MR_KNN_BALLTREE = 3 };
struct mr_knn_params {
    uint32_t n_in, n_fit, k;
    uint32_t metric, method;
    uint32_t n_node;      /* trees: node i has children 2i + 1 and 2i + 2 */
    double p;             /* Minkowski exponent */
    struct mr_ref x;      /* brute: f64 blocks; trees: f64 n_fit * n_in rows in `order` */
    struct mr_ref order;  /* trees: u32 n_fit row numbers */
    struct mr_ref node;   /* trees: u32 n_node * 3: first, last + 1, leaf? */
    struct mr_ref radius; /* ball tree: f64 n_node */
    struct mr_ref norm;   /* euclidean brute force: f64 n_fit squared lengths (mr_norm_fma) */
    struct mr_ref lo, hi; /* f64 n_node * n_in: box corners; ball tree: centre in lo */
};
/* Squared length with one rounding a step. */
static inline double mr_norm_fma(const double *x, size_t n) {
    double s = 0;
    for (size_t j = 0; j < n; j++)
        s = fma(x[j], x[j], s);
    return s;
}
/* MR_OP_KNN_POOL: neighbours -> class weights or mean target. */
struct mr_knn_pool_params {
    uint32_t k, n_fit;
    uint32_t by_distance; /* weight 1 / distance, exact hits take all */
    uint32_t n_class;     /* 0: regression */
    uint32_t n_out, pad;  /* regression targets */
    struct mr_ref y;      /* u32 n_fit classes, or f64 n_fit * n_out targets */
};

/* MR_OP_GNB: log joint likelihood per class. */
struct mr_gnb_params {
    uint32_t n_in, n_class;
    struct mr_ref mean, var; /* f64 n_class * n_in */
    struct mr_ref bias;      /* f64 n_class: log prior - sum(log(2 pi var)) / 2 */
};

/* MR_OP_CATNB: bias + sum over columns of table[start[j] + x[j]], per class. */
struct mr_catnb_params {
    uint32_t n_in, n_class;
    struct mr_ref start; /* u32 n_in + 1: first table row of each column */
    struct mr_ref table; /* f64 rows * n_class */
    struct mr_ref bias;  /* f64 n_class */
};

/* MR_OP_QDA: log posterior up to a constant, per class. */
struct mr_qda_params {
    uint32_t n_in, n_class;
    struct mr_ref mean; /* f64 n_class * n_in */
    struct mr_ref rank; /* u32 n_class */
    struct mr_ref rot;  /* f64 per class rank * n_in: rows = scaled axes */
    struct mr_ref bias; /* f64 n_class */
};

/* MR_OP_KMEANS: nearest centre, or the distances to all. */
enum mr_kmeans_mode { MR_KMEANS_INDEX = 1, MR_KMEANS_DISTANCE = 2, MR_KMEANS_TREE = 3 };
struct mr_kmeans_params {
    uint32_t n_in, n_cluster, mode;
    uint32_t metric;    /* euclidean or manhattan */
    struct mr_ref x;    /* f64 blocks of centres; tree: n_node rows of n_in */
    struct mr_ref node; /* tree: u32 n_node * 3: left, right (> own number, 0 = leaf), label */
};

/* MR_OP_CALIBRATE: per column a sigmoid or an isotonic map, then probabilities. */
enum mr_calibrate_kind { MR_CAL_SIGMOID = 1, MR_CAL_ISOTONIC = 2 };
struct mr_calibrate_params {
    uint32_t n_in;    /* columns read: 1 for two classes, else n_class (fewer: missing classes) */
    uint32_t n_class; /* columns written */
    uint32_t kind, first; /* first input column read */
    struct mr_ref target; /* u32 n_in: class of each column */
    struct mr_ref a, b;   /* sigmoid: f64 n_in */
    struct mr_ref start;  /* isotonic: u32 n_in + 1 into tx, ty */
    struct mr_ref tx, ty; /* f64 thresholds ascending and values */
};

#endif
