/* JPEG by libturbojpeg. CMYK and YCCK come as CMYK and are mixed here without a colour profile. */
#include "base/cleanup.h"
#include "engine/vision/image_priv.h"

#include <dlfcn.h>
#include <turbojpeg.h>

static struct { /* filled once, before the sandbox is closed */
    __typeof__(&tjInitDecompress) init;
    __typeof__(&tjDecompressHeader3) header;
    __typeof__(&tjDecompress2) decompress;
    __typeof__(&tjGetErrorStr2) error;
    __typeof__(&tjGetErrorCode) code;
    __typeof__(&tjDestroy) destroy;
} tj;

void mr_image_jpeg_load(void) {
    void *lib = dlopen("libturbojpeg.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return;
    *(void **)&tj.init = dlsym(lib, "tjInitDecompress");
    *(void **)&tj.header = dlsym(lib, "tjDecompressHeader3");
    *(void **)&tj.decompress = dlsym(lib, "tjDecompress2");
    *(void **)&tj.error = dlsym(lib, "tjGetErrorStr2");
    *(void **)&tj.code = dlsym(lib, "tjGetErrorCode");
    *(void **)&tj.destroy = dlsym(lib, "tjDestroy");
    if (!tj.header || !tj.decompress || !tj.error || !tj.code || !tj.destroy)
        tj.init = NULL;
}

/* Adobe's programs store CMYK inverted (0 = full ink), which others never do. */
static void mix_cmyk(const uint8_t *cmyk, size_t n, bool inverted, uint8_t *rgb) {
    unsigned flip = inverted ? 0 : 255;
    for (size_t k = 0; k < n; k++) {
        unsigned light = cmyk[4 * k + 3] ^ flip;
        for (int c = 0; c < 3; c++)
            rgb[3 * k + c] = (uint8_t)(((cmyk[4 * k + c] ^ flip) * light + 127) / 255);
    }
}

/* Most warnings are of files that viewers show well; one that ends early is not whole. */
static int complain(tjhandle h, struct mr_err *e) {
    const char *text = tj.error(h);
    if (tj.code(h) == TJERR_WARNING && !strstr(text, "Premature end"))
        return 0;
    if (tj.code(h) == TJERR_WARNING)
        return mr_fail(e, MR_EINVAL, "it is truncated");
    bool kind =
        strstr(text, "precision") || strstr(text, "Unsupported") || strstr(text, "SOF type");
    return mr_fail(e, kind ? MR_EUNSUPPORTED : MR_EINVAL, "%.300s", text);
}

static int decompress(tjhandle h, struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                      struct mr_err *e) {
    int w, height, sub, space;
    const uint8_t *p = (const uint8_t *)in.p;
    if (tj.header(h, p, in.n, &w, &height, &sub, &space) < 0) {
        int r = complain(h, e);
        if (r)
            return r;
    }
    if ((uint32_t)w != s->width || (uint32_t)height != s->height)
        return mr_fail(e, MR_EINVAL, "its headers contradict each other");
    bool inks = space == TJCS_CMYK || space == TJCS_YCCK;
    size_t n = (size_t)s->width * s->height;
    MR_AUTO_FREE uint8_t *cmyk = inks ? mr_malloc(n * 4) : NULL;
    if (inks && !cmyk)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    /* Progressive files of thousands of scans are made to burn time. */
    if (tj.decompress(h, p, in.n, inks ? cmyk : rgb, w, 0, height, inks ? TJPF_CMYK : TJPF_RGB,
                      TJFLAG_LIMITSCANS) < 0) {
        int r = complain(h, e);
        if (r)
            return r;
    }
    if (inks)
        mix_cmyk(cmyk, n, s->adobe, rgb);
    return 0;
}

int mr_image_read_jpeg(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                       struct mr_err *e) {
    if (!tj.init)
        return mr_fail(e, MR_EUNAVAIL, "libturbojpeg.so.0 is not installed on the server");
    tjhandle h = tj.init();
    if (!h)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = decompress(h, in, s, rgb, e);
    tj.destroy(h);
    return r;
}
