/* Reading scikit-learn's fitted trees out of a pickle. Private to convert/. */
#ifndef MR_MODEL_CONVERT_TREES_SKLEARN_H
#define MR_MODEL_CONVERT_TREES_SKLEARN_H

#include "model/convert/trees_build.h"

/* One fitted tree (the `tree_` of an estimator), arrays in the arena. */
struct mr_sk_tree {
    struct mr_tree_src src;  /* value: n * n_outputs * max_classes as stored */
    uint32_t n_outputs;      /* second axis of the values */
    uint32_t max_classes;    /* third axis */
    const double *n_samples; /* n_node_samples */
    bool has_missing;        /* knows missing_go_to_left */
};
int mr_sk_tree(struct mr_convert *c, const struct mr_pk *estimator, struct mr_sk_tree *ret,
               struct mr_err *e);

/* major * 100 + minor of the scikit-learn that wrote the object, 0 when it does not say. */
int mr_sk_version(const struct mr_pk *obj);
/* "DecisionTreeClassifier" and the like. */
bool mr_sk_is_tree(const struct mr_pk *obj);
/* Whether this tree estimator takes NaN when it predicts. */
bool mr_sk_tree_missing(const struct mr_pk *estimator);
/* Elements of an attribute that is a list or array of objects; MR_EREFUSED when absent or empty. */
int mr_sk_list(struct mr_convert *c, const struct mr_pk *obj, const char *attr,
               const struct mr_pk *const **ret, size_t *ret_n, struct mr_err *e);
/* A column map (estimators_features_[i]) checked against `width`. */
int mr_sk_columns(struct mr_convert *c, const struct mr_pk *arr, uint32_t width,
                  const uint32_t **ret, size_t *ret_n, struct mr_err *e);
/* Class probabilities of every node: value rows divided by their sum (unless it is 1 or 0). */
int mr_sk_proba(struct mr_convert *c, const struct mr_sk_tree *t, uint32_t output,
                uint32_t n_classes, double *ret, size_t stride, struct mr_err *e);

/* Fills a classifier's outputs from one slot of class scores (probabilities when `proba`). */
int mr_sk_class_output(struct mr_convert *c, const struct mr_pk *classes, uint32_t pred,
                       uint32_t proba, uint32_t n_classes, struct mr_build_output *ret,
                       struct mr_err *e);

/* Converters, by class family. */
int mr_conv_forest(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   struct mr_estimator_out *ret, struct mr_err *e);
int mr_conv_gradient(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                     struct mr_estimator_out *ret, struct mr_err *e);
int mr_conv_hist(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                 struct mr_estimator_out *ret, struct mr_err *e);
int mr_conv_ada(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                struct mr_estimator_out *ret, struct mr_err *e);
int mr_conv_bagging(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                    struct mr_estimator_out *ret, struct mr_err *e);
int mr_conv_iforest(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                    struct mr_estimator_out *ret, struct mr_err *e);

#endif
