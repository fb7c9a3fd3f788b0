/* MR_OP_KMEANS: nearest centre (first one on ties), distances to all centres, or the descent of a
 * bisecting tree. */
#include "model/ops/check_util.h"
#include "model/ops/dense_kernel.h"
#include "model/ops/linear_params.h"

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_kmeans_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->n_in || !p->n_cluster || p->n_in > MR_MAX_WIDTH || p->n_cluster > MR_MAX_WIDTH ||
        p->mode < MR_KMEANS_INDEX || p->mode > MR_KMEANS_TREE ||
        (p->metric != MR_METRIC_EUCLIDEAN && p->metric != MR_METRIC_MANHATTAN))
        return mr_op_bad(op, "sizes, mode or metric out of range", e);
    int rc = mr_op_shape(op, slots, MR_SLOT_DENSE, p->n_in,
                         p->mode == MR_KMEANS_DISTANCE ? p->n_cluster : 1, e);
    if (rc)
        return rc;
    if (p->mode != MR_KMEANS_TREE) {
        uint64_t padded = ((uint64_t)p->n_cluster + 7) / 8 * 8;
        return mr_op_f64(op, p->x, padded * p->n_in) ? 0
                                                     : mr_op_bad(op, "centres leave the file", e);
    }
    if (p->node.n % 3 || !p->node.n || p->node.n > (1u << 28) ||
        !mr_op_u32(op, p->node, p->node.n) || !mr_op_f64(op, p->x, p->node.n / 3 * p->n_in))
        return mr_op_bad(op, "tree leaves the file", e);
    const uint32_t *node = mr_ref_u32(op, p->node);
    uint64_t n = p->node.n / 3;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t l = node[i * 3], r = node[i * 3 + 1];
        if (l || r) {
            if (l <= i || r <= i || l >= n || r >= n)
                return mr_op_bad(op, "tree link out of range", e);
        } else if (node[i * 3 + 2] >= p->n_cluster) {
            return mr_op_bad(op, "tree label out of range", e);
        }
    }
    return 0;
}

static double squared(const double *a, const double *b, size_t n) {
    double s = 0;
    for (size_t j = 0; j < n; j++)
        s += (a[j] - b[j]) * (a[j] - b[j]);
    return s;
}

static double descend(const struct mr_op *op, const struct mr_kmeans_params *p, const double *x) {
    const uint32_t *node = mr_ref_u32(op, p->node);
    const double *c = mr_ref_f64(op, p->x);
    size_t i = 0, n = p->n_in;
    while (node[i * 3]) {
        size_t l = node[i * 3], r = node[i * 3 + 1];
        i = squared(x, c + r * n, n) < squared(x, c + l * n, n) ? r : l;
    }
    return node[i * 3 + 2];
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_kmeans_params *p = op->params;
    size_t blocks = ((size_t)p->n_cluster + 7) / 8;
    double *d = mr_op_scratch(f, blocks * 8, sizeof *d, e);
    if (!d)
        return MR_ENOMEM;
    bool l1 = p->metric == MR_METRIC_MANHATTAN;
    for (size_t r = 0; r < f->rows; r++) {
        const double *x = f->slot[op->in[0]].dense + r * p->n_in;
        double *y = f->slot[op->out].dense;
        if (p->mode == MR_KMEANS_TREE) {
            y[r] = descend(op, p, x);
            continue;
        }
        mr_dense_kernel()->dist8(l1 ? MR_DIST_L1 : MR_DIST_SQ, x, p->n_in, mr_ref_f64(op, p->x),
                                 blocks, d);
        if (p->mode == MR_KMEANS_INDEX) {
            size_t best = 0;
            for (size_t k = 1; k < p->n_cluster; k++)
                best = d[k] < d[best] ? k : best;
            y[r] = (double)best;
        } else {
            for (size_t k = 0; k < p->n_cluster; k++)
                y[r * p->n_cluster + k] = l1 ? d[k] : sqrt(d[k]);
        }
    }
    return 0;
}

static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_kmeans_params *p = op->params;
    return 10 + 0.2 * (double)p->x.n;
}

const struct mr_op_type mr_op_kmeans = {
    .id = MR_OP_KMEANS, .name = "kmeans", .check = check, .eval = eval, .cost = cost};
