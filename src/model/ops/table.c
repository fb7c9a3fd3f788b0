#include "model/program.h"

/* One line an operation: declared here, defined in its own file. Keep the order of op_ids.h. */
#define MR_OP_LIST(X)                                                                              \
    X(mr_op_select)                                                                                \
    X(mr_op_concat)                                                                                \
    X(mr_op_to_dense)                                                                              \
    X(mr_op_argmax)                                                                                \
    X(mr_op_threshold)                                                                             \
    X(mr_op_affine)                                                                                \
    X(mr_op_link)                                                                                  \
    X(mr_op_lookup)                                                                                \
    X(mr_op_mean)                                                                                  \
    X(mr_op_trees)                                                                                 \
    X(mr_op_adaboost)                                                                              \
    X(mr_op_linear)                                                                                \
    X(mr_op_svm)                                                                                   \
    X(mr_op_svm_proba)                                                                             \
    X(mr_op_knn)                                                                                   \
    X(mr_op_gnb)                                                                                   \
    X(mr_op_knn_pool)                                                                              \
    X(mr_op_mlp)                                                                                   \
    X(mr_op_kmeans)                                                                                \
    X(mr_op_qda)                                                                                   \
    X(mr_op_calibrate)                                                                             \
    X(mr_op_catnb)                                                                                 \
    X(mr_op_impute)                                                                                \
    X(mr_op_onehot)                                                                                \
    X(mr_op_ordinal)                                                                               \
    X(mr_op_normalize)                                                                             \
    X(mr_op_poly)                                                                                  \
    X(mr_op_bins)                                                                                  \
    X(mr_op_quantile)                                                                              \
    X(mr_op_power)                                                                                 \
    X(mr_op_unary)                                                                                 \
    X(mr_op_missing)                                                                               \
    X(mr_op_vote)                                                                                  \
    X(mr_op_present)                                                                               \
    X(mr_op_count)                                                                                 \
    X(mr_op_hash)                                                                                  \
    X(mr_op_tfidf)

#define DECLARE(name) extern const struct mr_op_type name;
MR_OP_LIST(DECLARE)

#define ENTRY(name) &name,
const struct mr_op_type *const mr_op_types[] = {MR_OP_LIST(ENTRY) NULL};
