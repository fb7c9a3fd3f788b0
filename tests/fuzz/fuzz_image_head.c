/* Image headers, orientation and the GIF decoder, which are code of ours. */
#include "base/alloc.h"
#include "engine/vision/image_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct mr_image_scan s;
    struct mr_err e = {0};
    struct mr_str in = {(const char *)p, n};
    if (mr_image_scan_head(in, &s, &e)) {
        if (!e.msg[0])
            __builtin_trap();
        return 0;
    }
    if (!s.width || !s.height || s.orientation < 1 || s.orientation > 8)
        __builtin_trap();
    if (s.kind != MR_IMAGE_GIF || (uint64_t)s.width * s.height > 1 << 16)
        return 0;
    size_t bytes = (size_t)s.width * s.height * 3;
    uint8_t *rgb = mr_malloc(bytes), *shown = mr_malloc(bytes);
    if (rgb && shown && !mr_image_read_gif(in, &s, rgb, &e))
        for (uint32_t o = 1; o <= 8; o++)
            mr_image_orient(rgb, s.width, s.height, o, shown);
    mr_free(rgb);
    mr_free(shown);
    return 0;
}
