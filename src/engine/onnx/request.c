#include "engine/internal.h"
#include "engine/onnx/convert.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

/* Where a value stands: "data" or "data.input", then indices. */
struct place {
    struct mr_str input; /* p == NULL: data itself */
    int depth;
    size_t at[MR_ONNX_MAX_RANK];
};

static void path_text(const struct place *p, char *out, size_t cap) {
    int n = snprintf(out, cap, "data");
    if (p->input.p)
        n += snprintf(out + n, cap - (size_t)n, ".%.*s", (int)(p->input.n < 40 ? p->input.n : 40),
                      p->input.p);
    for (int k = 0; k < p->depth && n < (int)cap - 24; k++)
        n += snprintf(out + n, cap - (size_t)n, "[%zu]", p->at[k]);
}

static int fail_at(const struct place *p, int code, struct mr_err *e, const char *msg) {
    char path[96];
    path_text(p, path, sizeof path);
    return mr_fail_field(e, code, path, "%s: %s", path, msg);
}

/* --- one element ---------------------------------------------------------------------------- */
static bool put_whole(int32_t elem, double v, struct mr_buf *out) {
    static const struct {
        int32_t elem;
        double lo, hi;
    } range[] = {{MR_ONNX_INT8, -128, 127},
                 {MR_ONNX_UINT8, 0, 255},
                 {MR_ONNX_INT16, -32768, 32767},
                 {MR_ONNX_UINT16, 0, 65535},
                 {MR_ONNX_INT32, -0x1p31, 0x1p31 - 1},
                 {MR_ONNX_UINT32, 0, 0x1p32 - 1},
                 {MR_ONNX_BOOL, 0, 1}};
    for (size_t k = 0; k < sizeof range / sizeof *range; k++)
        if (range[k].elem == elem) {
            if (v != floor(v) || v < range[k].lo || v > range[k].hi)
                return false;
            int64_t i = (int64_t)v; /* little-endian: the low bytes are the narrower integer */
            mr_buf_add(out, &i, mr_onnx_elem_size(elem));
            return true;
        }
    return false;
}

static bool put_int64(int32_t elem, yyjson_val *v, struct mr_buf *out) {
    int64_t i;
    if (yyjson_is_uint(v)) {
        uint64_t u = yyjson_get_uint(v);
        if (elem == MR_ONNX_INT64 && u > INT64_MAX)
            return false;
        i = (int64_t)u;
    } else if (yyjson_is_sint(v)) {
        i = yyjson_get_sint(v);
        if (elem == MR_ONNX_UINT64 && i < 0)
            return false;
    } else {
        double d = yyjson_get_real(v); /* 3.0 is a whole number, too */
        if (d != floor(d) || fabs(d) > 0x1p53 || (elem == MR_ONNX_UINT64 && d < 0))
            return false;
        i = (int64_t)d;
    }
    mr_buf_add(out, &i, sizeof i);
    return true;
}

static int put_scalar(const struct mr_onnx_value *spec, const struct place *p, yyjson_val *v,
                      struct mr_buf *out, struct mr_err *e) {
    if (spec->elem == MR_ONNX_STRING) {
        size_t n = yyjson_get_len(v);
        if (!yyjson_is_str(v))
            return fail_at(p, MR_EFIELD, e, "must be a string");
        if (memchr(yyjson_get_str(v), 0, n) || n > UINT32_MAX)
            return fail_at(p, MR_EFIELD, e, "strings must not hold NUL characters");
        mr_tensors_put_u32(out, (uint32_t)n);
        mr_buf_add(out, yyjson_get_str(v), n);
        return 0;
    }
    if (!yyjson_is_num(v) && !yyjson_is_bool(v))
        return fail_at(p, MR_EFIELD, e,
                       yyjson_is_null(v)  ? "is null, and ONNX models take no missing values"
                       : yyjson_is_str(v) ? "must be a number, not a string"
                       : yyjson_is_arr(v) ? "must be a number, not a list"
                       : yyjson_is_obj(v) ? "must be a number, not an object"
                                          : "must be a number");
    double d = yyjson_is_bool(v) ? yyjson_get_bool(v) : yyjson_get_num(v);
    if (!isfinite(d))
        return fail_at(p, MR_EFIELD, e, "must be a finite number");
    if (spec->elem == MR_ONNX_FLOAT) {
        float f = (float)d;
        if (!isfinite(f))
            return fail_at(p, MR_EFIELD, e, "is too large for the model's float32 input");
        mr_buf_add(out, &f, sizeof f);
        return 0;
    }
    if (spec->elem == MR_ONNX_DOUBLE) {
        mr_buf_add(out, &d, sizeof d);
        return 0;
    }
    bool wide = spec->elem == MR_ONNX_INT64 || spec->elem == MR_ONNX_UINT64;
    if (wide && yyjson_is_num(v) ? put_int64(spec->elem, v, out)
        : wide                   ? (mr_tensors_put_u64(out, (uint64_t)d), true)
                                 : put_whole(spec->elem, d, out))
        return 0;
    char msg[80];
    snprintf(msg, sizeof msg, "must be a whole number that fits %s", mr_onnx_type_name(spec->elem));
    return fail_at(p, MR_EFIELD, e, msg);
}

/* --- tensors -------------------------------------------------------------------------------- */
struct tensor_out {
    struct mr_buf *buf;
    size_t size_at; /* offset of the byte count, patched at the end */
};

static int begin(const struct mr_onnx_value *spec, const struct place *p, int rank,
                 const int64_t *dim, struct tensor_out *t, struct mr_err *e) {
    char msg[160];
    size_t count = 1;
    if (spec->kind != MR_ONNX_TENSOR ||
        (spec->elem != MR_ONNX_STRING && !mr_onnx_elem_size(spec->elem)))
        return mr_fail(e, MR_EUNSUPPORTED, "the model's input %.*s is of a type that is not served",
                       (int)(spec->name.n < 60 ? spec->name.n : 60), spec->name.p);
    for (int k = 0; k < rank; k++) {
        if (spec->rank > k && spec->dim[k] >= 0 && spec->dim[k] != dim[k]) {
            snprintf(msg, sizeof msg, "%lld value%s in dimension %d, but the model takes %lld",
                     (long long)dim[k], dim[k] == 1 ? "" : "s", k, (long long)spec->dim[k]);
            return fail_at(p, MR_EINVAL, e, msg);
        }
        if (__builtin_mul_overflow(count, (size_t)dim[k], &count) || count > MR_VALUES_MAX)
            return fail_at(p, MR_ETOOBIG, e, "too many values in one request");
    }
    if (rank && dim[0] > (int64_t)MR_ROWS_MAX)
        return fail_at(p, MR_ETOOBIG, e, "too many rows; at most 100000 in one request");
    mr_tensors_put_tensor_head(t->buf, spec->elem, rank, dim, 0);
    t->size_at = t->buf->n - sizeof(uint64_t);
    return 0;
}

static void end(struct tensor_out *t) {
    if (!mr_buf_ok(t->buf))
        return;
    uint64_t n = t->buf->n - t->size_at - sizeof n;
    memcpy(t->buf->p + t->size_at, &n, sizeof n);
}

static int put_nested(const struct mr_onnx_value *spec, struct place *p, yyjson_val *v, int levels,
                      const int64_t *dim, struct mr_buf *out, struct mr_err *e) {
    if (!levels)
        return put_scalar(spec, p, v, out, e);
    if (!yyjson_is_arr(v))
        return fail_at(p, MR_EFIELD, e, "must be a list like its neighbours");
    if (yyjson_arr_size(v) != (size_t)*dim) {
        char msg[120];
        snprintf(msg, sizeof msg, "has %zu values, its neighbours have %lld", yyjson_arr_size(v),
                 (long long)*dim);
        return fail_at(p, MR_EINVAL, e, msg);
    }
    size_t i, max;
    yyjson_val *item;
    int r = 0;
    p->depth++;
    yyjson_arr_foreach (v, i, max, item) {
        p->at[p->depth - 1] = i;
        r = put_nested(spec, p, item, levels - 1, dim + 1, out, e);
        if (r)
            return r;
    }
    p->depth--;
    return 0;
}

/* One input from nested lists. *rows and *batch as for the whole request. */
static int put_input(const struct mr_onnx_value *spec, struct place *p, yyjson_val *v,
                     struct mr_buf *out, struct mr_run *run, struct mr_err *e) {
    int64_t dim[MR_ONNX_MAX_RANK];
    int levels = 0, rank = spec->rank;
    for (yyjson_val *x = v; yyjson_is_arr(x); x = yyjson_arr_get_first(x)) {
        if (levels == MR_ONNX_MAX_RANK)
            return fail_at(p, MR_EINVAL, e, "lists are nested too deep");
        if (!yyjson_arr_size(x))
            return fail_at(p, MR_EINVAL, e, "empty lists do not fit the model");
        dim[levels++] = (int64_t)yyjson_arr_size(x);
    }
    const int64_t *given = dim;
    int64_t full[MR_ONNX_MAX_RANK + 2] = {0};
    int full_rank = rank;
    bool batch = true;
    if (rank < 0 || levels == rank) {
        full_rank = levels;
        memcpy(full, dim, sizeof dim);
    } else if (levels == rank - 1 && rank == 2 && spec->dim[1] == 1 && dim[0] > 1) {
        full[0] = dim[0]; /* a column of rows */
        full[1] = 1;
    } else if (levels == rank - 1) {
        full[0] = 1; /* one row */
        memcpy(full + 1, dim, (size_t)levels * sizeof *dim);
        batch = false;
    } else if (levels == 0 && rank == 2 && spec->dim[1] <= 1) {
        full[0] = full[1] = 1;
        batch = false;
    } else {
        char msg[120];
        snprintf(msg, sizeof msg, "%d nested list%s, but the model takes %d (or %d for one row)",
                 levels, levels == 1 ? "" : "s", rank, rank - 1);
        return fail_at(p, MR_EINVAL, e, msg);
    }
    struct tensor_out t = {.buf = out};
    int r = begin(spec, p, full_rank, full, &t, e);
    if (!r)
        r = put_nested(spec, p, v, levels, given, out, e);
    if (r)
        return r;
    end(&t);
    *run = (struct mr_run){.rows = full_rank && batch ? (size_t)full[0] : 1, .batch = batch};
    return 0;
}

/* --- rows ------------------------------------------------------------------------------------ */
/* Value k of a row: by position, or by the input's name. */
static yyjson_val *cell(yyjson_val *row, size_t k, const struct mr_str *name) {
    if (yyjson_is_arr(row))
        return yyjson_arr_get(row, k);
    if (name)
        return yyjson_obj_getn(row, name->p, name->n);
    yyjson_obj_iter it = yyjson_obj_iter_with(row);
    yyjson_val *key = NULL;
    for (size_t i = 0; i <= k; i++)
        key = yyjson_obj_iter_next(&it);
    return yyjson_obj_iter_get_val(key);
}

static int check_rows(yyjson_val *data, size_t width, struct mr_run *run, struct mr_err *e) {
    yyjson_val *first = yyjson_arr_get_first(data);
    run->batch = yyjson_is_arr(data) && (yyjson_is_arr(first) || yyjson_is_obj(first));
    run->rows = run->batch ? yyjson_arr_size(data) : 1;
    yyjson_val *row = run->batch ? first : data;
    for (size_t i = 0; i < run->rows; i++) {
        struct place p = {.depth = run->batch, .at = {i}};
        if (!yyjson_is_arr(row) && !yyjson_is_obj(row))
            return fail_at(&p, MR_EFIELD, e, "a row must be a list of values or an object");
        size_t n = yyjson_is_arr(row) ? yyjson_arr_size(row) : yyjson_obj_size(row);
        if (n != width) {
            char msg[80];
            snprintf(msg, sizeof msg, "%zu value%s, but the model takes %zu", n, n == 1 ? "" : "s",
                     width);
            return fail_at(&p, MR_EINVAL, e, msg);
        }
        if (run->batch)
            row = unsafe_yyjson_get_next(row);
    }
    return 0;
}

/* Many inputs of one value a row. */
static int put_columns(const struct mr_onnx_schema *s, yyjson_val *data, struct mr_buf *out,
                       struct mr_run *run, struct mr_err *e) {
    for (uint32_t k = 0; k < s->n_in; k++)
        if (s->in[k].rank != 1 && (s->in[k].rank != 2 || s->in[k].dim[1] > 1))
            return mr_fail_field(e, MR_EINVAL, "data",
                                 "this model has %u inputs: data must be an object of nested lists "
                                 "by input name",
                                 s->n_in);
    int r = check_rows(data, s->n_in, run, e);
    for (uint32_t k = 0; !r && k < s->n_in; k++) {
        struct place p = {.depth = run->batch};
        struct tensor_out t = {.buf = out};
        int64_t dim[2] = {(int64_t)run->rows, 1};
        r = begin(&s->in[k], &p, s->in[k].rank, dim, &t, e);
        yyjson_val *row = run->batch ? yyjson_arr_get_first(data) : data;
        for (size_t i = 0; !r && i < run->rows; i++) {
            yyjson_val *v = cell(row, k, &s->in[k].name);
            p.at[0] = i;
            p.input = run->batch ? (struct mr_str){0} : s->in[k].name;
            if (v) {
                r = put_scalar(&s->in[k], &p, v, out, e);
            } else {
                char msg[120];
                snprintf(msg, sizeof msg, "the input %.*s is missing",
                         (int)(s->in[k].name.n < 80 ? s->in[k].name.n : 80), s->in[k].name.p);
                p.input = (struct mr_str){0};
                r = fail_at(&p, MR_EINVAL, e, msg);
            }
            if (run->batch)
                row = unsafe_yyjson_get_next(row);
        }
        end(&t);
    }
    return r;
}

/* One [rows, width] input from objects, whose values count in order. */
static int put_object_rows(const struct mr_onnx_value *spec, yyjson_val *data, struct mr_buf *out,
                           struct mr_run *run, struct mr_err *e) {
    yyjson_val *first = yyjson_is_arr(data) ? yyjson_arr_get_first(data) : data;
    int64_t dim[2] = {1, (int64_t)yyjson_obj_size(first)};
    if (spec->rank != 2 && spec->rank >= 0)
        return mr_fail_field(e, MR_EINVAL, "data", "this model takes nested lists, not objects");
    if (spec->rank == 2 && spec->dim[1] >= 0 && spec->dim[1] <= (int64_t)MR_VALUES_MAX)
        dim[1] = spec->dim[1];
    int r = check_rows(data, (size_t)dim[1], run, e);
    if (r)
        return r;
    dim[0] = (int64_t)run->rows;
    struct place p = {.depth = 1 + run->batch};
    struct tensor_out t = {.buf = out};
    r = begin(spec, &p, 2, dim, &t, e);
    yyjson_val *row = first;
    for (size_t i = 0; !r && i < run->rows; i++) {
        size_t k = 0, max;
        yyjson_val *key, *v;
        p.at[0] = i;
        if (!yyjson_is_obj(row))
            r = mr_fail_field(e, MR_EFIELD, "data", "rows must all be lists or all be objects");
        else
            yyjson_obj_foreach (row, k, max, key, v) {
                p.at[run->batch] = k;
                if (!r)
                    r = put_scalar(spec, &p, v, out, e);
            }
        if (run->batch)
            row = unsafe_yyjson_get_next(row);
    }
    end(&t);
    return r;
}

static int put_named(const struct mr_onnx_schema *s, yyjson_val *data, struct mr_buf *out,
                     struct mr_run *run, struct mr_err *e) {
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach (data, i, max, key, v) {
        bool known = false;
        for (uint32_t k = 0; k < s->n_in; k++)
            known |= yyjson_equals_strn(key, s->in[k].name.p, s->in[k].name.n);
        if (!known)
            return mr_fail_field(e, MR_EINVAL, "data", "the model has no input named %.80s",
                                 yyjson_get_str(key));
    }
    for (uint32_t k = 0; k < s->n_in; k++) {
        struct place p = {.input = s->in[k].name};
        struct mr_run one;
        v = yyjson_obj_getn(data, s->in[k].name.p, s->in[k].name.n);
        if (!v)
            return fail_at(&p, MR_EINVAL, e, "this input of the model is missing");
        int r = put_input(&s->in[k], &p, v, out, &one, e);
        if (r)
            return r;
        if (!k)
            *run = one;
    }
    return 0;
}

int mr_onnx_request(const struct mr_onnx_schema *s, yyjson_val *data, struct mr_buf *out,
                    struct mr_run *ret, struct mr_err *e) {
    struct mr_run run = {0};
    if (!data)
        return mr_fail_field(e, MR_EFIELD, "data", "data is required");
    yyjson_val *first = yyjson_arr_get_first(data);
    bool named = yyjson_is_obj(data) && yyjson_obj_getn(data, s->in[0].name.p, s->in[0].name.n);
    struct place p = {.depth = 0};
    int r;
    mr_tensors_put_u32(out, s->n_in);
    if (named)
        r = put_named(s, data, out, &run, e);
    else if (s->n_in > 1)
        r = put_columns(s, data, out, &run, e);
    else if (yyjson_is_obj(data) || yyjson_is_obj(first))
        r = put_object_rows(&s->in[0], data, out, &run, e);
    else
        r = put_input(&s->in[0], &p, data, out, &run, e);
    if (!r && !mr_buf_ok(out))
        r = mr_fail_field(e, MR_ETOOBIG, "data", "data is too large for one request");
    if (!r)
        *ret = run;
    return r;
}
