/* XGBoost and LightGBM files. Private to convert/. */
#ifndef MR_MODEL_CONVERT_BOOST_H
#define MR_MODEL_CONVERT_BOOST_H

#include "model/convert/trees_build.h"

#include <yyjson.h>

/* What an XGBoost model document says (names point into it). */
struct mr_xgb {
    yyjson_val *learner;
    yyjson_val *model; /* gradient booster's "model" */
    struct mr_str booster, objective;
    uint32_t n_features, n_groups; /* groups: classes or targets, at least 1 */
    uint32_t n_class, n_target;
    struct mr_str version; /* "3.2.0", in the arena */
    int64_t rounds;        /* how many to use; < 0: all */
    double missing;        /* a further value that means missing; NaN: none */
};
int mr_xgb_read(struct mr_arena *a, yyjson_doc *doc, struct mr_xgb *x, struct mr_err *e);
/* Raw margins of all groups: `in` -> a slot of n_groups columns. */
int mr_xgb_margin(struct mr_convert *c, const struct mr_xgb *x, uint32_t in, uint32_t *ret,
                  struct mr_err *e);
/* Margins after the objective's transform as a model's output; classes NULL: 0 … n - 1. */
int mr_xgb_output(struct mr_convert *c, const struct mr_xgb *x, const struct mr_pk *classes,
                  bool classifier, uint32_t margin, struct mr_estimator_out *ret, struct mr_err *e);
/* The document inside a pickled Booster or XGBModel; the caller frees it. */
int mr_xgb_pickled(const struct mr_pk *obj, yyjson_doc **ret, struct mr_err *e);

/* A LightGBM model text, cut into lines' values. */
struct mr_lgb {
    struct mr_str text;  /* from the first tree on */
    struct mr_str names; /* feature_names, separated by spaces */
    struct mr_str objective;
    uint32_t n_features, n_groups, n_class;
    bool average;
    int64_t rounds; /* how many to use; <= 0: all */
    size_t n_trees; /* that the header announces; SIZE_MAX when it does not */
};
int mr_lgb_read(struct mr_str text, struct mr_lgb *l, struct mr_err *e);
int mr_lgb_raw(struct mr_convert *c, const struct mr_lgb *l, uint32_t in, uint32_t *ret,
               struct mr_err *e);
int mr_lgb_output(struct mr_convert *c, const struct mr_lgb *l, const struct mr_pk *classes,
                  uint32_t raw, struct mr_estimator_out *ret, struct mr_err *e);
int mr_conv_lightgbm(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                     struct mr_estimator_out *ret, struct mr_err *e);
/* Names of the columns, NULL when they are the library's own ("Column_0"). */
int mr_lgb_names(struct mr_arena *a, const struct mr_lgb *l, const struct mr_str **ret,
                 struct mr_err *e);
int mr_lgb_pickled(const struct mr_pk *obj, struct mr_lgb *ret, struct mr_err *e);

/* Columns and their names that a boosting object in a pickle reads; width 0 when it is none. */
int mr_boost_input(struct mr_arena *a, const struct mr_pk *obj, uint32_t *ret_width,
                   const struct mr_str **ret_names, struct mr_str *ret_version, struct mr_err *e);
/* Labels 0 … n - 1. */
int mr_boost_numbers(struct mr_arena *a, uint32_t n, const struct mr_label **ret, struct mr_err *e);

#endif
