/* Between image.c (server), image_worker.c (child) and the decoders. */
#ifndef MR_ENGINE_VISION_IMAGE_PRIV_H
#define MR_ENGINE_VISION_IMAGE_PRIV_H

#include "engine/vision/image.h"

enum mr_image_kind { MR_IMAGE_JPEG = 1, MR_IMAGE_PNG, MR_IMAGE_WEBP, MR_IMAGE_GIF };

/* What the header says; found by code of ours in the server, which the child is told. */
struct mr_image_scan {
    uint32_t kind; /* enum mr_image_kind */
    uint32_t width, height;
    uint32_t orientation; /* EXIF 1..8 */
    uint32_t adobe;       /* JPEG with an Adobe segment: CMYK is stored inverted */
};
int mr_image_scan_head(struct mr_str bytes, struct mr_image_scan *ret, struct mr_err *e);
const char *mr_image_kind_name(uint32_t kind);

/* Descriptor 3 carries, after the start, one job with the file (4) and the pixels to write (5, of
 * exactly width * height * 3 bytes, its size sealed). Reply, a message: i32 code, then text. */
struct mr_image_job {
    uint64_t size;
    struct mr_image_scan scan;
};

#define MR_IMAGE_EXIT_SANDBOX 3

/* Decoders run in the child: `rgb` is width * height * 3 as stored, before orientation. They load
 * their library (before the sandbox is closed) through mr_image_codecs_load. */
void mr_image_codecs_load(void);
int mr_image_read_jpeg(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                       struct mr_err *e);
int mr_image_read_png(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                      struct mr_err *e);
int mr_image_read_webp(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                       struct mr_err *e);
int mr_image_read_gif(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                      struct mr_err *e);
void mr_image_jpeg_load(void);
void mr_image_png_load(void);
void mr_image_webp_load(void);

/* Straight alpha over white. */
void mr_image_over_white(const uint8_t *rgba, size_t n, uint8_t *rgb);
/* EXIF orientation 1..8: `in` is w x h as stored; `out` h x w for 5..8. */
void mr_image_orient(const uint8_t *in, uint32_t w, uint32_t h, uint32_t orientation, uint8_t *out);

#endif
