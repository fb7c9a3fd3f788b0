/* The reader of GGUF headers on arbitrary bytes. */
#include "wire/gguf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void inside(struct mr_str s, const uint8_t *p, size_t n) {
    if (s.n && ((const uint8_t *)s.p < p || (const uint8_t *)s.p + s.n > p + n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct mr_gguf g;
    struct mr_err e = {0};
    int r = mr_gguf_parse((struct mr_str){(const char *)p, n}, &g, &e);
    if (r) {
        if (e.code != r || !e.msg[0])
            abort();
        return 0;
    }
    inside(g.architecture, p, n);
    inside(g.name, p, n);
    inside(g.chat_template, p, n);
    inside(g.bos, p, n);
    if (g.header_bytes > n || !mr_gguf_file_type_name(g.file_type))
        abort();
    return 0;
}
