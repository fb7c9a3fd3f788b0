/* Attention over half-precision keys and values, for the processors of qmm.h: softmax(q k' scale +
 * mask) v, computed in floats. Cells that no token of a tile may see are passed over, which is what
 * makes one buffer of cells for many sequences cheap. A token's result depends on the cells it sees
 * and on their order, not on where they lie or on what else is computed.
 *
 * Prompts: items of 16 tokens by the query heads of one key head; 16 tokens are the lanes, so keys
 * are read once for all of them and maxima need no shuffling. Answers: single tokens. Nothing here
 * allocates; any thread may compute any item. Strides are bytes. */
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

/* One token, the query heads of one key head. */
void mr_attn_one(const struct mr_attn *a, size_t token, size_t kv_head);

#ifdef __cplusplus
}
#endif
#endif
