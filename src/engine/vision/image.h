/* Images: sniffed by their first bytes, size-checked from the header, decoded in a sandboxed child
 * (__image-worker), handed over as RGB pixels. JPEG (also CMYK and YCCK), PNG (also 16-bit,
 * palette, alpha over white), WebP and GIF (first frame); EXIF orientation is applied. Thread-safe;
 * decoding blocks. The decoders (libturbojpeg, libpng, libwebp) are loaded by the child only. */
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

struct mr_image_room;
struct mr_image {
    uint32_t width, height;     /* after orientation: as a viewer shows it */
    const char *format;         /* "JPEG", "PNG", "WEBP", "GIF" */
    size_t size_bytes;          /* of the file */
    uint8_t *rgb;               /* width * height * 3, rows from the top, no padding */
    struct mr_image_room *room; /* where they are; mr_image_release only */
};
/* Header only, in process, bounds-checked: format and size as stored. MR_EINVAL: not an image of
 * these formats, or truncated; MR_ETOOBIG over a cap. */
struct mr_image_head {
    const char *format;
    uint32_t width, height;
};
int mr_image_sniff(struct mr_str bytes, struct mr_image_head *ret, struct mr_err *e);

/* The decoding children of a server: one reads one image; a spare is kept started and sandboxed
 * ahead of its image. They are copies of one process that has the decoders loaded; without a crew
 * each image waits for the start of that (some 5 ms). */
struct mr_image_crew;
/* self_exe: this program, NULL = /proc/self/exe. Starts nothing. */
int mr_image_crew_new(const char *self_exe, struct mr_image_crew **ret, struct mr_err *e);
/* Kills every child; decodes end with MR_EUNAVAIL, as later ones do. */
void mr_image_crew_stop(struct mr_image_crew *c);
/* When no decode uses it and its images are released; takes NULL. */
void mr_image_crew_free(struct mr_image_crew *c);

/* crew may be NULL. MR_EINVAL: no image, or damaged (what the decoder says); MR_ETOOBIG;
 * MR_ETIMEOUT; MR_EUNSUPPORTED: a kind of JPEG that is not read (12 bits, lossless); MR_EUNAVAIL:
 * a decoder's library is not installed. */
int mr_image_decode(struct mr_image_crew *crew, struct mr_str bytes, struct mr_image *ret,
                    struct mr_err *e);
void mr_image_release(struct mr_image *im);
/* Bilinear with area averaging when shrinking (a triangle filter of the scale's width:
 * antialiased). `out`: out_w * out_h * 3. The source rectangle is in pixels of `im`, not empty, and
 * must lie inside (MR_EINVAL). MR_ENOMEM. */
int mr_image_resize(const struct mr_image *im, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
                    uint32_t out_w, uint32_t out_h, uint8_t *out, struct mr_err *e);
/* n pixels into three planes of n floats, value[v] for a channel's v. */
void mr_image_planes(const uint8_t *rgb, size_t n, const float value[256], float *out);
int mr_image_worker_main(void); /* argv[1] == "__image-worker" */

#endif
