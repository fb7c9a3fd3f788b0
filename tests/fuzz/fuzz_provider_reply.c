/* Whole replies of model providers: whatever comes, text is UTF-8 and counts make sense. */
#include "engine/provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct mr_arena arena;
    struct mr_chat_reply r;
    struct mr_err e;
    mr_arena_init(&arena, 1 << 20);
    if (mr_provider_reply(mr_strn((const char *)data, n), &arena, &r, &e) == 0) {
        const struct mr_chat_usage *u = &r.usage;
        if (!mr_utf8_valid(r.text) || !mr_utf8_valid(r.model) || !mr_utf8_valid(r.finish_reason))
            __builtin_trap();
        if (u->input < 0 || u->output < 0 || u->cached < 0 || u->cache_write < 0 ||
            u->cached + u->cache_write > u->input || (!u->present && (u->input || u->output)))
            __builtin_trap();
        if (mr_provider_estimate_tokens(r.text) < (r.text.n ? 1 : 0))
            __builtin_trap();
    } else if (!e.msg[0]) {
        __builtin_trap();
    }
    mr_arena_release(&arena);
    return 0;
}
