/* JSON Schema -> grammar, and tools -> grammar, on arbitrary JSON. The finding of tool calls on
 * arbitrary text. */
#include "engine/llm/grammar.h"
#include "engine/llm/tools.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(int r, const struct mr_buf *b, const struct mr_err *e) {
    if (r ? b->n || e->code != r || !e->msg[0] : !b->n || !strstr(b->p, "root ::="))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct mr_arena a;
    struct mr_err e = {0};
    struct mr_str text;
    struct mr_tool_call *call;
    size_t calls;
    mr_arena_init(&a, 16 << 20);
    if (!mr_tools_find((struct mr_str){(const char *)p, n}, &a, &text, &call, &calls, &e) &&
        text.n > n)
        abort();
    yyjson_doc *d = yyjson_read((const char *)p, n, 0);
    struct mr_buf b;
    mr_buf_init(&b, 16 << 20);
    if (d) {
        check(mr_grammar_from_schema(yyjson_doc_get_root(d), &b, &e), &b, &e);
        mr_buf_clear(&b);
        int r = mr_tools_grammar(yyjson_doc_get_root(d), MR_TOOLS_REQUIRED, mr_str(""), &b, &e);
        if (r && e.code != r)
            abort();
    }
    mr_buf_release(&b);
    yyjson_doc_free(d);
    mr_arena_release(&a);
    return 0;
}
