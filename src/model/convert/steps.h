/* Helpers shared by the preprocessing, text and composition converters. Private to convert/. */
#ifndef MR_MODEL_CONVERT_STEPS_H
#define MR_MODEL_CONVERT_STEPS_H

#include "model/convert/convert.h"
#include "model/op_ids.h"
#include "model/ops/params.h"
#include "model/ops/prep.h"
#include "model/ops/text.h"

/* What missing values do on their way through a step. */
enum mr_flow {
    MR_FLOW_REFUSE, /* the step takes no missing values */
    MR_FLOW_PASS,   /* they stay missing */
    MR_FLOW_PART,   /* some columns are filled or encoded, others stay */
    MR_FLOW_CLEAN,  /* none is left */
};
/* Of a fitted transformer (object, "passthrough" or None). */
enum mr_flow mr_flow_of(const struct mr_pk *step);
/* A slot like `in` whose evaluation fails, naming row and column, on a missing value. */
uint32_t mr_step_no_missing(struct mr_convert *c, uint32_t in);

/* The object's n_features_in_ (when it says) must be the slot's width. */
int mr_step_width(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, struct mr_err *e);
/* A numeric attribute that must have exactly n values. */
int mr_step_f64(struct mr_convert *c, const struct mr_pk *obj, const char *attr, size_t n,
                const double **ret, struct mr_err *e);
/* True when the attribute is absent or None. */
bool mr_step_none(const struct mr_pk *obj, const char *attr);
bool mr_step_flag(const struct mr_pk *obj, const char *attr, bool otherwise);
bool mr_step_is(const struct mr_pk *obj, const char *attr, const char *text);
/* A refusal that names class and reason. */
int mr_step_refuse(const struct mr_pk *obj, struct mr_err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The dense slot of a transformed row that is the answer; `in` is what the root read. Columns of
 * text cannot be an answer. */
int mr_step_answer(struct mr_convert *c, uint32_t in, uint32_t slot, uint32_t *ret,
                   struct mr_err *e);

/* Slots for one operation with one input. */
uint32_t mr_step_op(struct mr_convert *c, uint32_t op, uint32_t in, enum mr_slot_kind kind,
                    uint32_t width, struct mr_blob *blob);
/* Columns of a slot; dense and cells keep their kind, sparse becomes dense first. */
uint32_t mr_step_select(struct mr_convert *c, uint32_t in, const uint32_t *cols, uint32_t n);
/* Per column x - shift, then * or / scale, then + add, then clipped; NULL leaves a step out. */
struct mr_affine {
    const double *shift, *scale, *add, *lo, *hi;
    bool divide;
    bool one; /* arrays have one value for all columns */
};
uint32_t mr_step_affine(struct mr_convert *c, uint32_t in, const struct mr_affine *a);
/* Side by side: cells when `cells`, else sparse when any is wide and sparse, else dense. */
int mr_step_concat(struct mr_convert *c, const uint32_t *in, uint32_t n, bool cells, uint32_t *ret,
                   struct mr_err *e);
/* Elementwise function (enum mr_unary). */
uint32_t mr_step_unary(struct mr_convert *c, uint32_t in, uint32_t fn);
/* numpy function behind a GLOBAL node; 0 when it is none of ours. */
uint32_t mr_step_ufunc(const struct mr_pk *fn);
/* Row norm of dense or sparse rows. */
uint32_t mr_step_norm(struct mr_convert *c, uint32_t in, uint32_t norm);

/* prep_encode.c: block one-hot over codes 0..n[j]-1 of each column. */
int mr_step_onehot_codes(struct mr_convert *c, uint32_t in, const struct mr_pk *encoder,
                         uint32_t *ret, struct mr_err *e);

/* Converters that the tables list. */
#define MR_STEP(name)                                                                              \
    int name(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t *ret_out,        \
             struct mr_err *e)
MR_STEP(mr_prep_standard);
MR_STEP(mr_prep_minmax);
MR_STEP(mr_prep_maxabs);
MR_STEP(mr_prep_robust);
MR_STEP(mr_prep_normalizer);
MR_STEP(mr_prep_binarizer);
MR_STEP(mr_prep_poly);
MR_STEP(mr_prep_kbins);
MR_STEP(mr_prep_quantile);
MR_STEP(mr_prep_power);
MR_STEP(mr_prep_function);
MR_STEP(mr_prep_imputer);
MR_STEP(mr_prep_indicator);
MR_STEP(mr_prep_refused_imputer);
MR_STEP(mr_prep_onehot);
MR_STEP(mr_prep_ordinal);
MR_STEP(mr_prep_target);
MR_STEP(mr_prep_label_encoder);
MR_STEP(mr_prep_label_binarizer);
MR_STEP(mr_prep_select);
MR_STEP(mr_text_count);
MR_STEP(mr_text_tfidf);
MR_STEP(mr_text_tfidf_transformer);
MR_STEP(mr_text_hash);
MR_STEP(mr_compose_pipeline);
MR_STEP(mr_compose_union);
MR_STEP(mr_compose_columns);
MR_STEP(mr_compose_search);

#define MR_EST(name)                                                                               \
    int name(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,                           \
             struct mr_estimator_out *ret, struct mr_err *e)
MR_EST(mr_compose_pipeline_est);
MR_EST(mr_compose_search_est);
MR_EST(mr_compose_target);
MR_EST(mr_compose_voting);
MR_EST(mr_compose_stacking);
MR_EST(mr_compose_rfe);
MR_EST(mr_compose_chain);

#endif
