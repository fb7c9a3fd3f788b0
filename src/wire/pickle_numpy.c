/* numpy's constructors: dtype, ndarray, scalar. Formats: numpy.dtype.__reduce__,
 * numpy.ndarray.__reduce__ and __reduce_ex__(5), numpy._core.numeric._frombuffer. */
#include "wire/pickle_vm.h"

#define DTYPE_SIZE_MAX (1u << 24)
#define FIELDS_MAX     256u

const struct mr_pk mr_pk_void_dtype = {.type = MR_PK_DTYPE, .d = {.kind = 'V'}};

static struct mr_pk *arg(const struct mr_pk *t, size_t i) {
    return i < t->l.n ? t->l.v[i] : NULL;
}

/* "f8", "<f8", "|b1", "O", "V56", "U12", "M8[ns]" … */
static int parse_dtype(struct mr_pk_vm *vm, struct mr_str s, struct mr_pk *d) {
    const char *bad = "numpy dtype \"%.*s\" is unknown";
    int shown = s.n < 40 ? (int)s.n : 40;
    struct mr_str t = s;
    if (t.n && memchr("<>|=", t.p[0], 4)) {
        d->d.swapped = t.p[0] == '>';
        t = mr_strn(t.p + 1, t.n - 1);
    }
    if (!t.n || !memchr("?biufcSaUOVMm", t.p[0], 13))
        return mr_pkv_fail(vm, bad, shown, s.p);
    char kind = t.p[0];
    t = mr_strn(t.p + 1, t.n - 1);
    if (kind == 'M' || kind == 'm') { /* unit: "8[ns]" */
        struct mr_str unit = t;
        t = mr_str_cut(&unit, '[');
    }
    int64_t size = 0;
    if (t.n && !mr_str_i64(t, 0, DTYPE_SIZE_MAX / 4, &size))
        return mr_pkv_fail(vm, bad, shown, s.p);
    switch (kind) {
    case '?':
        kind = 'b';
        size = 1;
        break;
    case 'a':
        kind = 'S';
        break;
    case 'O':
        d->flags |= MR_PKF_OBJECTS;
        size = 8;
        break;
    case 'U':
        size *= 4;
        break;
    default:
        break;
    }
    d->d.kind = kind;
    d->d.size = (uint32_t)size;
    return 0;
}

static struct mr_pk *make_dtype(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args) {
    const struct mr_pk *a = arg(args, 0);
    if (!a || (a->type != MR_PK_STR && a->type != MR_PK_GLOBAL))
        return mr_pkv_obj(vm, fn, args);
    struct mr_pk *d = mr_pkv_node(vm, MR_PK_DTYPE);
    if (!d)
        return NULL;
    if (a->type == MR_PK_GLOBAL) /* numpy.record and its like: BUILD says size and fields */
        d->d.kind = 'V';
    else if (parse_dtype(vm, a->s, d))
        return NULL;
    return d;
}

static int dtype_field(struct mr_pk_vm *vm, struct mr_pk *d, const struct mr_pk *name,
                       const struct mr_pk *fields, struct mr_pk_field *ret) {
    if (name->type != MR_PK_STR)
        return mr_pkv_fail(vm, "a dtype field name that is no string");
    const struct mr_pk *v = NULL;
    for (size_t i = fields->l.n; i >= 2 && !v; i -= 2)
        if (fields->l.v[i - 2]->type == MR_PK_STR && mr_str_eq(fields->l.v[i - 2]->s, name->s))
            v = fields->l.v[i - 1];
    if (!v || v->type != MR_PK_TUPLE || v->l.n < 2)
        return mr_pkv_fail(vm, "dtype field \"%.*s\" is not described",
                           name->s.n < 40 ? (int)name->s.n : 40, name->s.p);
    struct mr_pk *dt = v->l.v[0];
    const struct mr_pk *at = v->l.v[1];
    if (dt->type != MR_PK_DTYPE || dt == d || at->type != MR_PK_INT || at->i < 0 ||
        at->i > (int64_t)d->d.size || dt->d.size > d->d.size - (uint32_t)at->i)
        return mr_pkv_fail(vm, "dtype field \"%.*s\" lies outside its record",
                           name->s.n < 40 ? (int)name->s.n : 40, name->s.p);
    dt->flags |= MR_PKF_USED;
    d->flags |= dt->flags & MR_PKF_OBJECTS;
    *ret = (struct mr_pk_field){name->s, (uint32_t)at->i, dt};
    return 0;
}

/* (version, byte order, subarray, names, fields, item size, alignment[, flags[, metadata]]) */
int mr_pkv_dtype_build(struct mr_pk_vm *vm, struct mr_pk *d, const struct mr_pk *s) {
    if (d->flags & MR_PKF_USED)
        return mr_pkv_fail(vm, "a dtype is changed after its use");
    if (s->type != MR_PK_TUPLE || s->l.n < 7 || s->l.n > 9)
        return mr_pkv_fail(vm, "an unknown form of dtype state");
    const struct mr_pk *order = s->l.v[1], *names = s->l.v[3], *fields = s->l.v[4];
    const struct mr_pk *size = s->l.v[5];
    struct mr_str o = order->type == MR_PK_BYTES ? order->s : (struct mr_str){NULL, 0};
    if (order->type == MR_PK_STR)
        o = order->s;
    if (o.n != 1 || !memchr("<>|=", o.p[0], 4))
        return mr_pkv_fail(vm, "an unknown byte order in a dtype");
    d->d.swapped = o.p[0] == '>';
    if (size->type == MR_PK_INT && size->i >= 0) {
        if (size->i > DTYPE_SIZE_MAX)
            return mr_pkv_fail(vm, "a dtype of %lld bytes", (long long)size->i);
        if (d->d.kind == 'V' || d->d.kind == 'S' || d->d.kind == 'U')
            d->d.size = (uint32_t)size->i;
    }
    if (names->type == MR_PK_NONE)
        return 0;
    if (d->d.kind != 'V' || names->type != MR_PK_TUPLE || fields->type != MR_PK_DICT ||
        names->l.n > FIELDS_MAX || fields->l.n > 4 * FIELDS_MAX)
        return mr_pkv_fail(vm, "malformed dtype fields");
    struct mr_pk_field *f = mr_pkv_array(vm, names->l.n, sizeof *f);
    if (!f)
        return vm->e->code;
    for (size_t i = 0; i < names->l.n; i++) {
        int rc = dtype_field(vm, d, names->l.v[i], fields, &f[i]);
        if (rc)
            return rc;
    }
    d->d.field = f;
    d->d.n_field = (uint32_t)names->l.n;
    return 0;
}

int mr_pkv_array_shape(struct mr_pk_vm *vm, struct mr_pk *a, struct mr_pk *dtype,
                       const struct mr_pk *shape) {
    if (!dtype || dtype->type != MR_PK_DTYPE)
        return mr_pkv_fail(vm, "an array without a dtype");
    if (!shape || (shape->type != MR_PK_INT && shape->type != MR_PK_TUPLE))
        return mr_pkv_fail(vm, "an array without a shape");
    struct mr_pk *const *v = shape->l.v;
    size_t n = shape->l.n;
    if (shape->type == MR_PK_INT) {
        v = (struct mr_pk *const *)&shape;
        n = 1;
    }
    if (n > sizeof a->a.shape / sizeof *a->a.shape)
        return mr_pkv_fail(vm, "an array of %zu dimensions", n);
    int64_t count = 1;
    for (size_t i = 0; i < n; i++) {
        if (v[i]->type != MR_PK_INT || v[i]->i < 0 || v[i]->i > INT64_C(1) << 40)
            return mr_pkv_fail(vm, "an array shape that is no shape");
        a->a.shape[i] = v[i]->i;
        if (__builtin_mul_overflow(count, v[i]->i, &count) || count > INT64_C(1) << 40)
            return mr_pkv_fail(vm, "an array of more than 2^40 items");
    }
    if (count && !dtype->d.size)
        return mr_pkv_fail(vm, "an array of empty items");
    a->a.ndim = (int)n;
    a->a.count = count;
    a->a.dtype = dtype;
    dtype->flags |= MR_PKF_USED;
    return 0;
}

int mr_pkv_array_bytes(struct mr_pk_vm *vm, struct mr_pk *a, const uint8_t *p, size_t n) {
    size_t want;
    if (__builtin_mul_overflow((size_t)a->a.count, (size_t)a->a.dtype->d.size, &want) || want != n)
        return mr_pkv_fail(vm, "an array of %lld items of %u bytes with %zu bytes of data",
                           (long long)a->a.count, a->a.dtype->d.size, n);
    a->a.data = p;
    return 0;
}

static int set_data(struct mr_pk_vm *vm, struct mr_pk *a, struct mr_pk *data) {
    if (a->a.dtype->flags & MR_PKF_OBJECTS) {
        if (!data || data->type != MR_PK_LIST || data->l.n != (size_t)a->a.count)
            return mr_pkv_fail(vm, "an object array without its %lld objects",
                               (long long)a->a.count);
        a->a.objs = data;
        a->a.fortran = false; /* numpy lists objects in row-major order whatever the memory order */
        return mr_pkv_deepen(vm, a, data);
    }
    struct mr_str s;
    if (data && data->type == MR_PK_BYTES) {
        s = data->s;
    } else if (data && data->type == MR_PK_STR) { /* Python 2's str */
        int rc = mr_pkv_latin1(vm, data->s, &s);
        if (rc)
            return rc;
    } else {
        return mr_pkv_fail(vm, "an array without data");
    }
    return mr_pkv_array_bytes(vm, a, (const uint8_t *)s.p, s.n);
}

/* ([version,] shape, dtype, is_fortran, data) */
int mr_pkv_array_build(struct mr_pk_vm *vm, struct mr_pk *a, const struct mr_pk *s) {
    if (s->type != MR_PK_TUPLE || s->l.n < 4 || s->l.n > 5)
        return mr_pkv_fail(vm, "an unknown form of array state");
    struct mr_pk *const *v = s->l.v + (s->l.n - 4);
    int rc = mr_pkv_array_shape(vm, a, v[1], v[0]);
    if (rc)
        return rc;
    int64_t fortran = 0;
    if (!mr_pk_int(v[2], &fortran))
        return mr_pkv_fail(vm, "an array without its memory order");
    a->a.fortran = fortran != 0;
    return set_data(vm, a, v[3]);
}

static struct mr_pk *new_array(struct mr_pk_vm *vm) {
    struct mr_pk *a = mr_pkv_node(vm, MR_PK_ARRAY);
    if (a) {
        a->a.dtype = &mr_pk_void_dtype;
        a->a.ndim = 1;
        a->a.data = (const uint8_t *)"";
    }
    return a;
}

/* order 'K': the data is C-ordered in `shape`, the array is its transpose by `axes`. */
static int permute(struct mr_pk_vm *vm, struct mr_pk *a, const struct mr_pk *axes) {
    int nd = a->a.ndim;
    if (axes->type != MR_PK_TUPLE || axes->l.n != (size_t)nd || a->a.dtype->flags & MR_PKF_OBJECTS)
        return mr_pkv_fail(vm, "an array with unknown axes");
    int64_t shape[8] = {0}, stride[8] = {0}, step[8] = {0};
    unsigned seen = 0;
    int64_t s = a->a.dtype->d.size;
    for (int i = nd; i-- > 0; s *= a->a.shape[i] ? a->a.shape[i] : 1)
        step[i] = s;
    for (int i = 0; i < nd; i++) {
        const struct mr_pk *x = axes->l.v[i];
        if (x->type != MR_PK_INT || x->i < 0 || x->i >= nd || seen & 1u << x->i)
            return mr_pkv_fail(vm, "an array with unknown axes");
        seen |= 1u << x->i;
        shape[i] = a->a.shape[x->i];
        stride[i] = step[x->i];
    }
    size_t size = a->a.dtype->d.size;
    uint8_t *out = mr_pkv_array(vm, (size_t)a->a.count, size);
    if (!out)
        return vm->e->code;
    int64_t at[8] = {0};
    const uint8_t *from = a->a.data;
    for (int64_t i = 0; i < a->a.count; i++) {
        memcpy(out + (size_t)i * size, from, size);
        for (int k = nd; k-- > 0;) {
            from += stride[k];
            if (++at[k] < shape[k])
                break;
            from -= stride[k] * shape[k];
            at[k] = 0;
        }
    }
    memcpy(a->a.shape, shape, sizeof shape);
    a->a.data = out;
    return 0;
}

/* _frombuffer(bytes, dtype, shape, order[, axes]) */
static struct mr_pk *frombuffer(struct mr_pk_vm *vm, struct mr_pk *args) {
    struct mr_pk *order = arg(args, 3), *axes = arg(args, 4);
    if (args->l.n < 4 || args->l.n > 5 || order->type != MR_PK_STR || order->s.n != 1) {
        mr_pkv_fail(vm, "unknown arguments of _frombuffer");
        return NULL;
    }
    struct mr_pk *a = new_array(vm);
    if (!a || mr_pkv_array_shape(vm, a, arg(args, 1), arg(args, 2)))
        return NULL;
    if (a->a.dtype->flags & MR_PKF_OBJECTS) {
        mr_pkv_fail(vm, "objects in a raw buffer");
        return NULL;
    }
    if (set_data(vm, a, arg(args, 0)))
        return NULL;
    a->flags |= MR_PKF_BUILT;
    a->a.fortran = order->s.p[0] == 'F';
    if (order->s.p[0] == 'K' && axes && axes->type != MR_PK_NONE && permute(vm, a, axes))
        return NULL;
    return a;
}

/* multiarray.scalar(dtype, bytes) */
static struct mr_pk *scalar(struct mr_pk_vm *vm, struct mr_pk *args) {
    struct mr_pk *dt = arg(args, 0), *data = arg(args, 1);
    if (args->l.n != 2 || dt->type != MR_PK_DTYPE) {
        mr_pkv_fail(vm, "a numpy scalar without dtype and value");
        return NULL;
    }
    if (dt->flags & MR_PKF_OBJECTS)
        return data;
    struct mr_pk *a = new_array(vm);
    if (!a)
        return NULL;
    struct mr_pk no_shape = {.type = MR_PK_TUPLE};
    if (mr_pkv_array_shape(vm, a, dt, &no_shape) || set_data(vm, a, data) ||
        mr_pkv_work(vm, dt->d.size))
        return NULL;
    a->flags |= MR_PKF_BUILT;
    struct mr_pk *n = mr_pk_item_node(&vm->arena, dt, a->a.data);
    return n ? n : a;
}

static bool is_plain_array_class(const struct mr_pk *c) {
    if (!c || c->type != MR_PK_GLOBAL || !mr_str_starts(c->g.mod, MR_LIT("numpy")))
        return false;
    return mr_str_is(c->g.name, "ndarray") || mr_str_is(c->g.name, "matrix") ||
           mr_str_is(c->g.name, "memmap") || mr_str_is(c->g.name, "recarray");
}

/* numpy.core.X or numpy._core.X */
static bool is_core(struct mr_str mod, const char *sub) {
    struct mr_str prefix =
        mr_str_starts(mod, MR_LIT("numpy._core.")) ? MR_LIT("numpy._core.") : MR_LIT("numpy.core.");
    return mr_str_starts(mod, prefix) &&
           mr_str_is(mr_strn(mod.p + prefix.n, mod.n - prefix.n), sub);
}

int mr_pkv_numpy_reduce(struct mr_pk_vm *vm, const struct mr_pk *fn, struct mr_pk *args,
                        struct mr_pk **ret) {
    struct mr_str mod = fn->g.mod, name = fn->g.name;
    struct mr_pk *made;
    if (!mr_str_starts(mod, MR_LIT("numpy")))
        return 0;
    if (mr_str_is(name, "dtype") && mr_str_is(mod, "numpy"))
        made = make_dtype(vm, (struct mr_pk *)fn, args);
    else if (mr_str_is(name, "_reconstruct") && is_core(mod, "multiarray") &&
             is_plain_array_class(arg(args, 0)))
        made = new_array(vm);
    else if (mr_str_is(name, "_frombuffer") && is_core(mod, "numeric"))
        made = frombuffer(vm, args);
    else if (mr_str_is(name, "scalar") && is_core(mod, "multiarray"))
        made = scalar(vm, args);
    else
        return 0;
    if (!made)
        return vm->e->code;
    *ret = made;
    return 0;
}
