/* Parameters of the text operations as they lie in a compiled model, shared by the operations and
 * the converters. All are little-endian and fixed on disk. */
#ifndef MR_MODEL_OPS_TEXT_H
#define MR_MODEL_OPS_TEXT_H

#include "model/program.h"
#include "model/text/analyze.h"

struct mr_text_params {
    uint32_t kind;      /* enum mr_text_kind */
    uint32_t strip;     /* enum mr_text_strip */
    uint32_t lowercase; /* 0 or 1 */
    uint32_t has_stop;  /* 0 or 1 */
    uint32_t min_n, max_n;
    struct mr_ref pattern; /* UTF-8 bytes, MR_TEXT_WORD only */
    struct mr_ref stop;    /* strtab */
};

/* tf-idf weights and row norm, as TfidfTransformer.transform applies them. */
struct mr_tfidf_params {
    uint32_t sublinear; /* tf -> 1 + ln(tf) */
    uint32_t norm;      /* enum mr_norm */
    struct mr_ref idf;  /* f64 a column, or empty */
};
enum mr_norm { MR_NORM_NONE = 0, MR_NORM_L1 = 1, MR_NORM_L2 = 2, MR_NORM_MAX = 3 };

/* MR_OP_COUNT: cells of width 1 -> sparse, one column a vocabulary string. */
struct mr_count_params {
    struct mr_text_params text;
    uint32_t binary, pad;
    struct mr_tfidf_params tfidf;
    struct mr_ref vocabulary; /* strtab; a string's position is its column */
};

/* MR_OP_HASH: cells of width 1 -> sparse, signed hashing trick (MurmurHash3, seed 0). */
struct mr_hash_params {
    struct mr_text_params text;
    uint32_t binary, alternate_sign, n_features, norm;
};

/* MR_OP_TFIDF: sparse -> sparse of the same width; params struct mr_tfidf_params. */

/* Proves text params and, when `ret` is not NULL, builds the analyzer (release it). */
int mr_text_check(const struct mr_op *op, const struct mr_text_params *p, struct mr_err *e);
int mr_text_prepare(const struct mr_op *op, const struct mr_text_params *p, struct mr_analyzer *ret,
                    struct mr_err *e);
void mr_text_release(struct mr_analyzer *a);

int mr_tfidf_check(const struct mr_op *op, const struct mr_tfidf_params *p, uint32_t width,
                   struct mr_err *e);
/* Weights one sparse row in place; idf is NULL or has a value for each index. */
void mr_tfidf_row(bool sublinear, uint32_t norm, const double *idf, const uint32_t *index,
                  double *value, size_t n);

/* Sparse rows under construction in an arena. */
struct mr_rows {
    struct mr_arena *arena;
    size_t *start;
    uint32_t *index;
    double *value;
    size_t n, cap;
};
int mr_rows_init(struct mr_rows *r, struct mr_arena *arena, size_t rows, struct mr_err *e);
/* Room for `more` entries after the n that are there. */
int mr_rows_room(struct mr_rows *r, size_t more, struct mr_err *e);
void mr_rows_finish(const struct mr_rows *r, uint32_t width, struct mr_vec *out);

/* Ascending; tmp has room for n. */
void mr_sort_u32(uint32_t *v, uint32_t *tmp, size_t n);

uint32_t mr_murmur3_32(const void *p, size_t n, uint32_t seed);

#endif
