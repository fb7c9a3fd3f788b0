/* MR_OP_SVM: kernel expansion over the support vectors, as libsvm sums it. */
#include "model/ops/check_util.h"
#include "model/ops/dense_kernel.h"
#include "model/ops/linear_params.h"

#define MAX_CLASS 1024u

static uint32_t n_values(const struct mr_svm_params *p) {
    return p->n_class ? p->n_class * (p->n_class - 1) / 2 : 1;
}

static int check_vectors(const struct mr_op *op, struct mr_err *e) {
    const struct mr_svm_params *p = op->params;
    if (!p->sparse) {
        uint64_t blocks = ((uint64_t)p->n_sv + 7) / 8;
        return mr_op_f64(op, p->sv, blocks * 8 * p->n_in)
                   ? 0
                   : mr_op_bad(op, "support vectors leave the file", e);
    }
    if (!mr_op_starts(op, p->start, p->n_sv, p->index.n) ||
        !mr_op_u32_below(op, p->index, p->index.n, p->n_in) || !mr_op_f64(op, p->sv, p->index.n))
        return mr_op_bad(op, "sparse support vectors leave the file", e);
    return 0;
}

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_svm_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (!p->n_in || p->n_in > MR_MAX_WIDTH || p->n_sv > (1u << 28) || p->n_class == 1 ||
        p->n_class > MAX_CLASS || p->kernel > MR_SVM_SIGMOID || p->sparse > 1 ||
        p->degree > 1000000)
        return mr_op_bad(op, "sizes or kernel out of range", e);
    int rc =
        mr_op_shape(op, slots, p->sparse ? MR_SLOT_SPARSE : MR_SLOT_DENSE, p->n_in, n_values(p), e);
    if (!rc)
        rc = check_vectors(op, e);
    if (rc)
        return rc;
    uint64_t n_coef = (uint64_t)(p->n_class ? p->n_class - 1 : 1) * p->n_sv;
    if (!mr_op_f64(op, p->coef, n_coef) || !mr_op_f64(op, p->bias, n_values(p)) ||
        !mr_op_u32(op, p->n_of, p->n_class))
        return mr_op_bad(op, "coefficients leave the file", e);
    uint64_t sum = 0;
    const uint32_t *n_of = mr_ref_u32(op, p->n_of);
    for (uint32_t i = 0; i < p->n_class; i++)
        sum += n_of[i];
    if (p->n_class && sum != p->n_sv)
        return mr_op_bad(op, "vectors of the classes do not add up", e);
    return 0;
}

/* libsvm's integer power by squaring. */
static double powi(double base, uint32_t times) {
    double tmp = base, ret = 1;
    for (uint32_t t = times; t > 0; t /= 2) {
        if (t % 2 == 1)
            ret *= tmp;
        tmp *= tmp;
    }
    return ret;
}

/* Scalar products or squared distances of a sparse row with each sparse vector. */
static void sparse_terms(const struct mr_op *op, const struct mr_svm_params *p, const uint32_t *xi,
                         const double *xv, size_t n, double *kv) {
    const uint32_t *start = mr_ref_u32(op, p->start), *index = mr_ref_u32(op, p->index);
    const double *value = mr_ref_f64(op, p->sv);
    for (uint32_t s = 0; s < p->n_sv; s++) {
        size_t i = 0, j = start[s], end = start[s + 1];
        double dot = 0, sq = 0;
        while (i < n && j < end) {
            if (xi[i] == index[j]) {
                double d = xv[i] - value[j];
                dot += xv[i++] * value[j++];
                sq += d * d;
            } else if (xi[i] < index[j]) {
                sq += xv[i] * xv[i];
                i++;
            } else {
                sq += value[j] * value[j];
                j++;
            }
        }
        for (; i < n; i++)
            sq += xv[i] * xv[i];
        for (; j < end; j++)
            sq += value[j] * value[j];
        kv[s] = p->kernel == MR_SVM_RBF ? sq : dot;
    }
}

static void apply_kernel(const struct mr_svm_params *p, double *kv) {
    switch (p->kernel) {
    case MR_SVM_POLY:
        for (uint32_t i = 0; i < p->n_sv; i++)
            kv[i] = powi(p->gamma * kv[i] + p->coef0, p->degree);
        break;
    case MR_SVM_RBF:
        for (uint32_t i = 0; i < p->n_sv; i++)
            kv[i] *= -p->gamma;
        mr_dense_kernel()->exp(kv, p->n_sv);
        break;
    case MR_SVM_SIGMOID:
        for (uint32_t i = 0; i < p->n_sv; i++)
            kv[i] = tanh(p->gamma * kv[i] + p->coef0);
        break;
    default:
        break;
    }
}

static double weigh(const double *coef, const double *kv, size_t n) {
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += coef[i] * kv[i];
        s1 += coef[i + 1] * kv[i + 1];
        s2 += coef[i + 2] * kv[i + 2];
        s3 += coef[i + 3] * kv[i + 3];
    }
    for (; i < n; i++)
        s0 += coef[i] * kv[i];
    return (s0 + s1) + (s2 + s3);
}

static void decide(const struct mr_op *op, const struct mr_svm_params *p, const double *kv,
                   double *y) {
    const double *coef = mr_ref_f64(op, p->coef), *bias = mr_ref_f64(op, p->bias);
    if (!p->n_class) {
        y[0] = weigh(coef, kv, p->n_sv) + bias[0];
        return;
    }
    const uint32_t *n_of = mr_ref_u32(op, p->n_of);
    size_t pair = 0, si = 0, n = p->n_sv;
    for (uint32_t i = 0; i < p->n_class; i++) {
        size_t sj = si + n_of[i];
        for (uint32_t j = i + 1; j < p->n_class; j++) {
            y[pair] = weigh(coef + (j - 1) * n + si, kv + si, n_of[i]) +
                      weigh(coef + i * n + sj, kv + sj, n_of[j]) + bias[pair];
            pair++;
            sj += n_of[j];
        }
        si += n_of[i];
    }
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_svm_params *p = op->params;
    const struct mr_vec *in = &f->slot[op->in[0]];
    size_t blocks = ((size_t)p->n_sv + 7) / 8;
    double *kv = mr_op_scratch(f, blocks * 8, sizeof *kv, e);
    if (!kv)
        return MR_ENOMEM;
    for (size_t r = 0; r < f->rows; r++) {
        if (p->sparse) {
            size_t s = in->sparse.start[r], n = in->sparse.start[r + 1] - s;
            sparse_terms(op, p, in->sparse.index + s, in->sparse.value + s, n, kv);
        } else {
            mr_dense_kernel()->dist8(p->kernel == MR_SVM_RBF ? MR_DIST_SQ : MR_DIST_DOT,
                                     in->dense + r * p->n_in, p->n_in, mr_ref_f64(op, p->sv),
                                     blocks, kv);
        }
        apply_kernel(p, kv);
        decide(op, p, kv, f->slot[op->out].dense + r * n_values(p));
    }
    return 0;
}

static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_svm_params *p = op->params;
    double per = p->sparse ? 100 : 0.15 * p->n_in;
    per += p->kernel == MR_SVM_SIGMOID ? 10 : 2;
    return 20 + p->n_sv * (per + 0.4 * p->n_class);
}

const struct mr_op_type mr_op_svm = {
    .id = MR_OP_SVM, .name = "svm", .check = check, .eval = eval, .cost = cost};
