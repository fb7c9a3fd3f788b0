/* A fastText model in memory: read by fasttext_read.c, used by fasttext.c. */
#ifndef MR_ENGINE_NLP_FASTTEXT_PRIV_H
#define MR_ENGINE_NLP_FASTTEXT_PRIV_H

#include "engine/nlp/fasttext.h"

#define MR_FT_DIM_MAX   1024
#define MR_FT_LABEL_MAX 4096
#define MR_FT_KSUB      256

/* A product quantiser: nsubq groups of dsub numbers (the last of lastdsub), 256 centroids each. */
struct mr_ft_pq {
    uint32_t dim, nsubq, dsub, lastdsub;
    float *centroid; /* dim * 256 */
};
struct mr_ft_matrix {
    uint64_t rows;
    uint32_t cols;
    float *dense; /* rows * cols, or NULL: quantised */
    uint8_t *code, *norm_code;
    struct mr_ft_pq pq, norm;
    bool has_norm;
};
struct mr_ft_node {
    uint32_t left, right;
};
struct mr_ft_word {
    uint32_t off, n, hash;
};
enum mr_ft_loss { MR_FT_HS = 1, MR_FT_NS = 2, MR_FT_SOFTMAX = 3, MR_FT_OVA = 4 };

struct mr_fasttext {
    uint32_t dim, word_ngrams, bucket, minn, maxn, n_words, n_labels;
    enum mr_ft_loss loss;
    char *text; /* words and labels */
    struct mr_ft_word *word;
    uint64_t *label_count;
    uint32_t *slot, mask; /* word number + 1 */
    bool pruned;
    uint64_t *kept; /* (n-gram << 32 | row) + 1, 0 = free */
    uint32_t kept_mask;
    struct mr_ft_matrix in, out;
    struct mr_ft_node
        *tree; /* n_labels - 1 inner nodes, the root last; leaves are below n_labels */
    uint64_t memory;
};

uint32_t mr_ft_hash(const char *p, size_t n);
/* UINT32_MAX: not a word or label of the model. */
uint32_t mr_ft_find(const struct mr_fasttext *f, const char *p, size_t n, uint32_t hash);
/* The row of a pruned model's n-gram, UINT32_MAX when it was not kept. */
uint32_t mr_ft_kept(const struct mr_fasttext *f, uint32_t ngram);

#endif
