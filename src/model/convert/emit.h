/* Short forms for converters of numeric models: typed attributes with exact shapes, and ops.
 * Private to convert/. Slots and arrays live as long as the builder and the convert arena. */
#ifndef MR_MODEL_CONVERT_EMIT_H
#define MR_MODEL_CONVERT_EMIT_H

#include "model/convert/convert.h"
#include "model/op_ids.h"
#include "model/ops/linear_params.h"
#include "model/ops/params.h"

#define MR_NO_SLOT UINT32_MAX

/* MR_EREFUSED "Class.attr: what". */
int mr_refuse_attr(const struct mr_pk *obj, const char *attr, struct mr_err *e, const char *fmt,
                   ...) __attribute__((format(printf, 4, 5)));
/* MR_EUNSUPPORTED "Class: what". */
int mr_unsupported(const struct mr_pk *obj, struct mr_err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A finite numeric attribute of any shape: rows x cols row-major, 1-d arrays are one row when
 * `flat` (then rows = 1). */
int mr_get_matrix(struct mr_convert *c, const struct mr_pk *obj, const char *attr, bool flat,
                  const double **ret, size_t *ret_rows, size_t *ret_cols, struct mr_err *e);
/* A finite numeric attribute of exactly n values in any shape. */
int mr_get_vector(struct mr_convert *c, const struct mr_pk *obj, const char *attr, size_t n,
                  const double **ret, struct mr_err *e);
/* A finite matrix node; `attr` names it in errors. */
int mr_node_matrix(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *node,
                   const char *attr, bool flat, const double **ret, size_t *ret_rows,
                   size_t *ret_cols, struct mr_err *e);
int mr_get_int(const struct mr_pk *obj, const char *attr, int64_t lo, int64_t hi, int64_t *ret,
               struct mr_err *e);
int mr_get_num(const struct mr_pk *obj, const char *attr, double *ret, struct mr_err *e);
/* Text attribute; empty slice when it is absent or no text. */
struct mr_str mr_get_str(const struct mr_pk *obj, const char *attr);
/* Integer values below `limit` as u32. */
int mr_get_u32(struct mr_convert *c, const struct mr_pk *obj, const char *attr, size_t n,
               uint32_t limit, const uint32_t **ret, struct mr_err *e);
/* classes_ (or `attr` of `obj`) into out->classes. */
int mr_get_classes(struct mr_convert *c, const struct mr_pk *obj, const char *attr,
                   struct mr_build_output *out, struct mr_err *e);
/* (major, minor) of _sklearn_version as major * 100 + minor; 0 when unknown. */
int mr_sklearn_version(const struct mr_pk *obj);
void *mr_convert_array(struct mr_convert *c, size_t n, size_t size, struct mr_err *e);
/* The slot must have `n` columns. */
int mr_want_width(struct mr_convert *c, const struct mr_pk *obj, uint32_t slot, size_t n,
                  struct mr_err *e);

/* One op with one input and a new dense output of `width`; takes the blob. */
uint32_t mr_emit(struct mr_convert *c, uint32_t op_id, uint32_t in, uint32_t width,
                 struct mr_blob *blob);
uint32_t mr_emit_link(struct mr_convert *c, uint32_t in, enum mr_link link);
uint32_t mr_emit_argmax(struct mr_convert *c, uint32_t in);
uint32_t mr_emit_threshold(struct mr_convert *c, uint32_t in, double t);
uint32_t mr_emit_column(struct mr_convert *c, uint32_t in, uint32_t col);
uint32_t mr_emit_mean(struct mr_convert *c, const uint32_t *in, uint32_t n, double divisor);
uint32_t mr_emit_concat(struct mr_convert *c, const uint32_t *in, uint32_t n, uint32_t width);
/* x W' + b with w row-major n_out x n_in; b may be NULL. Reads dense or sparse. */
int mr_emit_linear(struct mr_convert *c, uint32_t in, uint32_t n_in, uint32_t n_out,
                   const double *w, const double *b, uint32_t *ret, struct mr_err *e);
int mr_emit_linear_bin(struct mr_convert *c, uint32_t in, uint32_t n_in, uint32_t n_out,
                       const double *w, const double *b, const double *binarize, uint32_t *ret,
                       struct mr_err *e);
/* Summed in single precision, b first, as XGBoost's gblinear does. */
int mr_emit_linear_f32(struct mr_convert *c, uint32_t in, uint32_t n_in, uint32_t n_out,
                       const double *w, const double *b, uint32_t *ret, struct mr_err *e);
/* n points of n_in values as the blocks of mr_dist8, appended to the blob. */
int mr_blob_blocks(struct mr_convert *c, struct mr_blob *blob, const double *x, size_t n,
                   size_t n_in, struct mr_ref *ret, struct mr_err *e);

/* A numeric attribute that may be a scipy CSR matrix, as dense rows (svm.c). */
int mr_get_rows(struct mr_convert *c, const struct mr_pk *obj, const char *attr, const double **ret,
                size_t *ret_rows, size_t *ret_cols, struct mr_err *e);
/* MR_OP_SVM_PROBA over one-against-one values; a and b only for MR_SVM_COUPLE (svm.c). */
uint32_t mr_emit_svm_post(struct mr_convert *c, uint32_t in, enum mr_svm_post mode, uint32_t k,
                          bool negate, double cut, const double *a, const double *b);
/* [second - first] of a two-column slot: the decision value of two classes. */
int mr_emit_difference(struct mr_convert *c, uint32_t in, uint32_t *ret, struct mr_err *e);

/* Fills a single-output classifier from one decision column (two classes) or one a class. */
void mr_classify_decision(struct mr_convert *c, uint32_t decision, struct mr_estimator_out *ret);
/* One regression output a column of `slot` (1 to 64). */
int mr_regress_columns(struct mr_convert *c, const struct mr_pk *obj, uint32_t slot,
                       struct mr_estimator_out *ret, struct mr_err *e);

#endif
