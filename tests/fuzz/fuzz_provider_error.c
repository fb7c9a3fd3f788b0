/* Error bodies of model providers: the first two bytes are the status; the reason is never empty,
 * never long, always UTF-8 without control characters. */
#include "engine/provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n < 2)
        return 0;
    struct mr_arena arena;
    struct mr_str msg;
    mr_arena_init(&arena, 1 << 20);
    (void)mr_provider_error(400 + (data[0] | data[1] << 8) % 200,
                            mr_strn((const char *)data + 2, n - 2), &arena, &msg);
    if (msg.n == 0 || msg.n > 1600 || !mr_utf8_valid(msg))
        __builtin_trap();
    for (size_t i = 0; i < msg.n; i++)
        if ((unsigned char)msg.p[i] < ' ' || msg.p[i] == 127)
            __builtin_trap();
    mr_arena_release(&arena);
    return 0;
}
