#include "model/convert/emit.h"

#include <math.h>
#include <stdarg.h>

int mr_refuse_attr(const struct mr_pk *obj, const char *attr, struct mr_err *e, const char *fmt,
                   ...) {
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    struct mr_str s = mr_pk_class_short(obj);
    return mr_fail(e, MR_EREFUSED, "%.*s.%s %s", (int)(s.n < 100 ? s.n : 100), s.p ? s.p : "", attr,
                   what);
}

int mr_unsupported(const struct mr_pk *obj, struct mr_err *e, const char *fmt, ...) {
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    struct mr_str s = mr_pk_class_short(obj);
    return mr_fail(e, MR_EUNSUPPORTED, "%.*s %s", (int)(s.n < 100 ? s.n : 100), s.p ? s.p : "",
                   what);
}

int mr_node_matrix(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *node,
                   const char *attr, bool flat, const double **ret, size_t *ret_rows,
                   size_t *ret_cols, struct mr_err *e) {
    struct mr_err inner = {0};
    size_t rows, cols;
    const double *v;
    int r = mr_pk_f64(c->arena, node, &v, &rows, &cols, &inner);
    if (r == MR_ENOMEM)
        return mr_fail(e, r, "out of memory");
    if (r)
        return mr_refuse_attr(obj, attr, e, "is not a numeric array: %s", inner.msg);
    if (flat && (node->type != MR_PK_ARRAY || node->a.ndim < 2)) {
        cols *= rows;
        rows = 1;
    }
    for (size_t i = 0; i < rows * cols; i++)
        if (!isfinite(v[i]))
            return mr_refuse_attr(obj, attr, e, "holds a value that is not finite");
    *ret = v;
    *ret_rows = rows;
    *ret_cols = cols;
    return 0;
}

int mr_get_matrix(struct mr_convert *c, const struct mr_pk *obj, const char *attr, bool flat,
                  const double **ret, size_t *ret_rows, size_t *ret_cols, struct mr_err *e) {
    const struct mr_pk *v;
    int r = mr_convert_need(obj, attr, &v, e);
    return r ? r : mr_node_matrix(c, obj, v, attr, flat, ret, ret_rows, ret_cols, e);
}

int mr_get_vector(struct mr_convert *c, const struct mr_pk *obj, const char *attr, size_t n,
                  const double **ret, struct mr_err *e) {
    size_t rows, cols;
    const double *v;
    int r = mr_get_matrix(c, obj, attr, false, &v, &rows, &cols, e);
    if (r)
        return r;
    if (rows * cols != n)
        return mr_refuse_attr(obj, attr, e, "has %zu values where %zu are needed", rows * cols, n);
    *ret = v;
    return 0;
}

int mr_get_int(const struct mr_pk *obj, const char *attr, int64_t lo, int64_t hi, int64_t *ret,
               struct mr_err *e) {
    const struct mr_pk *v;
    int r = mr_convert_need(obj, attr, &v, e);
    if (r)
        return r;
    int64_t i;
    if (!mr_pk_int(v, &i) || i < lo || i > hi)
        return mr_refuse_attr(obj, attr, e, "is not an integer in range");
    *ret = i;
    return 0;
}

int mr_get_num(const struct mr_pk *obj, const char *attr, double *ret, struct mr_err *e) {
    const struct mr_pk *v;
    int r = mr_convert_need(obj, attr, &v, e);
    if (r)
        return r;
    double d;
    if (!mr_pk_num(v, &d) || !isfinite(d))
        return mr_refuse_attr(obj, attr, e, "is not a finite number");
    *ret = d;
    return 0;
}

struct mr_str mr_get_str(const struct mr_pk *obj, const char *attr) {
    struct mr_str s;
    return mr_pk_str(mr_pk_attr(obj, attr), &s) && s.p ? s : mr_str("");
}

int mr_get_u32(struct mr_convert *c, const struct mr_pk *obj, const char *attr, size_t n,
               uint32_t limit, const uint32_t **ret, struct mr_err *e) {
    const double *v;
    int r = mr_get_vector(c, obj, attr, n, &v, e);
    if (r)
        return r;
    uint32_t *out = mr_convert_array(c, n, sizeof *out, e);
    if (!out)
        return MR_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (!(v[i] >= 0 && v[i] < limit) || v[i] != floor(v[i]))
            return mr_refuse_attr(obj, attr, e, "holds an index out of range");
        out[i] = (uint32_t)v[i];
    }
    *ret = out;
    return 0;
}

int mr_get_classes(struct mr_convert *c, const struct mr_pk *obj, const char *attr,
                   struct mr_build_output *out, struct mr_err *e) {
    const struct mr_pk *v;
    int r = mr_convert_need(obj, attr, &v, e);
    return r ? r
             : mr_convert_classes(c->arena, v, &out->label_kind, &out->classes, &out->n_classes, e);
}

int mr_sklearn_version(const struct mr_pk *obj) {
    struct mr_str s = mr_get_str(obj, "_sklearn_version");
    int part[2] = {0, 0}, k = 0;
    for (size_t i = 0; i < s.n && k < 2; i++) {
        if (s.p[i] >= '0' && s.p[i] <= '9' && part[k] < 10000)
            part[k] = part[k] * 10 + (s.p[i] - '0');
        else
            k++;
    }
    return part[0] * 100 + part[1];
}

void *mr_convert_array(struct mr_convert *c, size_t n, size_t size, struct mr_err *e) {
    void *p = mr_arena_array(c->arena, n ? n : 1, size);
    if (!p)
        mr_fail(e, MR_ENOMEM, "out of memory");
    return p;
}

int mr_want_width(struct mr_convert *c, const struct mr_pk *obj, uint32_t slot, size_t n,
                  struct mr_err *e) {
    uint32_t width = mr_build_slot_width(c->b, slot);
    if (width == n)
        return 0;
    struct mr_str s = mr_pk_class_short(obj);
    return mr_fail(e, MR_EREFUSED, "%.*s reads %zu columns but is given %u",
                   (int)(s.n < 100 ? s.n : 100), s.p ? s.p : "", n, width);
}
