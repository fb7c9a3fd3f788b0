/* fastText classifiers (.bin and quantised .ftz): reading and predicting.
 *
 * File, little-endian: magic 793712314 and version 12; arguments; dictionary (words, then labels,
 * each NUL-ended with count and type; the table of kept n-grams of a pruned model); input matrix;
 * output matrix. A matrix is rows, columns and floats, or product-quantised: codes and centroids
 * (Joulin et al. 2016, arXiv 1612.03651). Losses: softmax, hierarchical softmax, one-vs-all and
 * negative sampling (both as sigmoids). The file is damaged until proven otherwise: every count is
 * checked. Immutable after loading, so thread-safe. */
#ifndef MR_ENGINE_NLP_FASTTEXT_H
#define MR_ENGINE_NLP_FASTTEXT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_FASTTEXT_FILE_MAX ((size_t)1 << 30)

struct mr_fasttext;

/* Copies what it needs. MR_EREFUSED: damaged; MR_EUNSUPPORTED: of another version or kind. */
int mr_fasttext_new(struct mr_str file, struct mr_fasttext **ret, struct mr_err *e);
void mr_fasttext_free(struct mr_fasttext *f);
uint64_t mr_fasttext_memory(const struct mr_fasttext *f);
uint32_t mr_fasttext_labels(const struct mr_fasttext *f);
/* Without "__label__". */
struct mr_str mr_fasttext_label(const struct mr_fasttext *f, uint32_t label);

/* The likeliest label of one line of text and its probability, as fastText's predict gives it.
 * False: nothing of the text is in the model. */
bool mr_fasttext_predict(const struct mr_fasttext *f, struct mr_str line, uint32_t *ret_label,
                         double *ret_probability);

#endif
