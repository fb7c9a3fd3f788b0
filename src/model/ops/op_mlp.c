/* MR_OP_MLP: fully connected layers; the output activation is a LINK op behind it. */
#include "model/ops/check_util.h"
#include "model/ops/dense_kernel.h"
#include "model/ops/linear_params.h"

#define BLOCK_ROWS 32

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_mlp_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->n_layers || p->n_layers > MR_MLP_MAX_LAYERS || p->activation > MR_ACT_LOGISTIC)
        return mr_op_bad(op, "layers or activation out of range", e);
    if (!mr_op_u32(op, p->dims, (uint64_t)p->n_layers + 1))
        return mr_op_bad(op, "layer widths leave the file", e);
    const uint32_t *d = mr_ref_u32(op, p->dims);
    uint64_t need = 0;
    for (uint32_t i = 0; i <= p->n_layers; i++) {
        if (!d[i] || d[i] > MR_MAX_WIDTH)
            return mr_op_bad(op, "layer width out of range", e);
        if (i)
            need += ((uint64_t)d[i - 1] + 1) * mr_linear_stride(d[i]); /* < 2^8 * 2^53 */
    }
    if (!mr_op_f64(op, p->w, need))
        return mr_op_bad(op, "weights leave the file", e);
    return mr_op_shape(op, slots, MR_SLOT_DENSE, d[0], d[p->n_layers], e);
}

static void activate(enum mr_mlp_act act, double *v, size_t n) {
    switch (act) {
    case MR_ACT_IDENTITY:
        return;
    case MR_ACT_RELU:
        for (size_t i = 0; i < n; i++)
            v[i] = v[i] > 0 ? v[i] : v[i] != v[i] ? v[i] : 0;
        return;
    case MR_ACT_TANH:
        for (size_t i = 0; i < n; i++)
            v[i] = tanh(v[i]);
        return;
    case MR_ACT_LOGISTIC:
        for (size_t i = 0; i < n; i++)
            v[i] = -v[i];
        mr_dense_kernel()->exp(v, n);
        for (size_t i = 0; i < n; i++)
            v[i] = 1 / (1 + v[i]);
        return;
    }
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_mlp_params *p = op->params;
    const uint32_t *d = mr_ref_u32(op, p->dims);
    const struct mr_dense_kernel *k = mr_dense_kernel();
    uint32_t n_in = d[0], n_out = d[p->n_layers], widest = 1;
    for (uint32_t i = 1; i < p->n_layers; i++)
        widest = d[i] > widest ? d[i] : widest;
    size_t block = f->rows < BLOCK_ROWS ? f->rows : BLOCK_ROWS;
    double *buf = mr_op_scratch(f, 2 * block * widest, sizeof *buf, e);
    if (!buf)
        return MR_ENOMEM;
    for (size_t r = 0; r < f->rows; r += block) {
        size_t rows = f->rows - r < block ? f->rows - r : block;
        const double *x = f->slot[op->in[0]].dense + r * n_in;
        const double *w = mr_ref_f64(op, p->w);
        for (uint32_t i = 0; i < p->n_layers; i++) {
            bool last = i + 1 == p->n_layers;
            size_t stride = mr_linear_stride(d[i + 1]);
            const double *b = w + d[i] * stride;
            double *y =
                last ? f->slot[op->out].dense + r * n_out : buf + (i & 1 ? block * widest : 0);
            k->linear(x, rows, d[i], d[i], w, b, stride, d[i + 1], y, d[i + 1]);
            if (!last)
                activate(p->activation, y, rows * d[i + 1]);
            w = b + stride;
            x = y;
        }
    }
    return 0;
}

static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_mlp_params *p = op->params;
    const uint32_t *d = mr_ref_u32(op, p->dims);
    double units = 0;
    for (uint32_t i = 1; i < p->n_layers; i++)
        units += d[i];
    return 15 + 0.13 * (double)p->w.n + (p->activation == MR_ACT_TANH ? 8 : 2) * units;
}

const struct mr_op_type mr_op_mlp = {
    .id = MR_OP_MLP, .name = "mlp", .check = check, .eval = eval, .cost = cost};
