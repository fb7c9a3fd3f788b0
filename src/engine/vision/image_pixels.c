/* Pixels after decoding: transparency, orientation, resizing. */
#include "base/cleanup.h"
#include "engine/vision/image_mix.h"
#include "engine/vision/image_priv.h"

#include <math.h>

void mr_image_over_white(const uint8_t *rgba, size_t n, uint8_t *rgb) {
    for (size_t k = 0; k < n; k++) {
        unsigned a = rgba[4 * k + 3];
        for (int c = 0; c < 3; c++)
            rgb[3 * k + c] = (uint8_t)((rgba[4 * k + c] * a + 255 * (255 - a) + 127) / 255);
    }
}

void mr_image_orient(const uint8_t *in, uint32_t w, uint32_t h, uint32_t o, uint8_t *out) {
    bool turned = o >= 5;
    uint32_t ow = turned ? h : w, oh = turned ? w : h;
    bool flip_x = o == 2 || o == 3 || o == 7 || o == 8; /* of the stored image, as it is read */
    bool flip_y = o == 3 || o == 4 || o == 6 || o == 7;
    for (uint32_t y = 0; y < oh; y++)
        for (uint32_t x = 0; x < ow; x++) {
            uint32_t sx = turned ? y : x, sy = turned ? x : y;
            if (flip_x)
                sx = w - 1 - sx;
            if (flip_y)
                sy = h - 1 - sy;
            memcpy(out + ((size_t)y * ow + x) * 3, in + ((size_t)sy * w + sx) * 3, 3);
        }
}

/* --- resizing: a separable triangle filter, as wide as the scale when shrinking -------------- */
static void taps_release(struct mr_image_taps *t) {
    mr_free(t->at);
    mr_free(t->n);
    mr_free(t->weight);
}

static bool taps_make(struct mr_image_taps *t, uint32_t in, uint32_t out) {
    double scale = (double)in / out, reach = scale > 1 ? scale : 1;
    t->most = (uint32_t)ceil(reach) * 2 + 2;
    t->at = mr_reallocarray(NULL, out, sizeof *t->at);
    t->n = mr_reallocarray(NULL, out, sizeof *t->n);
    t->weight = mr_reallocarray(NULL, out, t->most * sizeof *t->weight);
    if (!t->at || !t->n || !t->weight)
        return false;
    for (uint32_t k = 0; k < out; k++) {
        double centre = (k + 0.5) * scale, lo = centre - reach, hi = centre + reach, sum = 0;
        uint32_t from = lo > 0 ? (uint32_t)lo : 0, to = hi < in ? (uint32_t)ceil(hi) : in;
        float *w = t->weight + (size_t)k * t->most;
        uint32_t n = 0;
        for (uint32_t x = from; x < to && n < t->most; x++) {
            double v = 1 - fabs((x + 0.5 - centre) / reach);
            w[n++] = v > 0 ? (float)v : 0;
            sum += v > 0 ? v : 0;
        }
        for (uint32_t i = 0; i < n; i++)
            w[i] = (float)(w[i] / sum);
        t->at[k] = from;
        t->n[k] = n;
    }
    return true;
}

int mr_image_resize(const struct mr_image *im, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
                    uint32_t out_w, uint32_t out_h, uint8_t *out, struct mr_err *e) {
    if (!w || !h || !out_w || !out_h || x > im->width || w > im->width - x || y > im->height ||
        h > im->height - y)
        return mr_fail(e, MR_EINVAL, "the rectangle to resize is empty or outside of the image");
    MR_CLEANUP(taps_release) struct mr_image_taps tx = {0};
    MR_CLEANUP(taps_release) struct mr_image_taps ty = {0};
    size_t line = (size_t)w * 3, stride = (size_t)im->width * 3;
    MR_AUTO_FREE float *row = mr_reallocarray(NULL, line + 1, sizeof *row);
    if (!row || !taps_make(&tx, w, out_w) || !taps_make(&ty, h, out_h))
        return mr_fail(e, MR_ENOMEM, "out of memory resizing an image");
    const struct mr_image_kernels *kernels = mr_image_kernels();
    row[line] = 0;
    const uint8_t *from = im->rgb + y * stride + (size_t)x * 3;
    for (uint32_t k = 0; k < out_h; k++) {
        kernels->mix_rows(from + ty.at[k] * stride, stride, ty.weight + (size_t)k * ty.most,
                          ty.n[k], line, row);
        kernels->mix_columns(row, &tx, out_w, out + (size_t)k * out_w * 3);
    }
    return 0;
}

void mr_image_planes(const uint8_t *rgb, size_t n, const float value[256], float *out) {
    for (size_t k = 0; k < n; k++, rgb += 3) {
        out[k] = value[rgb[0]];
        out[n + k] = value[rgb[1]];
        out[2 * n + k] = value[rgb[2]];
    }
}
