#include "base/num.h"
#include "engine/onnx/convert.h"

#define EMPTY_PARTS_MAX (1 << 20)

static void put_element(const struct mr_tensor *t, size_t k, struct mr_buf *out) {
    char text[MR_F64_LEN];
    switch (t->elem) {
    case MR_ONNX_FLOAT:
        mr_buf_add(out, text, mr_f32_print(((const float *)t->data)[k], text));
        return;
    case MR_ONNX_DOUBLE:
        mr_buf_add(out, text, mr_f64_print(((const double *)t->data)[k], text));
        return;
    case MR_ONNX_INT64:
        mr_buf_i64(out, ((const int64_t *)t->data)[k]);
        return;
    case MR_ONNX_UINT64:
        mr_buf_u64(out, ((const uint64_t *)t->data)[k]);
        return;
    case MR_ONNX_INT32:
        mr_buf_i64(out, ((const int32_t *)t->data)[k]);
        return;
    case MR_ONNX_UINT32:
        mr_buf_u64(out, ((const uint32_t *)t->data)[k]);
        return;
    case MR_ONNX_INT16:
        mr_buf_i64(out, ((const int16_t *)t->data)[k]);
        return;
    case MR_ONNX_UINT16:
        mr_buf_u64(out, ((const uint16_t *)t->data)[k]);
        return;
    case MR_ONNX_INT8:
        mr_buf_i64(out, ((const int8_t *)t->data)[k]);
        return;
    case MR_ONNX_UINT8:
        mr_buf_u64(out, ((const uint8_t *)t->data)[k]);
        return;
    case MR_ONNX_BOOL:
        mr_buf_cstr(out, ((const uint8_t *)t->data)[k] ? "true" : "false");
        return;
    default:
        mr_buf_json(out, t->str[k]);
    }
}

/* The part of the tensor below its first `level` indices, starting at element *at. */
static void put_part(const struct mr_tensor *t, int level, size_t *at, struct mr_buf *out) {
    if (level == t->rank) {
        put_element(t, (*at)++, out);
        return;
    }
    mr_buf_char(out, '[');
    for (int64_t k = 0; k < t->dim[level] && mr_buf_ok(out); k++) {
        if (k)
            mr_buf_char(out, ',');
        put_part(t, level + 1, at, out);
    }
    mr_buf_char(out, ']');
}

static size_t row_size(const struct mr_tensor *t) {
    size_t n = 1;
    for (int k = 1; k < t->rank; k++)
        n *= (size_t)t->dim[k];
    return n;
}

/* Row i. A row of one value ([rows, 1], as regressors answer) is that value. */
static void put_row(const struct mr_tensor *t, size_t i, bool scalar, struct mr_buf *out) {
    size_t size = row_size(t), at = i * size;
    if (scalar && size == 1)
        put_element(t, at, out);
    else
        put_part(t, 1, &at, out);
}

static bool by_row(const struct mr_tensor *t, size_t rows) {
    return t->rank > 0 && (size_t)t->dim[0] == rows;
}

/* List of rows for a batch, else the only row. */
static void put_rows(const struct mr_tensor *t, const struct mr_run *run, bool scalar,
                     struct mr_buf *out) {
    if (run->batch)
        mr_buf_char(out, '[');
    for (size_t i = 0; i < run->rows && mr_buf_ok(out); i++) {
        if (i)
            mr_buf_char(out, ',');
        put_row(t, i, scalar, out);
    }
    if (run->batch)
        mr_buf_char(out, ']');
}

/* A row of a list of maps: an object label -> value. */
static void put_map(const struct mr_onnx_result *o, size_t i, struct mr_buf *out) {
    size_t n = (size_t)o->t.dim[1];
    mr_buf_char(out, '{');
    for (size_t k = 0; k < n && mr_buf_ok(out); k++) {
        if (k)
            mr_buf_char(out, ',');
        if (o->t.elem != MR_ONNX_STRING)
            mr_buf_char(out, '"');
        put_element(&o->t, i * n + k, out);
        if (o->t.elem != MR_ONNX_STRING)
            mr_buf_char(out, '"');
        mr_buf_char(out, ':');
        put_element(&o->vals, i * n + k, out);
    }
    mr_buf_char(out, '}');
}

static bool is_classifier(const struct mr_onnx_result *o, uint32_t n, size_t rows) {
    if (n != 2 || o[0].kind != MR_ONNX_TENSOR || !by_row(&o[0].t, rows) || row_size(&o[0].t) != 1 ||
        (o[0].t.elem != MR_ONNX_INT64 && o[0].t.elem != MR_ONNX_STRING))
        return false;
    const struct mr_tensor *p = o[1].kind == MR_ONNX_TENSOR ? &o[1].t : &o[1].vals;
    return p->rank == 2 && by_row(p, rows) &&
           (p->elem == MR_ONNX_FLOAT || p->elem == MR_ONNX_DOUBLE);
}

static void put_value(const struct mr_onnx_result *o, size_t i, struct mr_buf *out) {
    if (o->kind == MR_ONNX_SEQUENCE_MAP)
        put_map(o, i, out);
    else
        put_row(&o->t, i, true, out);
}

/* Row i of all outputs: the value of the only one, or an object by name. */
static void put_outputs(const struct mr_onnx_schema *s, const struct mr_onnx_result *o, size_t i,
                        struct mr_buf *out) {
    if (s->n_out == 1) {
        put_value(&o[0], i, out);
        return;
    }
    for (uint32_t k = 0; k < s->n_out; k++) {
        mr_buf_char(out, k ? ',' : '{');
        mr_buf_json(out, s->out[k].name);
        mr_buf_char(out, ':');
        put_value(&o[k], i, out);
    }
    mr_buf_char(out, '}');
}

/* Outputs that do not go by rows: whole, by name. */
static void put_whole(const struct mr_onnx_schema *s, const struct mr_onnx_result *o,
                      struct mr_buf *out) {
    for (uint32_t k = 0; k < s->n_out; k++) {
        size_t at = 0;
        if (s->n_out > 1) {
            mr_buf_char(out, k ? ',' : '{');
            mr_buf_json(out, s->out[k].name);
            mr_buf_char(out, ':');
        }
        if (o[k].kind == MR_ONNX_TENSOR) {
            put_part(&o[k].t, 0, &at, out);
            continue;
        }
        mr_buf_char(out, '[');
        for (int64_t i = 0; i < o[k].t.dim[0]; i++) {
            if (i)
                mr_buf_char(out, ',');
            put_map(&o[k], (size_t)i, out);
        }
        mr_buf_char(out, ']');
    }
    if (s->n_out > 1)
        mr_buf_char(out, '}');
}

/* A tensor without elements may still have dimensions of any size ([2^50, 0]), each of whose parts
 * would be an empty list of the reply. */
static bool is_vast(const struct mr_tensor *t) {
    int64_t n = 1;
    if (t->count)
        return false;
    for (int k = 0; k < t->rank && t->dim[k]; k++) {
        if (t->dim[k] > EMPTY_PARTS_MAX / n)
            return true;
        n *= t->dim[k];
    }
    return false;
}

int mr_onnx_answer(const struct mr_onnx_schema *s, const struct mr_onnx_result *o,
                   const struct mr_run *run, struct mr_buf *out, struct mr_err *e) {
    bool rows = true;
    for (uint32_t k = 0; k < s->n_out; k++) {
        if (is_vast(&o[k].t))
            return mr_fail(e, MR_EPREDICT,
                           "the model's output has no elements, but dimensions that "
                           "are too large to answer");
        rows = rows && by_row(&o[k].t, run->rows);
    }
    mr_buf_cstr(out, run->batch ? "\"predictions\":" : "\"prediction\":");
    if (is_classifier(o, s->n_out, run->rows)) {
        put_rows(&o[0].t, run, true, out);
        mr_buf_cstr(out, ",\"probabilities\":");
        put_rows(o[1].kind == MR_ONNX_TENSOR ? &o[1].t : &o[1].vals, run, false, out);
    } else if (!rows) {
        put_whole(s, o, out);
    } else {
        if (run->batch)
            mr_buf_char(out, '[');
        for (size_t i = 0; i < run->rows; i++) {
            if (i)
                mr_buf_char(out, ',');
            put_outputs(s, o, i, out);
        }
        if (run->batch)
            mr_buf_char(out, ']');
    }
    if (!mr_buf_ok(out))
        return mr_fail(e, out->fail, "the reply is too large");
    return 0;
}
