/* Pixels after decoding: transparency, orientation, resizing. */
#include "base/cleanup.h"
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
struct taps { /* for each output position: where its inputs begin, how many, their weights */
    uint32_t *at, *n;
    float *weight; /* out * most */
    uint32_t most;
};

static void taps_release(struct taps *t) {
    mr_free(t->at);
    mr_free(t->n);
    mr_free(t->weight);
}

static bool taps_make(struct taps *t, uint32_t in, uint32_t out) {
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

/* One source row into `out_w` pixels of floats. */
static void shrink_row(const uint8_t *row, const struct taps *t, uint32_t out_w, float *out) {
    for (uint32_t k = 0; k < out_w; k++) {
        const uint8_t *p = row + (size_t)t->at[k] * 3;
        const float *w = t->weight + (size_t)k * t->most;
        float r = 0, g = 0, b = 0;
        for (uint32_t i = 0; i < t->n[k]; i++, p += 3) {
            r += w[i] * p[0];
            g += w[i] * p[1];
            b += w[i] * p[2];
        }
        out[3 * k] = r;
        out[3 * k + 1] = g;
        out[3 * k + 2] = b;
    }
}

/* Source rows are resized once, in order, into a ring as long as the tallest sum of rows. */
int mr_image_resize(const struct mr_image *im, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
                    uint32_t out_w, uint32_t out_h, uint8_t *out, struct mr_err *e) {
    if (!w || !h || !out_w || !out_h || x > im->width || w > im->width - x || y > im->height ||
        h > im->height - y)
        return mr_fail(e, MR_EINVAL, "the rectangle to resize is empty or outside of the image");
    MR_CLEANUP(taps_release) struct taps tx = {0};
    MR_CLEANUP(taps_release) struct taps ty = {0};
    size_t line = (size_t)out_w * 3;
    MR_AUTO_FREE float *narrow = NULL; /* a ring of resized source rows */
    MR_AUTO_FREE float *sum = mr_reallocarray(NULL, line, sizeof *sum);
    if (!sum || !taps_make(&tx, w, out_w) || !taps_make(&ty, h, out_h) ||
        !(narrow = mr_reallocarray(NULL, line, ty.most * sizeof *narrow)))
        return mr_fail(e, MR_ENOMEM, "out of memory resizing an image");
    uint32_t done = 0; /* source rows resized so far */
    for (uint32_t k = 0; k < out_h; k++) {
        memset(sum, 0, line * sizeof *sum);
        for (uint32_t i = 0; i < ty.n[k]; i++) {
            uint32_t at = ty.at[k] + i;
            if (done < ty.at[k])
                done = ty.at[k];
            for (; done <= at; done++)
                shrink_row(im->rgb + ((size_t)(y + done) * im->width + x) * 3, &tx, out_w,
                           narrow + done % ty.most * line);
            const float *row = narrow + at % ty.most * line;
            float weight = ty.weight[(size_t)k * ty.most + i];
            for (size_t c = 0; c < line; c++)
                sum[c] += weight * row[c];
        }
        for (size_t c = 0; c < line; c++)
            out[k * line + c] = (uint8_t)(sum[c] < 0 ? 0 : sum[c] > 255 ? 255 : sum[c] + 0.5f);
    }
    return 0;
}
