/* Eight rows of one panel keep 24 registers. */
#include "engine/nlp/ner_kernels.h"

#if defined __x86_64__
#include <immintrin.h>

#define ROWS  8
#define VECS  3
#define LANES 16

/* rows <= ROWS is a constant at each call: the accumulators stay in registers. */
static inline __attribute__((always_inline)) void tile(float *dst, size_t dst_step,
                                                       const float *src, size_t step, size_t rows,
                                                       size_t k, const float *w) {
    __m512 acc[ROWS][VECS];
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < VECS; v++)
            acc[i][v] = _mm512_setzero_ps();
    for (size_t j = 0; j < k; j++, w += MR_NER_PANEL) {
        __m512 b[VECS];
        for (size_t v = 0; v < VECS; v++)
            b[v] = _mm512_loadu_ps(w + v * LANES);
        for (size_t i = 0; i < rows; i++) {
            __m512 a = _mm512_set1_ps(src[i * step + j]);
            for (size_t v = 0; v < VECS; v++)
                acc[i][v] = _mm512_fmadd_ps(a, b[v], acc[i][v]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < VECS; v++)
            _mm512_storeu_ps(dst + i * dst_step + v * LANES, acc[i][v]);
}

static void gemm(float *dst, const float *src, size_t step, size_t m, size_t k, const float *w,
                 size_t panels) {
    size_t cols = panels * MR_NER_PANEL;
    for (size_t p = 0; p < panels; p++, w += k * MR_NER_PANEL) {
        for (size_t part = 0; part < MR_NER_PANEL; part += VECS * LANES) {
            float *d = dst + p * MR_NER_PANEL + part;
            const float *s = src;
            size_t left = m;
            for (; left >= ROWS; left -= ROWS, d += ROWS * cols, s += ROWS * step)
                tile(d, cols, s, step, ROWS, k, w + part);
            switch (left) {
            case 1:
                tile(d, cols, s, step, 1, k, w + part);
                break;
            case 2:
                tile(d, cols, s, step, 2, k, w + part);
                break;
            case 3:
                tile(d, cols, s, step, 3, k, w + part);
                break;
            case 4:
                tile(d, cols, s, step, 4, k, w + part);
                break;
            case 5:
                tile(d, cols, s, step, 5, k, w + part);
                break;
            case 6:
                tile(d, cols, s, step, 6, k, w + part);
                break;
            case 7:
                tile(d, cols, s, step, 7, k, w + part);
                break;
            default:
                break;
            }
        }
    }
}

const struct mr_ner_kernels mr_ner_avx512 = {gemm, mr_ner_norm, mr_ner_sum4};
#endif
