/* An event stream read whole, byte by byte and in pieces that the input chooses gives the same
 * events; what is read is written and read again unchanged. */
#include "wire/sse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINE_MAX_ 300
#define DATA_MAX_ 600

static int keep_second(void *ctx, const struct mr_sse_event *ev) {
    struct mr_buf *b = ctx;
    mr_buf_str(b, ev->data);
    mr_buf_char(b, 1);
    mr_buf_str(b, ev->event);
    return 0;
}

static int keep(void *ctx, const struct mr_sse_event *ev) {
    struct mr_buf *b = ctx, text, once, twice;
    if (ev->data.n > DATA_MAX_ || ev->event.n > LINE_MAX_ || ev->id.n > LINE_MAX_ || !ev->event.n)
        __builtin_trap();
    mr_buf_u64(b, ev->data.n);
    mr_buf_str(b, ev->data);
    mr_buf_str(b, ev->event);
    mr_buf_str(b, ev->id);
    struct mr_sse_parser p;
    mr_buf_init(&text, 1 << 16);
    mr_buf_init(&once, 1 << 16);
    mr_buf_init(&twice, 1 << 16);
    mr_sse_write(&text, ev);
    keep_second(&once, ev);
    mr_sse_begin(&p, LINE_MAX_ + 16, DATA_MAX_, keep_second, &twice);
    if (!mr_buf_ok(&text) || mr_sse_feed(&p, text.p, text.n, NULL) ||
        !mr_str_eq(mr_buf_view(&once), mr_buf_view(&twice)))
        __builtin_trap();
    mr_sse_release(&p);
    mr_buf_release(&text);
    mr_buf_release(&once);
    mr_buf_release(&twice);
    return 0;
}

static int run(const char *s, size_t n, unsigned step, struct mr_buf *out) {
    struct mr_sse_parser p;
    int rc = 0;
    mr_buf_init(out, 1 << 22);
    mr_sse_begin(&p, LINE_MAX_, DATA_MAX_, keep, out);
    for (size_t at = 0, i = 0; at < n && !rc; i++) {
        size_t k = step ? 1 + (step * (i + 1)) % 7 : n;
        k = k > n - at ? n - at : k;
        char *piece = malloc(k);
        memcpy(piece, s + at, k);
        rc = mr_sse_feed(&p, piece, k, NULL);
        free(piece);
        at += k;
    }
    mr_sse_release(&p);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_buf whole, pieces;
    if (!size)
        return 0;
    int a = run((const char *)data + 1, size - 1, 0, &whole);
    for (unsigned i = 0; i < 2; i++) {
        int b = run((const char *)data + 1, size - 1, i ? data[0] | 1u : 7u, &pieces);
        if (a != b || !mr_str_eq(mr_buf_view(&whole), mr_buf_view(&pieces)))
            __builtin_trap();
        mr_buf_release(&pieces);
    }
    mr_buf_release(&whole);
    return 0;
}
