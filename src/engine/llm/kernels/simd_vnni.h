/* Shared by the attention kernels; included by files that are compiled for AVX-512 only. */
#ifndef MR_ENGINE_LLM_KERNELS_SIMD_VNNI_H
#define MR_ENGINE_LLM_KERNELS_SIMD_VNNI_H

#include <immintrin.h>
#include <math.h>

#if defined(__AVX512F__)
#define MR_INLINE static inline __attribute__((always_inline))

/* Softmax with weights e^s = w * 2^n, where n is a whole number: what is common to all weights is a
 * power of two, so taking a larger one later changes no digit of sums and outputs. A result then
 * depends on the order of the cells alone, not on the blocks that they are computed in. */
#define MR_SCORE_LOWEST (-1e6f) /* of a cell that is not seen */
#define MR_SCALE_LOWEST (-1e5f) /* before the first score; 2^(scale of the former - this) is 0 */

MR_INLINE __m512 mr_scale16(__m512 s) {
    return _mm512_roundscale_ps(_mm512_mul_ps(s, _mm512_set1_ps(1.44269504f)),
                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* e^s / 2^scale. The part between powers of two by Taylor's polynomial to the sixth power of at
 * most 0.35: relative error below 2e-7. */
MR_INLINE __m512 mr_weight16(__m512 s, __m512 scale) {
    __m512 n = mr_scale16(s);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145752f), s);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860677e-6f), r);
    __m512 p = _mm512_set1_ps(1.0f / 720);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, _mm512_sub_ps(n, scale));
}

MR_INLINE __m512 mr_half16(const char *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

#endif
#endif
