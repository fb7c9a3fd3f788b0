/* The inner loops of resizing and of looking through a net's answer, compiled once for each
 * instruction set. */
#ifndef MR_ENGINE_VISION_IMAGE_MIX_H
#define MR_ENGINE_VISION_IMAGE_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mr_image_taps { /* for each output position: where its inputs begin, how many, the weights */
    uint32_t *at, *n;
    float *weight; /* out * most */
    uint32_t most;
};

struct mr_image_kernels {
    /* out[c] = the sum of weight[i] * rows[i * stride + c] over n rows, for `line` columns. */
    void (*mix_rows)(const uint8_t *rows, size_t stride, const float *weight, uint32_t n,
                     size_t line, float *out);
    /* A row of pixels as floats into out_w pixels, rounded; `row` has a float more. */
    void (*mix_columns)(const float *row, const struct mr_image_taps *t, uint32_t out_w,
                        uint8_t *out);
    bool (*any_at_least)(const float *v, size_t n, float least);
};
extern const struct mr_image_kernels mr_image_base, mr_image_avx2;
const struct mr_image_kernels *mr_image_kernels(void);

static inline void mr_image_mix_rows(const uint8_t *rows, size_t stride, const float *weight,
                                     uint32_t n, size_t line, float *restrict out) {
    uint32_t i = 0;
    memset(out, 0, line * sizeof *out);
    for (; i + 2 <= n; i += 2) {
        const uint8_t *a = rows + i * stride, *b = a + stride;
        float wa = weight[i], wb = weight[i + 1];
        for (size_t c = 0; c < line; c++)
            out[c] += wa * (float)a[c] + wb * (float)b[c];
    }
    for (; i < n; i++) {
        const uint8_t *a = rows + i * stride;
        float wa = weight[i];
        for (size_t c = 0; c < line; c++)
            out[c] += wa * (float)a[c];
    }
}

typedef float mr_image_v4 __attribute__((vector_size(16)));
typedef int32_t mr_image_i4 __attribute__((vector_size(16)));

/* Four channels are added up, so that a pixel fills a vector; the fourth is the next pixel's. */
static inline void mr_image_mix_columns(const float *row, const struct mr_image_taps *t,
                                        uint32_t out_w, uint8_t *out) {
    for (uint32_t k = 0; k < out_w; k++, out += 3) {
        const float *p = row + (size_t)t->at[k] * 3;
        const float *w = t->weight + (size_t)k * t->most;
        mr_image_v4 sum = {0.5f, 0.5f, 0.5f, 0.5f}, pixel;
        for (uint32_t i = 0; i < t->n[k]; i++, p += 3) {
            memcpy(&pixel, p, sizeof pixel);
            sum += w[i] * pixel;
        }
        mr_image_i4 v = __builtin_convertvector(sum, mr_image_i4);
        for (int c = 0; c < 3; c++)
            out[c] = (uint8_t)(v[c] > 255 ? 255 : v[c]);
    }
}

static inline bool mr_image_any_at_least(const float *v, size_t n, float least) {
    int any = 0;
    for (size_t k = 0; k < n; k++)
        any |= v[k] >= least;
    return any;
}

#endif
