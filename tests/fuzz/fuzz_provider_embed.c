/* Replies with embeddings: a wrong count, length, index or number is an error, never a read past
 * the end. The first byte is how many were asked for. */
#include "engine/provider/provider.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_arena arena;
    struct mr_embed_reply r;
    size_t n = size ? data[0] % 8 : 1;
    mr_arena_init(&arena, 8 << 20);
    if (size &&
        !mr_provider_embeddings(mr_strn((const char *)data + 1, size - 1), n, &arena, &r, NULL)) {
        for (size_t i = 0; i < n * r.width; i++)
            if (!isfinite(r.v[i]))
                abort();
        if (r.tokens < -1)
            abort();
    }
    mr_arena_release(&arena);
    return 0;
}
