/* MR_OP_KNN_POOL: neighbours -> class weights (summing to 1) or the mean target. */
#include "model/ops/check_util.h"
#include "model/ops/linear_params.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_knn_pool_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->k || p->k > MR_MAX_WIDTH / 2 || !p->n_fit || p->by_distance > 1 ||
        p->n_class > MR_MAX_WIDTH || (!p->n_class && (!p->n_out || p->n_out > MR_MAX_WIDTH)))
        return mr_op_bad(op, "sizes out of range", e);
    int rc = mr_op_shape(op, slots, MR_SLOT_DENSE, 2 * (uint64_t)p->k,
                         p->n_class ? p->n_class : p->n_out, e);
    if (rc)
        return rc;
    if (p->n_class ? !mr_op_u32_below(op, p->y, p->n_fit, p->n_class)
                   : !mr_op_f64(op, p->y, (uint64_t)p->n_fit * p->n_out))
        return mr_op_bad(op, "targets out of range", e);
    return 0;
}

/* 1 / distance; when a distance is 0, those rows weigh 1 and the others 0. */
static void weigh(const double *dist, size_t k, double *w) {
    bool exact = false;
    for (size_t i = 0; i < k; i++) {
        w[i] = 1 / dist[i];
        exact |= isinf(w[i]);
    }
    for (size_t i = 0; exact && i < k; i++)
        w[i] = isinf(w[i]) ? 1 : 0;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_knn_pool_params *p = op->params;
    size_t k = p->k, width = p->n_class ? p->n_class : p->n_out;
    const uint32_t *cls = p->n_class ? mr_ref_u32(op, p->y) : NULL;
    const double *target = p->n_class ? NULL : mr_ref_f64(op, p->y);
    double *w = mr_op_scratch(f, k, sizeof *w, e);
    if (!w)
        return MR_ENOMEM;
    for (size_t r = 0; r < f->rows; r++) {
        const double *near = f->slot[op->in[0]].dense + r * 2 * k;
        double *y = f->slot[op->out].dense + r * width;
        double sum = 0;
        for (size_t j = 0; j < width; j++)
            y[j] = 0;
        if (p->by_distance)
            weigh(near, k, w);
        for (size_t i = 0; i < k; i++) {
            double at = near[k + i];
            if (!(at >= 0 && at < p->n_fit))
                return mr_fail(e, MR_EPREDICT, "neighbour number out of range");
            double wi = p->by_distance ? w[i] : 1;
            sum += wi;
            if (cls)
                y[cls[(size_t)at]] += wi;
            else
                for (size_t j = 0; j < width; j++)
                    y[j] += wi * target[(size_t)at * width + j];
        }
        if (cls) {
            sum = 0;
            for (size_t j = 0; j < width; j++)
                sum += y[j];
        }
        for (size_t j = 0; j < width; j++)
            y[j] /= sum;
    }
    return 0;
}

static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_knn_pool_params *p = op->params;
    return 10 + 4.0 * p->k + p->n_class + p->n_out;
}

const struct mr_op_type mr_op_knn_pool = {
    .id = MR_OP_KNN_POOL, .name = "knn_pool", .check = check, .eval = eval, .cost = cost};
