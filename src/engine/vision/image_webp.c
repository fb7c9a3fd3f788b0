/* WebP by libwebp; of an animation the first frame on its canvas, by libwebpdemux. */
#include "base/cleanup.h"
#include "engine/vision/image_priv.h"

#include <dlfcn.h>
#include <webp/decode.h>
#include <webp/demux.h>

static struct { /* filled once, before the sandbox is closed */
    __typeof__(&WebPGetFeaturesInternal) features;
    __typeof__(&WebPDecodeRGBInto) rgb;
    __typeof__(&WebPDecodeRGBAInto) rgba;
    __typeof__(&WebPAnimDecoderNewInternal) anim_new;
    __typeof__(&WebPAnimDecoderGetInfo) anim_info;
    __typeof__(&WebPAnimDecoderGetNext) anim_next;
    __typeof__(&WebPAnimDecoderDelete) anim_delete;
} webp;

void mr_image_webp_load(void) {
    void *lib = dlopen("libwebp.so.7", RTLD_NOW | RTLD_LOCAL);
    void *demux = dlopen("libwebpdemux.so.2", RTLD_NOW | RTLD_LOCAL);
    if (lib) {
        *(void **)&webp.features = dlsym(lib, "WebPGetFeaturesInternal");
        *(void **)&webp.rgb = dlsym(lib, "WebPDecodeRGBInto");
        *(void **)&webp.rgba = dlsym(lib, "WebPDecodeRGBAInto");
    }
    if (demux) {
        *(void **)&webp.anim_new = dlsym(demux, "WebPAnimDecoderNewInternal");
        *(void **)&webp.anim_info = dlsym(demux, "WebPAnimDecoderGetInfo");
        *(void **)&webp.anim_next = dlsym(demux, "WebPAnimDecoderGetNext");
        *(void **)&webp.anim_delete = dlsym(demux, "WebPAnimDecoderDelete");
    }
}

static int contradicts(struct mr_err *e) {
    return mr_fail(e, MR_EINVAL, "its headers contradict each other");
}

static int read_still(struct mr_str in, const struct mr_image_scan *s, bool alpha, uint8_t *rgb,
                      struct mr_err *e) {
    const uint8_t *p = (const uint8_t *)in.p;
    size_t n = (size_t)s->width * s->height;
    if (!alpha) {
        if (!webp.rgb(p, in.n, rgb, n * 3, (int)s->width * 3))
            return mr_fail(e, MR_EINVAL, "its data is damaged or truncated");
        return 0;
    }
    MR_AUTO_FREE uint8_t *rgba = mr_malloc(n * 4);
    if (!rgba)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    if (!webp.rgba(p, in.n, rgba, n * 4, (int)s->width * 4))
        return mr_fail(e, MR_EINVAL, "its data is damaged or truncated");
    mr_image_over_white(rgba, n, rgb);
    return 0;
}

static int read_first(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                      struct mr_err *e) {
    if (!webp.anim_new || !webp.anim_info || !webp.anim_next || !webp.anim_delete)
        return mr_fail(e, MR_EUNAVAIL, "libwebpdemux.so.2 is not installed on the server");
    WebPData data = {(const uint8_t *)in.p, in.n};
    WebPAnimDecoderOptions options = {.color_mode = MODE_RGBA, .use_threads = 0};
    WebPAnimDecoder *d = webp.anim_new(&data, &options, WEBP_DEMUX_ABI_VERSION);
    if (!d)
        return mr_fail(e, MR_EINVAL, "its animation is damaged or truncated");
    WebPAnimInfo info = {0};
    uint8_t *frame;
    int when, r = 0;
    if (!webp.anim_info(d, &info) || info.canvas_width != s->width ||
        info.canvas_height != s->height)
        r = contradicts(e);
    else if (!webp.anim_next(d, &frame, &when))
        r = mr_fail(e, MR_EINVAL, "its first frame is damaged or truncated");
    else
        mr_image_over_white(frame, (size_t)s->width * s->height, rgb);
    webp.anim_delete(d);
    return r;
}

int mr_image_read_webp(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                       struct mr_err *e) {
    if (!webp.features || !webp.rgb || !webp.rgba)
        return mr_fail(e, MR_EUNAVAIL, "libwebp.so.7 is not installed on the server");
    WebPBitstreamFeatures f = {0};
    VP8StatusCode code = webp.features((const uint8_t *)in.p, in.n, &f, WEBP_DECODER_ABI_VERSION);
    if (code != VP8_STATUS_OK)
        return mr_fail(e, MR_EINVAL, "its header is damaged or truncated");
    if ((uint32_t)f.width != s->width || (uint32_t)f.height != s->height)
        return contradicts(e);
    return f.has_animation ? read_first(in, s, rgb, e) : read_still(in, s, f.has_alpha, rgb, e);
}

void mr_image_codecs_load(void) {
    mr_image_jpeg_load();
    mr_image_png_load();
    mr_image_webp_load();
}
