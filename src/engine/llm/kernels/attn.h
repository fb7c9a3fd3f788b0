/* Attention over half-precision keys and values, for the processors of qmm.h: softmax(q k' scale +
 * mask) v with running maxima, computed in floats. Cells that no token of a tile may see are passed
 * over, which is what makes one buffer of cells for many sequences cheap.
 *
 * Prompts: items of 16 tokens by the query heads of one key head; 16 tokens are the lanes, so keys
 * are read once for all of them and maxima need no shuffling. Answers: items of one token by one
 * key head, or a part of their cells; the parts are joined afterwards. Nothing here
 * allocates; items may be computed by any thread. Strides are bytes. */
#ifndef MR_ENGINE_LLM_KERNELS_ATTN_H
#define MR_ENGINE_LLM_KERNELS_ATTN_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MR_ATTN_TOKENS 16 /* of an item of a prompt */
#define MR_ATTN_CELLS  64
#define MR_ATTN_D_MAX  256 /* elements of a head; a multiple of 16 */

struct mr_attn {
    const char *q, *k, *v;
    const char *mask; /* half, of each token and cell: 0, a bias, or minus infinity; may be NULL */
    char *out;
    size_t q_token, q_head;                /* floats */
    size_t k_cell, k_head, v_cell, v_head; /* halves */
    size_t mask_token;
    size_t out_token, out_head;               /* floats */
    size_t d, tokens, heads, kv_heads, cells; /* heads: a multiple of kv_heads */
    float scale;
};

/* Items of a prompt, the bytes that computing one needs (at any address), and the computing. */
size_t mr_attn_items(const struct mr_attn *a);
size_t mr_attn_room(const struct mr_attn *a);
void mr_attn_item(const struct mr_attn *a, size_t item, void *room);

/* Floats of the part of one token and one key head. */
size_t mr_attn_part_floats(const struct mr_attn *a);
/* The part of every `of`-th block of MR_ATTN_CELLS cells from block `first` on, and the sum of `n`
 * parts, each `stride` floats behind the one before. */
void mr_attn_part(const struct mr_attn *a, size_t token, size_t kv_head, size_t first, size_t of,
                  float *part);
void mr_attn_join(const struct mr_attn *a, size_t token, size_t kv_head, const float *part,
                  size_t n, size_t stride);

#ifdef __cplusplus
}
#endif
#endif
