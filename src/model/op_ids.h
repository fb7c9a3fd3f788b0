/* Operation numbers, stable on disk: never renumber, only append. */
#ifndef MR_MODEL_OP_IDS_H
#define MR_MODEL_OP_IDS_H

enum mr_op_id {
    /* plumbing 1-19 */
    MR_OP_SELECT = 1,    /* columns of one slot (dense->dense or cells->cells) */
    MR_OP_CONCAT = 2,    /* several dense/sparse slots side by side */
    MR_OP_TO_DENSE = 3,  /* cells (all numeric) or sparse -> dense */
    MR_OP_ARGMAX = 4,    /* dense -> class index, first maximum wins */
    MR_OP_THRESHOLD = 5, /* width 1: value > t -> 1 else 0 */
    MR_OP_AFFINE = 6,    /* per column: (x - shift) * scale or / scale, clip */
    MR_OP_LINK = 7,      /* sigmoid, softmax, exp, log, identity, normalise rows … */
    MR_OP_LOOKUP = 8,    /* index -> value table */
    MR_OP_MEAN = 9,      /* weighted mean or sum of several slots */
    /* trees 20-39 */
    MR_OP_TREES = 20, /* tree ensemble -> raw scores (sum or mean of leaf vectors) */
    MR_OP_ADABOOST = 21,
    MR_OP_IFOREST = 22,
    /* linear and kernels 40-59 */
    MR_OP_LINEAR = 40, /* x W^T + b, dense or sparse */
    MR_OP_SVM = 41,    /* libsvm decision values */
    MR_OP_SVM_PROBA = 42,
    MR_OP_KNN = 43,
    MR_OP_GNB = 44,
    MR_OP_KNN_POOL = 45, /* neighbours -> class weights or mean target */
    MR_OP_MLP = 46,
    MR_OP_KMEANS = 47,
    MR_OP_QDA = 48,
    MR_OP_CALIBRATE = 49, /* sigmoid or isotonic probability calibration */
    MR_OP_CATNB = 50,     /* categorical naive Bayes */
    /* preprocessing 60-79 */
    MR_OP_IMPUTE = 60,
    MR_OP_ONEHOT = 61,
    MR_OP_ORDINAL = 62,
    MR_OP_NORMALIZE = 63,
    MR_OP_POLY = 64,
    MR_OP_BINS = 65,
    MR_OP_BINARIZE = 66,
    MR_OP_QUANTILE = 67,
    MR_OP_POWER = 68,
    MR_OP_UNARY = 69,
    MR_OP_MISSING = 70,
    MR_OP_VOTE = 71,
    MR_OP_PRESENT = 72,
    /* text 80-89 */
    MR_OP_COUNT = 80, /* tokens -> counts over a vocabulary, tf-idf weights, norm */
    MR_OP_HASH = 81,
    MR_OP_TFIDF = 82,
};

#endif
