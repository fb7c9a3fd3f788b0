/* Category maps at run time. Private to ops/. */
#ifndef MR_MODEL_OPS_CATMAP_H
#define MR_MODEL_OPS_CATMAP_H

#include "model/ops/prep.h"
#include "model/text/strset.h"

struct mr_cats {
    uint32_t n;
    const struct mr_p_cat *cat;
    struct mr_strset *set; /* n, prepared */
    const double **num;    /* n, in the mapping */
    const int32_t **num_code, **str_code;
};

/* Proves all maps; n_code(k) codes are allowed in map k: its block width or its values. */
int mr_cats_check(const struct mr_op *op, const struct mr_slot_decl *in, bool onehot,
                  uint64_t *ret_width, struct mr_err *e);
int mr_cats_prepare(const struct mr_op *op, struct mr_cats **ret, struct mr_err *e);
void mr_cats_free(struct mr_cats *c);

/* Code of the value in map k. */
int32_t mr_cats_number(const struct mr_cats *c, uint32_t k, double x);
int32_t mr_cats_cell(const struct mr_cats *c, uint32_t k, const struct mr_cell *cell);
/* The error of an MR_CAT_ERROR code. */
int mr_cats_fail(const struct mr_cats *c, uint32_t k, const struct mr_vec *in, size_t row,
                 struct mr_err *e);

#endif
