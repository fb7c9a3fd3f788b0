/* Inference requests of the KServe protocol: the first two bytes are the length of the JSON (65535:
 * all of it), then the body. What was read is written as an answer in both forms, which must be
 * whole. */
#include "api/kserve/request.h"

#include <stdlib.h>
#include <yyjson.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void answer(const struct mr_kserve_request *q, bool raw, struct mr_arena *a) {
    struct mr_kserve_answer w = {
        .model = MR_LIT("m"), .version = MR_LIT("1"), .id = q->id, .out = q->in, .n_out = q->n_in};
    bool *binary = mr_arena_array(a, q->n_in + 1, sizeof *binary);
    struct mr_buf b;
    int64_t json_len = -1;
    if (!binary)
        return;
    for (size_t i = 0; i < q->n_in; i++)
        binary[i] = raw;
    w.binary = binary;
    mr_buf_init(&b, 64 << 20);
    if (!mr_kserve_answer(&w, &b, &json_len, NULL)) {
        size_t len = json_len < 0 ? b.n : (size_t)json_len;
        yyjson_doc *doc = yyjson_read(b.p, len, 0);
        if (!doc || (raw && q->n_in && json_len < 0) ||
            yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "outputs")) != q->n_in)
            abort();
        yyjson_doc_free(doc);
    }
    mr_buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct mr_kserve_request q;
    struct mr_arena a;
    struct mr_err e;
    if (n < 2)
        return 0;
    int64_t json_len = p[0] | p[1] << 8;
    mr_arena_init(&a, 64 << 20);
    int rc = mr_kserve_parse(mr_strn((const char *)p + 2, n - 2), json_len == 65535 ? -1 : json_len,
                             &a, &q, &e);
    if (!rc) {
        answer(&q, false, &a);
        answer(&q, true, &a);
    } else if (!e.msg[0] || e.code != rc)
        abort(); /* an error says what is wrong */
    mr_arena_release(&a);
    return 0;
}
