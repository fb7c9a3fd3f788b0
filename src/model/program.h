/* The compiled model: a short program of numeric operations over a block of rows.
 *
 * Intake writes it (build.h), the server maps and runs it (model.h). A program is a list of
 * operations; each reads one or more slots and writes one. Slot 0 is the input table. All values
 * are row-major doubles, cells (number or string), or sparse rows. The file is untrusted even
 * though our own intake wrote it (the intake child parsed hostile bytes), so every operation has a
 * `check` that proves its parameters in range before the first run, and `eval` may then rely on it.
 *
 * File layout, all little-endian, every section 64-byte aligned (docs/MODEL_FORMAT.md):
 *   header | slot table | op table | parameter blobs | metadata JSON
 * Parameter blobs address their arrays by (offset, count) relative to the blob's start.
 */
#ifndef MR_MODEL_PROGRAM_H
#define MR_MODEL_PROGRAM_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_slot_kind {
    MR_SLOT_DENSE = 1,  /* rows x width doubles, NaN = missing */
    MR_SLOT_CELLS = 2,  /* rows x width cells: number or string */
    MR_SLOT_SPARSE = 3, /* rows of (index, value), indices ascending, width = dimension */
};

#define MR_OP_MAX_IN 64
#define MR_MAX_OPS   4096
#define MR_MAX_SLOTS 4096
#define MR_MAX_WIDTH (1u << 26)

/* A cell is a string when s.p != NULL, else the number (NaN = missing). */
struct mr_cell {
    double num;
    struct mr_str s;
};

/* Run-time value of a slot. */
struct mr_vec {
    uint32_t kind;  /* enum mr_slot_kind */
    uint32_t width; /* columns */
    union {
        double *dense;         /* rows * width */
        struct mr_cell *cells; /* rows * width */
        struct {
            size_t *start; /* rows + 1 offsets into index/value */
            uint32_t *index;
            double *value;
        } sparse;
    };
};

/* One evaluation over `rows` rows. Memory comes from `arena`, freed by the caller of the run. */
struct mr_frame {
    size_t rows;
    struct mr_arena *arena;
    struct mr_vec *slot; /* n_slots; inputs are filled before an op runs */
};

struct mr_op_type;

struct mr_op {
    const struct mr_op_type *type;
    uint32_t n_in;
    uint32_t in[MR_OP_MAX_IN]; /* slot numbers */
    uint32_t out;              /* slot number; written by this op only */
    const void *params;        /* in the mapping, 64-byte aligned */
    size_t params_len;
    void *prepared; /* what prepare() made; freed by unprepare() */
};

/* Slot declarations, as seen by check(). */
struct mr_slot_decl {
    uint32_t kind;
    uint32_t width;
};

struct mr_op_type {
    uint32_t id;      /* stable on disk; listed in op_ids.h */
    const char *name; /* "tree_ensemble" */
    /* Proves params (lengths, offsets, indices, slot kinds and widths). Required. Hostile input. */
    int (*check)(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e);
    /* Builds run-time structures once at load (kernel choice, hash tables). Optional. */
    int (*prepare)(struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e);
    void (*unprepare)(struct mr_op *op);
    /* Fills f->slot[op->out] (already allocated for DENSE; CELLS and SPARSE allocate from the
     * arena). Must be pure and thread-safe. Required. */
    int (*eval)(const struct mr_op *op, struct mr_frame *f, struct mr_err *e);
    /* Rough nanoseconds for one row, after prepare. Optional (default: by the slots' widths). */
    double (*cost)(const struct mr_op *op, const struct mr_slot_decl *slots);
    /* Bytes held by `prepared`. Optional. */
    size_t (*memory)(const struct mr_op *op);
};

/* All operation types known to this build, NULL-terminated (ops/table.c). */
extern const struct mr_op_type *const mr_op_types[];

/* --- reading parameter blobs ------------------------------------------------------------- */
/* (offset, count) of an array inside a blob. */
struct mr_ref {
    uint64_t off;
    uint64_t n;
};
/* The array, or NULL when it leaves the blob or is misaligned. n == 0 gives a non-NULL pointer. */
const double *mr_ref_f64(const struct mr_op *op, struct mr_ref r);
const float *mr_ref_f32(const struct mr_op *op, struct mr_ref r);
const uint32_t *mr_ref_u32(const struct mr_op *op, struct mr_ref r);
const int32_t *mr_ref_i32(const struct mr_op *op, struct mr_ref r);
const uint8_t *mr_ref_u8(const struct mr_op *op, struct mr_ref r);
/* A string table: u32 offsets[n + 1] followed by bytes; r.n counts strings. NULL when broken. */
struct mr_strtab {
    uint32_t n;
    const uint32_t *off;
    const char *bytes;
};
bool mr_ref_strtab(const struct mr_op *op, struct mr_ref r, struct mr_strtab *ret);
static inline struct mr_str mr_strtab_at(const struct mr_strtab *t, uint32_t i) {
    return (struct mr_str){t->bytes + t->off[i], t->off[i + 1] - t->off[i]};
}

#endif
