#include "base/alloc.h"
#include "base/err.h"
#include "mr_test.h"
#include "wire/decompress.h"

#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>

enum { N = 50000 };
static uint8_t plain[N];
static uint8_t packed[N + 1000];

static void fill(void) {
    uint32_t x = 1;
    for (size_t i = 0; i < N; i++) {
        x = x * 1664525 + 1013904223;
        plain[i] = (uint8_t)(x >> 30);
    }
}

static size_t pack(enum mr_comp kind) {
    size_t n = 0;
    uLongf zn = sizeof packed;
    unsigned bn = sizeof packed;
    z_stream z = {0};
    lzma_options_lzma opt;
    lzma_stream xz = LZMA_STREAM_INIT;
    switch (kind) {
    case MR_COMP_ZLIB:
        CHECK_INT(compress(packed, &zn, plain, N), Z_OK);
        return zn;
    case MR_COMP_GZIP:
    case MR_COMP_DEFLATE:
        CHECK_INT(deflateInit2(&z, 6, Z_DEFLATED, kind == MR_COMP_GZIP ? 31 : -15, 8, 0), Z_OK);
        z.next_in = plain;
        z.avail_in = N;
        z.next_out = packed;
        z.avail_out = sizeof packed;
        CHECK_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
        n = z.total_out;
        deflateEnd(&z);
        return n;
    case MR_COMP_BZ2:
        CHECK_INT(BZ2_bzBuffToBuffCompress((char *)packed, &bn, (char *)plain, N, 9, 0, 0), BZ_OK);
        return bn;
    case MR_COMP_XZ:
        CHECK_INT(
            lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, plain, N, packed, &n, sizeof packed),
            LZMA_OK);
        return n;
    case MR_COMP_LZMA:
        CHECK(!lzma_lzma_preset(&opt, 1));
        CHECK_INT(lzma_alone_encoder(&xz, &opt), LZMA_OK);
        xz.next_in = plain;
        xz.avail_in = N;
        xz.next_out = packed;
        xz.avail_out = sizeof packed;
        CHECK_INT(lzma_code(&xz, LZMA_FINISH), LZMA_STREAM_END);
        n = xz.total_out;
        lzma_end(&xz);
        return n;
    case MR_COMP_LZ4:
        return LZ4F_compressFrame(packed, sizeof packed, plain, N, NULL);
    case MR_COMP_ZF:
        n = (size_t)snprintf((char *)packed, 22, "ZF%-19s", "0xc350");
        zn -= n;
        CHECK_INT(compress(packed + n, &zn, plain, N), Z_OK);
        return zn + n;
    default:
        return 0;
    }
}

static int unpack(enum mr_comp kind, size_t n, size_t cap, unsigned ratio, struct mr_err *e) {
    uint8_t *out = NULL;
    size_t got = 0;
    *e = (struct mr_err){0};
    int rc = mr_decompress(kind, packed, n, cap, ratio, &out, &got, e);
    if (!rc) {
        CHECK_INT(got, N);
        CHECK(!memcmp(out, plain, N));
    } else {
        CHECK(e->msg[0] && !out);
    }
    mr_free(out);
    return rc;
}

MR_TEST(every_format_round_trips_within_its_cap) {
    struct mr_err e;
    fill();
    for (enum mr_comp k = MR_COMP_ZLIB; k <= MR_COMP_ZF; k++) {
        size_t n = pack(k);
        CHECK(n > 100 && n < N);
        if (k != MR_COMP_DEFLATE)
            CHECK_INT(mr_comp_detect(packed, n), k);
        CHECK_INT(unpack(k, n, N, 100, &e), 0);
        if (e.code)
            fprintf(stderr, "  %s: %s\n", mr_comp_name(k), e.msg);
        CHECK_INT(unpack(k, n, N - 1, 100, &e), MR_EREFUSED);
        CHECK(strstr(e.msg, "more than"));
        CHECK_INT(unpack(k, n / 2, N, 100, &e), MR_EREFUSED);
        uint8_t head[100];
        CHECK_INT(mr_decompress_prefix(k, packed, n, head, sizeof head), sizeof head);
        CHECK(!memcmp(head, plain, sizeof head));
        packed[n] = 0x55;
        CHECK_INT(unpack(k, n + 1, N, 100, &e), MR_EREFUSED);
        CHECK(strstr(e.msg, "follow its end"));
    }
}

MR_TEST(ratio_is_watched_from_the_first_mebibyte) {
    enum { BIG = 3 << 20 };
    uint8_t *zeros = calloc(1, BIG), *out = NULL;
    uLongf n = sizeof packed;
    size_t got = 0;
    struct mr_err e = {0};
    CHECK_INT(compress2(packed, &n, zeros, BIG, 9), Z_OK);
    CHECK_INT(mr_decompress(MR_COMP_ZLIB, packed, n, BIG, 200, &out, &got, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "bomb"));
    CHECK_INT(mr_decompress(MR_COMP_ZLIB, packed, n, BIG, 2000, &out, &got, &e), 0);
    CHECK_INT(got, BIG);
    mr_free(out);
    free(zeros);
}

MR_TEST(members_behind_one_another_are_one_file) {
    static const enum mr_comp kinds[] = {MR_COMP_GZIP, MR_COMP_BZ2, MR_COMP_XZ, MR_COMP_LZ4};
    fill();
    for (size_t i = 0; i < 4; i++) {
        size_t n = pack(kinds[i]), got = 0;
        uint8_t *two = malloc(2 * n), *out = NULL;
        memcpy(two, packed, n);
        memcpy(two + n, packed, n);
        CHECK_INT(mr_decompress(kinds[i], two, 2 * n, 1 << 20, 200, &out, &got, NULL), 0);
        CHECK_INT(got, 2 * N);
        CHECK(out && !memcmp(out + N, plain, N));
        mr_free(out);
        free(two);
    }
}

MR_TEST(old_joblib_headers_must_tell_the_length) {
    static const char *const bad[] = {"ZF0xc351             ", "ZF0x                 ",
                                      "ZF0xzz               ", "ZF0xfffffffffffffffff"};
    struct mr_err e;
    fill();
    for (size_t i = 0; i < 4; i++) {
        size_t n = pack(MR_COMP_ZF);
        memcpy(packed, bad[i], 21);
        CHECK_INT(unpack(MR_COMP_ZF, n, N, 100, &e), MR_EREFUSED);
    }
}

MR_TEST_MAIN(CASE(every_format_round_trips_within_its_cap),
             CASE(ratio_is_watched_from_the_first_mebibyte),
             CASE(members_behind_one_another_are_one_file),
             CASE(old_joblib_headers_must_tell_the_length))
