/* The parser without sockets. The first byte says how the rest is cut into feeds; requests, their
 * heads and bodies must come out the same as from one feed. */
#include "http/parse.h"

#include <string.h>

#define HEAD_MAX 4096

struct sum {
    uint64_t h;
    unsigned requests;
    int status;
    struct mr_hparse p;
    char *base;
};

static void mix(struct sum *s, const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        s->h = (s->h ^ (unsigned char)p[i]) * 0x100000001b3u;
}

static void span(struct sum *s, struct mr_hspan v) {
    mix(s, s->base + v.at, v.n);
    mix(s, "|", 1);
}

static int on_head(void *ctx) {
    struct sum *s = ctx;
    span(s, s->p.target);
    for (uint32_t i = 0; i < s->p.n_headers; i++) {
        span(s, s->p.headers[i].name);
        span(s, s->p.headers[i].value);
    }
    if (s->p.minor > 1 || (s->p.chunked && s->p.content_length >= 0))
        __builtin_trap();
    if (s->p.minor == 1 && mr_hparse_find(&s->p, s->base, "host", 4) < 0)
        __builtin_trap();
    mix(s, (const char *)&s->p.content_length, sizeof s->p.content_length);
    return 0;
}

static int on_body(void *ctx, const char *p, size_t n) {
    mix(ctx, p, n);
    return 0;
}

static void run(struct sum *s, char *buf, size_t n, size_t step) {
    size_t at = 0, msg = 0;
    s->p.head_max = HEAD_MAX;
    s->p.target_max = 1024;
    s->p.ctx = s;
    s->p.on_head = on_head;
    s->p.on_body = on_body;
    mr_hparse_begin(&s->p);
    while (at < n) {
        size_t used = 0, k = n - at < step ? n - at : step;
        s->base = buf + msg;
        enum mr_hparse_rc rc = mr_hparse_feed(&s->p, buf + msg, buf + at, k, &used);
        if (used > k)
            __builtin_trap();
        at += used;
        if (rc == MR_HPARSE_DONE) {
            s->requests++;
            msg = at;
            mr_hparse_begin(&s->p);
        } else if (rc == MR_HPARSE_ERROR) {
            if (s->p.status < 400 || s->p.status > 505 || !s->p.detail)
                __builtin_trap();
            s->status = s->p.status;
            return;
        } else if (rc == MR_HPARSE_STOP || used != k) {
            __builtin_trap(); /* nobody stops, and MORE uses everything */
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char buf[2][8192];
    static struct sum whole, cut;
    if (size < 2 || size > sizeof buf[0])
        return 0;
    size_t n = size - 1;
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    memcpy(buf[0], data + 1, n);
    memcpy(buf[1], data + 1, n);
    run(&whole, buf[0], n, n);
    run(&cut, buf[1], n, (size_t)data[0] % 64 + 1);
    /* Which cap refuses an over-long head depends on the cuts; that it is refused does not. */
    if ((whole.status != 0) != (cut.status != 0) || whole.requests != cut.requests)
        __builtin_trap();
    if (!whole.status && whole.h != cut.h)
        __builtin_trap();
    return 0;
}
