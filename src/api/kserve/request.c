#include "api/kserve/request.h"

#include "base/half.h"

#include <math.h>
#include <yyjson.h>

#define NAME_SHOWN 60

static const struct {
    int32_t elem;
    uint8_t size;
    const char *name;
} types[] = {
    {MR_ONNX_BOOL, 1, "BOOL"},     {MR_ONNX_UINT8, 1, "UINT8"},   {MR_ONNX_UINT16, 2, "UINT16"},
    {MR_ONNX_UINT32, 4, "UINT32"}, {MR_ONNX_UINT64, 8, "UINT64"}, {MR_ONNX_INT8, 1, "INT8"},
    {MR_ONNX_INT16, 2, "INT16"},   {MR_ONNX_INT32, 4, "INT32"},   {MR_ONNX_INT64, 8, "INT64"},
    {MR_ONNX_FLOAT16, 2, "FP16"},  {MR_ONNX_FLOAT, 4, "FP32"},    {MR_ONNX_DOUBLE, 8, "FP64"},
    {MR_ONNX_STRING, 0, "BYTES"},
};

const char *mr_kserve_type(int32_t elem) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].elem == elem)
            return types[i].name;
    return "";
}

int32_t mr_kserve_type_parse(struct mr_str s) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (mr_str_is(s, types[i].name))
            return types[i].elem;
    return 0;
}

size_t mr_kserve_type_size(int32_t elem) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].elem == elem)
            return types[i].size;
    return 0;
}

/* --- one input ------------------------------------------------------------------------------ */

struct reader {
    struct mr_arena *arena;
    const uint8_t *raw, *raw_end; /* the bytes behind the JSON that no input has taken yet */
    size_t index;                 /* of the input */
    struct mr_named_tensor *t;
};

static int bad(const struct reader *r, int code, struct mr_err *e, const char *what) {
    struct mr_str name = r->t->name.p ? r->t->name : MR_LIT("?");
    char field[64];
    snprintf(field, sizeof field, "inputs[%zu]", r->index);
    return mr_fail_field(e, code, field, "input '%.*s': %s",
                         (int)(name.n > NAME_SHOWN ? NAME_SHOWN : name.n), name.p, what);
}

static int read_shape(struct reader *r, yyjson_val *shape, struct mr_err *e) {
    struct mr_tensor *t = &r->t->t;
    size_t i, n, count = 1;
    yyjson_val *v;
    if (!yyjson_is_arr(shape))
        return bad(r, MR_EINVAL, e, "'shape' must be an array of integers");
    if (yyjson_arr_size(shape) > MR_ONNX_MAX_RANK)
        return bad(r, MR_EINVAL, e, "at most 8 dimensions are taken");
    yyjson_arr_foreach (shape, i, n, v) {
        if (!yyjson_is_int(v) || (yyjson_is_sint(v) && yyjson_get_sint(v) < 0))
            return bad(r, MR_EINVAL, e,
                       "'shape' must be an array of integers that are not negative");
        uint64_t d = yyjson_get_uint(v);
        if (d > (uint64_t)1 << 40 || __builtin_mul_overflow(count, (size_t)d, &count) ||
            count > (size_t)1 << 40)
            return bad(r, MR_ETOOBIG, e, "the shape is too large");
        t->dim[i] = (int64_t)d;
    }
    t->rank = (int)yyjson_arr_size(shape);
    t->count = count;
    return 0;
}

static bool put_int(int32_t elem, yyjson_val *v, void *data, size_t at) {
    static const struct {
        int32_t elem;
        int64_t lo;
        uint64_t hi;
    } range[] = {
        {MR_ONNX_UINT8, 0, UINT8_MAX},         {MR_ONNX_UINT16, 0, UINT16_MAX},
        {MR_ONNX_UINT32, 0, UINT32_MAX},       {MR_ONNX_UINT64, 0, UINT64_MAX},
        {MR_ONNX_INT8, INT8_MIN, INT8_MAX},    {MR_ONNX_INT16, INT16_MIN, INT16_MAX},
        {MR_ONNX_INT32, INT32_MIN, INT32_MAX}, {MR_ONNX_INT64, INT64_MIN, INT64_MAX},
    };
    size_t k = 0;
    while (k < sizeof range / sizeof *range && range[k].elem != elem)
        k++;
    if (k == sizeof range / sizeof *range || !yyjson_is_int(v))
        return false;
    if (yyjson_is_sint(v) ? yyjson_get_sint(v) < range[k].lo : yyjson_get_uint(v) > range[k].hi)
        return false;
    uint64_t bits = yyjson_is_sint(v) ? (uint64_t)yyjson_get_sint(v) : yyjson_get_uint(v);
    size_t size = mr_kserve_type_size(elem); /* little-endian: the low bytes come first */
    memcpy((char *)data + at * size, &bits, size);
    return true;
}

static bool put_float(int32_t elem, yyjson_val *v, void *data, size_t at) {
    if (!yyjson_is_num(v) && !yyjson_is_null(v))
        return false;
    double d = yyjson_is_null(v) ? NAN : yyjson_get_num(v); /* null: JSON has no NaN */
    if (elem == MR_ONNX_DOUBLE) {
        ((double *)data)[at] = d;
        return true;
    }
    float f = (float)d;
    if (elem == MR_ONNX_FLOAT) {
        ((float *)data)[at] = f;
        return !isinf(f);
    }
    uint16_t h = mr_half_from_float(f);
    ((uint16_t *)data)[at] = h;
    return !isinf(mr_half_to_float(h));
}

static int put_value(struct reader *r, yyjson_val *v, size_t at, struct mr_err *e) {
    struct mr_tensor *t = &r->t->t;
    void *data = (void *)(uintptr_t)t->data;
    char what[96];
    switch (t->elem) {
    case MR_ONNX_STRING:
        if (!yyjson_is_str(v))
            break;
        ((struct mr_str *)(uintptr_t)t->str)[at] = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
        return 0;
    case MR_ONNX_BOOL:
        if (!yyjson_is_bool(v) && !(yyjson_is_uint(v) && yyjson_get_uint(v) <= 1))
            break;
        ((uint8_t *)data)[at] = yyjson_is_true(v) || yyjson_get_uint(v) == 1;
        return 0;
    case MR_ONNX_FLOAT16:
    case MR_ONNX_FLOAT:
    case MR_ONNX_DOUBLE:
        if (put_float(t->elem, v, data, at))
            return 0;
        break;
    default:
        if (put_int(t->elem, v, data, at))
            return 0;
    }
    snprintf(what, sizeof what, "value %zu of 'data' is no %s", at, mr_kserve_type(t->elem));
    return bad(r, MR_EINVAL, e, what);
}

/* Nested data, level by level; the lengths must be the shape's. At most MR_ONNX_MAX_RANK deep. */
static int put_nested(struct reader *r, yyjson_val *list, int level, size_t *at, struct mr_err *e) {
    const struct mr_tensor *t = &r->t->t;
    size_t i, n;
    yyjson_val *v;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) != (size_t)t->dim[level])
        return bad(r, MR_EINVAL, e, "'data' is nested, but not as 'shape' says");
    yyjson_arr_foreach (list, i, n, v) {
        int rc =
            level + 1 == t->rank ? put_value(r, v, (*at)++, e) : put_nested(r, v, level + 1, at, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int make_room(struct reader *r, struct mr_err *e) {
    struct mr_tensor *t = &r->t->t;
    if (t->elem == MR_ONNX_STRING)
        t->str = mr_arena_array(r->arena, t->count + 1, sizeof *t->str);
    else
        t->data = mr_arena_array(r->arena, t->count + 1, mr_kserve_type_size(t->elem));
    return t->str || t->data ? 0 : bad(r, MR_ETOOBIG, e, "too large for the memory of one request");
}

static int read_json(struct reader *r, yyjson_val *data, struct mr_err *e) {
    const struct mr_tensor *t = &r->t->t;
    size_t i, n, at = 0;
    yyjson_val *v;
    if (!yyjson_is_arr(data))
        return bad(r, MR_EINVAL, e, "'data' must be an array");
    bool nested = t->rank > 1 && yyjson_is_arr(yyjson_arr_get_first(data));
    if (!nested && yyjson_arr_size(data) != t->count) {
        char what[96];
        snprintf(what, sizeof what, "'data' has %zu values, but 'shape' says %zu",
                 yyjson_arr_size(data), t->count);
        return bad(r, MR_EINVAL, e, what);
    }
    int rc = make_room(r, e);
    if (rc)
        return rc;
    if (nested)
        return put_nested(r, data, 0, &at, e);
    yyjson_arr_foreach (data, i, n, v)
        if ((rc = put_value(r, v, i, e)))
            return rc;
    return 0;
}

/* BYTES: each a 32-bit length and the bytes. */
static int read_raw_strings(struct reader *r, const uint8_t *p, size_t n, struct mr_err *e) {
    const struct mr_tensor *t = &r->t->t;
    if (t->count > n / 4)
        return bad(r, MR_EINVAL, e, "its binary data are too short for its shape");
    int rc = make_room(r, e);
    for (size_t k = 0; !rc && k < t->count; k++) {
        uint32_t len;
        if (n < sizeof len)
            return bad(r, MR_EINVAL, e, "its binary data are too short for its shape");
        memcpy(&len, p, sizeof len);
        if (len > n - sizeof len)
            return bad(r, MR_EINVAL, e, "a length in its binary data points past their end");
        ((struct mr_str *)(uintptr_t)t->str)[k] = mr_strn((const char *)p + sizeof len, len);
        p += sizeof len + len;
        n -= sizeof len + len;
    }
    return rc ? rc : n ? bad(r, MR_EINVAL, e, "its binary data are longer than its shape") : 0;
}

static int read_raw(struct reader *r, yyjson_val *size, struct mr_err *e) {
    struct mr_tensor *t = &r->t->t;
    size_t elem = mr_kserve_type_size(t->elem), want, n;
    if (!yyjson_is_uint(size))
        return bad(r, MR_EINVAL, e, "'binary_data_size' must be an integer");
    if (yyjson_get_uint(size) > (uint64_t)(r->raw_end - r->raw))
        return bad(r, MR_EINVAL, e,
                   "'binary_data_size' is more than the bytes that came behind the "
                   "JSON");
    const uint8_t *p = r->raw;
    n = (size_t)yyjson_get_uint(size);
    r->raw += n;
    if (t->elem == MR_ONNX_STRING)
        return read_raw_strings(r, p, n, e);
    if (__builtin_mul_overflow(t->count, elem, &want) || want != n) {
        char what[128];
        snprintf(what, sizeof what, "%zu bytes of binary data, but its shape and type make %zu", n,
                 t->count * elem);
        return bad(r, MR_EINVAL, e, what);
    }
    int rc = make_room(r, e);
    if (rc)
        return rc;
    memcpy((void *)(uintptr_t)t->data, p, n);
    for (size_t k = 0; t->elem == MR_ONNX_BOOL && k < n; k++)
        if (p[k] > 1)
            return bad(r, MR_EINVAL, e, "a BOOL is neither 0 nor 1");
    return 0;
}

static int read_input(struct reader *r, yyjson_val *in, struct mr_err *e) {
    yyjson_val *name = yyjson_obj_get(in, "name"), *type = yyjson_obj_get(in, "datatype");
    yyjson_val *data = yyjson_obj_get(in, "data"), *params = yyjson_obj_get(in, "parameters");
    yyjson_val *size = yyjson_obj_get(params, "binary_data_size");
    memset(r->t, 0, sizeof *r->t);
    if (!yyjson_is_str(name) || !yyjson_get_len(name) || yyjson_get_len(name) > 1024)
        return bad(r, MR_EINVAL, e, "'name' must be a text of 1 to 1024 bytes");
    r->t->name = mr_strn(yyjson_get_str(name), yyjson_get_len(name));
    if (params && !yyjson_is_obj(params))
        return bad(r, MR_EINVAL, e, "'parameters' must be an object");
    if (yyjson_obj_get(params, "shared_memory_region"))
        return bad(r, MR_EINVAL, e, "shared memory is not offered here");
    if (!yyjson_is_str(type) ||
        !(r->t->t.elem = mr_kserve_type_parse(mr_strn(yyjson_get_str(type), yyjson_get_len(type)))))
        return bad(r, MR_EINVAL, e,
                   "'datatype' must be BOOL, UINT8-64, INT8-64, FP16, FP32, FP64 or BYTES");
    int rc = read_shape(r, yyjson_obj_get(in, "shape"), e);
    if (rc)
        return rc;
    if (size && data)
        return bad(r, MR_EINVAL, e, "'data' and 'binary_data_size' exclude each other");
    if (size)
        return read_raw(r, size, e);
    return data ? read_json(r, data, e) : bad(r, MR_EINVAL, e, "'data' is missing");
}

/* --- the request ---------------------------------------------------------------------------- */

static int read_inputs(struct reader *r, yyjson_val *list, struct mr_kserve_request *q,
                       struct mr_err *e) {
    size_t i, n;
    yyjson_val *v;
    if (!yyjson_is_arr(list) || !yyjson_arr_size(list))
        return mr_fail_field(e, MR_EINVAL, "inputs", "'inputs' must be an array of tensors");
    if (yyjson_arr_size(list) > MR_KSERVE_INPUTS_MAX)
        return mr_fail_field(e, MR_ETOOBIG, "inputs", "more than %d inputs", MR_KSERVE_INPUTS_MAX);
    q->in = mr_arena_array(r->arena, yyjson_arr_size(list), sizeof *q->in);
    if (!q->in)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    yyjson_arr_foreach (list, i, n, v) {
        r->index = i;
        r->t = &q->in[i];
        if (!yyjson_is_obj(v))
            return mr_fail_field(e, MR_EINVAL, "inputs", "inputs[%zu] must be an object", i);
        int rc = read_input(r, v, e);
        if (rc)
            return rc;
    }
    q->n_in = n;
    if (r->raw != r->raw_end)
        return mr_fail(e, MR_EINVAL, "%zu bytes behind the JSON belong to no input",
                       (size_t)(r->raw_end - r->raw));
    return 0;
}

static int read_flag(yyjson_val *params, const char *key, bool otherwise, bool *ret,
                     struct mr_err *e) {
    yyjson_val *v = yyjson_obj_get(params, key);
    if (v && !yyjson_is_bool(v))
        return mr_fail_field(e, MR_EINVAL, key, "'%s' must be true or false", key);
    *ret = v ? yyjson_is_true(v) : otherwise;
    return 0;
}

static int read_output(yyjson_val *v, size_t i, bool otherwise, struct mr_kserve_output *o,
                       struct mr_err *e) {
    yyjson_val *name = yyjson_obj_get(v, "name"), *params = yyjson_obj_get(v, "parameters");
    if (!yyjson_is_str(name))
        return mr_fail_field(e, MR_EINVAL, "outputs", "outputs[%zu] must have a name", i);
    o->name = mr_strn(yyjson_get_str(name), yyjson_get_len(name));
    if (yyjson_obj_get(params, "shared_memory_region") ||
        yyjson_get_uint(yyjson_obj_get(params, "classification")))
        return mr_fail_field(e, MR_EINVAL, "outputs",
                             "outputs[%zu]: shared memory and classification are not offered", i);
    return read_flag(params, "binary_data", otherwise, &o->binary, e);
}

static int read_outputs(yyjson_val *list, struct mr_arena *arena, struct mr_kserve_request *q,
                        struct mr_err *e) {
    size_t i, n;
    yyjson_val *v;
    if (!list)
        return 0;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > MR_KSERVE_OUTPUTS_MAX)
        return mr_fail_field(e, MR_EINVAL, "outputs", "'outputs' must be an array of at most %d",
                             MR_KSERVE_OUTPUTS_MAX);
    q->out = mr_arena_array(arena, yyjson_arr_size(list) + 1, sizeof *q->out);
    if (!q->out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    yyjson_arr_foreach (list, i, n, v) {
        int rc = read_output(v, i, q->binary, &q->out[i], e);
        if (rc)
            return rc;
        for (size_t k = 0; k < i; k++)
            if (mr_str_eq(q->out[k].name, q->out[i].name))
                return mr_fail_field(e, MR_EINVAL, "outputs", "outputs[%zu] is asked for twice", i);
    }
    q->n_out = n;
    return 0;
}

static void *from_arena(void *ctx, size_t n) {
    return mr_arena_alloc(ctx, n);
}
static void *grow_in_arena(void *ctx, void *p, size_t old, size_t n) {
    void *fresh = n <= old ? p : mr_arena_alloc(ctx, n);
    if (fresh && fresh != p && old)
        memcpy(fresh, p, old);
    return fresh;
}
static void keep(void *ctx, void *p) {
    (void)ctx;
    (void)p;
}

int mr_kserve_parse(struct mr_str body, int64_t json_len, struct mr_arena *arena,
                    struct mr_kserve_request *ret, struct mr_err *e) {
    yyjson_alc alc = {from_arena, grow_in_arena, keep, arena};
    yyjson_read_err je;
    struct mr_kserve_request q = {0};
    if (json_len > (int64_t)body.n)
        return mr_fail(e, MR_EINVAL,
                       "Inference-Header-Content-Length is %lld, but the body has %zu bytes",
                       (long long)json_len, body.n);
    size_t n = json_len < 0 ? body.n : (size_t)json_len;
    if (!n)
        return mr_fail(e, MR_EINVAL, "the request has no JSON");
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)body.p, n, 0, &alc, &je);
    if (!doc)
        return je.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION
                   ? mr_fail(e, MR_ETOOBIG, "the JSON is too large to read")
                   : mr_fail(e, MR_EINVAL, "the request is not valid JSON: %s at byte %zu", je.msg,
                             je.pos);
    yyjson_val *root = yyjson_doc_get_root(doc), *id = yyjson_obj_get(root, "id");
    yyjson_val *params = yyjson_obj_get(root, "parameters");
    if (!yyjson_is_obj(root))
        return mr_fail(e, MR_EINVAL, "the request must be a JSON object");
    if (id && (!yyjson_is_str(id) || yyjson_get_len(id) > 1024))
        return mr_fail_field(e, MR_EINVAL, "id", "'id' must be a text of at most 1024 bytes");
    if (yyjson_get_len(id)) /* "" is what some clients send for none */
        q.id = mr_strn(yyjson_get_str(id), yyjson_get_len(id));
    if (params && !yyjson_is_obj(params))
        return mr_fail_field(e, MR_EINVAL, "parameters", "'parameters' must be an object");
    struct reader r = {.arena = arena,
                       .raw = (const uint8_t *)body.p + n,
                       .raw_end = (const uint8_t *)body.p + body.n};
    int rc = read_flag(params, "binary_data_output", false, &q.binary, e);
    if (!rc)
        rc = read_inputs(&r, yyjson_obj_get(root, "inputs"), &q, e);
    if (!rc)
        rc = read_outputs(yyjson_obj_get(root, "outputs"), arena, &q, e);
    if (!rc)
        *ret = q;
    return rc;
}
