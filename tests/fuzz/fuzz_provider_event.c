/* A stream of a model provider: server-sent events cut anywhere, and what each holds. */
#include "engine/provider/provider.h"
#include "wire/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int on_event(void *ctx, const struct mr_sse_event *sse) {
    struct mr_arena arena;
    struct mr_chat_event ev;
    struct mr_err e;
    (void)ctx;
    mr_arena_init(&arena, 1 << 20);
    int rc = mr_provider_event(sse->data, &arena, &ev, &e);
    if (rc == 0 && (!mr_utf8_valid(ev.delta) || !mr_utf8_valid(ev.model) ||
                    ev.usage.cached + ev.usage.cache_write > ev.usage.input))
        __builtin_trap();
    if (rc < 0 && !e.msg[0] && rc != MR_EPREDICT)
        __builtin_trap();
    mr_arena_release(&arena);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct mr_sse_parser p;
    struct mr_err e;
    if (n < 1)
        return 0;
    size_t cut = 1 + data[0];
    mr_sse_begin(&p, 1 << 16, 1 << 18, on_event, NULL);
    for (size_t i = 1; i < n; i += cut)
        if (mr_sse_feed(&p, (const char *)data + i, n - i < cut ? n - i : cut, &e) < 0)
            break;
    mr_sse_release(&p);
    return 0;
}
