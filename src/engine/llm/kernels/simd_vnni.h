/* Shared by the attention kernels; included by files that are compiled for AVX-512 only. */
#ifndef MR_ENGINE_LLM_KERNELS_SIMD_VNNI_H
#define MR_ENGINE_LLM_KERNELS_SIMD_VNNI_H

#include <immintrin.h>
#include <math.h>

#if defined(__AVX512F__)
#define MR_INLINE static inline __attribute__((always_inline))

/* e^x of 16 floats for x <= 0, minus infinity included: 2^n by the exponent, the rest by a
 * polynomial (Taylor to the sixth power of at most 0.35: relative error below 2e-7). */
MR_INLINE __m512 mr_exp16(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-104.0f)); /* e^-104 rounds to 0 */
    __m512 t = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
    __m512 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145752f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860677e-6f), r);
    __m512 p = _mm512_set1_ps(1.0f / 720);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

MR_INLINE __m512 mr_half16(const char *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

#endif
#endif
