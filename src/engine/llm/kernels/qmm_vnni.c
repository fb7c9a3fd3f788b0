/* The products themselves: AVX-512 with VNNI. A register tile is 16 rows by up to 12 columns: per
 * group of four elements one load of weights serves all columns, and the activations come as
 * broadcasts from memory inside the multiply instruction. 24 registers hold the sums (whole numbers
 * of a block, floats of a row). */
#include "engine/llm/kernels/qmm.h"
#include "engine/llm/kernels/simd_vnni.h"

#include <string.h>

/* A block of a tile of n columns: 8 groups of n times 4 bytes, n factors, n times what brings in m:
 * factor * sum for Q4_1, the whole number -8 or -128 * sum for the others. */
#define ACTS (MR_QMM_BLOCK + 8)

/* Bytes of activations that stay in the second-level cache while the panels pass. */
#define STAY ((size_t)512 * 1024)

/* Bytes between a weight that is used and one that is asked for. Weights come from memory, once a
 * token, and the processor's own reading ahead stops at pages. */
#define AHEAD 1024

MR_INLINE void acts_block(enum mr_qmm_type type, const float *x, size_t n, uint8_t *to) {
    __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    __m512 by = _mm512_set1_ps(most > 0 ? 127.0f / most : 0);
    __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, by));
    __m512i qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, by));
    int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb));
    float factor = most / 127.0f, low = factor * (float)sum;
    int32_t q[8], zero = sum * (type == MR_QMM_Q8_0 ? -128 : -8);
    _mm_storeu_si128((__m128i *)q, _mm512_cvtsepi32_epi8(qa));
    _mm_storeu_si128((__m128i *)(q + 4), _mm512_cvtsepi32_epi8(qb));
    for (size_t g = 0; g < 8; g++)
        memcpy(to + g * n * 4, &q[g], 4);
    memcpy(to + 8 * n * 4, &factor, 4);
    memcpy(to + 9 * n * 4, type == MR_QMM_Q4_1 ? (void *)&low : (void *)&zero, 4);
}

void mr_qmm_acts(enum mr_qmm_type type, size_t n, size_t k, const void *x, size_t stride, void *dst,
                 size_t from, size_t to) {
    size_t blocks = k / MR_QMM_BLOCK;
    for (size_t t = from; t < to; t++) {
        size_t at = mr_qmm_tile_at(n, t), cols = mr_qmm_tile_at(n, t + 1) - at;
        uint8_t *tile = (uint8_t *)dst + at * blocks * ACTS;
        for (size_t c = 0; c < cols; c++) {
            const float *col = (const float *)((const uint8_t *)x + (at + c) * stride);
            for (size_t b = 0; b < blocks; b++)
                acts_block(type, col + b * MR_QMM_BLOCK, cols, tile + b * cols * ACTS + 4 * c);
        }
    }
}

/* Of 16 rows of weights. */
MR_INLINE size_t block_bytes(enum mr_qmm_type type) {
    return type == MR_QMM_Q8_0 ? 544 : type == MR_QMM_Q4_1 ? 320 : 288;
}

MR_INLINE __m512i four(const uint8_t *acts) {
    int32_t v;
    memcpy(&v, acts, 4);
    return _mm512_set1_epi32(v);
}

MR_INLINE __m512 one(const uint8_t *acts) {
    float v;
    memcpy(&v, acts, 4);
    return _mm512_set1_ps(v);
}

/* One group of four elements for all columns. */
MR_INLINE void group(__m512i *sum, __m512i w, const uint8_t *acts, int n) {
#pragma GCC unroll 12
    for (int c = 0; c < n; c++)
        sum[c] = _mm512_dpbusd_epi32(sum[c], w, four(acts + 4 * c));
}

MR_INLINE void block(enum mr_qmm_type type, const uint8_t *w, const uint8_t *acts, int n,
                     __m512 *acc) {
    const __m512i low = _mm512_set1_epi8(15);
    __m512i sum[MR_QMM_COLS];
#pragma GCC unroll 12
    for (int c = 0; c < n; c++)
        sum[c] = type == MR_QMM_Q4_1 ? _mm512_setzero_si512() : four(acts + 36 * n + 4 * c);
    for (size_t i = 0; i < block_bytes(type); i += 64)
        _mm_prefetch((const char *)w + AHEAD + i, _MM_HINT_T0);
    if (type == MR_QMM_Q8_0) {
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++, w += 64)
            group(sum, _mm512_loadu_si512(w), acts + 4 * g * n, n);
    } else {
#pragma GCC unroll 4
        for (int g = 0; g < 4; g++, w += 64) {
            __m512i q = _mm512_loadu_si512(w);
            group(sum, _mm512_and_si512(q, low), acts + 8 * g * n, n);
            group(sum, _mm512_and_si512(_mm512_srli_epi16(q, 4), low), acts + (8 * g + 4) * n, n);
        }
    }
    __m512 d = mr_half16((const char *)w), m = d;
    if (type == MR_QMM_Q4_1)
        m = mr_half16((const char *)w + 32);
#pragma GCC unroll 12
    for (int c = 0; c < n; c++) {
        __m512 by = _mm512_mul_ps(d, one(acts + 32 * n + 4 * c));
        acc[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[c]), by, acc[c]);
        if (type == MR_QMM_Q4_1)
            acc[c] = _mm512_fmadd_ps(m, one(acts + 36 * n + 4 * c), acc[c]);
    }
}

MR_INLINE void tile(enum mr_qmm_type type, const uint8_t *w, size_t blocks, const uint8_t *acts,
                    int n, uint8_t *out, size_t stride, __mmask16 rows) {
    __m512 acc[MR_QMM_COLS];
#pragma GCC unroll 12
    for (int c = 0; c < n; c++)
        acc[c] = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks; b++)
        block(type, w + b * block_bytes(type), acts + b * (size_t)n * ACTS, n, acc);
#pragma GCC unroll 12
    for (int c = 0; c < n; c++)
        _mm512_mask_storeu_ps(out + (size_t)c * stride, rows, acc[c]);
}

typedef void tile_fn(const uint8_t *w, size_t blocks, const uint8_t *acts, uint8_t *out,
                     size_t stride, __mmask16 rows);

#define TILE(type, n)                                                                              \
    static void tile_##type##_##n(const uint8_t *w, size_t blocks, const uint8_t *acts,            \
                                  uint8_t *out, size_t stride, __mmask16 rows) {                   \
        tile(MR_QMM_##type, w, blocks, acts, n, out, stride, rows);                                \
    }
#define TILES(type)                                                                                \
    TILE(type, 1)                                                                                  \
    TILE(type, 2)                                                                                  \
    TILE(type, 3)                                                                                  \
    TILE(type, 4)                                                                                  \
    TILE(type, 5)                                                                                  \
    TILE(type, 6)                                                                                  \
    TILE(type, 7)                                                                                  \
    TILE(type, 8)                                                                                  \
    TILE(type, 9)                                                                                  \
    TILE(type, 10)                                                                                 \
    TILE(type, 11)                                                                                 \
    TILE(type, 12)
TILES(Q4_0)
TILES(Q4_1)
TILES(Q8_0)

#define LIST(type)                                                                                 \
    {                                                                                              \
        tile_##type##_1, tile_##type##_2, tile_##type##_3, tile_##type##_4, tile_##type##_5,       \
            tile_##type##_6, tile_##type##_7, tile_##type##_8, tile_##type##_9, tile_##type##_10,  \
            tile_##type##_11, tile_##type##_12                                                     \
    }
static tile_fn *const tiles[3][MR_QMM_COLS] = {LIST(Q4_0), LIST(Q4_1), LIST(Q8_0)};

void mr_qmm_mul(enum mr_qmm_type type, const void *weights, size_t rows, size_t k, const void *acts,
                size_t n, void *out, size_t stride, size_t from, size_t to) {
    size_t blocks = k / MR_QMM_BLOCK, size = mr_qmm_weights_size(type, 1, k), n_tiles;
    size_t per_col = blocks * ACTS;
    size_t chunk = STAY / (per_col * MR_QMM_COLS);
    n_tiles = mr_qmm_tiles(n);
    chunk = chunk ? chunk : 1;
    for (size_t first = 0; first < n_tiles; first += chunk) {
        size_t last = first + chunk < n_tiles ? first + chunk : n_tiles;
        for (size_t q = from; q < to; q++) {
            const uint8_t *w = (const uint8_t *)weights + q * size;
            size_t left = rows - q * MR_QMM_ROWS;
            __mmask16 mask = (__mmask16)(left < 16 ? (1u << left) - 1 : 0xffff);
            for (size_t t = first; t < last; t++) {
                size_t at = mr_qmm_tile_at(n, t), cols = mr_qmm_tile_at(n, t + 1) - at;
                tiles[type][cols - 1](w, blocks, (const uint8_t *)acts + at * per_col,
                                      (uint8_t *)out + at * stride + q * MR_QMM_ROWS * 4, stride,
                                      mask);
            }
        }
    }
}
