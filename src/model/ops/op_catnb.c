/* MR_OP_CATNB: log joint likelihood of categories, one table a column. */
#include "model/ops/check_util.h"
#include "model/ops/linear_params.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_catnb_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->n_in || !p->n_class || p->n_in > MR_MAX_WIDTH || p->n_class > MR_MAX_WIDTH)
        return mr_op_bad(op, "sizes out of range", e);
    uint64_t rows = p->table.n / p->n_class;
    if (!mr_op_starts(op, p->start, p->n_in, rows) || !mr_op_f64(op, p->table, rows * p->n_class) ||
        !mr_op_f64(op, p->bias, p->n_class))
        return mr_op_bad(op, "tables leave the file", e);
    return mr_op_shape(op, slots, MR_SLOT_DENSE, p->n_in, p->n_class, e);
}

/* Numbers become integers by cutting the fraction, as scikit-learn's input check does. */
static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_catnb_params *p = op->params;
    const uint32_t *start = mr_ref_u32(op, p->start);
    const double *table = mr_ref_f64(op, p->table), *bias = mr_ref_f64(op, p->bias);
    for (size_t r = 0; r < f->rows; r++) {
        const double *x = f->slot[op->in[0]].dense + r * p->n_in;
        double *y = f->slot[op->out].dense + r * p->n_class;
        for (uint32_t k = 0; k < p->n_class; k++)
            y[k] = 0;
        for (uint32_t j = 0; j < p->n_in; j++) {
            double n = start[j + 1] - start[j];
            if (!(x[j] > -1 && x[j] < n))
                return mr_fail(e, MR_EINVAL,
                               "row %zu, column %u: %g is not one of the categories 0 to %g", r, j,
                               x[j], n - 1);
            const double *t = table + ((size_t)start[j] + (size_t)trunc(x[j])) * p->n_class;
            for (uint32_t k = 0; k < p->n_class; k++)
                y[k] += t[k];
        }
        for (uint32_t k = 0; k < p->n_class; k++)
            y[k] += bias[k];
    }
    return 0;
}

const struct mr_op_type mr_op_catnb = {
    .id = MR_OP_CATNB, .name = "catnb", .check = check, .eval = eval};
