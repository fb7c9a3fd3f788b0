/* Both directions of the ONNX worker's messages: bytes of a worker that went bad, and requests made
 * from JSON, which must read back whole. First byte: what to do. */
#include "engine/onnx/convert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void from_worker(struct mr_reader r, struct mr_arena *a) {
    struct mr_onnx_value *v;
    struct mr_onnx_result o = {.kind = MR_ONNX_TENSOR};
    struct mr_onnx_value out = {.name = {"y", 1}, .kind = MR_ONNX_TENSOR, .elem = 1, .rank = -1};
    struct mr_onnx_schema s = {.n_in = 1, .n_out = 1, .in = &out, .out = &out};
    struct mr_reader again = r;
    uint32_t count;
    if (mr_tensors_get_u32(&again, &count))
        mr_tensors_get_values(&again, a, count, &v);
    if (!mr_tensors_get_tensor(&r, a, &o.t))
        return;
    struct mr_run run = {.rows = o.t.rank ? (size_t)o.t.dim[0] : 1, .batch = true};
    struct mr_buf b;
    mr_buf_init(&b, 1 << 20);
    if (o.t.count < 100000)
        mr_onnx_answer(&s, &o, &run, &b, NULL);
    mr_buf_release(&b);
}

static void from_json(const uint8_t *p, size_t n, unsigned which, struct mr_arena *a) {
    static const struct mr_onnx_value in[] = {
        {.name = {"x", 1}, .kind = MR_ONNX_TENSOR, .elem = 1, .rank = 2, .dim = {-1, 3}},
        {.name = {"s", 1},
         .kind = MR_ONNX_TENSOR,
         .elem = MR_ONNX_STRING,
         .rank = 2,
         .dim = {-1, 1}},
        {.name = {"i", 1},
         .kind = MR_ONNX_TENSOR,
         .elem = MR_ONNX_INT64,
         .rank = 2,
         .dim = {-1, 1}},
        {.name = {"b", 1}, .kind = MR_ONNX_TENSOR, .elem = MR_ONNX_UINT8, .rank = -1}};
    struct mr_onnx_schema s = {.n_in = 1, .in = in + which % 4};
    if (which == 5)
        s = (struct mr_onnx_schema){.n_in = 2, .in = in + 1};
    yyjson_doc *d = yyjson_read((const char *)p, n, 0);
    struct mr_buf b;
    struct mr_run run;
    struct mr_err e = {0};
    mr_buf_init(&b, 1 << 24);
    int r = d ? mr_onnx_request(&s, yyjson_doc_get_root(d), &b, &run, &e) : 0;
    if (r && (e.code != r || !e.msg[0]))
        abort();
    if (d && !r) {
        struct mr_reader rd = {.p = (const uint8_t *)b.p, .end = (const uint8_t *)b.p + b.n};
        uint32_t count;
        struct mr_tensor t;
        if (!mr_tensors_get_u32(&rd, &count) || count != s.n_in)
            abort();
        while (count--)
            if (!mr_tensors_get_tensor(&rd, a, &t))
                abort();
        if (rd.p != rd.end)
            abort();
    }
    mr_buf_release(&b);
    yyjson_doc_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    if (!n)
        return 0;
    struct mr_arena a;
    mr_arena_init(&a, 32 << 20);
    if (p[0] & 8)
        from_worker((struct mr_reader){.p = p + 1, .end = p + n, .stays = p[0] & 16}, &a);
    else
        from_json(p + 1, n - 1, p[0] & 7, &a);
    mr_arena_release(&a);
    return 0;
}
