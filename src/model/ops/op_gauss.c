/* MR_OP_GNB and MR_OP_QDA: Gaussian class densities. */
#include "model/ops/check_util.h"
#include "model/ops/linear_params.h"

static int gnb_check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_gnb_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->n_in || !p->n_class || p->n_in > MR_MAX_WIDTH || p->n_class > MR_MAX_WIDTH)
        return mr_op_bad(op, "sizes out of range", e);
    uint64_t n = (uint64_t)p->n_in * p->n_class;
    if (!mr_op_f64(op, p->mean, n) || !mr_op_f64(op, p->var, n) ||
        !mr_op_f64(op, p->bias, p->n_class))
        return mr_op_bad(op, "means or variances leave the file", e);
    return mr_op_shape(op, slots, MR_SLOT_DENSE, p->n_in, p->n_class, e);
}

static int gnb_eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_gnb_params *p = op->params;
    const double *bias = mr_ref_f64(op, p->bias);
    for (size_t r = 0; r < f->rows; r++) {
        const double *x = f->slot[op->in[0]].dense + r * p->n_in;
        double *y = f->slot[op->out].dense + r * p->n_class;
        const double *mean = mr_ref_f64(op, p->mean), *var = mr_ref_f64(op, p->var);
        for (uint32_t k = 0; k < p->n_class; k++, mean += p->n_in, var += p->n_in) {
            double s0 = 0, s1 = 0;
            uint32_t j = 0;
            for (; j + 2 <= p->n_in; j += 2) {
                double a = x[j] - mean[j], b = x[j + 1] - mean[j + 1];
                s0 += a * a / var[j];
                s1 += b * b / var[j + 1];
            }
            for (; j < p->n_in; j++)
                s0 += (x[j] - mean[j]) * (x[j] - mean[j]) / var[j];
            y[k] = bias[k] - 0.5 * (s0 + s1);
        }
    }
    return 0;
}

static double gnb_cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_gnb_params *p = op->params;
    return 10 + 1.5 * p->n_in * p->n_class;
}

const struct mr_op_type mr_op_gnb = {
    .id = MR_OP_GNB, .name = "gnb", .check = gnb_check, .eval = gnb_eval, .cost = gnb_cost};

static int qda_check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_qda_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->n_in || !p->n_class || p->n_in > MR_MAX_WIDTH || p->n_class > MR_MAX_WIDTH)
        return mr_op_bad(op, "sizes out of range", e);
    if (!mr_op_f64(op, p->mean, (uint64_t)p->n_in * p->n_class) ||
        !mr_op_u32(op, p->rank, p->n_class) || !mr_op_f64(op, p->bias, p->n_class))
        return mr_op_bad(op, "means leave the file", e);
    uint64_t rows = 0; /* < 2^26 * 2^32 */
    for (uint32_t k = 0; k < p->n_class; k++)
        rows += mr_ref_u32(op, p->rank)[k];
    if (rows > UINT32_MAX || !mr_op_f64(op, p->rot, rows * p->n_in))
        return mr_op_bad(op, "axes leave the file", e);
    return mr_op_shape(op, slots, MR_SLOT_DENSE, p->n_in, p->n_class, e);
}

static int qda_eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_qda_params *p = op->params;
    const double *bias = mr_ref_f64(op, p->bias);
    const uint32_t *rank = mr_ref_u32(op, p->rank);
    double *d = mr_op_scratch(f, p->n_in, sizeof *d, e);
    if (!d)
        return MR_ENOMEM;
    for (size_t r = 0; r < f->rows; r++) {
        const double *x = f->slot[op->in[0]].dense + r * p->n_in;
        double *y = f->slot[op->out].dense + r * p->n_class;
        const double *mean = mr_ref_f64(op, p->mean), *rot = mr_ref_f64(op, p->rot);
        for (uint32_t k = 0; k < p->n_class; k++, mean += p->n_in) {
            double norm = 0;
            for (uint32_t j = 0; j < p->n_in; j++)
                d[j] = x[j] - mean[j];
            for (uint32_t i = 0; i < rank[k]; i++, rot += p->n_in) {
                double s = 0;
                for (uint32_t j = 0; j < p->n_in; j++)
                    s += d[j] * rot[j];
                norm += s * s;
            }
            y[k] = -0.5 * norm + bias[k];
        }
    }
    return 0;
}

static double qda_cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_qda_params *p = op->params;
    return 10 + 0.5 * (double)p->rot.n;
}

const struct mr_op_type mr_op_qda = {
    .id = MR_OP_QDA, .name = "qda", .check = qda_check, .eval = qda_eval, .cost = qda_cost};
