#include "engine/internal.h"

#include "base/num.h"

#include <math.h>
#include <stdio.h>

/* Where in the request a value stands, for error messages only. */
struct place {
    bool batch;
    size_t row;
};

static void row_path(const struct place *p, char *out, size_t cap) {
    if (p->batch)
        snprintf(out, cap, "data[%zu]", p->row);
    else
        snprintf(out, cap, "data");
}

static int fail_row(const struct place *p, int code, struct mr_err *e, const char *msg) {
    char path[64];
    row_path(p, path, sizeof path);
    return mr_fail_field(e, code, path, "%s: %s", path, msg);
}

/* key.p == NULL: the value stands at a position of a list. */
static int fail_value(const struct mr_shape *s, const struct place *p, uint32_t col,
                      struct mr_str key, yyjson_val *v, struct mr_err *e) {
    char path[96], row[64];
    row_path(p, row, sizeof row);
    if (key.p)
        snprintf(path, sizeof path, "%s.%.*s", row, (int)(key.n < 60 ? key.n : 60), key.p);
    else
        snprintf(path, sizeof path, "%s[%u]", row, col);
    char what[96] = "";
    if (!key.p && s->info->feature_names) {
        struct mr_str n = s->info->feature_names[col];
        snprintf(what, sizeof what, " (%.*s)", (int)(n.n < 80 ? n.n : 80), n.p);
    }
    bool cells = s->info->input_kind == MR_SLOT_CELLS;
    if (yyjson_is_null(v))
        return mr_fail_field(e, MR_EFIELD, path,
                             "%s%s is null, and this model does not take missing values", path,
                             what);
    if (yyjson_is_num(v))
        return mr_fail_field(e, MR_EFIELD, path, "%s%s must be a finite number", path, what);
    return mr_fail_field(e, MR_EFIELD, path, "%s%s must be a number%s, not %s", path, what,
                         cells ? " or a string" : "",
                         yyjson_is_str(v)   ? "a string"
                         : yyjson_is_arr(v) ? "a list"
                         : yyjson_is_obj(v) ? "an object"
                                            : "this");
}

/* Number, bool or (when the model takes them) null. */
static inline bool read_num(yyjson_val *v, bool missing, double *ret) {
    switch (unsafe_yyjson_get_tag(v)) {
    case YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL:
        *ret = unsafe_yyjson_get_real(v);
        return isfinite(*ret);
    case YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT:
        *ret = (double)unsafe_yyjson_get_uint(v);
        return true;
    case YYJSON_TYPE_NUM | YYJSON_SUBTYPE_SINT:
        *ret = (double)unsafe_yyjson_get_sint(v);
        return true;
    case YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_TRUE:
        *ret = 1;
        return true;
    case YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_FALSE:
        *ret = 0;
        return true;
    case YYJSON_TYPE_NULL | YYJSON_SUBTYPE_NONE:
        *ret = NAN;
        return missing;
    default:
        return false;
    }
}

static struct mr_str json_str(yyjson_val *v) {
    return (struct mr_str){unsafe_yyjson_get_str(v), unsafe_yyjson_get_len(v)};
}

static inline bool read_cell(yyjson_val *v, bool missing, struct mr_cell *ret) {
    if (yyjson_is_str(v)) {
        *ret = (struct mr_cell){.num = NAN, .s = json_str(v)};
        return true;
    }
    ret->s = (struct mr_str){0};
    return read_num(v, missing, &ret->num);
}

static inline bool put(const struct mr_shape *s, const struct mr_input *in, size_t at,
                       yyjson_val *v) {
    bool missing = s->info->accepts_missing;
    return in->dense ? read_num(v, missing, &in->dense[at]) : read_cell(v, missing, &in->cells[at]);
}

static int fail_width(const struct mr_shape *s, const struct place *p, size_t got,
                      struct mr_err *e) {
    char msg[160];
    snprintf(msg, sizeof msg, "%zu value%s, but the model takes %u%s", got, got == 1 ? "" : "s",
             s->info->n_features,
             !p->batch && s->info->n_features == 1 && got > 1
                 ? " in a row; send a list of rows for a batch"
                 : "");
    return fail_row(p, MR_EINVAL, e, msg);
}

static int read_list(const struct mr_shape *s, const struct mr_input *in, const struct place *p,
                     yyjson_val *row, struct mr_err *e) {
    uint32_t width = s->info->n_features;
    if (unsafe_yyjson_get_len(row) != width)
        return fail_width(s, p, unsafe_yyjson_get_len(row), e);
    size_t at = p->row * width;
    yyjson_val *v = unsafe_yyjson_get_first(row);
    for (uint32_t k = 0; k < width; k++, v = unsafe_yyjson_get_next(v))
        if (!put(s, in, at + k, v))
            return fail_value(s, p, k, (struct mr_str){0}, v, e);
    return 0;
}

/* Names that are missing and names that are unknown, with the nearest known one. */
static int fail_names(const struct mr_shape *s, const struct place *p, yyjson_val *row,
                      const uint8_t *seen, struct mr_err *e) {
    char msg[640]; /* 9 + 5 * 32 + 16 + 3 * 92 at most */
    int n = 0;
    size_t i, max, missing = 0, unknown = 0;
    for (uint32_t k = 0; k < s->names.n; k++) {
        if (seen[k] || mr_names_find(&s->names, s->names.name[k]) != k)
            continue;
        struct mr_str name = s->names.name[k];
        if (missing++ < 5)
            n += snprintf(msg + n, sizeof msg - (size_t)n, "%s%.*s",
                          missing == 1 ? "missing: " : ", ", (int)(name.n < 30 ? name.n : 30),
                          name.p);
    }
    if (missing > 5)
        n += snprintf(msg + n, sizeof msg - (size_t)n, " and %zu more", missing - 5);
    yyjson_val *key, *val;
    yyjson_obj_foreach (row, i, max, key, val) {
        struct mr_str name = json_str(key);
        if (mr_names_find(&s->names, name) != UINT32_MAX || unknown++ >= 3)
            continue;
        n += snprintf(msg + n, sizeof msg - (size_t)n, "%s%.*s",
                      unknown > 1 ? ", "
                      : n         ? "; unknown: "
                                  : "unknown: ",
                      (int)(name.n < 30 ? name.n : 30), name.p);
        uint32_t near = mr_names_nearest(&s->names, name);
        if (near != UINT32_MAX)
            n += snprintf(msg + n, sizeof msg - (size_t)n, " (did you mean %.*s?)",
                          (int)(s->names.name[near].n < 30 ? s->names.name[near].n : 30),
                          s->names.name[near].p);
    }
    return fail_row(p, MR_EINVAL, e, n ? msg : "a name is given more than once");
}

/* `seen`: n_features bytes of scratch. */
static int read_named(const struct mr_shape *s, const struct mr_input *in, const struct place *p,
                      yyjson_val *row, uint8_t *seen, struct mr_err *e) {
    uint32_t width = s->info->n_features;
    size_t n = unsafe_yyjson_get_len(row), at = p->row * width;
    memset(seen, 0, width);
    yyjson_val *key = unsafe_yyjson_get_first(row);
    bool fits = n == width;
    for (size_t k = 0; k < n; k++) {
        yyjson_val *v = key + 1;
        struct mr_str name = json_str(key);
        /* Clients send columns in the model's order: look there first. */
        uint32_t col = k < width && mr_str_eq(s->names.name[k], name)
                           ? (uint32_t)k
                           : mr_names_find(&s->names, name);
        if (col == UINT32_MAX || seen[col]) {
            fits = false;
        } else {
            seen[col] = 1;
            if (!put(s, in, at + col, v))
                return fail_value(s, p, col, name, v, e);
        }
        key = unsafe_yyjson_get_next(v);
    }
    return fits ? 0 : fail_names(s, p, row, seen, e);
}

/* A model without names takes the values in order; later rows must use the first row's keys. */
static int read_unnamed(const struct mr_shape *s, const struct mr_input *in, const struct place *p,
                        yyjson_val *row, yyjson_val *first_row, struct mr_err *e) {
    uint32_t width = s->info->n_features;
    if (unsafe_yyjson_get_len(row) != width)
        return fail_width(s, p, unsafe_yyjson_get_len(row), e);
    yyjson_val *key = unsafe_yyjson_get_first(row);
    yyjson_val *first = unsafe_yyjson_get_first(first_row);
    for (uint32_t k = 0; k < width; k++) {
        yyjson_val *v = key + 1;
        if (!mr_str_eq(json_str(key), json_str(first)))
            return fail_row(p, MR_EINVAL, e,
                            "its keys differ in name or order from the first row's, and this model "
                            "knows no feature names to match them by");
        if (!put(s, in, p->row * width + k, v))
            return fail_value(s, p, k, json_str(key), v, e);
        key = unsafe_yyjson_get_next(v);
        first = unsafe_yyjson_get_next(first + 1);
    }
    return 0;
}

static int alloc_input(const struct mr_shape *s, struct mr_arena *arena, struct mr_input *in,
                       struct mr_err *e) {
    if (in->rows > MR_ROWS_MAX)
        return mr_fail_field(e, MR_ETOOBIG, "data", "data has %zu rows; at most %u in one request",
                             in->rows, MR_ROWS_MAX);
    size_t n = in->rows * s->info->n_features;
    if (n > MR_VALUES_MAX)
        return mr_fail_field(e, MR_ETOOBIG, "data",
                             "data has %zu values; at most %zu in one request", n, MR_VALUES_MAX);
    n = n ? n : 1;
    if (s->info->input_kind == MR_SLOT_DENSE)
        in->dense = mr_arena_array(arena, n, sizeof *in->dense);
    else
        in->cells = mr_arena_array(arena, n, sizeof *in->cells);
    if (!in->dense && !in->cells)
        return mr_fail_field(e, MR_ETOOBIG, "data",
                             "data is too large for the memory of one request");
    return 0;
}

static int read_text(const struct mr_shape *s, yyjson_val *data, struct mr_arena *arena,
                     struct mr_input *in, struct mr_err *e) {
    struct place p = {.batch = yyjson_is_arr(data)};
    in->batch = p.batch;
    in->rows = p.batch ? unsafe_yyjson_get_len(data) : 1;
    if (!p.batch && !yyjson_is_str(data))
        return mr_fail_field(e, MR_EFIELD, "data",
                             "data must be a string or a list of strings for this text model");
    if (!in->rows)
        return mr_fail_field(e, MR_EFIELD, "data", "data has no rows");
    int r = alloc_input(s, arena, in, e);
    if (r)
        return r;
    yyjson_val *v = p.batch ? unsafe_yyjson_get_first(data) : data;
    for (; p.row < in->rows; p.row++) {
        yyjson_val *text = v;
        if (yyjson_is_arr(v) && unsafe_yyjson_get_len(v) == 1)
            text = unsafe_yyjson_get_first(v); /* a row of one column */
        if (!yyjson_is_str(text))
            return fail_row(&p, MR_EFIELD, e, "this text model takes a string");
        in->cells[p.row] = (struct mr_cell){.num = NAN, .s = json_str(text)};
        if (p.batch)
            v = unsafe_yyjson_get_next(v);
    }
    return 0;
}

int mr_input_read(const struct mr_shape *s, yyjson_val *data, struct mr_arena *arena,
                  struct mr_input *ret, struct mr_err *e) {
    struct mr_input in = {.rows = 1};
    if (!data)
        return mr_fail_field(e, MR_EFIELD, "data", "data is required");
    if (s->info->text_input && s->info->input_kind == MR_SLOT_CELLS) {
        int r = read_text(s, data, arena, &in, e);
        if (!r)
            *ret = in;
        return r;
    }
    bool list = yyjson_is_arr(data);
    if (!list && !yyjson_is_obj(data))
        return mr_fail_field(e, MR_EFIELD, "data",
                             "data must be a row (a list of values or an object by feature name) "
                             "or a list of rows");
    yyjson_val *first = list && unsafe_yyjson_get_len(data) ? unsafe_yyjson_get_first(data) : NULL;
    if (list && !first)
        return mr_fail_field(e, MR_EFIELD, "data", "data has no values");
    in.batch = list && (yyjson_is_arr(first) || yyjson_is_obj(first));
    if (in.batch)
        in.rows = unsafe_yyjson_get_len(data);
    yyjson_val *row = in.batch ? first : data, *row0 = row;
    struct place p = {.batch = in.batch};
    if (yyjson_is_arr(row) && unsafe_yyjson_get_len(row) != s->info->n_features)
        return fail_width(s, &p, unsafe_yyjson_get_len(row), e);
    int r = alloc_input(s, arena, &in, e);
    uint8_t *seen = NULL;
    for (; !r && p.row < in.rows; p.row++) {
        if (yyjson_is_arr(row)) {
            r = read_list(s, &in, &p, row, e);
        } else if (!yyjson_is_obj(row)) {
            r = fail_row(&p, MR_EFIELD, e, "a row must be a list of values or an object");
        } else if (s->names.name) {
            if (!seen)
                seen = mr_arena_alloc(arena, s->info->n_features + 1);
            r = seen ? read_named(s, &in, &p, row, seen, e)
                     : mr_fail(e, MR_ENOMEM, "out of memory reading data");
        } else {
            r = yyjson_is_obj(row0)
                    ? read_unnamed(s, &in, &p, row, row0, e)
                    : fail_row(&p, MR_EFIELD, e, "rows must all be lists or all be objects");
        }
        if (in.batch)
            row = unsafe_yyjson_get_next(row);
    }
    if (!r)
        *ret = in;
    return r;
}

static void print_value(const struct mr_input *in, size_t at, struct mr_buf *out) {
    if (in->cells && in->cells[at].s.p)
        mr_buf_json(out, in->cells[at].s);
    else
        mr_buf_f64(out, in->cells ? in->cells[at].num : in->dense[at]);
}

void mr_input_print(const struct mr_shape *s, const struct mr_input *in, struct mr_buf *out) {
    uint32_t width = s->info->n_features;
    if (in->batch)
        mr_buf_char(out, '[');
    for (size_t r = 0; r < in->rows; r++) {
        if (r)
            mr_buf_char(out, ',');
        if (s->info->text_input) {
            print_value(in, r, out);
            continue;
        }
        mr_buf_char(out, s->names.name ? '{' : '[');
        for (uint32_t k = 0; k < width; k++) {
            if (k)
                mr_buf_char(out, ',');
            if (s->names.name) {
                mr_buf_json(out, s->names.name[k]);
                mr_buf_char(out, ':');
            }
            print_value(in, r * width + k, out);
        }
        mr_buf_char(out, s->names.name ? '}' : ']');
    }
    if (in->batch)
        mr_buf_char(out, ']');
}
