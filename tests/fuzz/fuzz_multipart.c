/* The first byte chooses how the rest is cut; what comes out must not depend on the cuts. */
#include "wire/multipart.h"

#include "base/hash.h"

#include <stdint.h>

struct sum {
    uint64_t h;
    size_t parts;
};

static void mix(struct sum *s, const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        s->h = (s->h ^ (unsigned char)p[i]) * 0x100000001b3u;
}

static int on_begin(void *ctx, struct mr_str name, struct mr_str file, struct mr_str type,
                    struct mr_err *e) {
    (void)e;
    mix(ctx, name.p, name.n);
    mix(ctx, file.p, file.n);
    mix(ctx, type.p, type.n);
    ((struct sum *)ctx)->parts++;
    return 0;
}

static int on_data(void *ctx, const char *p, size_t n, struct mr_err *e) {
    (void)e;
    mix(ctx, p, n);
    return 0;
}

static int on_end(void *ctx, struct mr_err *e) {
    (void)e;
    mix(ctx, "\n", 1);
    return 0;
}

static int run(const char *p, size_t n, size_t step, struct sum *s) {
    struct mr_multipart_handler h = {on_begin, on_data, on_end, s};
    struct mr_multipart *m;
    struct mr_err e = {0};
    if (mr_multipart_new(MR_LIT("XyZ"), NULL, &h, &m, &e) < 0)
        return 0;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i += step)
        rc = mr_multipart_feed(m, p + i, n - i < step ? n - i : step, &e);
    if (rc == 0)
        rc = mr_multipart_end(m, &e);
    mr_multipart_free(m);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    const char *p = (const char *)data + 1;
    struct sum whole = {0, 0}, cut = {0, 0};
    struct mr_str boundary;
    (void)mr_multipart_boundary(mr_strn(p, size - 1), &boundary);
    int a = run(p, size - 1, size, &whole);
    int b = run(p, size - 1, (size_t)data[0] % 32 + 1, &cut);
    if (a != b || (a == 0 && (whole.h != cut.h || whole.parts != cut.parts)))
        __builtin_trap();
    return 0;
}
