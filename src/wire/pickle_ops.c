/* The opcode table of protocols 0-5 (names and meanings: CPython Lib/pickletools.py). */
#include "wire/pickle_vm.h"

#include "base/num.h"

#define OP(name) static int name(struct mr_pk_vm *vm)

/* --- numbers and constants ---------------------------------------------------------------- */

OP(op_none) {
    return mr_pkv_push(vm, vm->none);
}
OP(op_true) {
    return mr_pkv_push(vm, vm->yes);
}
OP(op_false) {
    return mr_pkv_push(vm, vm->no);
}

static int push_uint(struct mr_pk_vm *vm, unsigned bytes) {
    uint64_t v = 0;
    int rc = mr_pkv_le(vm, bytes, &v);
    return rc ? rc : mr_pkv_push(vm, mr_pkv_int(vm, (int64_t)v));
}
OP(op_binint1) {
    return push_uint(vm, 1);
}
OP(op_binint2) {
    return push_uint(vm, 2);
}
OP(op_binint) {
    uint64_t v = 0;
    int rc = mr_pkv_le(vm, 4, &v);
    return rc ? rc : mr_pkv_push(vm, mr_pkv_int(vm, (int32_t)(uint32_t)v));
}

/* Little-endian two's complement of n bytes. */
static int push_long(struct mr_pk_vm *vm, uint64_t n) {
    const uint8_t *p = mr_pkv_take(vm, n);
    if (!p)
        return vm->e->code;
    /* sign bytes that say nothing are dropped, so equal numbers look equal */
    while (n > 8 &&
           ((p[n - 1] == 0 && !(p[n - 2] & 0x80)) || (p[n - 1] == 0xff && p[n - 2] & 0x80)))
        n--;
    if (n > 8)
        return mr_pkv_push(vm, mr_pkv_str(vm, MR_PK_BIGINT, p, n));
    uint64_t v = n && p[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (uint64_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return mr_pkv_push(vm, mr_pkv_int(vm, (int64_t)v));
}
OP(op_long1) {
    uint64_t n = 0;
    int rc = mr_pkv_le(vm, 1, &n);
    return rc ? rc : push_long(vm, n);
}
OP(op_long4) {
    uint64_t n = 0;
    int rc = mr_pkv_le(vm, 4, &n);
    if (rc)
        return rc;
    if (n > INT32_MAX)
        return mr_pkv_fail(vm, "negative length");
    return push_long(vm, n);
}
OP(op_int) {
    struct mr_str s;
    int rc = mr_pkv_line(vm, &s);
    if (rc)
        return rc;
    if (mr_str_is(s, "00") || mr_str_is(s, "01"))
        return mr_pkv_push(vm, s.p[1] == '1' ? vm->yes : vm->no);
    return mr_pkv_push(vm, mr_pkv_decimal(vm, s));
}
OP(op_long) {
    struct mr_str s;
    int rc = mr_pkv_line(vm, &s);
    if (rc)
        return rc;
    if (s.n && s.p[s.n - 1] == 'L')
        s.n--;
    return mr_pkv_push(vm, mr_pkv_decimal(vm, s));
}
OP(op_float) {
    struct mr_str s;
    double f;
    int rc = mr_pkv_line(vm, &s);
    if (rc)
        return rc;
    if (mr_str_is(s, "nan") || mr_str_is(s, "-nan"))
        f = __builtin_nan("");
    else if (mr_str_is(s, "inf"))
        f = __builtin_inf();
    else if (mr_str_is(s, "-inf"))
        f = -__builtin_inf();
    else if (!mr_f64_parse(s, &f))
        return mr_pkv_fail(vm, "not a decimal number");
    return mr_pkv_push(vm, mr_pkv_float(vm, f));
}
OP(op_binfloat) {
    const uint8_t *p = mr_pkv_take(vm, 8);
    if (!p)
        return vm->e->code;
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | p[i];
    double f;
    memcpy(&f, &v, sizeof f);
    return mr_pkv_push(vm, mr_pkv_float(vm, f));
}

/* --- text and bytes ----------------------------------------------------------------------- */

static int take_counted(struct mr_pk_vm *vm, unsigned width, struct mr_str *ret) {
    uint64_t n = 0;
    int rc = mr_pkv_le(vm, width, &n);
    if (rc)
        return rc;
    const uint8_t *p = mr_pkv_take(vm, n);
    if (!p)
        return vm->e->code;
    *ret = mr_strn((const char *)p, n);
    return 0;
}

static int push_unicode(struct mr_pk_vm *vm, unsigned width) {
    struct mr_str s;
    int rc = take_counted(vm, width, &s);
    if (rc)
        return rc;
    if (!mr_utf8_valid(s))
        return mr_pkv_fail(vm, "text that is not UTF-8");
    return mr_pkv_push(vm, mr_pkv_str(vm, MR_PK_STR, s.p, s.n));
}
OP(op_short_binunicode) {
    return push_unicode(vm, 1);
}
OP(op_binunicode) {
    return push_unicode(vm, 4);
}
OP(op_binunicode8) {
    return push_unicode(vm, 8);
}

static int push_bytes(struct mr_pk_vm *vm, unsigned width) {
    struct mr_str s;
    int rc = take_counted(vm, width, &s);
    return rc ? rc : mr_pkv_push(vm, mr_pkv_str(vm, MR_PK_BYTES, s.p, s.n));
}
OP(op_short_binbytes) {
    return push_bytes(vm, 1);
}
OP(op_binbytes) {
    return push_bytes(vm, 4);
}
OP(op_binbytes8) {
    return push_bytes(vm, 8);
}

OP(op_short_binstring) {
    struct mr_str s;
    int rc = take_counted(vm, 1, &s);
    return rc ? rc : mr_pkv_push(vm, mr_pkv_py2str(vm, s.p, s.n));
}
OP(op_binstring) {
    struct mr_str s;
    int rc = take_counted(vm, 4, &s);
    return rc ? rc : mr_pkv_push(vm, mr_pkv_py2str(vm, s.p, s.n));
}
OP(op_string) {
    struct mr_str s;
    int rc = mr_pkv_line(vm, &s);
    return rc ? rc : mr_pkv_push(vm, mr_pkv_unescape_str(vm, s));
}
OP(op_unicode) {
    struct mr_str s;
    int rc = mr_pkv_line(vm, &s);
    return rc ? rc : mr_pkv_push(vm, mr_pkv_unescape_unicode(vm, s));
}

/* --- containers --------------------------------------------------------------------------- */

OP(op_empty_list) {
    return mr_pkv_push(vm, mr_pkv_node(vm, MR_PK_LIST));
}
OP(op_empty_tuple) {
    return mr_pkv_push(vm, mr_pkv_node(vm, MR_PK_TUPLE));
}
OP(op_empty_dict) {
    return mr_pkv_push(vm, mr_pkv_node(vm, MR_PK_DICT));
}
OP(op_empty_set) {
    return mr_pkv_push(vm, mr_pkv_node(vm, MR_PK_SET));
}

static int collect(struct mr_pk_vm *vm, enum mr_pk_type t) {
    size_t at;
    int rc = mr_pkv_unmark(vm, &at);
    if (rc)
        return rc;
    if (t == MR_PK_DICT && (vm->sp - at) % 2)
        return mr_pkv_fail(vm, "a key without a value");
    struct mr_pk *n = mr_pkv_seq(vm, t, vm->stack + at, vm->sp - at);
    vm->sp = at;
    return mr_pkv_push(vm, n);
}
OP(op_tuple) {
    return collect(vm, MR_PK_TUPLE);
}
OP(op_list) {
    return collect(vm, MR_PK_LIST);
}
OP(op_dict) {
    return collect(vm, MR_PK_DICT);
}
OP(op_frozenset) {
    return collect(vm, MR_PK_SET);
}

static int small_tuple(struct mr_pk_vm *vm, unsigned n) {
    struct mr_pk *v[3];
    for (unsigned i = n; i-- > 0;) {
        v[i] = mr_pkv_pop(vm);
        if (!v[i])
            return vm->e->code;
    }
    return mr_pkv_push(vm, mr_pkv_seq(vm, MR_PK_TUPLE, v, n));
}
OP(op_tuple1) {
    return small_tuple(vm, 1);
}
OP(op_tuple2) {
    return small_tuple(vm, 2);
}
OP(op_tuple3) {
    return small_tuple(vm, 3);
}

/* The LIST, DICT or SET that items given to `n` go into; an object keeps them in .items. */
static struct mr_pk *items_of(struct mr_pk_vm *vm, struct mr_pk *n, enum mr_pk_type want) {
    if (n->type == want)
        return n;
    if (n->type != MR_PK_OBJ) {
        mr_pkv_fail(vm, "the target is no container of that kind");
        return NULL;
    }
    if (!n->o.items) {
        struct mr_pk *fresh = mr_pkv_node(vm, want);
        if (!fresh)
            return NULL;
        n->o.items = fresh;
    }
    if (n->o.items->type != want) {
        mr_pkv_fail(vm, "the object was given items of another kind before");
        return NULL;
    }
    return n->o.items;
}

static int add_items(struct mr_pk_vm *vm, struct mr_pk *to, enum mr_pk_type want, struct mr_pk **v,
                     size_t n) {
    struct mr_pk *items = items_of(vm, to, want);
    if (!items)
        return vm->e->code;
    int rc = mr_pkv_extend(vm, items, v, n);
    return rc || items == to ? rc : mr_pkv_deepen(vm, to, items);
}

static int add_marked(struct mr_pk_vm *vm, enum mr_pk_type want) {
    size_t at;
    int rc = mr_pkv_unmark(vm, &at);
    if (rc)
        return rc;
    size_t n = vm->sp - at;
    vm->sp = at;
    struct mr_pk *to = mr_pkv_top(vm);
    if (!to)
        return vm->e->code;
    if (want == MR_PK_DICT && n % 2)
        return mr_pkv_fail(vm, "a key without a value");
    return add_items(vm, to, want, vm->stack + at, n);
}
OP(op_appends) {
    return add_marked(vm, MR_PK_LIST);
}
OP(op_setitems) {
    return add_marked(vm, MR_PK_DICT);
}
OP(op_additems) {
    return add_marked(vm, MR_PK_SET);
}
OP(op_append) {
    struct mr_pk *v = mr_pkv_pop(vm), *to = v ? mr_pkv_top(vm) : NULL;
    return to ? add_items(vm, to, MR_PK_LIST, &v, 1) : vm->e->code;
}
OP(op_setitem) {
    struct mr_pk *kv[2], *to;
    if (!(kv[1] = mr_pkv_pop(vm)) || !(kv[0] = mr_pkv_pop(vm)) || !(to = mr_pkv_top(vm)))
        return vm->e->code;
    return add_items(vm, to, MR_PK_DICT, kv, 2);
}

/* --- stack and memo ----------------------------------------------------------------------- */

OP(op_pop) {
    /* a mark on top counts as an item */
    if (vm->n_mark > vm->mark_base && vm->marks[vm->n_mark - 1] == vm->sp) {
        vm->n_mark--;
        return 0;
    }
    return mr_pkv_pop(vm) ? 0 : vm->e->code;
}
OP(op_pop_mark) {
    size_t at;
    int rc = mr_pkv_unmark(vm, &at);
    if (!rc)
        vm->sp = at;
    return rc;
}
OP(op_dup) {
    struct mr_pk *n = mr_pkv_top(vm);
    return n ? mr_pkv_push(vm, n) : vm->e->code;
}
OP(op_mark) {
    return mr_pkv_mark(vm);
}

static int memo_index(struct mr_pk_vm *vm, unsigned width, uint64_t *ret) {
    if (width)
        return mr_pkv_le(vm, width, ret);
    struct mr_str s;
    int64_t v;
    int rc = mr_pkv_line(vm, &s);
    if (rc)
        return rc;
    if (!mr_str_i64(s, 0, INT64_MAX, &v))
        return mr_pkv_fail(vm, "not a memo index");
    *ret = (uint64_t)v;
    return 0;
}
static int put(struct mr_pk_vm *vm, unsigned width) {
    uint64_t k = 0;
    int rc = memo_index(vm, width, &k);
    struct mr_pk *n = rc ? NULL : mr_pkv_top(vm);
    return n ? mr_pkv_memo_put(vm, k, n) : vm->e->code;
}
static int get(struct mr_pk_vm *vm, unsigned width) {
    uint64_t k = 0;
    int rc = memo_index(vm, width, &k);
    struct mr_pk *n = rc ? NULL : mr_pkv_memo_get(vm, k);
    return n ? mr_pkv_push(vm, n) : vm->e->code;
}
OP(op_put) {
    return put(vm, 0);
}
OP(op_binput) {
    return put(vm, 1);
}
OP(op_long_binput) {
    return put(vm, 4);
}
OP(op_memoize) {
    struct mr_pk *n = mr_pkv_top(vm);
    return n ? mr_pkv_memo_put(vm, vm->memo_used, n) : vm->e->code;
}
OP(op_get) {
    return get(vm, 0);
}
OP(op_binget) {
    return get(vm, 1);
}
OP(op_long_binget) {
    return get(vm, 4);
}

/* --- classes and objects: inert ----------------------------------------------------------- */

static int take_global(struct mr_pk_vm *vm, struct mr_pk **ret) {
    struct mr_str mod, name;
    int rc = mr_pkv_line(vm, &mod);
    if (!rc)
        rc = mr_pkv_line(vm, &name);
    if (rc)
        return rc;
    if (!mr_utf8_valid(mod) || !mr_utf8_valid(name))
        return mr_pkv_fail(vm, "a class name that is not UTF-8");
    *ret = mr_pkv_global(vm, mod, name);
    return *ret ? 0 : vm->e->code;
}
OP(op_global) {
    struct mr_pk *g;
    int rc = take_global(vm, &g);
    return rc ? rc : mr_pkv_push(vm, g);
}
OP(op_stack_global) {
    struct mr_pk *name = mr_pkv_pop(vm), *mod = name ? mr_pkv_pop(vm) : NULL;
    if (!mod)
        return vm->e->code;
    if (name->type != MR_PK_STR || mod->type != MR_PK_STR)
        return mr_pkv_fail(vm, "module and name must be strings");
    return mr_pkv_push(vm, mr_pkv_global(vm, mod->s, name->s));
}

static int check_class(struct mr_pk_vm *vm, const struct mr_pk *cls) {
    if (cls->type == MR_PK_GLOBAL || cls->type == MR_PK_OBJ)
        return 0;
    return mr_pkv_fail(vm, "the class is not a class");
}
OP(op_reduce) {
    struct mr_pk *args = mr_pkv_pop(vm), *fn = args ? mr_pkv_pop(vm) : NULL;
    if (!fn || check_class(vm, fn))
        return vm->e->code;
    if (args->type != MR_PK_TUPLE)
        return mr_pkv_fail(vm, "the arguments are no tuple");
    return mr_pkv_push(vm, mr_pkv_reduce(vm, fn, args));
}
OP(op_newobj) {
    struct mr_pk *args = mr_pkv_pop(vm), *cls = args ? mr_pkv_pop(vm) : NULL;
    if (!cls || check_class(vm, cls))
        return vm->e->code;
    if (args->type != MR_PK_TUPLE)
        return mr_pkv_fail(vm, "the arguments are no tuple");
    return mr_pkv_push(vm, mr_pkv_obj(vm, cls, args));
}
OP(op_newobj_ex) {
    struct mr_pk *kw = mr_pkv_pop(vm), *args = kw ? mr_pkv_pop(vm) : NULL;
    struct mr_pk *cls = args ? mr_pkv_pop(vm) : NULL;
    if (!cls || check_class(vm, cls))
        return vm->e->code;
    if (args->type != MR_PK_TUPLE || kw->type != MR_PK_DICT)
        return mr_pkv_fail(vm, "the arguments are no tuple and dict");
    if (kw->l.n)
        return mr_pkv_fail(vm, "keyword arguments have no data meaning");
    return mr_pkv_push(vm, mr_pkv_obj(vm, cls, args));
}
/* Class and arguments above a mark (OBJ), or class by name and arguments (INST). */
static int inst(struct mr_pk_vm *vm, struct mr_pk *cls, size_t at, size_t first) {
    struct mr_pk *args = mr_pkv_seq(vm, MR_PK_TUPLE, vm->stack + first, vm->sp - first);
    vm->sp = at;
    return args ? mr_pkv_push(vm, mr_pkv_obj(vm, cls, args)) : vm->e->code;
}
OP(op_inst) {
    struct mr_pk *cls;
    size_t at;
    int rc = take_global(vm, &cls);
    if (!rc)
        rc = mr_pkv_unmark(vm, &at);
    return rc ? rc : inst(vm, cls, at, at);
}
OP(op_obj) {
    size_t at;
    int rc = mr_pkv_unmark(vm, &at);
    if (rc)
        return rc;
    if (at == vm->sp)
        return mr_pkv_fail(vm, "no class above the mark");
    rc = check_class(vm, vm->stack[at]);
    return rc ? rc : inst(vm, vm->stack[at], at, at + 1);
}
OP(op_build) {
    struct mr_pk *state = mr_pkv_pop(vm), *o = state ? mr_pkv_top(vm) : NULL;
    return o ? mr_pkv_build(vm, o, state) : vm->e->code;
}

static int persistent(struct mr_pk_vm *vm, struct mr_pk *id) {
    struct mr_pk *g = mr_pkv_global(vm, MR_LIT("pickle"), MR_LIT("persistent_id"));
    struct mr_pk *args = g && id ? mr_pkv_seq(vm, MR_PK_TUPLE, &id, 1) : NULL;
    return args ? mr_pkv_push(vm, mr_pkv_obj(vm, g, args)) : vm->e->code;
}
OP(op_persid) {
    struct mr_str s;
    int rc = mr_pkv_line(vm, &s);
    return rc ? rc : persistent(vm, mr_pkv_py2str(vm, s.p, s.n));
}
OP(op_binpersid) {
    return persistent(vm, mr_pkv_pop(vm));
}

/* --- refused, framing --------------------------------------------------------------------- */

OP(op_ext) {
    return mr_pkv_fail(vm, "extension codes name classes that only the writer's Python knows");
}
OP(op_buffer) {
    return mr_pkv_fail(vm, "the data is in a buffer outside the file");
}
OP(op_proto) {
    uint64_t v = 0;
    int rc = mr_pkv_le(vm, 1, &v);
    if (!rc && v > 5)
        return mr_pkv_fail(vm, "protocol %u is newer than 5", (unsigned)v);
    return rc;
}
OP(op_frame) {
    uint64_t n = 0;
    int rc = mr_pkv_le(vm, 8, &n);
    if (!rc && n > (uint64_t)(vm->end - vm->p))
        return mr_pkv_fail(vm, "a frame of %llu bytes, the file has %zu left",
                           (unsigned long long)n, (size_t)(vm->end - vm->p));
    return rc;
}

const struct mr_pk_op mr_pk_ops[256] = {
    ['I'] = {"INT", op_int},
    ['J'] = {"BININT", op_binint},
    ['K'] = {"BININT1", op_binint1},
    ['M'] = {"BININT2", op_binint2},
    ['L'] = {"LONG", op_long},
    [0x8a] = {"LONG1", op_long1},
    [0x8b] = {"LONG4", op_long4},
    ['S'] = {"STRING", op_string},
    ['T'] = {"BINSTRING", op_binstring},
    ['U'] = {"SHORT_BINSTRING", op_short_binstring},
    ['B'] = {"BINBYTES", op_binbytes},
    ['C'] = {"SHORT_BINBYTES", op_short_binbytes},
    [0x8e] = {"BINBYTES8", op_binbytes8},
    [0x96] = {"BYTEARRAY8", op_binbytes8},
    [0x97] = {"NEXT_BUFFER", op_buffer},
    [0x98] = {"READONLY_BUFFER", op_buffer},
    ['N'] = {"NONE", op_none},
    [0x88] = {"NEWTRUE", op_true},
    [0x89] = {"NEWFALSE", op_false},
    ['V'] = {"UNICODE", op_unicode},
    [0x8c] = {"SHORT_BINUNICODE", op_short_binunicode},
    ['X'] = {"BINUNICODE", op_binunicode},
    [0x8d] = {"BINUNICODE8", op_binunicode8},
    ['F'] = {"FLOAT", op_float},
    ['G'] = {"BINFLOAT", op_binfloat},
    [']'] = {"EMPTY_LIST", op_empty_list},
    ['a'] = {"APPEND", op_append},
    ['e'] = {"APPENDS", op_appends},
    ['l'] = {"LIST", op_list},
    [')'] = {"EMPTY_TUPLE", op_empty_tuple},
    ['t'] = {"TUPLE", op_tuple},
    [0x85] = {"TUPLE1", op_tuple1},
    [0x86] = {"TUPLE2", op_tuple2},
    [0x87] = {"TUPLE3", op_tuple3},
    ['}'] = {"EMPTY_DICT", op_empty_dict},
    ['d'] = {"DICT", op_dict},
    ['s'] = {"SETITEM", op_setitem},
    ['u'] = {"SETITEMS", op_setitems},
    [0x8f] = {"EMPTY_SET", op_empty_set},
    [0x90] = {"ADDITEMS", op_additems},
    [0x91] = {"FROZENSET", op_frozenset},
    ['0'] = {"POP", op_pop},
    ['2'] = {"DUP", op_dup},
    ['('] = {"MARK", op_mark},
    ['1'] = {"POP_MARK", op_pop_mark},
    ['g'] = {"GET", op_get},
    ['h'] = {"BINGET", op_binget},
    ['j'] = {"LONG_BINGET", op_long_binget},
    ['p'] = {"PUT", op_put},
    ['q'] = {"BINPUT", op_binput},
    ['r'] = {"LONG_BINPUT", op_long_binput},
    [0x94] = {"MEMOIZE", op_memoize},
    [0x82] = {"EXT1", op_ext},
    [0x83] = {"EXT2", op_ext},
    [0x84] = {"EXT4", op_ext},
    ['c'] = {"GLOBAL", op_global},
    [0x93] = {"STACK_GLOBAL", op_stack_global},
    ['R'] = {"REDUCE", op_reduce},
    ['b'] = {"BUILD", op_build},
    ['i'] = {"INST", op_inst},
    ['o'] = {"OBJ", op_obj},
    [0x81] = {"NEWOBJ", op_newobj},
    [0x92] = {"NEWOBJ_EX", op_newobj_ex},
    [0x80] = {"PROTO", op_proto},
    ['.'] = {"STOP", NULL},
    [0x95] = {"FRAME", op_frame},
    ['P'] = {"PERSID", op_persid},
    ['Q'] = {"BINPERSID", op_binpersid},
};
