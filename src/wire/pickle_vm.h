/* Inside of the pickle machine: shared by the wire/pickle*.c files, by nobody else.
 *
 * Every function that can fail returns 0 or a negative code with vm->e filled; pointers come back
 * as NULL after the same. Memory outside the arena (stack, marks, memo, decompressed bytes) is
 * charged by lowering the arena's cap, so one figure bounds everything. */
#ifndef MR_WIRE_PICKLE_VM_H
#define MR_WIRE_PICKLE_VM_H

#include "wire/pickle.h"

#include <stddef.h>

enum {
    MR_PKF_BUILT = 1,   /* BUILD was applied (a second one is refused) */
    MR_PKF_USED = 2,    /* a dtype that an array, scalar or field relies on: no BUILD any more */
    MR_PKF_OBJECTS = 4, /* a dtype that holds Python objects */
    MR_PKF_DICTSUB = 8, /* a DICT that came from OrderedDict/defaultdict: may have attributes */
    MR_PKF_FULL = 16,   /* an OBJ node allocated large enough to become an ARRAY */
};

/* A pickle inside the pickle (joblib object arrays): the outer one's state while it runs. */
struct mr_pk_frame {
    size_t stack_base, mark_base;
    struct mr_pk **memo;
    size_t memo_cap, memo_used, memo_puts;
    struct mr_pk *target; /* wrapper node that the inner result replaces */
};

struct mr_pk_vm {
    struct mr_arena arena;
    struct mr_pk_limits lim;
    struct mr_err *e;
    const uint8_t *base, *p, *end;
    const uint8_t *op_at; /* the opcode being executed */
    size_t nodes;
    size_t work; /* bytes scanned again by constructors; capped like memory */
    struct mr_pk **stack;
    size_t sp, stack_cap, stack_base;
    size_t *marks; /* stack heights */
    size_t n_mark, mark_cap, mark_base;
    struct mr_pk **memo;
    size_t memo_cap;
    size_t memo_used; /* filled slots */
    size_t memo_puts; /* bounds the largest index */
    struct mr_pk_frame *frames;
    unsigned n_frame;
    struct mr_pk *none, *yes, *no;
    struct mr_pk *result; /* set by the outermost STOP */
};

struct mr_pk_op {
    const char *name; /* NULL: no such opcode */
    int (*run)(struct mr_pk_vm *vm);
};
extern const struct mr_pk_op mr_pk_ops[256]; /* pickle_ops.c */

/* --- pickle_node.c: errors, memory, nodes --- */
/* "pickle opcode NAME at byte N: …"; returns MR_EREFUSED. */
int mr_pkv_fail(struct mr_pk_vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int mr_pkv_charge(struct mr_pk_vm *vm, size_t bytes);
/* Counts n bytes that a constructor reads again: a few bytes of pickle can name the same data over
 * and over. */
int mr_pkv_work(struct mr_pk_vm *vm, size_t n);
void *mr_pkv_alloc(struct mr_pk_vm *vm, size_t n);
void *mr_pkv_array(struct mr_pk_vm *vm, size_t n, size_t size);
struct mr_pk *mr_pkv_node(struct mr_pk_vm *vm, enum mr_pk_type t);
/* An object node; joblib's wrapper gets room to become an array. */
struct mr_pk *mr_pkv_obj(struct mr_pk_vm *vm, struct mr_pk *cls, struct mr_pk *args);
struct mr_pk *mr_pkv_str(struct mr_pk_vm *vm, enum mr_pk_type t, const void *p, size_t n);
struct mr_pk *mr_pkv_int(struct mr_pk_vm *vm, int64_t i);
struct mr_pk *mr_pkv_float(struct mr_pk_vm *vm, double f);
struct mr_pk *mr_pkv_global(struct mr_pk_vm *vm, struct mr_str mod, struct mr_str name);
/* A LIST/TUPLE/DICT/SET with copies of n pointers. */
struct mr_pk *mr_pkv_seq(struct mr_pk_vm *vm, enum mr_pk_type t, struct mr_pk **v, size_t n);
int mr_pkv_extend(struct mr_pk_vm *vm, struct mr_pk *seq, struct mr_pk **v, size_t n);
/* Raises parent->depth over child's; refuses nests over the cap. */
int mr_pkv_deepen(struct mr_pk_vm *vm, struct mr_pk *parent, const struct mr_pk *child);

/* --- pickle.c: input, stack, memo --- */
const uint8_t *mr_pkv_take(struct mr_pk_vm *vm, size_t n);
int mr_pkv_le(struct mr_pk_vm *vm, unsigned bytes, uint64_t *ret);
int mr_pkv_line(struct mr_pk_vm *vm, struct mr_str *ret); /* without the newline */
int mr_pkv_push(struct mr_pk_vm *vm, struct mr_pk *n);    /* NULL: returns the error in vm->e */
struct mr_pk *mr_pkv_pop(struct mr_pk_vm *vm);
struct mr_pk *mr_pkv_top(struct mr_pk_vm *vm);
int mr_pkv_mark(struct mr_pk_vm *vm);
/* Pops the topmost mark: items are vm->stack[*ret..vm->sp), still to be dropped by the caller. */
int mr_pkv_unmark(struct mr_pk_vm *vm, size_t *ret);
int mr_pkv_memo_put(struct mr_pk_vm *vm, uint64_t k, struct mr_pk *n);
struct mr_pk *mr_pkv_memo_get(struct mr_pk_vm *vm, uint64_t k);
/* Starts an inner pickle at vm->p; its result will replace *target. */
int mr_pkv_enter(struct mr_pk_vm *vm, struct mr_pk *target);

/* --- pickle_text.c: protocol 0/1/2 literals --- */
struct mr_pk *mr_pkv_decimal(struct mr_pk_vm *vm, struct mr_str s);
struct mr_pk *mr_pkv_unescape_str(struct mr_pk_vm *vm, struct mr_str quoted);
struct mr_pk *mr_pkv_unescape_unicode(struct mr_pk_vm *vm, struct mr_str raw);
/* Bytes of a Python 2 str: STR when ASCII, else BYTES. */
struct mr_pk *mr_pkv_py2str(struct mr_pk_vm *vm, const void *p, size_t n);
/* UTF-8 text back to the Latin-1 bytes it stands for. */
int mr_pkv_latin1(struct mr_pk_vm *vm, struct mr_str s, struct mr_str *ret);

/* --- pickle_reduce.c, pickle_numpy.c, pickle_joblib.c --- */
struct mr_pk *mr_pkv_reduce(struct mr_pk_vm *vm, struct mr_pk *fn, struct mr_pk *args);
int mr_pkv_build(struct mr_pk_vm *vm, struct mr_pk *o, struct mr_pk *state);
/* *ret stays NULL when `fn` is no numpy constructor. */
int mr_pkv_numpy_reduce(struct mr_pk_vm *vm, const struct mr_pk *fn, struct mr_pk *args,
                        struct mr_pk **ret);
int mr_pkv_dtype_build(struct mr_pk_vm *vm, struct mr_pk *d, const struct mr_pk *state);
int mr_pkv_array_build(struct mr_pk_vm *vm, struct mr_pk *a, const struct mr_pk *state);
/* Dtype and shape checked into an ARRAY node (data still to be set). */
int mr_pkv_array_shape(struct mr_pk_vm *vm, struct mr_pk *a, struct mr_pk *dtype,
                       const struct mr_pk *shape);
/* Raw bytes of an array: exactly count * size. */
int mr_pkv_array_bytes(struct mr_pk_vm *vm, struct mr_pk *a, const uint8_t *p, size_t n);
bool mr_pkv_is_joblib_array(const struct mr_pk *cls);
int mr_pkv_joblib_build(struct mr_pk_vm *vm, struct mr_pk *o, const struct mr_pk *state);
/* The inner pickle of a joblib object array ended with r. */
int mr_pkv_joblib_done(struct mr_pk_vm *vm, struct mr_pk *target, const struct mr_pk *r);

/* --- pickle_view.c / pickle_array.c --- */
extern const struct mr_pk mr_pk_void_dtype; /* of an array that was never built */
/* One item at p as a number; false when the dtype is not a real number. */
bool mr_pk_item_f64(const struct mr_pk *dtype, const uint8_t *p, double *ret);
bool mr_pk_item_i64(const struct mr_pk *dtype, const uint8_t *p, int64_t *ret);
/* One item as a new node in the arena; NULL when out of memory or not representable. */
struct mr_pk *mr_pk_item_node(struct mr_arena *a, const struct mr_pk *dtype, const uint8_t *p);
/* Bytes to allocate for a node of this type. */
size_t mr_pk_node_size(enum mr_pk_type t);

#endif
