/* Weighted median of an ensemble of regressors (AdaBoost.R2): one column a regressor in, the
 * median out. Drucker 1997, as scikit-learn's AdaBoostRegressor._get_median_predict does it. */
#include "model/ops/util.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (!r)
        r = mr_op_params(op, sizeof(struct mr_p_adaboost), e);
    if (r)
        return r;
    const struct mr_p_adaboost *p = op->params;
    const struct mr_slot_decl *out = &slots[op->out];
    if (out->kind != MR_SLOT_DENSE || out->width != 1 || p->weight.n != slots[op->in[0]].width ||
        !mr_ref_f64(op, p->weight))
        return mr_op_bad(op, "weights do not fit", e);
    return 0;
}

/* Order of the columns by value (insertion sort: ensembles are small and often nearly sorted). */
static void sort_columns(const double *x, uint32_t *order, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = i;
        for (; k && x[order[k - 1]] > x[i]; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_p_adaboost *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    const double *w = mr_ref_f64(op, p->weight);
    double *out = mr_op_out(op, f)->dense;
    uint32_t n = in->width;
    uint32_t *order = mr_arena_array(f->arena, n, sizeof *order);
    if (!order)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < f->rows; i++) {
        const double *x = in->dense + i * n;
        double total = 0, sum = 0;
        sort_columns(x, order, n);
        for (uint32_t k = 0; k < n; k++)
            total += w[order[k]];
        uint32_t pick = 0;
        for (uint32_t k = 0; k < n; k++) {
            sum += w[order[k]];
            if (sum >= 0.5 * total) {
                pick = k;
                break;
            }
        }
        out[i] = x[order[pick]];
    }
    return 0;
}

extern const struct mr_op_type mr_op_adaboost;
const struct mr_op_type mr_op_adaboost = {
    .id = MR_OP_ADABOOST, .name = "weighted_median", .check = check, .eval = eval};
