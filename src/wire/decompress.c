/* Decompression with caps: one small step function a format, one loop that watches the limits. */
#include "wire/decompress.h"

#include "base/alloc.h"
#include "base/str.h"

#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>

#define STEP_IN       (1u << 20)
#define RATIO_SLACK   (1u << 20)
#define XZ_MEMORY_MAX (128ull << 20) /* dictionary of xz -9 is 64 MiB */
#define ZF_HEADER     21u            /* "ZF" and len(hex(2**64)) = 19 characters */

struct codec {
    enum mr_comp kind;
    union {
        z_stream z;
        bz_stream bz;
        lzma_stream xz;
        LZ4F_dctx *lz4;
    };
};

const char *mr_comp_name(enum mr_comp c) {
    static const char *const names[] = {"none", "zlib", "gzip", "deflate",  "bzip2",
                                        "xz",   "lzma", "lz4",  "joblib ZF"};
    return names[c];
}

enum mr_comp mr_comp_detect(const void *data, size_t n) {
    const uint8_t *p = data;
    if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        return MR_COMP_GZIP;
    if (n >= 2 && p[0] == 0x78 && (p[0] * 256u + p[1]) % 31 == 0)
        return MR_COMP_ZLIB;
    if (n >= 10 && !memcmp(p, "BZh", 3) && p[3] >= '1' && p[3] <= '9' &&
        (!memcmp(p + 4, "1AY&SY", 6) || !memcmp(p + 4, "\x17\x72\x45\x38\x50\x90", 6)))
        return MR_COMP_BZ2;
    if (n >= 6 && !memcmp(p,
                          "\xfd"
                          "7zXZ\0",
                          6))
        return MR_COMP_XZ;
    if (n >= 13 && p[0] == 0x5d && p[1] == 0 && p[2] == 0)
        return MR_COMP_LZMA;
    if (n >= 7 && !memcmp(p, "\x04\x22\x4d\x18", 4))
        return MR_COMP_LZ4;
    if (n > ZF_HEADER && !memcmp(p, "ZF0x", 4))
        return MR_COMP_ZF;
    return MR_COMP_NONE;
}

static int codec_init(struct codec *c, enum mr_comp kind) {
    memset(c, 0, sizeof *c);
    c->kind = kind;
    switch (kind) {
    case MR_COMP_ZLIB:
        return inflateInit2(&c->z, 15) == Z_OK ? 0 : MR_ENOMEM;
    case MR_COMP_GZIP:
        return inflateInit2(&c->z, 15 + 16) == Z_OK ? 0 : MR_ENOMEM;
    case MR_COMP_DEFLATE:
        return inflateInit2(&c->z, -15) == Z_OK ? 0 : MR_ENOMEM;
    case MR_COMP_BZ2:
        return BZ2_bzDecompressInit(&c->bz, 0, 0) == BZ_OK ? 0 : MR_ENOMEM;
    case MR_COMP_XZ:
        return lzma_stream_decoder(&c->xz, XZ_MEMORY_MAX, 0) == LZMA_OK ? 0 : MR_ENOMEM;
    case MR_COMP_LZMA:
        return lzma_alone_decoder(&c->xz, XZ_MEMORY_MAX) == LZMA_OK ? 0 : MR_ENOMEM;
    case MR_COMP_LZ4:
        return LZ4F_isError(LZ4F_createDecompressionContext(&c->lz4, LZ4F_VERSION)) ? MR_ENOMEM : 0;
    default:
        return MR_EUNSUPPORTED;
    }
}

static void codec_release(struct codec *c) {
    switch (c->kind) {
    case MR_COMP_ZLIB:
    case MR_COMP_GZIP:
    case MR_COMP_DEFLATE:
        inflateEnd(&c->z);
        break;
    case MR_COMP_BZ2:
        BZ2_bzDecompressEnd(&c->bz);
        break;
    case MR_COMP_XZ:
    case MR_COMP_LZMA:
        lzma_end(&c->xz);
        break;
    case MR_COMP_LZ4:
        LZ4F_freeDecompressionContext(c->lz4);
        break;
    default:
        break;
    }
}

struct step {
    const uint8_t *in;
    size_t n_in; /* after the step: what was not read */
    uint8_t *out;
    size_t n_out; /* after the step: room left */
};

enum { STEP_BAD = -1, STEP_MORE, STEP_END };

static int codec_step(struct codec *c, struct step *s) {
    switch (c->kind) {
    case MR_COMP_ZLIB:
    case MR_COMP_GZIP:
    case MR_COMP_DEFLATE: {
        c->z.next_in = (Bytef *)s->in;
        c->z.avail_in = (uInt)s->n_in;
        c->z.next_out = s->out;
        c->z.avail_out = (uInt)s->n_out;
        int rc = inflate(&c->z, Z_NO_FLUSH);
        s->n_in = c->z.avail_in;
        s->n_out = c->z.avail_out;
        return rc == Z_STREAM_END                ? STEP_END
               : rc == Z_OK || rc == Z_BUF_ERROR ? STEP_MORE
                                                 : STEP_BAD;
    }
    case MR_COMP_BZ2: {
        c->bz.next_in = (char *)s->in;
        c->bz.avail_in = (unsigned)s->n_in;
        c->bz.next_out = (char *)s->out;
        c->bz.avail_out = (unsigned)s->n_out;
        int rc = BZ2_bzDecompress(&c->bz);
        s->n_in = c->bz.avail_in;
        s->n_out = c->bz.avail_out;
        return rc == BZ_STREAM_END ? STEP_END : rc == BZ_OK ? STEP_MORE : STEP_BAD;
    }
    case MR_COMP_XZ:
    case MR_COMP_LZMA: {
        c->xz.next_in = s->in;
        c->xz.avail_in = s->n_in;
        c->xz.next_out = s->out;
        c->xz.avail_out = s->n_out;
        lzma_ret rc = lzma_code(&c->xz, LZMA_RUN);
        s->n_in = c->xz.avail_in;
        s->n_out = c->xz.avail_out;
        return rc == LZMA_STREAM_END                   ? STEP_END
               : rc == LZMA_OK || rc == LZMA_BUF_ERROR ? STEP_MORE
                                                       : STEP_BAD;
    }
    case MR_COMP_LZ4: {
        size_t in = s->n_in, out = s->n_out;
        size_t rc = LZ4F_decompress(c->lz4, s->out, &out, s->in, &in, NULL);
        if (LZ4F_isError(rc))
            return STEP_BAD;
        s->n_in -= in;
        s->n_out -= out;
        return rc == 0 ? STEP_END : STEP_MORE;
    }
    default:
        return STEP_BAD;
    }
}

/* Several streams one behind the other are one file for these formats, as for their tools. */
static bool may_continue(enum mr_comp kind, const uint8_t *p, size_t n) {
    return (kind == MR_COMP_GZIP || kind == MR_COMP_BZ2 || kind == MR_COMP_XZ ||
            kind == MR_COMP_LZ4) &&
           mr_comp_detect(p, n) == kind;
}

struct job {
    enum mr_comp kind;
    const uint8_t *in;
    size_t n_in, done_in;
    uint8_t *out;
    size_t n_out, cap, max_out;
    uint64_t ratio;
    struct mr_err *e;
};

static int damaged(const struct job *j, const char *why) {
    return mr_fail(j->e, MR_EREFUSED, "the %s data is damaged: %s (byte %zu of %zu)",
                   mr_comp_name(j->kind), why, j->done_in, j->n_in);
}

static int grow(struct job *j) {
    if (j->n_out < j->cap)
        return 0;
    if (j->cap >= j->max_out)
        return mr_fail(j->e, MR_EREFUSED, "the %s data decompresses to more than %zu MiB",
                       mr_comp_name(j->kind), j->max_out >> 20);
    size_t cap = j->cap ? j->cap * 2 : 1u << 16;
    if (!j->cap && j->n_in > cap && j->n_in < SIZE_MAX / 4)
        cap = j->n_in * 3;
    if (cap > j->max_out)
        cap = j->max_out;
    uint8_t *p = mr_realloc(j->out, cap);
    if (!p)
        return mr_fail(j->e, MR_ENOMEM, "out of memory while decompressing");
    j->out = p;
    j->cap = cap;
    return 0;
}

/* One stream. */
static int run_stream(struct job *j, struct codec *c) {
    for (;;) {
        int rc = grow(j);
        if (rc)
            return rc;
        size_t left = j->n_in - j->done_in, room = j->cap - j->n_out;
        struct step s = {j->in + j->done_in, left < STEP_IN ? left : STEP_IN, j->out + j->n_out,
                         room < STEP_IN ? room : STEP_IN};
        size_t in = s.n_in, out = s.n_out;
        int st = codec_step(c, &s);
        j->done_in += in - s.n_in;
        j->n_out += out - s.n_out;
        if (st == STEP_BAD)
            return damaged(j, "it cannot be decoded");
        if (j->n_out > RATIO_SLACK && (uint64_t)j->n_out - RATIO_SLACK > j->ratio * j->done_in)
            return mr_fail(j->e, MR_EREFUSED,
                           "the %s data expands more than %llu times: a decompression bomb",
                           mr_comp_name(j->kind), (unsigned long long)j->ratio);
        if (st == STEP_END)
            return 0;
        if (in == s.n_in && out == s.n_out) {
            if (j->n_out == j->cap)
                continue;
            return damaged(j, "it ends early");
        }
    }
}

static int run(struct job *j) {
    do {
        struct codec c;
        int rc = codec_init(&c, j->kind);
        if (rc)
            return mr_fail(j->e, rc, "cannot start %s decompression", mr_comp_name(j->kind));
        rc = run_stream(j, &c);
        codec_release(&c);
        if (rc)
            return rc;
    } while (may_continue(j->kind, j->in + j->done_in, j->n_in - j->done_in));
    if (j->done_in != j->n_in)
        return damaged(j, "other bytes follow its end");
    return 0;
}

/* joblib < 0.10: "ZF", the plain length in hexadecimal padded to 19 characters (20 in the oldest
 * Python 2 files), zlib. */
static bool zf_header(const uint8_t *p, size_t n, size_t *ret_plain, size_t *ret_at) {
    size_t v = 0, i = 4;
    for (; i < ZF_HEADER && p[i] != ' ' && p[i] != 'L'; i++) {
        int d = p[i] >= '0' && p[i] <= '9'                     ? p[i] - '0'
                : (p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f' ? (p[i] | 0x20) - 'a' + 10
                                                               : -1;
        if (d < 0 || v >> 59)
            return false;
        v = v << 4 | (size_t)d;
    }
    if (i == 4)
        return false;
    *ret_plain = v;
    *ret_at = ZF_HEADER + (n > ZF_HEADER && p[ZF_HEADER] == ' ');
    return true;
}

int mr_decompress(enum mr_comp kind, const void *p, size_t n, size_t max_out, unsigned max_ratio,
                  uint8_t **ret, size_t *ret_n, struct mr_err *e) {
    size_t want = 0, at = 0;
    if (kind == MR_COMP_ZF && (n <= ZF_HEADER || !zf_header(p, n, &want, &at)))
        return mr_fail(e, MR_EREFUSED, "the joblib ZF header is damaged");
    struct job j = {.kind = kind == MR_COMP_ZF ? MR_COMP_ZLIB : kind,
                    .in = (const uint8_t *)p + at,
                    .n_in = n - at,
                    .max_out = max_out < SIZE_MAX ? max_out + 1 : max_out, /* to see the end */
                    .ratio = max_ratio,
                    .e = e};
    int rc = run(&j);
    if (!rc && j.n_out > max_out)
        rc = mr_fail(e, MR_EREFUSED, "the %s data decompresses to more than %zu bytes",
                     mr_comp_name(kind), max_out);
    if (!rc && kind == MR_COMP_ZF && j.n_out != want)
        rc = mr_fail(e, MR_EREFUSED, "the joblib ZF header announces %zu bytes, there are %zu",
                     want, j.n_out);
    if (rc) {
        mr_free(j.out);
        return rc;
    }
    *ret = j.out;
    *ret_n = j.n_out;
    return 0;
}

size_t mr_decompress_prefix(enum mr_comp kind, const void *p, size_t n, uint8_t *out, size_t cap) {
    size_t want = 0, at = 0;
    if (kind == MR_COMP_ZF) {
        if (n <= ZF_HEADER || !zf_header(p, n, &want, &at))
            return 0;
        kind = MR_COMP_ZLIB;
    }
    struct codec c;
    if (codec_init(&c, kind))
        return 0;
    size_t done = 0, got = 0;
    while (got < cap) {
        size_t left = n - at - done;
        struct step s = {(const uint8_t *)p + at + done, left < 4096 ? left : 4096, out + got,
                         cap - got};
        size_t in = s.n_in;
        int st = codec_step(&c, &s);
        size_t fresh = cap - got - s.n_out;
        done += in - s.n_in;
        got += fresh;
        if (st != STEP_MORE || (!fresh && in == s.n_in))
            break;
    }
    codec_release(&c);
    return got;
}
