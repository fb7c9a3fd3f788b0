/* REDUCE and BUILD: the few constructors that are plain data; all else becomes an inert object. */
#include "wire/pickle_vm.h"

static struct mr_pk *arg(const struct mr_pk *args, size_t i) {
    return i < args->l.n ? args->l.v[i] : NULL;
}

static bool is_seq(const struct mr_pk *n) {
    return n && (n->type == MR_PK_LIST || n->type == MR_PK_TUPLE || n->type == MR_PK_SET);
}

/* _codecs.encode(text, 'latin1'): how protocols 0-2 carry bytes. */
static struct mr_pk *codecs_encode(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args) {
    const struct mr_pk *text = arg(args, 0), *enc = arg(args, 1);
    if (args->l.n != 2 || text->type != MR_PK_STR || enc->type != MR_PK_STR)
        return mr_pkv_obj(vm, fn, args);
    if (!mr_str_is(enc->s, "latin1") && !mr_str_is(enc->s, "latin-1") &&
        !mr_str_is(enc->s, "iso-8859-1"))
        return mr_pkv_obj(vm, fn, args);
    struct mr_str s;
    if (mr_pkv_latin1(vm, text->s, &s))
        return NULL;
    return mr_pkv_str(vm, MR_PK_BYTES, s.p, s.n);
}

/* bytes(), bytearray(), bytearray(b'…'), bytearray('…', 'latin-1') */
static struct mr_pk *make_bytes(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args) {
    const struct mr_pk *a = arg(args, 0);
    if (!a)
        return mr_pkv_str(vm, MR_PK_BYTES, "", 0);
    if (args->l.n == 1 && a->type == MR_PK_BYTES)
        return mr_pkv_str(vm, MR_PK_BYTES, a->s.p, a->s.n);
    if (args->l.n == 2)
        return codecs_encode(vm, fn, args);
    return mr_pkv_obj(vm, fn, args);
}

/* list(x), tuple(x), set(x), frozenset(x) of a literal sequence. */
static struct mr_pk *make_seq(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args,
                              enum mr_pk_type t) {
    const struct mr_pk *a = arg(args, 0);
    if (!a)
        return mr_pkv_node(vm, t);
    if (args->l.n != 1 || !is_seq(a))
        return mr_pkv_obj(vm, fn, args);
    return mr_pkv_seq(vm, t, a->l.v, a->l.n);
}

/* dict(pairs), OrderedDict(pairs); a dict argument is copied. */
static struct mr_pk *make_dict(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args,
                               size_t first) {
    const struct mr_pk *a = arg(args, first);
    if (a && a->type == MR_PK_DICT)
        return mr_pkv_seq(vm, MR_PK_DICT, a->l.v, a->l.n);
    if (args->l.n > first + 1 || (a && !is_seq(a)))
        return mr_pkv_obj(vm, fn, args);
    struct mr_pk *d = mr_pkv_node(vm, MR_PK_DICT);
    for (size_t i = 0; d && a && i < a->l.n; i++) {
        const struct mr_pk *pair = a->l.v[i];
        if (!is_seq(pair) || pair->l.n != 2) {
            mr_pkv_fail(vm, "a dict entry that is no pair");
            return NULL;
        }
        if (mr_pkv_extend(vm, d, pair->l.v, 2))
            return NULL;
    }
    return d;
}

static struct mr_pk *builtin(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args) {
    struct mr_str name = fn->g.name;
    if (mr_str_is(name, "bytes") || mr_str_is(name, "bytearray"))
        return make_bytes(vm, fn, args);
    if (mr_str_is(name, "list"))
        return make_seq(vm, fn, args, MR_PK_LIST);
    if (mr_str_is(name, "tuple"))
        return make_seq(vm, fn, args, MR_PK_TUPLE);
    if (mr_str_is(name, "set") || mr_str_is(name, "frozenset"))
        return make_seq(vm, fn, args, MR_PK_SET);
    if (mr_str_is(name, "dict"))
        return make_dict(vm, fn, args, 0);
    return mr_pkv_obj(vm, fn, args); /* complex, slice, range: their arguments are their value */
}

/* copyreg._reconstructor(cls, base, state): an object of protocol 0/1, or a subclass of a
 * container with its contents. */
static struct mr_pk *reconstructor(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args) {
    struct mr_pk *cls = arg(args, 0);
    const struct mr_pk *base = arg(args, 1);
    if (args->l.n != 3 || cls->type != MR_PK_GLOBAL || base->type != MR_PK_GLOBAL)
        return mr_pkv_obj(vm, fn, args);
    struct mr_pk *value = arg(args, 2);
    if (value->type == MR_PK_NONE)
        return mr_pkv_obj(vm, cls, NULL);
    struct mr_pk *o = mr_pkv_obj(vm, cls, args);
    if (o && (value->type == MR_PK_DICT || value->type == MR_PK_LIST || value->type == MR_PK_SET))
        o->o.items = value;
    return o;
}

/* copyreg.__newobj__(cls, *args) */
static struct mr_pk *newobj(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args) {
    struct mr_pk *cls = arg(args, 0);
    if (!cls || cls->type != MR_PK_GLOBAL)
        return mr_pkv_obj(vm, fn, args);
    struct mr_pk *rest = mr_pkv_seq(vm, MR_PK_TUPLE, args->l.v + 1, args->l.n - 1);
    return rest ? mr_pkv_obj(vm, cls, rest) : NULL;
}

/* sklearn's tree indexes pickle as <module>.newObj(cls): cls.__new__(cls). */
static bool is_sklearn_newobj(const struct mr_pk *fn, const struct mr_pk *args) {
    return args->l.n == 1 && args->l.v[0]->type == MR_PK_GLOBAL &&
           mr_str_starts(fn->g.mod, MR_LIT("sklearn.")) &&
           mr_str_starts(fn->g.name, MR_LIT("newObj"));
}

struct mr_pk *mr_pkv_reduce(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args) {
    if (fn->type != MR_PK_GLOBAL)
        return mr_pkv_obj(vm, fn, args);
    struct mr_pk *made = NULL;
    if (mr_pkv_numpy_reduce(vm, fn, args, &made))
        return NULL;
    if (made)
        return made;
    struct mr_str mod = fn->g.mod, name = fn->g.name;
    if (mr_str_is(mod, "_codecs") && mr_str_is(name, "encode"))
        return codecs_encode(vm, fn, args);
    if (mr_str_is(mod, "builtins") || mr_str_is(mod, "__builtin__"))
        return builtin(vm, fn, args);
    if (mr_str_is(mod, "copyreg") || mr_str_is(mod, "copy_reg")) {
        if (mr_str_is(name, "_reconstructor"))
            return reconstructor(vm, fn, args);
        if (mr_str_is(name, "__newobj__"))
            return newobj(vm, fn, args);
    }
    if (mr_str_is(mod, "collections") &&
        (mr_str_is(name, "OrderedDict") || mr_str_is(name, "defaultdict"))) {
        struct mr_pk *d = make_dict(vm, fn, args, mr_str_is(name, "defaultdict"));
        if (d)
            d->flags |= d->type == MR_PK_DICT ? MR_PKF_DICTSUB : 0;
        return d;
    }
    if (is_sklearn_newobj(fn, args))
        return mr_pkv_obj(vm, args->l.v[0], NULL);
    return mr_pkv_obj(vm, fn, args);
}

int mr_pkv_build(struct mr_pk_vm *vm, struct mr_pk *o, struct mr_pk *state) {
    if (o->type == MR_PK_DICT && o->flags & MR_PKF_DICTSUB)
        return 0; /* attributes of an OrderedDict (torch's _metadata) are no part of its items */
    if (o->type != MR_PK_OBJ && o->type != MR_PK_ARRAY && o->type != MR_PK_DTYPE)
        return mr_pkv_fail(vm, "state for something that is no object");
    if (o->flags & MR_PKF_BUILT)
        return mr_pkv_fail(vm, "state given twice to one object");
    o->flags |= MR_PKF_BUILT;
    if (o->type == MR_PK_DTYPE)
        return mr_pkv_dtype_build(vm, o, state);
    if (o->type == MR_PK_ARRAY)
        return mr_pkv_array_build(vm, o, state);
    if (o->flags & MR_PKF_FULL)
        return mr_pkv_joblib_build(vm, o, state);
    if (o->o.cls->type == MR_PK_GLOBAL && mr_str_starts(o->o.cls->g.mod, MR_LIT("joblib.")) &&
        mr_str_ends(o->o.cls->g.name, MR_LIT("NDArrayWrapper")))
        return mr_pkv_fail(vm, "an array lies in a separate file, as joblib before 0.10 wrote it; "
                               "save the model again with a newer joblib, into one file");
    o->o.state = state;
    return mr_pkv_deepen(vm, o, state);
}
