/* The reply parser without sockets. The first byte says how the rest is cut into feeds: replies,
 * their headers and bodies must come out the same as from one feed. Its top bit ends the connection
 * after the last byte. */
#include "http/reply_parse.h"

#include <string.h>

#define HEAD_MAX 4096

struct sum {
    uint64_t h;
    unsigned lines, interims;
    size_t body;
    enum mr_rparse_rc rc;
    size_t used;
    struct mr_rparse p;
};

static void mix(struct sum *s, const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        s->h = (s->h ^ (unsigned char)p[i]) * 0x100000001b3u;
}

static void on_header(void *ctx, struct mr_str name, struct mr_str value) {
    struct sum *s = ctx;
    if (name.n > sizeof s->p.name || value.n > sizeof s->p.value)
        __builtin_trap();
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] >= 'A' && name.p[i] <= 'Z')
            __builtin_trap();
    mix(s, name.p, name.n);
    mix(s, ":", 1);
    mix(s, value.p, value.n);
    s->lines++;
}

static void on_interim(void *ctx) {
    struct sum *s = ctx;
    s->interims++;
}

static int on_body(void *ctx, const char *p, size_t n) {
    struct sum *s = ctx;
    if (!s->p.status || !s->p.head_done)
        __builtin_trap();
    mix(s, p, n);
    s->body += n;
    return 0;
}

static void run(struct sum *s, const char *buf, size_t n, size_t step, bool eof) {
    memset(s, 0, sizeof *s);
    s->p.head_max = HEAD_MAX;
    s->p.ctx = s;
    s->p.on_header = on_header;
    s->p.on_interim = on_interim;
    s->p.on_body = on_body;
    mr_rparse_begin(&s->p);
    while (s->used < n && s->rc == MR_RPARSE_MORE) {
        size_t used = 0, k = n - s->used < step ? n - s->used : step;
        s->rc = mr_rparse_feed(&s->p, buf + s->used, k, &used);
        if (used > k || (s->rc == MR_RPARSE_MORE && used != k) || s->rc == MR_RPARSE_STOP)
            __builtin_trap();
        s->used += used;
    }
    if (s->rc == MR_RPARSE_MORE && eof)
        s->rc = mr_rparse_eof(&s->p);
    if (s->rc == MR_RPARSE_DONE && (s->p.status < 200 || s->p.status > 599))
        __builtin_trap();
    if (s->rc == MR_RPARSE_ERROR && !s->p.why)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct sum whole, cut;
    if (size < 2 || size > 65536)
        return 0;
    const char *p = (const char *)data + 1;
    run(&whole, p, size - 1, size - 1, data[0] >> 7);
    run(&cut, p, size - 1, data[0] % 64 + 1u, data[0] >> 7);
    if (size > HEAD_MAX) /* where an over-long head is noticed depends on the cuts */
        return 0;
    if (whole.rc != cut.rc)
        __builtin_trap();
    if (whole.rc != MR_RPARSE_ERROR &&
        (whole.h != cut.h || whole.lines != cut.lines || whole.body != cut.body ||
         whole.interims != cut.interims || whole.used != cut.used ||
         whole.p.keep_alive != cut.p.keep_alive))
        __builtin_trap();
    return 0;
}
