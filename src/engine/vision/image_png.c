/* PNG by libpng's simplified interface: palettes, grey, 16 bits, interlacing and gamma become 8-bit
 * sRGB there; transparency is put over white here. */
#include "base/cleanup.h"
#include "engine/vision/image_priv.h"

#include <dlfcn.h>
#include <png.h>

static struct { /* filled once, before the sandbox is closed */
    __typeof__(&png_image_begin_read_from_memory) begin;
    __typeof__(&png_image_finish_read) finish;
    __typeof__(&png_image_free) release;
} png;

void mr_image_png_load(void) {
    void *lib = dlopen("libpng16.so.16", RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return;
    *(void **)&png.begin = dlsym(lib, "png_image_begin_read_from_memory");
    *(void **)&png.finish = dlsym(lib, "png_image_finish_read");
    *(void **)&png.release = dlsym(lib, "png_image_free");
    if (!png.finish || !png.release)
        png.begin = NULL;
}

static int damaged(png_image *im, struct mr_err *e) {
    int r = mr_fail(e, MR_EINVAL, "%.*s", (int)sizeof im->message, im->message);
    png.release(im);
    return r;
}

int mr_image_read_png(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                      struct mr_err *e) {
    if (!png.begin)
        return mr_fail(e, MR_EUNAVAIL, "libpng16.so.16 is not installed on the server");
    png_image im = {.version = PNG_IMAGE_VERSION};
    if (!png.begin(&im, in.p, in.n))
        return damaged(&im, e);
    if (im.width != s->width || im.height != s->height) {
        png.release(&im);
        return mr_fail(e, MR_EINVAL, "its headers contradict each other");
    }
    /* 16-bit samples without a stated gamma are sRGB as 8-bit ones are, not linear light. */
    im.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    bool alpha = im.format & PNG_FORMAT_FLAG_ALPHA;
    size_t n = (size_t)s->width * s->height;
    MR_AUTO_FREE uint8_t *rgba = alpha ? mr_malloc(n * 4) : NULL;
    if (alpha && !rgba) {
        png.release(&im);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    im.format = alpha ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
    if (!png.finish(&im, NULL, alpha ? rgba : rgb, 0, NULL))
        return damaged(&im, e);
    if (alpha)
        mr_image_over_white(rgba, n, rgb);
    return 0;
}
