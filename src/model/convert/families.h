/* The converters behind mr_convert_linear[], one file a family. Private to convert/. */
#ifndef MR_MODEL_CONVERT_FAMILIES_H
#define MR_MODEL_CONVERT_FAMILIES_H

#include "model/convert/emit.h"

#define MR_ESTIMATOR(name)                                                                         \
    int name(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,                           \
             struct mr_estimator_out *ret, struct mr_err *e)
#define MR_TRANSFORM(name)                                                                         \
    int name(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t *ret_out,        \
             struct mr_err *e)

/* linear_classify.c, linear_regress.c */
MR_ESTIMATOR(mr_convert_logistic);
MR_ESTIMATOR(mr_convert_sgd_classifier);
MR_ESTIMATOR(mr_convert_linear_classifier); /* decision only: LinearSVC, Perceptron … */
MR_ESTIMATOR(mr_convert_ridge_classifier);
MR_ESTIMATOR(mr_convert_linear_regressor);
MR_ESTIMATOR(mr_convert_glm);
MR_ESTIMATOR(mr_convert_pls);
MR_ESTIMATOR(mr_convert_ransac);
/* coef_ and intercept_ as n_out x n_in and n_out; used by several families. */
int mr_linear_weights(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                      const double **ret_w, const double **ret_b, uint32_t *ret_n_out,
                      struct mr_err *e);
/* Reads classes_, coef_ and intercept_ into ret, with decision and prediction. */
int mr_linear_decision(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                       struct mr_estimator_out *ret, struct mr_err *e);
/* svm.c */
MR_ESTIMATOR(mr_convert_svc);
MR_ESTIMATOR(mr_convert_svr);
MR_ESTIMATOR(mr_convert_one_class_svm);
/* knn.c */
MR_ESTIMATOR(mr_convert_knn_classifier);
MR_ESTIMATOR(mr_convert_knn_regressor);
/* centroid.c */
MR_ESTIMATOR(mr_convert_nearest_centroid);
/* bayes.c */
MR_ESTIMATOR(mr_convert_gaussian_nb);
MR_ESTIMATOR(mr_convert_discrete_nb);
MR_ESTIMATOR(mr_convert_bernoulli_nb);
/* categorical_nb.c */
MR_ESTIMATOR(mr_convert_categorical_nb);
/* outlier.c */
MR_ESTIMATOR(mr_convert_sgd_one_class);
MR_ESTIMATOR(mr_convert_elliptic);
/* mlp.c */
MR_ESTIMATOR(mr_convert_mlp_classifier);
MR_ESTIMATOR(mr_convert_mlp_regressor);
/* discriminant.c */
MR_ESTIMATOR(mr_convert_lda);
MR_TRANSFORM(mr_convert_lda_transform);
MR_ESTIMATOR(mr_convert_qda);
/* decompose.c */
MR_TRANSFORM(mr_convert_pca);
MR_TRANSFORM(mr_convert_svd);
MR_TRANSFORM(mr_convert_ica);
/* kmeans.c */
MR_ESTIMATOR(mr_convert_kmeans);
MR_TRANSFORM(mr_convert_kmeans_transform);
MR_ESTIMATOR(mr_convert_bisecting_kmeans);
/* calibrated.c */
MR_ESTIMATOR(mr_convert_calibrated);
/* wrappers.c */
MR_ESTIMATOR(mr_convert_one_vs_rest);
MR_ESTIMATOR(mr_convert_one_vs_one);
MR_ESTIMATOR(mr_convert_multi_output);
MR_ESTIMATOR(mr_convert_frozen);
MR_ESTIMATOR(mr_convert_dummy_classifier);
MR_ESTIMATOR(mr_convert_dummy_regressor);
MR_ESTIMATOR(mr_convert_gaussian_process);

#endif
