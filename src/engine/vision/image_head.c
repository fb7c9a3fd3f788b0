/* Image headers, read in the server: every access is bounds-checked and nothing is allocated.
 * JPEG: ITU T.81 annex B; PNG: ISO 15948; WebP: RFC 9649; GIF: the 89a specification; orientation:
 * EXIF 2.3, tag 0x0112 of IFD0. */
#include "engine/vision/image_priv.h"

static const uint8_t *bytes_at(struct mr_str s, size_t at, size_t n) {
    return at <= s.n && n <= s.n - at ? (const uint8_t *)s.p + at : NULL;
}

static uint32_t be16(const uint8_t *p) {
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p) {
    return be16(p) << 16 | be16(p + 2);
}

static uint32_t le16(const uint8_t *p) {
    return (uint32_t)p[1] << 8 | p[0];
}

static uint32_t le32(const uint8_t *p) {
    return le16(p + 2) << 16 | le16(p);
}

static int truncated(const char *what, struct mr_err *e) {
    return mr_fail(e, MR_EINVAL, "the %s file is truncated in its header", what);
}

/* A TIFF structure; 1 unless it states another orientation. */
static uint32_t exif_orientation(struct mr_str t) {
    const uint8_t *p = bytes_at(t, 0, 8);
    if (!p || (memcmp(p, "II*\0", 4) != 0 && memcmp(p, "MM\0*", 4) != 0))
        return 1;
    bool big = p[0] == 'M';
    size_t at = big ? be32(p + 4) : le32(p + 4);
    p = bytes_at(t, at, 2);
    uint32_t n = !p ? 0 : big ? be16(p) : le16(p);
    for (uint32_t k = 0; k < n; k++) {
        p = bytes_at(t, at + 2 + (size_t)k * 12, 12);
        if (!p)
            return 1;
        if ((big ? be16(p) : le16(p)) != 0x0112)
            continue;
        uint32_t type = big ? be16(p + 2) : le16(p + 2), v = big ? be16(p + 8) : le16(p + 8);
        return type == 3 && v >= 1 && v <= 8 ? v : 1;
    }
    return 1;
}

static int scan_jpeg(struct mr_str s, struct mr_image_scan *o, struct mr_err *e) {
    bool seen_frame = false;
    for (size_t at = 2;;) {
        const uint8_t *p = bytes_at(s, at, 2);
        if (!p)
            return truncated("JPEG", e);
        if (p[0] != 0xff)
            return mr_fail(e, MR_EINVAL, "the JPEG file has no marker at byte %zu", at);
        uint8_t m = p[1];
        if (m == 0xff) { /* fill */
            at++;
            continue;
        }
        if (m == 0x01 || (m >= 0xd0 && m <= 0xd8)) {
            at += 2;
            continue;
        }
        if (m == 0xda || m == 0xd9) /* the scan, or the end */
            return seen_frame ? 0 : mr_fail(e, MR_EINVAL, "the JPEG file has no frame header");
        p = bytes_at(s, at + 2, 2);
        uint32_t len = p ? be16(p) : 0;
        if (!p || (len >= 2 && !bytes_at(s, at + 2, len)))
            return truncated("JPEG", e);
        if (len < 2)
            return mr_fail(e, MR_EINVAL, "the JPEG file has a broken segment at byte %zu", at);
        p += 2;
        struct mr_str body = {(const char *)p, len - 2};
        if (m >= 0xc0 && m <= 0xcf && m != 0xc4 && m != 0xc8 && m != 0xcc) {
            if (body.n < 6 || seen_frame)
                return mr_fail(e, MR_EINVAL, "the JPEG file has a broken frame header");
            o->height = be16(p + 1);
            o->width = be16(p + 3);
            seen_frame = true;
        } else if (m == 0xe1 && body.n > 6 && !memcmp(p, "Exif\0", 6) && o->orientation == 1) {
            o->orientation = exif_orientation((struct mr_str){body.p + 6, body.n - 6});
        } else if (m == 0xee && body.n >= 12 && !memcmp(p, "Adobe", 5)) {
            o->adobe = 1;
        }
        at += 2 + (size_t)len;
    }
}

static int scan_png(struct mr_str s, struct mr_image_scan *o, struct mr_err *e) {
    const uint8_t *p = bytes_at(s, 8, 25);
    if (!p)
        return truncated("PNG", e);
    if (be32(p) != 13 || memcmp(p + 4, "IHDR", 4) != 0)
        return mr_fail(e, MR_EINVAL, "the PNG file does not begin with its header");
    o->width = be32(p + 8);
    o->height = be32(p + 12);
    for (size_t at = 33; (p = bytes_at(s, at, 8));) { /* eXIf may come before or after the pixels */
        size_t len = be32(p);
        if (!memcmp(p + 4, "eXIf", 4) && bytes_at(s, at + 8, len)) {
            o->orientation = exif_orientation((struct mr_str){s.p + at + 8, len});
            break;
        }
        if (!bytes_at(s, at + 8, len + 4))
            break;
        at += 12 + len;
    }
    return 0;
}

static int scan_webp(struct mr_str s, struct mr_image_scan *o, struct mr_err *e) {
    const uint8_t *p = bytes_at(s, 0, 25); /* a lossless pixel may be 26 bytes in all */
    if (p && memcmp(p + 12, "VP8L", 4) != 0)
        p = bytes_at(s, 0, 30);
    if (!p || (uint64_t)le32(p + 4) + 8 > s.n)
        return p ? mr_fail(e, MR_EINVAL, "the WebP file is truncated: %zu of %llu bytes", s.n,
                           (unsigned long long)le32(p + 4) + 8)
                 : truncated("WebP", e);
    const uint8_t *c = p + 12, *b = p + 20;
    if (!memcmp(c, "VP8 ", 4)) {
        if (memcmp(b + 3, "\x9d\x01\x2a", 3) != 0)
            return mr_fail(e, MR_EINVAL, "the WebP file does not begin with a key frame");
        o->width = le16(b + 6) & 0x3fff;
        o->height = le16(b + 8) & 0x3fff;
    } else if (!memcmp(c, "VP8L", 4)) {
        if (b[0] != 0x2f)
            return mr_fail(e, MR_EINVAL, "the WebP file has a broken lossless header");
        uint32_t v = le32(b + 1);
        o->width = (v & 0x3fff) + 1;
        o->height = (v >> 14 & 0x3fff) + 1;
    } else if (!memcmp(c, "VP8X", 4)) {
        o->width = (le32(b + 4) & 0xffffff) + 1;
        o->height = (le32(b + 6) >> 8) + 1;
    } else {
        return mr_fail(e, MR_EINVAL, "the WebP file begins with an unknown chunk");
    }
    for (size_t at = 12; (p = bytes_at(s, at, 8));) {
        size_t len = le32(p + 4);
        if (!bytes_at(s, at + 8, len))
            break;
        if (!memcmp(p, "EXIF", 4)) {
            struct mr_str t = {s.p + at + 8, len};
            if (len > 6 && !memcmp(t.p, "Exif\0", 6)) /* some writers keep JPEG's prefix */
                t = (struct mr_str){t.p + 6, len - 6};
            o->orientation = exif_orientation(t);
            break;
        }
        at += 8 + len + (len & 1);
    }
    return 0;
}

static int scan_gif(struct mr_str s, struct mr_image_scan *o, struct mr_err *e) {
    const uint8_t *p = bytes_at(s, 0, 13);
    if (!p)
        return truncated("GIF", e);
    o->width = le16(p + 6);
    o->height = le16(p + 8);
    return 0;
}

/* For a better message only. */
static const char *other_kind(struct mr_str s) {
    static const struct {
        size_t at;
        struct mr_str magic;
        const char *name;
    } known[] = {{0, {"BM", 2}, "a BMP"},          {0, {"II*\0", 4}, "a TIFF"},
                 {0, {"MM\0*", 4}, "a TIFF"},      {4, {"ftypavif", 8}, "an AVIF"},
                 {4, {"ftyphei", 7}, "a HEIF"},    {4, {"ftypmif1", 8}, "a HEIF"},
                 {0, {"%PDF-", 5}, "a PDF"},       {0, {"<svg", 4}, "an SVG"},
                 {0, {"\0\0\1\0", 4}, "an icon"},  {0, {"\xff\x0a", 2}, "a JPEG XL"},
                 {4, {"JXL \r\n", 6}, "a JPEG XL"}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        const uint8_t *p = bytes_at(s, known[k].at, known[k].magic.n);
        if (p && !memcmp(p, known[k].magic.p, known[k].magic.n))
            return known[k].name;
    }
    return NULL;
}

static uint32_t kind_of(struct mr_str s) {
    const uint8_t *p = bytes_at(s, 0, 3);
    if (p && !memcmp(p, "\xff\xd8\xff", 3))
        return MR_IMAGE_JPEG;
    p = bytes_at(s, 0, 6);
    if (p && (!memcmp(p, "GIF87a", 6) || !memcmp(p, "GIF89a", 6)))
        return MR_IMAGE_GIF;
    p = bytes_at(s, 0, 8);
    if (p && !memcmp(p, "\x89PNG\r\n\x1a\n", 8))
        return MR_IMAGE_PNG;
    p = bytes_at(s, 0, 12);
    return p && !memcmp(p, "RIFF", 4) && !memcmp(p + 8, "WEBP", 4) ? MR_IMAGE_WEBP : 0;
}

const char *mr_image_kind_name(uint32_t kind) {
    static const char *const names[] = {"", "JPEG", "PNG", "WEBP", "GIF"};
    return kind < sizeof names / sizeof *names ? names[kind] : "";
}

int mr_image_scan_head(struct mr_str s, struct mr_image_scan *ret, struct mr_err *e) {
    if (!s.n)
        return mr_fail(e, MR_EINVAL, "the image is empty");
    if (s.n > MR_IMAGE_BYTES_MAX)
        return mr_fail(e, MR_ETOOBIG, "the image has %zu bytes; %zu are the most", s.n,
                       MR_IMAGE_BYTES_MAX);
    struct mr_image_scan o = {.kind = kind_of(s), .orientation = 1};
    const char *other;
    int r;
    switch (o.kind) {
    case MR_IMAGE_JPEG:
        r = scan_jpeg(s, &o, e);
        break;
    case MR_IMAGE_PNG:
        r = scan_png(s, &o, e);
        break;
    case MR_IMAGE_WEBP:
        r = scan_webp(s, &o, e);
        break;
    case MR_IMAGE_GIF:
        r = scan_gif(s, &o, e);
        break;
    default:
        other = other_kind(s);
        return mr_fail(e, MR_EINVAL, "the file is %s%s: JPEG, PNG, WebP and GIF are read",
                       other ? other : "no image that is known here", other ? " file" : "");
    }
    if (r)
        return r;
    if (!o.width || !o.height)
        return mr_fail(e, MR_EINVAL, "the %s image states a size of %u x %u pixels",
                       mr_image_kind_name(o.kind), o.width, o.height);
    if (o.width > MR_IMAGE_SIDE_MAX || o.height > MR_IMAGE_SIDE_MAX ||
        (uint64_t)o.width * o.height > MR_IMAGE_PIXELS_MAX)
        return mr_fail(e, MR_ETOOBIG,
                       "the image states %u x %u pixels; %u a side and %llu in all are the most",
                       o.width, o.height, MR_IMAGE_SIDE_MAX,
                       (unsigned long long)MR_IMAGE_PIXELS_MAX);
    *ret = o;
    return 0;
}

int mr_image_sniff(struct mr_str bytes, struct mr_image_head *ret, struct mr_err *e) {
    struct mr_image_scan s;
    int r = mr_image_scan_head(bytes, &s, e);
    if (!r)
        *ret = (struct mr_image_head){mr_image_kind_name(s.kind), s.width, s.height};
    return r;
}
