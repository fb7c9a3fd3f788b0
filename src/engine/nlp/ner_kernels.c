/* Panels of weights have 48 columns, each [k][48]. */
#include "engine/nlp/ner_kernels.h"

static void gemm(float *dst, const float *src, size_t step, size_t m, size_t k, const float *w,
                 size_t panels) {
    for (size_t p = 0; p < panels; p++, w += k * MR_NER_PANEL) {
        for (size_t i = 0; i < m; i++) {
            float acc[MR_NER_PANEL] = {0};
            for (size_t j = 0; j < k; j++)
                for (size_t c = 0; c < MR_NER_PANEL; c++)
                    acc[c] += src[i * step + j] * w[j * MR_NER_PANEL + c];
            memcpy(dst + (i * panels + p) * MR_NER_PANEL, acc, sizeof acc);
        }
    }
}

const struct mr_ner_kernels mr_ner_base = {gemm, mr_ner_norm, mr_ner_sum4};

const struct mr_ner_kernels *mr_ner_kernels(void) {
#if defined __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vpopcntdq"))
        return &mr_ner_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
        return &mr_ner_avx2;
#endif
    return &mr_ner_base;
}
