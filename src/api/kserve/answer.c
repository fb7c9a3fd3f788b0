/* Outputs as JSON, or as bytes behind it. */
#include "api/kserve/request.h"
#include "base/half.h"
#include "base/num.h"

static void put_element(const struct mr_tensor *t, size_t k, struct mr_buf *b) {
    char text[MR_F64_LEN];
    switch (t->elem) {
    case MR_ONNX_FLOAT:
        mr_buf_add(b, text, mr_f32_print(((const float *)t->data)[k], text));
        return;
    case MR_ONNX_FLOAT16:
        mr_buf_add(b, text, mr_f32_print(mr_half_to_float(((const uint16_t *)t->data)[k]), text));
        return;
    case MR_ONNX_DOUBLE:
        mr_buf_add(b, text, mr_f64_print(((const double *)t->data)[k], text));
        return;
    case MR_ONNX_INT64:
        mr_buf_i64(b, ((const int64_t *)t->data)[k]);
        return;
    case MR_ONNX_UINT64:
        mr_buf_u64(b, ((const uint64_t *)t->data)[k]);
        return;
    case MR_ONNX_INT32:
        mr_buf_i64(b, ((const int32_t *)t->data)[k]);
        return;
    case MR_ONNX_UINT32:
        mr_buf_u64(b, ((const uint32_t *)t->data)[k]);
        return;
    case MR_ONNX_INT16:
        mr_buf_i64(b, ((const int16_t *)t->data)[k]);
        return;
    case MR_ONNX_UINT16:
        mr_buf_u64(b, ((const uint16_t *)t->data)[k]);
        return;
    case MR_ONNX_INT8:
        mr_buf_i64(b, ((const int8_t *)t->data)[k]);
        return;
    case MR_ONNX_UINT8:
        mr_buf_u64(b, ((const uint8_t *)t->data)[k]);
        return;
    case MR_ONNX_BOOL:
        mr_buf_cstr(b, ((const uint8_t *)t->data)[k] ? "true" : "false");
        return;
    default:
        mr_buf_json(b, t->str[k]);
    }
}

static uint64_t raw_size(const struct mr_tensor *t) {
    uint64_t n = (uint64_t)t->count * mr_kserve_type_size(t->elem);
    for (size_t k = 0; t->elem == MR_ONNX_STRING && k < t->count; k++)
        n += 4 + t->str[k].n;
    return n;
}

static void put_raw(const struct mr_tensor *t, struct mr_buf *b) {
    if (t->elem != MR_ONNX_STRING) {
        mr_buf_add(b, t->data, t->count * mr_kserve_type_size(t->elem));
        return;
    }
    for (size_t k = 0; k < t->count; k++) {
        uint32_t n = (uint32_t)t->str[k].n;
        mr_buf_add(b, &n, sizeof n);
        mr_buf_str(b, t->str[k]);
    }
}

static void put_head(struct mr_str name, int32_t elem, int rank, const int64_t *dim,
                     struct mr_buf *b) {
    mr_buf_cstr(b, "{\"name\":");
    mr_buf_json(b, name);
    mr_buf_fmt(b, ",\"datatype\":\"%s\",\"shape\":[", mr_kserve_type(elem));
    for (int k = 0; k < rank; k++) {
        if (k)
            mr_buf_char(b, ',');
        mr_buf_i64(b, dim[k]);
    }
    mr_buf_char(b, ']');
}

int mr_kserve_answer(const struct mr_kserve_answer *a, struct mr_buf *b, int64_t *ret_json_len,
                     struct mr_err *e) {
    size_t start = b->n;
    bool any = false;
    mr_buf_cstr(b, "{\"model_name\":");
    mr_buf_json(b, a->model);
    mr_buf_cstr(b, ",\"model_version\":");
    mr_buf_json(b, a->version);
    if (a->id.p) {
        mr_buf_cstr(b, ",\"id\":");
        mr_buf_json(b, a->id);
    }
    mr_buf_cstr(b, ",\"outputs\":[");
    for (size_t i = 0; i < a->n_out && mr_buf_ok(b); i++) {
        const struct mr_tensor *t = &a->out[i].t;
        if (i)
            mr_buf_char(b, ',');
        put_head(a->out[i].name, t->elem, t->rank, t->dim, b);
        if (a->binary && a->binary[i]) {
            any = true;
            mr_buf_fmt(b, ",\"parameters\":{\"binary_data_size\":%llu}}",
                       (unsigned long long)raw_size(t));
            continue;
        }
        mr_buf_cstr(b, ",\"data\":[");
        for (size_t k = 0; k < t->count && mr_buf_ok(b); k++) {
            if (k)
                mr_buf_char(b, ',');
            put_element(t, k, b);
        }
        mr_buf_cstr(b, "]}");
    }
    mr_buf_cstr(b, "]}");
    int64_t json_len = any ? (int64_t)(b->n - start) : -1;
    for (size_t i = 0; any && i < a->n_out; i++)
        if (a->binary[i])
            put_raw(&a->out[i].t, b);
    if (!mr_buf_ok(b))
        return mr_fail(e, b->fail, "the answer is too large");
    *ret_json_len = json_len;
    return 0;
}

void mr_kserve_put_values(const struct mr_onnx_value *v, size_t n, struct mr_buf *b) {
    static const int64_t any = -1;
    mr_buf_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            mr_buf_char(b, ',');
        if (v[i].rank < 0) /* the model does not say */
            put_head(v[i].name, v[i].elem, 1, &any, b);
        else
            put_head(v[i].name, v[i].elem, v[i].rank, v[i].dim, b);
        mr_buf_char(b, '}');
    }
    mr_buf_char(b, ']');
}
