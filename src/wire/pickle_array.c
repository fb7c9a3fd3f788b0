/* Arrays as numbers: dtype decoding, row-major copies, structured fields. */
#include "wire/pickle_vm.h"

static uint64_t load_bits(const uint8_t *p, unsigned size, bool swapped) {
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << 8 * (swapped ? size - 1 - i : i);
    return v;
}

static double half_to_double(uint16_t h) {
    unsigned exp = h >> 10 & 31;
    double frac = h & 1023;
    double v;
    if (exp == 31)
        v = frac != 0 ? __builtin_nan("") : __builtin_inf();
    else if (exp == 0)
        v = __builtin_ldexp(frac, -24);
    else
        v = __builtin_ldexp(frac + 1024, (int)exp - 25);
    return h & 0x8000 ? -v : v;
}

static bool float_item(unsigned size, bool swapped, const uint8_t *p, double *ret) {
    if (size == 8) {
        uint64_t v = load_bits(p, 8, swapped);
        memcpy(ret, &v, 8);
        return true;
    }
    if (size == 4) {
        uint32_t v = (uint32_t)load_bits(p, 4, swapped);
        float f;
        memcpy(&f, &v, 4);
        *ret = f;
        return true;
    }
    if (size == 2) {
        *ret = half_to_double((uint16_t)load_bits(p, 2, swapped));
        return true;
    }
    return false; /* longdouble is not portable between machines, so it is not read */
}

static bool int_item(char kind, unsigned size, bool swapped, const uint8_t *p, int64_t *ret) {
    if (kind == 'b' && size == 1) {
        *ret = p[0] != 0;
        return true;
    }
    if ((kind != 'i' && kind != 'u') || (size != 1 && size != 2 && size != 4 && size != 8))
        return false;
    uint64_t v = load_bits(p, size, swapped);
    if (kind == 'u') {
        if (v > INT64_MAX)
            return false;
    } else if (size < 8 && v >> (8 * size - 1)) {
        v |= UINT64_MAX << 8 * size;
    }
    *ret = (int64_t)v;
    return true;
}

bool mr_pk_item_f64(const struct mr_pk *dt, const uint8_t *p, double *ret) {
    int64_t i;
    if (dt->d.kind == 'f')
        return float_item(dt->d.size, dt->d.swapped, p, ret);
    if (dt->d.kind == 'u' && dt->d.size == 8) {
        *ret = (double)load_bits(p, 8, dt->d.swapped);
        return true;
    }
    if (!int_item(dt->d.kind, dt->d.size, dt->d.swapped, p, &i))
        return false;
    *ret = (double)i;
    return true;
}

bool mr_pk_item_i64(const struct mr_pk *dt, const uint8_t *p, int64_t *ret) {
    return int_item(dt->d.kind, dt->d.size, dt->d.swapped, p, ret);
}

/* --- items as nodes ----------------------------------------------------------------------- */

static struct mr_pk *small_node(struct mr_arena *a, enum mr_pk_type t) {
    struct mr_pk *n = mr_arena_zalloc(a, mr_pk_node_size(t));
    if (n)
        n->type = (uint8_t)t;
    return n;
}

/* UTF-32 without the NULs that pad it, as UTF-8. */
static struct mr_pk *utf32_node(struct mr_arena *a, const struct mr_pk *dt, const uint8_t *p) {
    size_t n = dt->d.size / 4, used = 0;
    while (n && load_bits(p + 4 * (n - 1), 4, dt->d.swapped) == 0)
        n--;
    char *out = mr_arena_array(a, n + 1, 4);
    struct mr_pk *r = small_node(a, MR_PK_STR);
    if (!out || !r)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = (uint32_t)load_bits(p + 4 * i, 4, dt->d.swapped);
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return NULL;
        if (c < 0x80) {
            out[used++] = (char)c;
            continue;
        }
        unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
        out[used++] = (char)(lead[more] | c >> 6 * more);
        while (more--)
            out[used++] = (char)(0x80 | (c >> 6 * more & 0x3f));
    }
    r->s = mr_strn(out, used);
    return r;
}

struct mr_pk *mr_pk_item_node(struct mr_arena *a, const struct mr_pk *dt, const uint8_t *p) {
    struct mr_pk *n = NULL;
    double f;
    int64_t i;
    switch (dt->d.kind) {
    case 'f':
        if (mr_pk_item_f64(dt, p, &f) && (n = small_node(a, MR_PK_FLOAT)))
            n->f = f;
        return n;
    case 'b':
    case 'i':
    case 'u':
        if (mr_pk_item_i64(dt, p, &i) &&
            (n = small_node(a, dt->d.kind == 'b' ? MR_PK_BOOL : MR_PK_INT)))
            n->i = i;
        return n;
    case 'U':
        return utf32_node(a, dt, p);
    case 'S':
        if ((n = small_node(a, MR_PK_BYTES))) {
            size_t len = dt->d.size;
            while (len && !p[len - 1])
                len--;
            n->s = mr_strn((const char *)p, len);
        }
        return n;
    default:
        return NULL;
    }
}

/* Place of logical (row-major) item i of a column-major array. */
static size_t fortran_at(const struct mr_pk *n, size_t i) {
    size_t at = 0;
    size_t idx[8];
    for (int k = n->a.ndim; k-- > 0;) {
        idx[k] = i % (size_t)n->a.shape[k];
        i /= (size_t)n->a.shape[k];
    }
    for (int k = n->a.ndim; k-- > 0;)
        at = at * (size_t)n->a.shape[k] + idx[k];
    return at;
}

static size_t place(const struct mr_pk *n, size_t i) {
    return n->a.fortran && n->a.ndim > 1 ? fortran_at(n, i) : i;
}

const struct mr_pk *mr_pk_item(struct mr_arena *a, const struct mr_pk *n, size_t i) {
    struct mr_pk *const *v;
    size_t len;
    if (n && n->type == MR_PK_ARRAY) {
        if (i >= (size_t)n->a.count)
            return NULL;
        if (n->a.objs)
            return n->a.objs->l.v[i];
        return mr_pk_item_node(a, n->a.dtype, n->a.data + place(n, i) * n->a.dtype->d.size);
    }
    return mr_pk_seq(n, &v, &len) && i < len ? v[i] : NULL;
}

/* --- whole arrays ------------------------------------------------------------------------- */

static int no_memory(struct mr_err *e) {
    return mr_fail(e, MR_ENOMEM, "out of memory while reading an array");
}

static int bad_dtype(const struct mr_pk *dt, struct mr_err *e) {
    return mr_fail(e, MR_EREFUSED, "an array of numbers is needed, not one of dtype %c%u",
                   dt->d.kind, dt->d.size);
}

static bool aligned(const void *p) {
    return (uintptr_t)p % 8 == 0;
}

/* A numpy array as row-major doubles; points into the data where that is already so. */
static int array_f64(struct mr_arena *a, const struct mr_pk *n, const double **ret,
                     struct mr_err *e) {
    size_t count = (size_t)n->a.count;
    const struct mr_pk *dt = n->a.dtype;
    bool order = !n->a.fortran || n->a.ndim < 2;
    bool raw = !n->a.objs && dt->d.kind == 'f' && dt->d.size == 8 && !dt->d.swapped && order;
    if (raw && count && aligned(n->a.data)) {
        *ret = (const double *)(const void *)n->a.data;
        return 0;
    }
    double *out = mr_arena_array(a, count ? count : 1, sizeof *out);
    if (!out)
        return no_memory(e);
    if (raw)
        memcpy(out, n->a.data, count * sizeof *out);
    for (size_t i = 0; !raw && i < count; i++) {
        size_t at = order ? i : fortran_at(n, i);
        if (n->a.objs) {
            const struct mr_pk *o = n->a.objs->l.v[i];
            if (o->type == MR_PK_ARRAY || !mr_pk_num(o, &out[i]))
                return mr_fail(e, MR_EREFUSED, "an object array holds something but numbers");
        } else if (!mr_pk_item_f64(dt, n->a.data + at * dt->d.size, &out[i])) {
            return bad_dtype(dt, e);
        }
    }
    *ret = out;
    return 0;
}

/* Numbers, or equally long rows of numbers. */
static int list_f64(struct mr_arena *a, struct mr_pk *const *v, size_t n, const double **ret,
                    size_t *ret_cols, struct mr_err *e) {
    size_t cols = 1;
    double x;
    bool flat = !n || mr_pk_num(v[0], &x);
    if (!flat) {
        cols = v[0]->type == MR_PK_ARRAY && v[0]->a.ndim != 1 ? 0 : mr_pk_len(v[0]);
        if (!cols)
            return mr_fail(e, MR_EREFUSED, "a list of numbers is needed");
    }
    size_t total;
    if (__builtin_mul_overflow(n, cols, &total))
        return no_memory(e);
    double *out = mr_arena_array(a, total ? total : 1, sizeof *out);
    if (!out)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        struct mr_pk *const *row;
        size_t len;
        if (flat) {
            if (!mr_pk_num(v[i], &out[i]))
                return mr_fail(e, MR_EREFUSED, "a list of numbers holds something else");
            continue;
        }
        if (v[i]->type == MR_PK_ARRAY && v[i]->a.ndim == 1 && mr_pk_len(v[i]) == cols) {
            for (size_t j = 0; !v[i]->a.objs && j < cols; j++)
                if (!mr_pk_item_f64(v[i]->a.dtype, v[i]->a.data + j * v[i]->a.dtype->d.size,
                                    &out[i * cols + j]))
                    return bad_dtype(v[i]->a.dtype, e);
            if (!v[i]->a.objs)
                continue;
        }
        if (!mr_pk_seq(v[i], &row, &len) || len != cols)
            return mr_fail(e, MR_EREFUSED, "rows of unequal length");
        for (size_t j = 0; j < cols; j++)
            if (!mr_pk_num(row[j], &out[i * cols + j]))
                return mr_fail(e, MR_EREFUSED, "a row of numbers holds something else");
    }
    *ret = out;
    *ret_cols = cols;
    return 0;
}

int mr_pk_f64(struct mr_arena *a, const struct mr_pk *n, const double **ret, size_t *ret_rows,
              size_t *ret_cols, struct mr_err *e) {
    struct mr_pk *const *v;
    const double *out = NULL;
    size_t rows = 1, cols = 1;
    double x;
    int rc = 0;
    if (!n)
        return mr_fail(e, MR_EREFUSED, "an array of numbers is missing");
    if (n->type == MR_PK_ARRAY) {
        rc = array_f64(a, n, &out, e);
        if (n->a.ndim > 0)
            rows = (size_t)n->a.shape[0];
        for (int k = 1; k < n->a.ndim; k++) /* a zero-sized array may claim any other extent */
            if (__builtin_mul_overflow(cols, (size_t)n->a.shape[k], &cols))
                return mr_fail(e, MR_EREFUSED, "an array shape beyond memory");
    } else if (mr_pk_num(n, &x)) {
        double *one = mr_arena_alloc(a, sizeof *one);
        if (!one)
            return no_memory(e);
        *one = x;
        out = one;
    } else if (mr_pk_seq(n, &v, &rows)) {
        rc = list_f64(a, v, rows, &out, &cols, e);
    } else {
        return mr_fail(e, MR_EREFUSED, "an array of numbers is needed");
    }
    if (rc)
        return rc;
    *ret = out;
    *ret_rows = rows;
    *ret_cols = cols;
    return 0;
}

int mr_pk_i64(struct mr_arena *a, const struct mr_pk *n, const int64_t **ret, size_t *ret_n,
              struct mr_err *e) {
    struct mr_pk *const *v = NULL;
    size_t count = 1;
    bool array = n && n->type == MR_PK_ARRAY && !n->a.objs;
    int64_t one;
    if (array)
        count = (size_t)n->a.count;
    else if (n && n->type == MR_PK_ARRAY)
        mr_pk_seq(n, &v, &count);
    else if (!mr_pk_int(n, &one) && !mr_pk_seq(n, &v, &count))
        return mr_fail(e, MR_EREFUSED, "an array of integers is needed");
    int64_t *out = mr_arena_array(a, count ? count : 1, sizeof *out);
    if (!out)
        return no_memory(e);
    for (size_t i = 0; i < count; i++) {
        if (array) {
            const struct mr_pk *dt = n->a.dtype;
            if (!mr_pk_item_i64(dt, n->a.data + place(n, i) * dt->d.size, &out[i]))
                return mr_fail(e, MR_EREFUSED, "an array of integers is needed, not one of %c%u",
                               dt->d.kind, dt->d.size);
        } else if (!mr_pk_int(v ? v[i] : n, &out[i])) {
            return mr_fail(e, MR_EREFUSED, "a list of integers holds something else");
        }
    }
    *ret = out;
    *ret_n = count;
    return 0;
}

/* --- structured arrays -------------------------------------------------------------------- */

static int find_field(const struct mr_pk *arr, const char *name, const struct mr_pk_field **ret,
                      struct mr_err *e) {
    if (!arr || arr->type != MR_PK_ARRAY || arr->a.objs || !arr->a.dtype->d.n_field)
        return mr_fail(e, MR_EREFUSED, "a structured array with field \"%s\" is needed", name);
    const struct mr_pk *dt = arr->a.dtype;
    for (uint32_t i = 0; i < dt->d.n_field; i++) {
        if (mr_str_is(dt->d.field[i].name, name)) {
            *ret = &dt->d.field[i];
            return 0;
        }
    }
    return mr_fail(e, MR_ENOTFOUND, "the structured array has no field \"%s\"", name);
}

int mr_pk_field_f64(struct mr_arena *a, const struct mr_pk *arr, const char *name,
                    const double **ret, size_t *ret_n, struct mr_err *e) {
    const struct mr_pk_field *f;
    int rc = find_field(arr, name, &f, e);
    if (rc)
        return rc;
    size_t n = (size_t)arr->a.count, size = arr->a.dtype->d.size;
    double *out = mr_arena_array(a, n ? n : 1, sizeof *out);
    if (!out)
        return no_memory(e);
    const uint8_t *p = arr->a.data + f->offset;
    for (size_t i = 0; i < n; i++)
        if (!mr_pk_item_f64(f->dtype, p + i * size, &out[i]))
            return bad_dtype(f->dtype, e);
    *ret = out;
    *ret_n = n;
    return 0;
}

int mr_pk_field_i64(struct mr_arena *a, const struct mr_pk *arr, const char *name,
                    const int64_t **ret, size_t *ret_n, struct mr_err *e) {
    const struct mr_pk_field *f;
    int rc = find_field(arr, name, &f, e);
    if (rc)
        return rc;
    size_t n = (size_t)arr->a.count, size = arr->a.dtype->d.size;
    int64_t *out = mr_arena_array(a, n ? n : 1, sizeof *out);
    if (!out)
        return no_memory(e);
    const uint8_t *p = arr->a.data + f->offset;
    for (size_t i = 0; i < n; i++)
        if (!mr_pk_item_i64(f->dtype, p + i * size, &out[i]))
            return bad_dtype(f->dtype, e);
    *ret = out;
    *ret_n = n;
    return 0;
}
