/* The request's JSON against fixed models: first byte chooses the model, the rest is the `data`
 * value. What was read is printed and must be valid JSON again. */
#include "engine/internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static const struct mr_str names[] = {{"a", 1}, {"feature \"two\"", 13}, {"c", 1}};
    static const struct mr_model_info models[] = {
        {.input_kind = MR_SLOT_DENSE, .n_features = 3},
        {.input_kind = MR_SLOT_DENSE,
         .n_features = 3,
         .feature_names = names,
         .accepts_missing = true},
        {.input_kind = MR_SLOT_CELLS, .n_features = 3, .feature_names = names},
        {.input_kind = MR_SLOT_CELLS, .n_features = 1, .text_input = true},
    };
    if (!n)
        return 0;
    struct mr_shape s = {.info = &models[p[0] & 3]};
    if (mr_names_init(&s.names, s.info->feature_names, s.info->n_features, NULL))
        return 0;
    struct mr_arena a;
    struct mr_err e = {0};
    struct mr_input in;
    mr_arena_init(&a, 1 << 20);
    yyjson_doc *d = yyjson_read((const char *)p + 1, n - 1, 0);
    int r = d ? mr_input_read(&s, yyjson_doc_get_root(d), &a, &in, &e) : 0;
    if (r && (e.code != r || !e.msg[0]))
        abort();
    if (d && !r) {
        struct mr_buf b;
        mr_buf_init(&b, 16 << 20);
        mr_input_print(&s, &in, &b);
        yyjson_doc *again = mr_buf_ok(&b) ? yyjson_read(b.p, b.n, 0) : NULL;
        if (!again)
            abort();
        yyjson_doc_free(again);
        mr_buf_release(&b);
    }
    yyjson_doc_free(d);
    mr_names_release(&s.names);
    mr_arena_release(&a);
    return 0;
}
