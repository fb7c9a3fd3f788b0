/* Products of quantised weights with activations, for the processors that have AVX-512 VNNI: what
 * llama.cpp lacks for Q4_1 on x86 (docs/LLM.md). These files know nothing of ggml; ggml_plug.cpp
 * puts them into its CPU backend when scripts/setup builds that, and the unit tests run them here.
 *
 * A weight is w = d * q + m with d (and m) of its block of 32 along a row: Q4_1 as it is, Q4_0 with
 * m = -8 d, Q8_0 with q moved by 128 into 0..255 and m = -128 d. Activations become 8 bits per 32
 * with one factor, as in llama.cpp's own kernels. The whole-number sums are exact, so results
 * differ from those kernels by the rounding of a few float additions.
 *
 * Packed weights: panels of 16 rows, a panel block by block: the quants (byte 4 r + i of group g:
 * row r, element 4 g + i; for 4 bits groups 2 g and 2 g + 1 share bytes, low bits first), then 16
 * factors d as IEEE half, then, for Q4_1, as many m. So a thread reads one stretch of memory from
 * its beginning to its end.
 * No function here allocates or keeps anything; memory of the caller, aligned to 64 bytes. */
#ifndef MR_ENGINE_LLM_KERNELS_QMM_H
#define MR_ENGINE_LLM_KERNELS_QMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MR_QMM_ROWS  16 /* of a panel */
#define MR_QMM_COLS  12 /* columns of activations that are computed together, at most */
#define MR_QMM_BLOCK 32

enum mr_qmm_type { MR_QMM_Q4_0, MR_QMM_Q4_1, MR_QMM_Q8_0 };

/* Whether this processor can run the functions below. */
bool mr_qmm_usable(void);

/* Bytes of packed weights of `rows` rows of `k` elements (a multiple of 32). */
size_t mr_qmm_weights_size(enum mr_qmm_type type, size_t rows, size_t k);

/* Packs rows in the layout of GGUF (blocks of 18, 20 or 34 bytes). The last panel is filled up with
 * zeros. */
void mr_qmm_pack(enum mr_qmm_type type, size_t rows, size_t k, const void *src, void *dst);

/* Bytes of `n` packed columns of activations. */
size_t mr_qmm_acts_size(size_t n, size_t k);

/* Number of tiles that `n` columns are packed in, and the first column of tile `t` (n for the one
 * after the last). */
size_t mr_qmm_tiles(size_t n);
size_t mr_qmm_tile_at(size_t n, size_t t);

/* Packs the columns of tiles `from` to `to` for weights of `type`. Column c starts at
 * x + c * stride (bytes). Several threads may pack different tiles of one `dst`. */
void mr_qmm_acts(enum mr_qmm_type type, size_t n, size_t k, const void *x, size_t stride, void *dst,
                 size_t from, size_t to);

/* out[c][r] (out + c * stride bytes + 4 r) for all columns and for the rows of the panels `from` to
 * `to`. Several threads may compute different panels. */
void mr_qmm_mul(enum mr_qmm_type type, const void *weights, size_t rows, size_t k, const void *acts,
                size_t n, void *out, size_t stride, size_t from, size_t to);

#ifdef __cplusplus
}
#endif
#endif
