/* Images: sniffed by their first bytes, size-checked from the header, decoded in a sandboxed child
 * (__image-worker), handed over as RGB pixels. JPEG (also CMYK), PNG (also 16-bit, palette, alpha
 * over white), WebP, GIF (first frame); EXIF orientation is applied. Thread-safe; blocks. */
#ifndef MR_ENGINE_VISION_IMAGE_H
#define MR_ENGINE_VISION_IMAGE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_IMAGE_BYTES_MAX  ((size_t)32 << 20)
#define MR_IMAGE_SIDE_MAX   16384u
#define MR_IMAGE_PIXELS_MAX ((uint64_t)64 << 20)

struct mr_image {
    uint32_t width, height; /* after orientation: as a viewer shows it */
    const char *format;     /* "JPEG", "PNG", "WEBP", "GIF" */
    size_t size_bytes;      /* of the file */
    uint8_t *rgb;           /* width * height * 3, rows from the top, no padding */
    size_t map_len;         /* how it is held; mr_image_release only */
};
/* Header only, in process, bounds-checked: format and size as stored. MR_EINVAL: not an image of
 * these formats, or truncated; MR_ETOOBIG over a cap. */
struct mr_image_head {
    const char *format;
    uint32_t width, height;
};
int mr_image_sniff(struct mr_str bytes, struct mr_image_head *ret, struct mr_err *e);
/* MR_EINVAL: damaged (what the decoder says); MR_ETOOBIG; MR_ETIMEOUT. */
int mr_image_decode(struct mr_str bytes, struct mr_image *ret, struct mr_err *e);
void mr_image_release(struct mr_image *im);
/* Bilinear with area averaging when shrinking (antialiased); `out`: w * h * 3. The source rectangle
 * is in pixels of `im` and must lie inside. */
void mr_image_resize(const struct mr_image *im, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
                     uint32_t out_w, uint32_t out_h, uint8_t *out);
int mr_image_worker_main(void); /* argv[1] == "__image-worker" */

#endif
