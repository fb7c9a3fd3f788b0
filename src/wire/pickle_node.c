/* Errors, memory and nodes of the pickle machine. */
#include "wire/pickle_vm.h"

#include <stdarg.h>
#include <stdio.h>

#define DEPTH_FACTOR 16u /* containers may nest this many times lim.max_depth */

int mr_pkv_fail(struct mr_pk_vm *vm, const char *fmt, ...) {
    char why[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    size_t at = (size_t)(vm->op_at - vm->base);
    const char *name = vm->op_at < vm->end ? mr_pk_ops[*vm->op_at].name : NULL;
    return mr_fail(vm->e, MR_EREFUSED, "pickle opcode %s at byte %zu: %s", name ? name : "?", at,
                   why);
}

static int out_of_memory(struct mr_pk_vm *vm, size_t n) {
    if (n > vm->arena.max || vm->arena.used > vm->arena.max - n)
        return mr_pkv_fail(vm, "the file needs more than the %zu MiB that reading may take",
                           vm->lim.max_memory >> 20);
    return mr_fail(vm->e, MR_ENOMEM, "out of memory while reading the pickle");
}

int mr_pkv_charge(struct mr_pk_vm *vm, size_t bytes) {
    if (bytes > vm->arena.max || vm->arena.used > vm->arena.max - bytes)
        return out_of_memory(vm, bytes);
    vm->arena.max -= bytes;
    return 0;
}

int mr_pkv_work(struct mr_pk_vm *vm, size_t n) {
    if (n > vm->lim.max_memory - vm->work)
        return mr_pkv_fail(vm, "the same bytes are read over and over");
    vm->work += n;
    return 0;
}

void *mr_pkv_alloc(struct mr_pk_vm *vm, size_t n) {
    void *p = mr_arena_alloc(&vm->arena, n);
    if (!p)
        out_of_memory(vm, n);
    return p;
}

void *mr_pkv_array(struct mr_pk_vm *vm, size_t n, size_t size) {
    void *p = mr_arena_array(&vm->arena, n, size);
    if (!p)
        out_of_memory(vm, size && n > SIZE_MAX / size ? SIZE_MAX : n * size);
    return p;
}

size_t mr_pk_node_size(enum mr_pk_type t) {
#define UPTO(member) (offsetof(struct mr_pk, member) + sizeof(((struct mr_pk *)0)->member))
    switch (t) {
    case MR_PK_NONE:
    case MR_PK_BOOL:
    case MR_PK_INT:
    case MR_PK_FLOAT:
        return UPTO(i);
    case MR_PK_BIGINT:
    case MR_PK_STR:
    case MR_PK_BYTES:
        return UPTO(s);
    case MR_PK_LIST:
    case MR_PK_TUPLE:
    case MR_PK_DICT:
    case MR_PK_SET:
        return UPTO(l);
    case MR_PK_GLOBAL:
        return UPTO(g);
    case MR_PK_OBJ:
        return UPTO(o);
    case MR_PK_DTYPE:
        return UPTO(d);
    case MR_PK_ARRAY:
        break;
    }
    return sizeof(struct mr_pk);
#undef UPTO
}

static struct mr_pk *node_of_size(struct mr_pk_vm *vm, enum mr_pk_type t, size_t size) {
    if (vm->nodes >= vm->lim.max_nodes) {
        mr_pkv_fail(vm, "more than %zu objects", vm->lim.max_nodes);
        return NULL;
    }
    struct mr_pk *n = mr_pkv_alloc(vm, size);
    if (n) {
        vm->nodes++;
        memset(n, 0, size);
        n->type = (uint8_t)t;
    }
    return n;
}

struct mr_pk *mr_pkv_node(struct mr_pk_vm *vm, enum mr_pk_type t) {
    return node_of_size(vm, t, mr_pk_node_size(t));
}

struct mr_pk *mr_pkv_obj(struct mr_pk_vm *vm, struct mr_pk *cls, struct mr_pk *args) {
    bool full = mr_pkv_is_joblib_array(cls);
    struct mr_pk *n = node_of_size(vm, MR_PK_OBJ, full ? sizeof *n : mr_pk_node_size(MR_PK_OBJ));
    if (!n)
        return NULL;
    n->flags = full ? MR_PKF_FULL : 0;
    n->o.cls = cls;
    n->o.args = args;
    if (mr_pkv_deepen(vm, n, cls) || (args && mr_pkv_deepen(vm, n, args)))
        return NULL;
    return n;
}

struct mr_pk *mr_pkv_str(struct mr_pk_vm *vm, enum mr_pk_type t, const void *p, size_t n) {
    struct mr_pk *r = mr_pkv_node(vm, t);
    if (r)
        r->s = mr_strn(p, n);
    return r;
}

struct mr_pk *mr_pkv_int(struct mr_pk_vm *vm, int64_t i) {
    struct mr_pk *r = mr_pkv_node(vm, MR_PK_INT);
    if (r)
        r->i = i;
    return r;
}

struct mr_pk *mr_pkv_float(struct mr_pk_vm *vm, double f) {
    struct mr_pk *r = mr_pkv_node(vm, MR_PK_FLOAT);
    if (r)
        r->f = f;
    return r;
}

struct mr_pk *mr_pkv_global(struct mr_pk_vm *vm, struct mr_str mod, struct mr_str name) {
    struct mr_pk *r = mr_pkv_node(vm, MR_PK_GLOBAL);
    if (r) {
        r->g.mod = mod;
        r->g.name = name;
    }
    return r;
}

int mr_pkv_deepen(struct mr_pk_vm *vm, struct mr_pk *parent, const struct mr_pk *child) {
    if (child->depth < parent->depth)
        return 0;
    if (child->depth >= vm->lim.max_depth * DEPTH_FACTOR || child->depth == UINT16_MAX)
        return mr_pkv_fail(vm, "objects nest more than %u deep", vm->lim.max_depth * DEPTH_FACTOR);
    parent->depth = (uint16_t)(child->depth + 1);
    return 0;
}

int mr_pkv_extend(struct mr_pk_vm *vm, struct mr_pk *seq, struct mr_pk **v, size_t n) {
    if (n > seq->l.cap - seq->l.n) {
        size_t cap = seq->l.n + n;
        if (seq->l.n && cap < seq->l.n * 2)
            cap = seq->l.n * 2;
        if (n == 1 && cap < 4)
            cap = 4;
        struct mr_pk **grown = mr_pkv_array(vm, cap, sizeof *grown);
        if (!grown)
            return vm->e->code;
        if (seq->l.n)
            memcpy(grown, seq->l.v, seq->l.n * sizeof *grown);
        seq->l.v = grown;
        seq->l.cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        int rc = mr_pkv_deepen(vm, seq, v[i]);
        if (rc)
            return rc;
        seq->l.v[seq->l.n++] = v[i];
    }
    return 0;
}

struct mr_pk *mr_pkv_seq(struct mr_pk_vm *vm, enum mr_pk_type t, struct mr_pk **v, size_t n) {
    struct mr_pk *r = mr_pkv_node(vm, t);
    if (!r || (n && mr_pkv_extend(vm, r, v, n)))
        return NULL;
    return r;
}
