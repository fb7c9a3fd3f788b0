#include "base/alloc.h"
#include "base/err.h"
#include "mr_test.h"
#include "wire/zip.h"

#include <zlib.h>

/* A small writer, so that every field can be told to lie. */
struct member {
    const char *name, *data;
    int deflate, streamed;
    const char *local_name; /* when the local header lies */
};
struct file {
    uint8_t b[4096];
    size_t n, local[8], data[8], central[8], end;
};

static void put(struct file *f, uint64_t v, unsigned n) {
    while (n--) {
        f->b[f->n++] = (uint8_t)v;
        v >>= 8;
    }
}
static void bytes(struct file *f, const void *p, size_t n) {
    memcpy(f->b + f->n, p, n);
    f->n += n;
}

static void build(struct file *f, const struct member *m, size_t count) {
    uint32_t crc[8], size[8], packed[8];
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < count; i++) {
        uint8_t z[512];
        z_stream s = {0};
        size[i] = packed[i] = (uint32_t)strlen(m[i].data);
        crc[i] = (uint32_t)crc32(0, (const Bytef *)m[i].data, size[i]);
        if (m[i].deflate) {
            CHECK_INT(deflateInit2(&s, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
            s.next_in = (Bytef *)m[i].data;
            s.avail_in = size[i];
            s.next_out = z;
            s.avail_out = sizeof z;
            CHECK_INT(deflate(&s, Z_FINISH), Z_STREAM_END);
            packed[i] = (uint32_t)s.total_out;
            deflateEnd(&s);
        }
        const char *name = m[i].local_name ? m[i].local_name : m[i].name;
        f->local[i] = f->n;
        put(f, 0x04034b50, 4);
        put(f, 20, 2);
        put(f, m[i].streamed ? 8 : 0, 2);
        put(f, m[i].deflate ? 8 : 0, 2);
        put(f, 0, 4);
        put(f, m[i].streamed ? 0 : crc[i], 4);
        put(f, m[i].streamed ? 0 : packed[i], 4);
        put(f, m[i].streamed ? 0 : size[i], 4);
        put(f, strlen(name), 2);
        put(f, 0, 2);
        bytes(f, name, strlen(name));
        f->data[i] = f->n;
        bytes(f, m[i].deflate ? z : (const uint8_t *)m[i].data, packed[i]);
        if (m[i].streamed) {
            put(f, 0x08074b50, 4);
            put(f, crc[i], 4);
            put(f, packed[i], 4);
            put(f, size[i], 4);
        }
    }
    size_t dir = f->n;
    for (size_t i = 0; i < count; i++) {
        f->central[i] = f->n;
        put(f, 0x02014b50, 4);
        put(f, 20, 2);
        put(f, 20, 2);
        put(f, m[i].streamed ? 8 : 0, 2);
        put(f, m[i].deflate ? 8 : 0, 2);
        put(f, 0, 4);
        put(f, crc[i], 4);
        put(f, packed[i], 4);
        put(f, size[i], 4);
        put(f, strlen(m[i].name), 2);
        put(f, 0, 2 + 2 + 2 + 2); /* extra, comment, disk, internal */
        put(f, 0, 4);
        put(f, f->local[i], 4);
        bytes(f, m[i].name, strlen(m[i].name));
    }
    f->end = f->n;
    put(f, 0x06054b50, 4);
    put(f, 0, 4);
    put(f, count, 2);
    put(f, count, 2);
    put(f, f->end - dir, 4);
    put(f, dir, 4);
    put(f, 0, 2);
}

static int open_file(const struct file *f, struct mr_zip *z, struct mr_err *e) {
    *e = (struct mr_err){0};
    return mr_zip_open(mr_strn((const char *)f->b, f->n), 100, z, e);
}

static void refused(const struct file *f, const char *why) {
    struct mr_zip z;
    struct mr_err e;
    CHECK_INT(open_file(f, &z, &e), MR_EREFUSED);
    if (!strstr(e.msg, why))
        CHECK_STR(e.msg, why);
}

static const struct member two[] = {
    {"a/data.pkl", "hello hello hello hello", 1, 0, NULL},
    {"a/b", "stored", 0, 0, NULL},
};

static void check_reads(const struct file *f) {
    struct mr_zip z;
    struct mr_err e;
    CHECK_INT(open_file(f, &z, &e), 0);
    if (e.code) {
        fprintf(stderr, "  %s\n", e.msg);
        return;
    }
    CHECK_INT(z.n, 2);
    CHECK_INT(mr_zip_kind(&z), MR_ZIP_TORCH);
    const struct mr_zip_entry *m = mr_zip_find(&z, MR_LIT("a/data.pkl"));
    CHECK(m && !mr_zip_find(&z, MR_LIT("data.pkl")));
    struct mr_str s;
    void *own = NULL;
    CHECK_INT(mr_zip_read(&z, m, 100, &s, &own, &e), 0);
    CHECK(mr_str_is(s, two[0].data));
    mr_free(own);
    own = NULL;
    CHECK_INT(mr_zip_read(&z, &z.entry[1], 100, &s, &own, &e), 0);
    CHECK(mr_str_is(s, "stored") && !own);
    CHECK_INT(mr_zip_read(&z, m, 3, &s, &own, &e), MR_EREFUSED);
    mr_zip_release(&z);
}

MR_TEST(archives_are_read) {
    struct file f;
    build(&f, two, 2);
    CHECK(mr_zip_sniff(mr_strn((const char *)f.b, f.n)));
    check_reads(&f);
    struct member streamed[] = {two[0], two[1]};
    streamed[0].streamed = streamed[1].streamed = 1;
    build(&f, streamed, 2);
    check_reads(&f);
    build(&f, two, 0);
    struct mr_zip z;
    struct mr_err e;
    CHECK_INT(open_file(&f, &z, &e), 0);
    CHECK_INT(z.n, 0);
    mr_zip_release(&z);
}

MR_TEST(headers_that_disagree_are_refused) {
    struct file f;
    struct member lie[] = {two[0], two[1]};
    lie[1].local_name = "a/c";
    build(&f, lie, 2);
    refused(&f, "another name");
    build(&f, two, 2);
    f.b[f.local[0] + 6] |= 2;
    refused(&f, "other flags");
    build(&f, two, 2);
    f.b[f.local[0] + 8] = 0;
    refused(&f, "other flags or method");
    build(&f, two, 2);
    f.b[f.local[1] + 14] ^= 1;
    refused(&f, "other sizes or CRC");
    build(&f, two, 2);
    f.b[f.central[1] + 24]++;
    refused(&f, "two sizes differ");
    build(&f, two, 2);
    f.b[f.local[0] + 6] = f.b[f.central[0] + 8] = 1;
    refused(&f, "encrypted");
    build(&f, two, 2);
    f.b[f.local[0] + 8] = f.b[f.central[0] + 10] = 12;
    refused(&f, "compression method");
    struct member streamed[] = {two[0], two[1]};
    streamed[0].streamed = 1;
    build(&f, streamed, 2);
    f.b[f.local[1] - 1] ^= 1;
    refused(&f, "descriptor");
}

MR_TEST(hidden_bytes_are_refused) {
    struct file f, g;
    build(&f, two, 2);
    f.b[f.central[1] + 42] = 0; /* both members at the first header */
    refused(&f, "overlaps");
    build(&f, two, 2);
    f.b[f.end + 8] = f.b[f.end + 10] = 1;
    refused(&f, "longer than its members");
    /* a prefix, as polyglot files have */
    build(&f, two, 2);
    g = f;
    memmove(g.b + 1, g.b, g.n++);
    refused(&g, "");
    /* trailing bytes, a second end record */
    g = f;
    g.b[g.n++] = 0;
    refused(&g, "no end record");
    g = f;
    g.b[g.end + 20] = 22;
    memcpy(g.b + g.n, f.b + f.end, 22);
    g.n += 22;
    refused(&g, "two end records");
    /* a member that the directory does not list */
    build(&f, two, 2);
    g = f;
    size_t len = g.central[1] - g.central[0];
    memmove(g.b + g.central[0], g.b + g.central[1], g.n - g.central[1]);
    g.n -= len;
    g.end -= len;
    g.b[g.end + 8] = g.b[g.end + 10] = 1;
    g.b[g.end + 12] = (uint8_t)(g.b[g.end + 12] - len);
    refused(&g, "unlisted bytes");
}

MR_TEST(names_are_plain_and_unique) {
    static const char *const bad[] = {"../x", "/etc/x", "a//b", "a\\b", "c:x", "a/./b", "\xff"};
    struct file f;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct member m = {bad[i], "x", 0, 0, NULL};
        build(&f, &m, 1);
        refused(&f, "plain relative path");
    }
    struct member same[] = {two[0], two[0]};
    build(&f, same, 2);
    refused(&f, "appears twice");
}

MR_TEST(contents_are_checked) {
    struct file f;
    struct mr_zip z;
    struct mr_err e;
    struct mr_str s;
    void *own = NULL;
    build(&f, two, 2);
    f.b[f.data[1]] ^= 1;
    CHECK_INT(open_file(&f, &z, &e), 0);
    CHECK_INT(mr_zip_read(&z, &z.entry[1], 100, &s, &own, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "CRC"));
    mr_zip_release(&z);
    build(&f, two, 2);
    f.b[f.local[0] + 22] = f.b[f.central[0] + 24] = 5; /* says 5, unpacks to 23 */
    CHECK_INT(open_file(&f, &z, &e), 0);
    CHECK_INT(mr_zip_read(&z, &z.entry[0], 100, &s, &own, &e), MR_EREFUSED);
    CHECK(!own);
    mr_zip_release(&z);
}

MR_TEST(every_cut_is_refused) {
    struct file f;
    build(&f, two, 2);
    size_t whole = f.n;
    for (f.n = 0; f.n < whole; f.n++)
        refused(&f, "");
}

MR_TEST_MAIN(CASE(archives_are_read), CASE(headers_that_disagree_are_refused),
             CASE(hidden_bytes_are_refused), CASE(names_are_plain_and_unique),
             CASE(contents_are_checked), CASE(every_cut_is_refused))
