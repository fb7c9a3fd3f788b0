#include "model/model.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "model/model_priv.h"

#include <sys/mman.h>
#include <unistd.h>

#define ARENA_MAX (1u << 30)

MR_DEFINE_CLEANUP(struct mr_model *, mr_model_free);

void mr_model_free(struct mr_model *m) {
    if (!m)
        return;
    for (uint32_t i = 0; i < m->n_prepared; i++)
        if (m->ops[i].type->unprepare)
            m->ops[i].type->unprepare(&m->ops[i]);
    if (m->map)
        munmap(m->map, m->map_len);
    mr_arena_release(&m->arena);
    mr_free(m);
}

const struct mr_model_info *mr_model_info(const struct mr_model *m) {
    return &m->info;
}

/* --- open ------------------------------------------------------------------------------------ */

static int map_file(struct mr_model *m, int fd, struct mr_err *e) {
    /* not fstat: glibc makes it a call by path, which the intake sandbox forbids */
    off_t n = lseek(fd, 0, SEEK_END);
    if (n < 0)
        return mr_fail_errno(e, "compiled model");
    if (n < (off_t)sizeof(struct mr_file_head) || (uint64_t)n > MR_MODEL_MAX)
        return mr_fail(e, MR_EREFUSED, "compiled model: %lld bytes", (long long)n);
    void *p = mmap(NULL, (size_t)n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return mr_fail_errno(e, "map compiled model");
    m->map = p;
    m->map_len = (size_t)n;
    return 0;
}

/* A section of n items of `size` bytes, or NULL when it leaves the file. */
static const void *section(const struct mr_model *m, uint64_t off, uint64_t n, size_t size) {
    if (off % MR_MODEL_ALIGN || off > m->map_len || n > (m->map_len - off) / size)
        return NULL;
    return (const char *)m->map + off;
}

static int read_ops(struct mr_model *m, const struct mr_file_op *file, struct mr_err *e) {
    for (uint32_t i = 0; i < m->n_ops; i++) {
        struct mr_op *op = &m->ops[i];
        *op = (struct mr_op){.n_in = file[i].n_in, .out = file[i].out};
        op->type = mr_op_type_find(file[i].type);
        if (!op->type)
            return mr_fail(e, MR_EREFUSED, "compiled model: operation %u is not known",
                           file[i].type);
        memcpy(op->in, file[i].in, sizeof op->in);
        op->params = section(m, file[i].params_off, file[i].params_len, 1);
        op->params_len = file[i].params_len;
        if (!op->params)
            return mr_fail(e, MR_EREFUSED, "compiled model: parameters of operation %u", i);
    }
    return 0;
}

static int read_file(struct mr_model *m, struct mr_err *e) {
    const struct mr_file_head *h = m->map;
    if (memcmp(h->magic, MR_MODEL_MAGIC, sizeof h->magic) != 0)
        return mr_fail(e, MR_EREFUSED, "not a compiled model");
    if (h->version != MR_MODEL_VERSION)
        return mr_fail(e, MR_EREFUSED, "compiled model of version %u, this build reads %u",
                       h->version, MR_MODEL_VERSION);
    if (h->file_len != m->map_len || h->n_slots > MR_MAX_SLOTS || h->n_ops > MR_MAX_OPS)
        return mr_fail(e, MR_EREFUSED, "compiled model: damaged header");
    m->slots = section(m, h->slots_off, h->n_slots, sizeof *m->slots);
    m->n_slots = h->n_slots;
    const struct mr_file_op *ops = section(m, h->ops_off, h->n_ops, sizeof *ops);
    const char *meta = section(m, h->meta_off, h->meta_len, 1);
    if (!m->slots || !ops || !meta)
        return mr_fail(e, MR_EREFUSED, "compiled model: damaged header");
    m->ops = mr_arena_array(&m->arena, (size_t)h->n_ops + 1, sizeof *m->ops);
    if (!m->ops)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    m->n_ops = h->n_ops;
    int r = read_ops(m, ops, e);
    uint8_t written[MR_MAX_SLOTS];
    if (!r)
        r = mr_program_check(m->slots, m->n_slots, m->ops, m->n_ops, written, e);
    return r ? r : mr_model_read_meta(m, mr_strn(meta, h->meta_len), written, e);
}

/* Without an own figure an operation costs about a nanosecond a value it reads and writes. */
static double op_cost(const struct mr_model *m, const struct mr_op *op) {
    if (op->type->cost)
        return op->type->cost(op, m->slots);
    double n = m->slots[op->out].width;
    for (uint32_t k = 0; k < op->n_in; k++)
        n += m->slots[op->in[k]].width;
    return 5 + n;
}

static int prepare(struct mr_model *m, struct mr_err *e) {
    m->info.memory = sizeof *m + m->map_len;
    for (uint32_t i = 0; i < m->n_ops; i++) {
        struct mr_op *op = &m->ops[i];
        int r = op->type->prepare ? op->type->prepare(op, m->slots, e) : 0;
        if (r)
            return r;
        m->n_prepared = i + 1;
        m->info.est_row_ns += op_cost(m, op);
        if (op->type->memory)
            m->info.memory += op->type->memory(op);
    }
    m->info.memory += m->arena.used;
    return 0;
}

int mr_model_open(int fd, struct mr_model **ret, struct mr_err *e) {
    MR_CLEANUP(mr_model_free_p) struct mr_model *m = mr_calloc(1, sizeof *m);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_arena_init(&m->arena, ARENA_MAX);
    int r = map_file(m, fd, e);
    if (!r)
        r = read_file(m, e);
    if (!r)
        r = prepare(m, e);
    if (r)
        return r;
    *ret = MR_TAKE(m);
    return 0;
}

/* --- run -------------------------------------------------------------------------------------- */

static int out_slot(const struct mr_model *m, const struct mr_op *op, struct mr_frame *f,
                    struct mr_err *e) {
    struct mr_vec *v = &f->slot[op->out];
    v->kind = m->slots[op->out].kind;
    v->width = m->slots[op->out].width;
    if (v->kind != MR_SLOT_DENSE)
        return 0;
    size_t n;
    if (!__builtin_mul_overflow(f->rows, (size_t)v->width, &n))
        v->dense = mr_arena_array(f->arena, n, sizeof(double));
    if (!v->dense)
        return mr_fail(e, MR_ENOMEM, "%zu rows need more memory than this model may use", f->rows);
    return 0;
}

/* Class numbers come out of arithmetic over file values: prove them before anyone indexes. */
static int check_classes(const struct mr_model *m, const struct mr_frame *f, struct mr_err *e) {
    for (uint32_t k = 0; k < m->info.n_outputs; k++) {
        const struct mr_model_output *o = &m->info.outputs[k];
        const double *v = f->slot[o->pred_slot].dense;
        for (size_t i = 0; o->classes && i < f->rows; i++)
            if (!(v[i] >= 0 && v[i] < o->n_classes))
                return mr_fail(e, MR_EINVAL, "row %zu gives no class (values out of range)", i);
    }
    return 0;
}

int mr_model_run(const struct mr_model *m, const double *dense, const struct mr_cell *cells,
                 size_t rows, struct mr_arena *arena, struct mr_result *ret, struct mr_err *e) {
    struct mr_frame f = {.rows = rows, .arena = arena};
    bool numbers = m->slots[0].kind == MR_SLOT_DENSE;
    if (numbers ? !dense : !cells)
        return mr_fail(e, MR_EINVAL, "the model reads %s", numbers ? "numbers" : "cells");
    f.slot = mr_arena_array(arena, m->n_slots, sizeof *f.slot);
    if (!f.slot)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    memset(f.slot, 0, m->n_slots * sizeof *f.slot);
    f.slot[0].kind = m->slots[0].kind;
    f.slot[0].width = m->slots[0].width;
    if (numbers)
        f.slot[0].dense = (double *)(uintptr_t)dense;
    else
        f.slot[0].cells = (struct mr_cell *)(uintptr_t)cells;
    for (uint32_t i = 0; i < m->n_ops; i++) {
        int r = out_slot(m, &m->ops[i], &f, e);
        if (!r)
            r = m->ops[i].type->eval(&m->ops[i], &f, e);
        if (r)
            return r;
    }
    int r = check_classes(m, &f, e);
    if (r)
        return r;
    *ret = (struct mr_result){rows, f.slot};
    return 0;
}
