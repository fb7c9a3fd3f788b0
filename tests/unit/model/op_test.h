/* Runs one operation alone: a parameter blob under construction, slots, check and eval. */
#ifndef MR_TEST_OP_TEST_H
#define MR_TEST_OP_TEST_H

#include "base/arena.h"
#include "base/err.h"
#include "model/program.h"
#include "mr_test.h"

struct op_test {
    _Alignas(64) unsigned char blob[1 << 16];
    size_t n;
    struct mr_slot_decl decl[2]; /* 0 in, 1 out */
    struct mr_vec slot[2];
    struct mr_arena arena;
    struct mr_err err;
    struct mr_op op;
};

static inline const struct mr_op_type *op_find(uint32_t id) {
    for (size_t i = 0; mr_op_types[i]; i++)
        if (mr_op_types[i]->id == id)
            return mr_op_types[i];
    return NULL;
}

static inline void op_begin(struct op_test *t, uint32_t id, size_t head) {
    memset(t, 0, sizeof *t);
    t->n = (head + 7) & ~(size_t)7;
    t->op.type = op_find(id);
    t->op.n_in = 1;
    t->op.out = 1;
    t->decl[0].kind = t->decl[1].kind = MR_SLOT_DENSE;
    mr_arena_init(&t->arena, 1 << 24);
}

static inline struct mr_ref op_put(struct op_test *t, const void *p, size_t n, size_t size) {
    struct mr_ref r = {t->n, n};
    memcpy(t->blob + t->n, p, n * size);
    t->n += (n * size + 7) & ~(size_t)7;
    return r;
}
#define OP_F64(t, ...)                                                                             \
    op_put(t, (const double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / 8, 8)
#define OP_U32(t, ...)                                                                             \
    op_put(t, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4, 4)

static inline int op_check(struct op_test *t, uint32_t in_width, uint32_t out_width) {
    t->decl[0].width = in_width;
    t->decl[1].width = out_width;
    t->op.params = t->blob;
    t->op.params_len = t->n;
    return t->op.type->check(&t->op, t->decl, &t->err);
}

/* Dense in, dense out; the result lies in the arena of `t`. */
static inline const double *op_run(struct op_test *t, const double *x, size_t rows) {
    t->slot[0] = (struct mr_vec){.kind = MR_SLOT_DENSE, .width = t->decl[0].width};
    t->slot[0].dense = mr_arena_alloc(&t->arena, (rows * t->decl[0].width + 1) * 8);
    memcpy(t->slot[0].dense, x, rows * t->decl[0].width * 8);
    t->slot[1] = (struct mr_vec){.kind = MR_SLOT_DENSE, .width = t->decl[1].width};
    t->slot[1].dense = mr_arena_alloc(&t->arena, (rows * t->decl[1].width + 1) * 8);
    struct mr_frame f = {.rows = rows, .arena = &t->arena, .slot = t->slot};
    if (t->op.type->prepare && t->op.type->prepare(&t->op, t->decl, &t->err))
        return NULL;
    int r = t->op.type->eval(&t->op, &f, &t->err);
    if (t->op.type->unprepare)
        t->op.type->unprepare(&t->op);
    return r ? NULL : t->slot[1].dense;
}

static inline void op_end(struct op_test *t) {
    mr_arena_release(&t->arena);
}

#endif
