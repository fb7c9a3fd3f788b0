/* MR_OP_ONEHOT and MR_OP_ORDINAL (sklearn.preprocessing.OneHotEncoder, OrdinalEncoder). */
#include "model/ops/catmap.h"
#include "model/ops/util.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, bool onehot,
                 struct mr_err *e) {
    int rc = mr_op_inputs(op, slots, 1, 0, e);
    if (rc == 0)
        rc = mr_op_params(op, sizeof(struct mr_p_encode), e);
    if (rc)
        return rc;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (in->kind == MR_SLOT_SPARSE || out->kind == MR_SLOT_CELLS ||
        (!onehot && out->kind != MR_SLOT_DENSE))
        return mr_op_bad(op, "wrong kind of slot", e);
    uint64_t width = 0;
    rc = mr_cats_check(op, in, onehot, &width, e);
    if (rc)
        return rc;
    return width == out->width ? 0 : mr_op_bad(op, "output does not fit", e);
}

static int check_onehot(const struct mr_op *op, const struct mr_slot_decl *slots,
                        struct mr_err *e) {
    return check(op, slots, true, e);
}

static int check_ordinal(const struct mr_op *op, const struct mr_slot_decl *slots,
                         struct mr_err *e) {
    return check(op, slots, false, e);
}

static int prepare(struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    (void)slots;
    struct mr_cats *c;
    int rc = mr_cats_prepare(op, &c, e);
    if (rc == 0)
        op->prepared = c;
    return rc;
}

static void unprepare(struct mr_op *op) {
    mr_cats_free(op->prepared);
    op->prepared = NULL;
}

static inline int32_t code_at(const struct mr_cats *c, uint32_t k, const struct mr_vec *in,
                              size_t row) {
    size_t at = row * in->width + c->cat[k].in_col;
    return in->kind == MR_SLOT_CELLS ? mr_cats_cell(c, k, &in->cells[at])
                                     : mr_cats_number(c, k, in->dense[at]);
}

static int eval_onehot(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_cats *c = op->prepared;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    struct mr_vec *out = mr_op_out(op, f);
    bool sparse = out->kind == MR_SLOT_SPARSE;
    size_t n = 0;
    if (sparse) {
        int rc = mr_op_sparse(f, op->out, f->rows * c->n, e);
        if (rc)
            return rc;
        out->sparse.start[0] = 0;
    } else {
        memset(out->dense, 0, f->rows * out->width * sizeof(double));
    }
    for (size_t row = 0; row < f->rows; row++) {
        for (uint32_t k = 0; k < c->n; k++) {
            int32_t code = code_at(c, k, in, row);
            if (code == MR_CAT_NONE)
                continue;
            if (code < 0)
                return mr_cats_fail(c, k, in, row, e);
            uint32_t col = c->cat[k].first + (uint32_t)code;
            if (sparse) {
                out->sparse.index[n] = col;
                out->sparse.value[n++] = 1;
            } else {
                out->dense[row * out->width + col] = 1;
            }
        }
        if (sparse)
            out->sparse.start[row + 1] = n;
    }
    return 0;
}

static int eval_ordinal(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_cats *c = op->prepared;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    struct mr_vec *out = mr_op_out(op, f);
    for (uint32_t k = 0; k < c->n; k++) {
        const double *value = mr_ref_f64(op, c->cat[k].value);
        for (size_t row = 0; row < f->rows; row++) {
            int32_t code = code_at(c, k, in, row);
            if (code < 0)
                return mr_cats_fail(c, k, in, row, e);
            out->dense[row * out->width + k] = value[code];
        }
    }
    return 0;
}

/* One lookup a column; a dense output is cleared as well. */
static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    const struct mr_cats *c = op->prepared;
    const struct mr_slot_decl *out = &slots[op->out];
    return 10 + 20.0 * c->n + (out->kind == MR_SLOT_DENSE ? 0.2 * out->width : 0);
}

static size_t memory(const struct mr_op *op) {
    const struct mr_cats *c = op->prepared;
    size_t n = sizeof *c;
    for (uint32_t k = 0; k < c->n; k++)
        n += 64 + (c->set[k].mask + 1) * sizeof *c->set[k].slot;
    return n;
}

extern const struct mr_op_type mr_op_onehot;
const struct mr_op_type mr_op_onehot = {
    .id = MR_OP_ONEHOT,
    .name = "onehot",
    .check = check_onehot,
    .prepare = prepare,
    .unprepare = unprepare,
    .eval = eval_onehot,
    .cost = cost,
    .memory = memory,
};

extern const struct mr_op_type mr_op_ordinal;
const struct mr_op_type mr_op_ordinal = {
    .id = MR_OP_ORDINAL,
    .name = "ordinal",
    .check = check_ordinal,
    .prepare = prepare,
    .unprepare = unprepare,
    .eval = eval_ordinal,
    .cost = cost,
    .memory = memory,
};
