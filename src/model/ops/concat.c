#include "model/ops/util.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    uint32_t kind = slots[op->out].kind;
    uint64_t width = 0;
    for (uint32_t k = 0; k < op->n_in; k++) {
        const struct mr_slot_decl *in = &slots[op->in[k]];
        bool cells = in->kind == MR_SLOT_CELLS;
        bool ok = kind == MR_SLOT_CELLS ? in->kind != MR_SLOT_SPARSE : !cells;
        if (!ok)
            return mr_op_bad(op, "wrong kind of input", e);
        width += in->width;
    }
    return width == slots[op->out].width ? 0 : mr_op_bad(op, "widths do not add up", e);
}

static void dense_part(const struct mr_vec *in, struct mr_vec *out, size_t rows, uint32_t at) {
    for (size_t i = 0; i < rows; i++) {
        double *to = out->dense + i * out->width + at;
        if (in->kind == MR_SLOT_DENSE) {
            memcpy(to, in->dense + i * in->width, in->width * sizeof(double));
            continue;
        }
        memset(to, 0, in->width * sizeof(double));
        for (size_t k = in->sparse.start[i]; k < in->sparse.start[i + 1]; k++)
            to[in->sparse.index[k]] = in->sparse.value[k];
    }
}

static void cells_part(const struct mr_vec *in, struct mr_vec *out, size_t rows, uint32_t at) {
    for (size_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < in->width; j++) {
            struct mr_cell *to = &out->cells[i * out->width + at + j];
            if (in->kind == MR_SLOT_CELLS)
                *to = in->cells[i * in->width + j];
            else
                *to = (struct mr_cell){in->dense[i * in->width + j], {NULL, 0}};
        }
}

static size_t sparse_row(const struct mr_vec *in, struct mr_vec *out, size_t row, uint32_t at,
                         size_t n) {
    if (in->kind == MR_SLOT_SPARSE) {
        for (size_t k = in->sparse.start[row]; k < in->sparse.start[row + 1]; k++) {
            out->sparse.index[n] = at + in->sparse.index[k];
            out->sparse.value[n++] = in->sparse.value[k];
        }
        return n;
    }
    for (uint32_t j = 0; j < in->width; j++) {
        double v = in->dense[row * in->width + j];
        if (v != 0) {
            out->sparse.index[n] = at + j;
            out->sparse.value[n++] = v;
        }
    }
    return n;
}

static size_t stored(const struct mr_vec *in, size_t rows) {
    return in->kind == MR_SLOT_SPARSE ? in->sparse.start[rows] : rows * in->width;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    struct mr_vec *out = mr_op_out(op, f);
    int r = 0;
    size_t total = 0, n = 0;
    if (out->kind == MR_SLOT_CELLS)
        r = mr_op_cells(f, op->out, e);
    if (out->kind == MR_SLOT_SPARSE) {
        for (uint32_t k = 0; k < op->n_in; k++)
            total += stored(mr_op_in(op, f, k), f->rows);
        r = mr_op_sparse(f, op->out, total, e);
    }
    if (r)
        return r;
    uint32_t at = 0;
    if (out->kind != MR_SLOT_SPARSE) {
        for (uint32_t k = 0; k < op->n_in; at += mr_op_in(op, f, k)->width, k++) {
            if (out->kind == MR_SLOT_CELLS)
                cells_part(mr_op_in(op, f, k), out, f->rows, at);
            else
                dense_part(mr_op_in(op, f, k), out, f->rows, at);
        }
        return 0;
    }
    for (size_t i = 0; i < f->rows; i++) {
        at = 0;
        for (uint32_t k = 0; k < op->n_in; at += mr_op_in(op, f, k)->width, k++)
            n = sparse_row(mr_op_in(op, f, k), out, i, at, n);
        out->sparse.start[i + 1] = n;
    }
    return 0;
}

extern const struct mr_op_type mr_op_concat;
const struct mr_op_type mr_op_concat = {
    .id = MR_OP_CONCAT, .name = "concat", .check = check, .eval = eval};
