/* Conversations in OpenAI's form: for local models they must come out as messages of three roles
 * with texts, for providers as they were. */
#include "api/openai/openai.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(struct mr_str json, size_t n) {
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *m;
    size_t i, max;
    if (yyjson_arr_size(root) != n)
        abort();
    yyjson_arr_foreach (root, i, max, m) {
        yyjson_val *role = yyjson_obj_get(m, "role");
        if (!yyjson_is_str(yyjson_obj_get(m, "content")) ||
            (!yyjson_equals_str(role, "system") && !yyjson_equals_str(role, "user") &&
             !yyjson_equals_str(role, "assistant")))
            abort();
    }
    yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct mr_arena a;
    struct mr_str out;
    yyjson_doc *doc = yyjson_read((const char *)p, n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    mr_arena_init(&a, 16 << 20);
    if (doc) {
        if (!mr_openai_messages(root, true, &a, &out, NULL))
            check(out, yyjson_arr_size(root));
        if (!mr_openai_messages(root, false, &a, &out, NULL) && !out.n)
            abort();
    }
    mr_arena_release(&a);
    yyjson_doc_free(doc);
    return 0;
}
