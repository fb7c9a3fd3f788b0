/* From a parsed pickle (or an XGBoost/LightGBM file) to a program.
 *
 * A converter handles a set of class names. Steps compose: a Pipeline converter calls
 * mr_convert_transform for its steps and mr_convert_estimator for the last, handing slots on.
 * Converters run in the intake child over hostile data: every shape, index and link is checked
 * before use; a refused class is named in the error together with what the user can do. */
#ifndef MR_MODEL_CONVERT_H
#define MR_MODEL_CONVERT_H

#include "model/build.h"
#include "wire/pickle.h"

struct mr_convert {
    struct mr_build *b;
    struct mr_arena *arena; /* temporaries */
    unsigned depth;         /* nesting of pipelines, capped at 32 */
    unsigned steps;         /* objects converted so far, capped: shared objects may nest */
};

/* What an estimator leaves behind for whoever wraps it. */
struct mr_estimator_out {
    enum mr_task task;
    uint32_t n_outputs;
    struct mr_build_output out[64];
    uint32_t decision_slot; /* decision_function values (dense), UINT32_MAX = none */
    bool accepts_missing;
};

/* Converters for one family register a row a class. `modules` is the leading package the class must
 * come from ("sklearn"). */
struct mr_converter {
    const char *package; /* "sklearn", "xgboost", "lightgbm" */
    const char *class_name;
    /* At least one of the two (KMeans, LDA and the like have both; at the root of a file the
     * estimator is taken). An estimator that ends in a transformer (a Pipeline without a predictor)
     * answers MR_TASK_TRANSFORM with the transformed row as pred_slot. `in` is the input slot: the
     * root's is declared as cells and becomes dense in the written file when nothing reads it
     * otherwise than through mr_convert_dense or SELECT; `in` may have any kind. */
    int (*transform)(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t *ret_out,
                     struct mr_err *e);
    int (*estimator)(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                     struct mr_estimator_out *ret, struct mr_err *e);
};

/* Tables, one a family file, each ended by a row with class_name NULL. */
extern const struct mr_converter mr_convert_trees[];   /* convert/trees*.c: sklearn tree families */
extern const struct mr_converter mr_convert_boost[];   /* xgboost, lightgbm wrappers in pickles */
extern const struct mr_converter mr_convert_linear[];  /* linear, SGD, SVM, LDA, NB, MLP, KNN… */
extern const struct mr_converter mr_convert_prep[];    /* scalers, encoders, imputers, selectors */
extern const struct mr_converter mr_convert_text[];    /* vectorizers */
extern const struct mr_converter mr_convert_compose[]; /* Pipeline, ColumnTransformer, meta */

/* Finds the row for obj's class in all tables; NULL + MR_EUNSUPPORTED text naming the class. */
const struct mr_converter *mr_convert_find(const struct mr_pk *obj, struct mr_err *e);
int mr_convert_transform(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                         uint32_t *ret_out, struct mr_err *e);
int mr_convert_estimator(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                         struct mr_estimator_out *ret, struct mr_err *e);

/* Whole model files -> builder filled and ready to write. */
int mr_convert_pickle(const struct mr_pk_doc *doc, struct mr_build *b, struct mr_err *e);
int mr_convert_xgboost_json(struct mr_str file, struct mr_build *b, struct mr_err *e);
int mr_convert_xgboost_ubj(struct mr_str file, struct mr_build *b, struct mr_err *e);
int mr_convert_lightgbm_text(struct mr_str file, struct mr_build *b, struct mr_err *e);

/* --- helpers for converters (convert/util.c) --------------------------------------------- */
/* Class labels of an array node (int, float, str, bool) into the arena. */
int mr_convert_classes(struct mr_arena *a, const struct mr_pk *arr, enum mr_label_kind *ret_kind,
                       const struct mr_label **ret, uint32_t *ret_n, struct mr_err *e);
/* Attribute that must be there. */
int mr_convert_need(const struct mr_pk *obj, const char *attr, const struct mr_pk **ret,
                    struct mr_err *e);
/* Numeric attribute as rows x cols doubles. */
int mr_convert_need_f64(struct mr_convert *c, const struct mr_pk *obj, const char *attr,
                        const double **ret, size_t *ret_rows, size_t *ret_cols, struct mr_err *e);
/* Dense view of a slot (inserts MR_OP_TO_DENSE for cells or sparse input). */
uint32_t mr_convert_dense(struct mr_convert *c, uint32_t slot);

#endif
