/* MR_OP_KNN: the k nearest training rows of each input row.
 *
 * Which of several equally distant rows is taken follows scikit-learn: rows are offered in the
 * same order (brute force: by number; trees: depth first, nearer child first, rows of a leaf in
 * the tree's order) to the same kind of bounded max-heap, and a row as far as the worst kept one
 * is not taken. Distances are sums in feature order, so ties are the library's ties for the tree
 * methods. Euclidean brute force in scikit-learn is |x|^2 - 2 x.y + |y|^2 with x.y from a matrix
 * product; here x.y is a chain of fused multiply-adds in feature order, which is what OpenBLAS does
 * on machines with FMA for up to some hundred features. Elsewhere, and with cosine (numpy's
 * partial sort), ties are the library's only where the products are exact (integers, halves …).
 */
#include "model/ops/check_util.h"
#include "model/ops/dense_kernel.h"
#include "model/ops/linear_params.h"

#define MAX_DEPTH 64

struct query {
    const struct mr_knn_params *p;
    const double *x; /* the row asked about */
    const double *data;
    const uint32_t *order, *node;
    const double *radius, *lo, *hi, *norm;
    double *dist; /* heap of k */
    uint32_t *idx;
};

static int check_tree(const struct mr_op *op, struct mr_err *e) {
    const struct mr_knn_params *p = op->params;
    uint64_t box = (uint64_t)p->n_node * p->n_in;
    if (!p->n_node || p->n_node > (1u << 28) || p->metric > MR_METRIC_MINKOWSKI)
        return mr_op_bad(op, "tree size or metric out of range", e);
    if (!mr_op_f64(op, p->x, (uint64_t)p->n_fit * p->n_in) ||
        !mr_op_u32_below(op, p->order, p->n_fit, p->n_fit) ||
        !mr_op_u32(op, p->node, (uint64_t)p->n_node * 3) || !mr_op_f64(op, p->lo, box))
        return mr_op_bad(op, "tree arrays leave the file", e);
    if (p->method == MR_KNN_BALLTREE ? !mr_op_f64(op, p->radius, p->n_node)
                                     : !mr_op_f64(op, p->hi, box))
        return mr_op_bad(op, "tree bounds leave the file", e);
    const uint32_t *node = mr_ref_u32(op, p->node);
    uint64_t in_leaves = 0; /* a row lies in one leaf, so a search looks at each row once */
    for (uint64_t i = 0; i < p->n_node; i++) {
        const uint32_t *n = node + i * 3;
        if (n[0] > n[1] || n[1] > p->n_fit || n[2] > 1)
            return mr_op_bad(op, "tree node out of range", e);
        if (!n[2] && 2 * i + 2 >= p->n_node)
            return mr_op_bad(op, "inner tree node without children", e);
        in_leaves += n[2] ? n[1] - n[0] : 0;
    }
    if (in_leaves > p->n_fit)
        return mr_op_bad(op, "tree leaves overlap", e);
    return 0;
}

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_knn_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->n_in || p->n_in > MR_MAX_WIDTH || !p->k || p->k > p->n_fit || p->n_fit > (1u << 28) ||
        p->k > MR_MAX_WIDTH / 2)
        return mr_op_bad(op, "sizes out of range", e);
    if (p->metric < MR_METRIC_EUCLIDEAN || p->metric > MR_METRIC_COSINE ||
        (p->metric == MR_METRIC_MINKOWSKI && !(p->p > 0 && p->p < 1e6)))
        return mr_op_bad(op, "metric out of range", e);
    int rc = mr_op_shape(op, slots, MR_SLOT_DENSE, p->n_in, 2 * (uint64_t)p->k, e);
    if (rc)
        return rc;
    if (p->method == MR_KNN_KDTREE || p->method == MR_KNN_BALLTREE)
        return check_tree(op, e);
    if (p->method != MR_KNN_BRUTE)
        return mr_op_bad(op, "method out of range", e);
    uint64_t padded = ((uint64_t)p->n_fit + 7) / 8 * 8;
    if (p->metric == MR_METRIC_EUCLIDEAN && !mr_op_f64(op, p->norm, p->n_fit))
        return mr_op_bad(op, "lengths leave the file", e);
    return mr_op_f64(op, p->x, padded * p->n_in) ? 0 : mr_op_bad(op, "rows leave the file", e);
}

/* Replaces the farthest kept row (the heap's root) when `d` is nearer. */
static void offer(double *dist, uint32_t *idx, size_t k, double d, uint32_t row) {
    if (d >= dist[0])
        return;
    size_t at = 0;
    for (;;) {
        size_t left = 2 * at + 1, right = left + 1, next;
        if (left >= k)
            break;
        next = right < k && dist[left] < dist[right] ? right : left;
        if (!(d < dist[next]))
            break;
        dist[at] = dist[next];
        idx[at] = idx[next];
        at = next;
    }
    dist[at] = d;
    idx[at] = row;
}

/* Distances are kept reduced: squared, or to the power p. */
static double reduced(const struct mr_knn_params *p, const double *a, const double *b) {
    double s = 0;
    switch (p->metric) {
    case MR_METRIC_EUCLIDEAN:
        for (uint32_t j = 0; j < p->n_in; j++) {
            double d = a[j] - b[j];
            s += d * d;
        }
        return s;
    case MR_METRIC_MANHATTAN:
        for (uint32_t j = 0; j < p->n_in; j++)
            s += fabs(a[j] - b[j]);
        return s;
    case MR_METRIC_CHEBYSHEV:
        for (uint32_t j = 0; j < p->n_in; j++)
            s = fmax(s, fabs(a[j] - b[j]));
        return s;
    default:
        for (uint32_t j = 0; j < p->n_in; j++)
            s += pow(fabs(a[j] - b[j]), p->p);
        return s;
    }
}

static double to_distance(const struct mr_knn_params *p, double r) {
    return p->metric == MR_METRIC_EUCLIDEAN   ? sqrt(r)
           : p->metric == MR_METRIC_MINKOWSKI ? pow(r, 1 / p->p)
                                              : r;
}

/* Lower bound of the reduced distance to any row of a node. */
static double bound(const struct query *q, size_t node) {
    const struct mr_knn_params *p = q->p;
    const double *lo = q->lo + node * p->n_in;
    if (p->method == MR_KNN_BALLTREE) {
        double d = fmax(0, to_distance(p, reduced(p, q->x, lo)) - q->radius[node]);
        return p->metric == MR_METRIC_EUCLIDEAN   ? d * d
               : p->metric == MR_METRIC_MINKOWSKI ? pow(d, p->p)
                                                  : d;
    }
    const double *hi = q->hi + node * p->n_in;
    double s = 0;
    for (uint32_t j = 0; j < p->n_in; j++) {
        double a = lo[j] - q->x[j], b = q->x[j] - hi[j];
        double d = 0.5 * ((a + fabs(a)) + (b + fabs(b)));
        if (p->metric == MR_METRIC_CHEBYSHEV)
            s = fmax(s, d);
        else
            s += p->metric == MR_METRIC_EUCLIDEAN   ? d * d
                 : p->metric == MR_METRIC_MANHATTAN ? d
                                                    : pow(d, p->p);
    }
    return s;
}

/* Depth first, nearer child first; a child's number is at least twice its parent's, so the stack
 * never holds more than one entry a level. */
static void walk(const struct query *q) {
    struct {
        size_t node;
        double lb;
    } stack[MAX_DEPTH];
    size_t top = 0;
    stack[top].node = 0;
    stack[top++].lb = bound(q, 0);
    while (top) {
        size_t node = stack[--top].node;
        if (stack[top].lb > q->dist[0])
            continue;
        const uint32_t *n = q->node + node * 3;
        if (n[2]) {
            for (uint32_t i = n[0]; i < n[1]; i++)
                offer(q->dist, q->idx, q->p->k,
                      reduced(q->p, q->x, q->data + (size_t)i * q->p->n_in), q->order[i]);
            continue;
        }
        size_t a = 2 * node + 1, b = a + 1;
        double la = bound(q, a), lb = bound(q, b);
        bool first = la <= lb;
        stack[top].node = first ? b : a;
        stack[top++].lb = first ? lb : la;
        stack[top].node = first ? a : b;
        stack[top++].lb = first ? la : lb;
    }
}

static void minkowski8(const struct query *q, size_t n_block, double *out) {
    size_t n = q->p->n_in;
    for (size_t i = 0; i < n_block * 8; i++) {
        const double *p = q->data + i / 8 * n * 8 + i % 8;
        double s = 0;
        for (size_t j = 0; j < n; j++)
            s += pow(fabs(q->x[j] - p[j * 8]), q->p->p);
        out[i] = s;
    }
}

static void brute(const struct query *q, double *tmp) {
    static const enum mr_dist_kind kind[] = {[MR_METRIC_EUCLIDEAN] = MR_DIST_FMA,
                                             [MR_METRIC_MANHATTAN] = MR_DIST_L1,
                                             [MR_METRIC_CHEBYSHEV] = MR_DIST_MAX,
                                             [MR_METRIC_COSINE] = MR_DIST_DOT};
    const struct mr_knn_params *p = q->p;
    size_t n_block = ((size_t)p->n_fit + 7) / 8;
    double norm = 1;
    if (p->metric == MR_METRIC_MINKOWSKI)
        minkowski8(q, n_block, tmp);
    else
        mr_dense_kernel()->dist8(kind[p->metric], q->x, p->n_in, q->data, n_block, tmp);
    if (p->metric == MR_METRIC_EUCLIDEAN) {
        double own = mr_norm_fma(q->x, p->n_in);
        for (uint32_t i = 0; i < p->n_fit; i++)
            tmp[i] = fmax(0, own + -2 * tmp[i] + q->norm[i]);
    }
    if (p->metric == MR_METRIC_COSINE) {
        double s = 0;
        for (uint32_t j = 0; j < p->n_in; j++)
            s += q->x[j] * q->x[j];
        norm = s > 0 ? sqrt(s) : 1;
        for (uint32_t i = 0; i < p->n_fit; i++)
            tmp[i] = fmin(2, fmax(0, 1 - tmp[i] / norm));
    }
    for (uint32_t i = 0; i < p->n_fit; i++)
        offer(q->dist, q->idx, p->k, tmp[i], i);
}

/* Ascending by distance, then row: the sums of the pool then have one order. */
static void sort(double *dist, uint32_t *idx, size_t k) {
    for (size_t i = 1; i < k; i++) {
        double d = dist[i];
        uint32_t r = idx[i];
        size_t j = i;
        for (; j > 0 && (dist[j - 1] > d || (dist[j - 1] == d && idx[j - 1] > r)); j--) {
            dist[j] = dist[j - 1];
            idx[j] = idx[j - 1];
        }
        dist[j] = d;
        idx[j] = r;
    }
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_knn_params *p = op->params;
    struct query q = {.p = p,
                      .data = mr_ref_f64(op, p->x),
                      .order = mr_ref_u32(op, p->order),
                      .node = mr_ref_u32(op, p->node),
                      .radius = mr_ref_f64(op, p->radius),
                      .norm = mr_ref_f64(op, p->norm),
                      .lo = mr_ref_f64(op, p->lo),
                      .hi = mr_ref_f64(op, p->hi)};
    bool is_brute = p->method == MR_KNN_BRUTE;
    double *tmp = mr_op_scratch(f, is_brute ? ((size_t)p->n_fit + 7) / 8 * 8 : 1, sizeof *tmp, e);
    q.dist = mr_op_scratch(f, p->k, sizeof *q.dist, e);
    q.idx = mr_op_scratch(f, p->k, sizeof *q.idx, e);
    if (!tmp || !q.dist || !q.idx)
        return MR_ENOMEM;
    for (size_t r = 0; r < f->rows; r++) {
        double *y = f->slot[op->out].dense + r * 2 * p->k;
        q.x = f->slot[op->in[0]].dense + r * p->n_in;
        for (uint32_t i = 0; i < p->k; i++) {
            q.dist[i] = INFINITY;
            q.idx[i] = 0;
        }
        if (is_brute)
            brute(&q, tmp);
        else
            walk(&q);
        if (p->k <= 1024)
            sort(q.dist, q.idx, p->k);
        for (uint32_t i = 0; i < p->k; i++) {
            y[i] = to_distance(p, q.dist[i]);
            y[p->k + i] = q.idx[i];
        }
    }
    return 0;
}

static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_knn_params *p = op->params;
    double pair = p->metric == MR_METRIC_MINKOWSKI ? 20.0 * p->n_in : 0.2 * p->n_in;
    if (p->method == MR_KNN_BRUTE)
        return 30 + p->n_fit * (pair + 1);
    double all = p->n_fit * (5 * pair + 2), some = 30 * (p->n_in + 2) * log2(p->n_fit + 2.0);
    return 100 + fmin(all, some);
}

const struct mr_op_type mr_op_knn = {
    .id = MR_OP_KNN, .name = "knn", .check = check, .eval = eval, .cost = cost};
