/* Loops that the compiler vectorises, compiled once for each instruction set. */
#ifndef MR_ENGINE_NLP_NER_KERNELS_H
#define MR_ENGINE_NLP_NER_KERNELS_H

#include "engine/nlp/ner_internal.h"

#include <math.h>

#define MR_NER_PARTS 16 /* partial sums, so that a row is added up in vectors */

static inline void mr_ner_norm(const struct mr_ner_layer *l, const float *in, float *restrict out) {
    const float *b = l->b;
    float m[MR_NER_WIDTH], part[MR_NER_PARTS] = {0}, square[MR_NER_PARTS] = {0};
    float sum = 0, sum2 = 0;
    for (size_t d = 0; d < MR_NER_WIDTH; d++) {
        float x = in[d] + b[d], y = in[MR_NER_WIDTH + d] + b[MR_NER_WIDTH + d];
        float z = in[2 * MR_NER_WIDTH + d] + b[2 * MR_NER_WIDTH + d];
        x = x > y ? x : y;
        m[d] = x > z ? x : z;
    }
    for (size_t d = 0; d < MR_NER_WIDTH; d += MR_NER_PARTS)
        for (size_t i = 0; i < MR_NER_PARTS; i++)
            part[i] += m[d + i];
    for (size_t i = 0; i < MR_NER_PARTS; i++)
        sum += part[i];
    float mean = sum / MR_NER_WIDTH;
    for (size_t d = 0; d < MR_NER_WIDTH; d += MR_NER_PARTS)
        for (size_t i = 0; i < MR_NER_PARTS; i++)
            square[i] += (m[d + i] - mean) * (m[d + i] - mean);
    for (size_t i = 0; i < MR_NER_PARTS; i++)
        sum2 += square[i];
    float scale = 1 / sqrtf(sum2 / MR_NER_WIDTH + 1e-8f);
    for (size_t d = 0; d < MR_NER_WIDTH; d++)
        out[d] += (m[d] - mean) * scale * l->g[d] + l->shift[d];
}

static inline void mr_ner_sum4(const float *const row[4], float *restrict out) {
    const float *a = row[0], *b = row[1], *c = row[2], *e = row[3];
    for (size_t d = 0; d < MR_NER_WIDTH; d++)
        out[d] = ((a[d] + b[d]) + c[d]) + e[d];
}

#endif
