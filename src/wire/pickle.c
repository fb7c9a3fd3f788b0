/* The machine: input, stack, memo, inner pickles, and the public load/free. */
#include "wire/pickle.h"

#include "base/alloc.h"
#include "wire/decompress.h"
#include "wire/pickle_vm.h"

#define MEMO_SLACK 65536u /* memo indices may run this far ahead of the PUTs seen */

struct mr_pk_doc {
    struct mr_pk_vm vm;
    uint8_t *plain; /* decompressed input, or NULL */
    struct mr_pk *root;
    size_t trailing;
};

struct mr_pk_limits mr_pk_default_limits(void) {
    return (struct mr_pk_limits){
        .max_memory = (size_t)1 << 30,
        .max_nodes = 50u * 1000 * 1000,
        .max_depth = 64,
        .max_ratio = 200,
    };
}

/* --- input -------------------------------------------------------------------------------- */

const uint8_t *mr_pkv_take(struct mr_pk_vm *vm, size_t n) {
    if ((size_t)(vm->end - vm->p) < n) {
        mr_pkv_fail(vm, "the file ends here, %zu more bytes were announced", n);
        return NULL;
    }
    const uint8_t *r = vm->p;
    vm->p += n;
    return r;
}

int mr_pkv_le(struct mr_pk_vm *vm, unsigned bytes, uint64_t *ret) {
    const uint8_t *p = mr_pkv_take(vm, bytes);
    if (!p)
        return vm->e->code;
    uint64_t r = 0;
    for (unsigned i = bytes; i-- > 0;)
        r = r << 8 | p[i];
    *ret = r;
    return 0;
}

int mr_pkv_line(struct mr_pk_vm *vm, struct mr_str *ret) {
    size_t left = (size_t)(vm->end - vm->p);
    const uint8_t *nl = left ? memchr(vm->p, '\n', left) : NULL;
    if (!nl)
        return mr_pkv_fail(vm, "the file ends inside a text argument");
    *ret = mr_strn((const char *)vm->p, (size_t)(nl - vm->p));
    vm->p = nl + 1;
    return 0;
}

/* --- stack and memo ----------------------------------------------------------------------- */

/* Doubles an array of pointers or sizes that lives outside the arena. */
static int grow(struct mr_pk_vm *vm, void **v, size_t *cap, size_t want) {
    size_t fresh = *cap ? *cap : 256;
    while (fresh < want) {
        if (fresh > SIZE_MAX / 32)
            return mr_pkv_charge(vm, SIZE_MAX);
        fresh *= 2;
    }
    int rc = mr_pkv_charge(vm, (fresh - *cap) * sizeof(void *));
    if (rc)
        return rc;
    void *p = mr_reallocarray(*v, fresh, sizeof(void *));
    if (!p)
        return mr_fail(vm->e, MR_ENOMEM, "out of memory while reading the pickle");
    *v = p;
    *cap = fresh;
    return 0;
}

int mr_pkv_push(struct mr_pk_vm *vm, struct mr_pk *n) {
    if (!n)
        return vm->e->code;
    if (vm->sp == vm->stack_cap) {
        void *v = vm->stack;
        int rc = grow(vm, &v, &vm->stack_cap, vm->sp + 1);
        vm->stack = v;
        if (rc)
            return rc;
    }
    vm->stack[vm->sp++] = n;
    return 0;
}

/* Items at and above this height may be popped. */
static size_t fence(const struct mr_pk_vm *vm) {
    return vm->n_mark > vm->mark_base ? vm->marks[vm->n_mark - 1] : vm->stack_base;
}

struct mr_pk *mr_pkv_top(struct mr_pk_vm *vm) {
    if (vm->sp <= fence(vm)) {
        mr_pkv_fail(vm, "nothing on the stack");
        return NULL;
    }
    return vm->stack[vm->sp - 1];
}

struct mr_pk *mr_pkv_pop(struct mr_pk_vm *vm) {
    struct mr_pk *r = mr_pkv_top(vm);
    if (r)
        vm->sp--;
    return r;
}

int mr_pkv_mark(struct mr_pk_vm *vm) {
    if (vm->n_mark == vm->mark_cap) {
        void *v = vm->marks;
        int rc = grow(vm, &v, &vm->mark_cap, vm->n_mark + 1);
        vm->marks = v;
        if (rc)
            return rc;
    }
    vm->marks[vm->n_mark++] = vm->sp;
    return 0;
}

int mr_pkv_unmark(struct mr_pk_vm *vm, size_t *ret) {
    if (vm->n_mark <= vm->mark_base)
        return mr_pkv_fail(vm, "no mark on the stack");
    *ret = vm->marks[--vm->n_mark];
    return 0;
}

int mr_pkv_memo_put(struct mr_pk_vm *vm, uint64_t k, struct mr_pk *n) {
    if (k > vm->memo_puts + MEMO_SLACK)
        return mr_pkv_fail(vm, "memo index %llu after %zu entries", (unsigned long long)k,
                           vm->memo_puts);
    if (k >= vm->memo_cap) {
        size_t old = vm->memo_cap;
        void *v = vm->memo;
        int rc = grow(vm, &v, &vm->memo_cap, k + 1);
        vm->memo = v;
        if (rc)
            return rc;
        memset(vm->memo + old, 0, (vm->memo_cap - old) * sizeof *vm->memo);
    }
    vm->memo_puts++;
    vm->memo_used += !vm->memo[k];
    vm->memo[k] = n;
    return 0;
}

struct mr_pk *mr_pkv_memo_get(struct mr_pk_vm *vm, uint64_t k) {
    if (k >= vm->memo_cap || !vm->memo[k]) {
        mr_pkv_fail(vm, "memo entry %llu was never stored", (unsigned long long)k);
        return NULL;
    }
    return vm->memo[k];
}

/* --- inner pickles and the run loop ------------------------------------------------------- */

int mr_pkv_enter(struct mr_pk_vm *vm, struct mr_pk *target) {
    if (vm->n_frame >= vm->lim.max_depth)
        return mr_pkv_fail(vm, "pickles nest more than %u deep", vm->lim.max_depth);
    if (!vm->frames) {
        vm->frames = mr_pkv_array(vm, vm->lim.max_depth, sizeof *vm->frames);
        if (!vm->frames)
            return vm->e->code;
    }
    vm->frames[vm->n_frame++] = (struct mr_pk_frame){
        vm->stack_base, vm->mark_base, vm->memo, vm->memo_cap, vm->memo_used, vm->memo_puts, target,
    };
    vm->stack_base = vm->sp;
    vm->mark_base = vm->n_mark;
    vm->memo = NULL;
    vm->memo_cap = vm->memo_used = vm->memo_puts = 0;
    return 0;
}

static int leave(struct mr_pk_vm *vm, struct mr_pk *r) {
    if (!vm->n_frame) {
        vm->result = r;
        return 0;
    }
    const struct mr_pk_frame *f = &vm->frames[--vm->n_frame];
    mr_free(vm->memo);
    vm->arena.max += vm->memo_cap * sizeof *vm->memo;
    vm->sp = vm->stack_base;
    vm->n_mark = vm->mark_base;
    vm->stack_base = f->stack_base;
    vm->mark_base = f->mark_base;
    vm->memo = f->memo;
    vm->memo_cap = f->memo_cap;
    vm->memo_used = f->memo_used;
    vm->memo_puts = f->memo_puts;
    return mr_pkv_joblib_done(vm, f->target, r);
}

static int run(struct mr_pk_vm *vm) {
    while (!vm->result) {
        vm->op_at = vm->p;
        if (vm->p == vm->end)
            return mr_fail(vm->e, MR_EREFUSED, "the pickle ends at byte %zu without STOP",
                           (size_t)(vm->p - vm->base));
        const struct mr_pk_op *op = &mr_pk_ops[*vm->p++];
        if (!op->name)
            return mr_fail(vm->e, MR_EREFUSED, "byte 0x%02x at %zu is no pickle opcode", *vm->op_at,
                           (size_t)(vm->op_at - vm->base));
        int rc;
        if (op->run) {
            rc = op->run(vm);
        } else { /* STOP */
            struct mr_pk *r = mr_pkv_pop(vm);
            rc = r ? leave(vm, r) : vm->e->code;
        }
        if (rc)
            return rc;
    }
    return 0;
}

static int load(struct mr_pk_doc *d, const uint8_t *p, size_t n) {
    struct mr_pk_vm *vm = &d->vm;
    vm->base = vm->p = vm->op_at = p;
    vm->end = p + n;
    enum mr_comp comp = mr_comp_detect(p, n);
    if (comp != MR_COMP_NONE) {
        size_t plain_n = 0;
        int rc =
            mr_decompress(comp, p, n, vm->arena.max, vm->lim.max_ratio, &d->plain, &plain_n, vm->e);
        if (rc)
            return rc;
        vm->base = vm->p = vm->op_at = d->plain;
        vm->end = d->plain + plain_n;
        vm->arena.max -= plain_n;
    }
    void *stack = NULL; /* never NULL while running, so that an empty range of it is a pointer */
    int rc = grow(vm, &stack, &vm->stack_cap, 1);
    vm->stack = stack;
    if (rc)
        return rc;
    vm->none = mr_pkv_node(vm, MR_PK_NONE);
    vm->yes = mr_pkv_node(vm, MR_PK_BOOL);
    vm->no = mr_pkv_node(vm, MR_PK_BOOL);
    if (!vm->none || !vm->yes || !vm->no)
        return vm->e->code;
    vm->yes->i = 1;
    rc = run(vm);
    if (rc)
        return rc;
    d->root = vm->result;
    d->trailing = (size_t)(vm->end - vm->p);
    return 0;
}

int mr_pickle_load(const void *p, size_t n, const struct mr_pk_limits *limits,
                   struct mr_pk_doc **ret, struct mr_err *e) {
    struct mr_err local = {0};
    struct mr_pk_doc *d = mr_calloc(1, sizeof *d);
    if (!d)
        return mr_fail(e, MR_ENOMEM, "out of memory while reading the pickle");
    d->vm.lim = limits ? *limits : mr_pk_default_limits();
    d->vm.e = &local;
    mr_arena_init(&d->vm.arena, d->vm.lim.max_memory);
    static const uint8_t nothing;
    int rc = load(d, n ? p : &nothing, n);
    d->vm.e = NULL;
    if (rc) {
        mr_pickle_free(d);
        return mr_fail(e, rc, "%s", local.msg);
    }
    mr_free(d->vm.stack);
    mr_free(d->vm.marks);
    mr_free(d->vm.memo);
    d->vm.stack = NULL;
    d->vm.marks = NULL;
    d->vm.memo = NULL;
    *ret = d;
    return 0;
}

void mr_pickle_free(struct mr_pk_doc *d) {
    if (!d)
        return;
    for (unsigned i = 0; i < d->vm.n_frame; i++)
        mr_free(d->vm.frames[i].memo);
    mr_free(d->vm.stack);
    mr_free(d->vm.marks);
    mr_free(d->vm.memo);
    mr_arena_release(&d->vm.arena);
    mr_free(d->plain);
    mr_free(d);
}

const struct mr_pk *mr_pickle_root(const struct mr_pk_doc *d) {
    return d->root;
}

struct mr_arena *mr_pickle_arena(struct mr_pk_doc *d) {
    return &d->vm.arena;
}

size_t mr_pickle_trailing(const struct mr_pk_doc *d) {
    return d->trailing;
}
