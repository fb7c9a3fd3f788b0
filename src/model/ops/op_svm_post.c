/* MR_OP_SVM_PROBA: one-against-one values -> probabilities, votes or one value a class. */
#include "model/ops/check_util.h"
#include "model/ops/linear_params.h"

#define MAX_CLASS 1024u

static size_t n_pairs(const struct mr_svm_post_params *p) {
    return (size_t)p->n_class * (p->n_class - 1) / 2;
}

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_svm_post_params *p = op->params;
    if (op->params_len < sizeof *p)
        return mr_op_bad(op, "parameters are cut short", e);
    if (p->n_class < 2 || p->n_class > MAX_CLASS || p->mode < MR_SVM_COUPLE ||
        p->mode > MR_SVM_OVR || p->negate > 1 || !isfinite(p->cut))
        return mr_op_bad(op, "mode or classes out of range", e);
    int rc = mr_op_shape(op, slots, MR_SLOT_DENSE, n_pairs(p),
                         p->mode == MR_SVM_VOTE ? 1 : p->n_class, e);
    if (rc)
        return rc;
    if (p->mode == MR_SVM_COUPLE &&
        (!mr_op_f64(op, p->a, n_pairs(p)) || !mr_op_f64(op, p->b, n_pairs(p))))
        return mr_op_bad(op, "sigmoid parameters leave the file", e);
    return 0;
}

/* Pairwise probability of Platt's sigmoid, written so that exp never overflows, clipped as libsvm
 * does (its min_prob). */
static double pair_prob(double dec, double a, double b) {
    double f = dec * a + b;
    double v = f >= 0 ? exp(-f) / (1.0 + exp(-f)) : 1.0 / (1 + exp(f));
    return v < 1e-7 ? 1e-7 : v > 1 - 1e-7 ? 1 - 1e-7 : v;
}

/* Wu, Lin, Weng: Probability estimates for multi-class classification by pairwise coupling, JMLR 5
 * (2004), algorithm 2: Gauss-Seidel steps on Q p = p'Qp, renormalised after each. Stops early at
 * 0.005 / k, so the iteration is part of the answer. */
static void couple(size_t k, const double *r, double *q, double *qp, double *p) {
    for (size_t t = 0; t < k; t++) {
        p[t] = 1.0 / (double)k;
        q[t * k + t] = 0;
        for (size_t j = 0; j < t; j++) {
            q[t * k + t] += r[j * k + t] * r[j * k + t];
            q[t * k + j] = q[j * k + t];
        }
        for (size_t j = t + 1; j < k; j++) {
            q[t * k + t] += r[j * k + t] * r[j * k + t];
            q[t * k + j] = -r[j * k + t] * r[t * k + j];
        }
    }
    size_t max_iter = k > 100 ? k : 100;
    for (size_t iter = 0; iter < max_iter; iter++) {
        double pqp = 0, worst = 0;
        for (size_t t = 0; t < k; t++) {
            qp[t] = 0;
            for (size_t j = 0; j < k; j++)
                qp[t] += q[t * k + j] * p[j];
            pqp += p[t] * qp[t];
        }
        for (size_t t = 0; t < k; t++) {
            double err = fabs(qp[t] - pqp);
            worst = err > worst ? err : worst;
        }
        if (worst < 0.005 / (double)k)
            break;
        for (size_t t = 0; t < k; t++) {
            double diff = (-qp[t] + pqp) / q[t * k + t];
            p[t] += diff;
            pqp = (pqp + diff * (diff * q[t * k + t] + 2 * qp[t])) / (1 + diff) / (1 + diff);
            for (size_t j = 0; j < k; j++) {
                qp[j] = (qp[j] + diff * q[t * k + j]) / (1 + diff);
                p[j] /= 1 + diff;
            }
        }
    }
}

static void vote(const struct mr_svm_post_params *p, const double *dec, double *votes) {
    size_t k = p->n_class, pair = 0;
    for (size_t i = 0; i < k; i++)
        votes[i] = 0;
    for (size_t i = 0; i < k; i++)
        for (size_t j = i + 1; j < k; j++, pair++)
            votes[(p->negate ? dec[pair] <= 0 : dec[pair] > 0) ? i : j] += 1;
}

/* scikit-learn's one-against-rest view: votes plus confidences squashed into (-1/3, 1/3). A vote
 * for the second class of a pair is dec < 0 in libsvm's sign, so a value of 0 goes to the first. */
static void ovr(const struct mr_svm_post_params *p, const double *dec, double *conf, double *y) {
    size_t k = p->n_class, pair = 0;
    for (size_t i = 0; i < k; i++)
        y[i] = conf[i] = 0;
    for (size_t i = 0; i < k; i++)
        for (size_t j = i + 1; j < k; j++, pair++) {
            double second = p->negate ? dec[pair] : -dec[pair];
            conf[i] -= second;
            conf[j] += second;
            y[second > p->cut ? j : i] += 1;
        }
    for (size_t i = 0; i < k; i++)
        y[i] += conf[i] / (3 * (fabs(conf[i]) + 1));
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_svm_post_params *p = op->params;
    size_t k = p->n_class, pairs = n_pairs(p);
    double *buf = mr_op_scratch(f, p->mode == MR_SVM_COUPLE ? 2 * k * k + k : k, sizeof *buf, e);
    if (!buf)
        return MR_ENOMEM;
    for (size_t row = 0; row < f->rows; row++) {
        const double *dec = f->slot[op->in[0]].dense + row * pairs;
        double *out = f->slot[op->out].dense;
        if (p->mode == MR_SVM_VOTE) {
            vote(p, dec, buf);
            size_t best = 0;
            for (size_t i = 1; i < k; i++)
                best = buf[i] > buf[best] ? i : best;
            out[row] = (double)best;
        } else if (p->mode == MR_SVM_OVR) {
            ovr(p, dec, buf, out + row * k);
        } else {
            const double *a = mr_ref_f64(op, p->a), *b = mr_ref_f64(op, p->b);
            size_t pair = 0;
            for (size_t i = 0; i < k; i++)
                for (size_t j = i + 1; j < k; j++, pair++) {
                    double v = pair_prob(dec[pair], a[pair], b[pair]);
                    buf[i * k + j] = v;
                    buf[j * k + i] = 1 - v;
                }
            couple(k, buf, buf + k * k, buf + 2 * k * k, out + row * k);
        }
    }
    return 0;
}

static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct mr_svm_post_params *p = op->params;
    double k = p->n_class;
    return 10 + (p->mode == MR_SVM_COUPLE ? 20 : 1) * k * k;
}

const struct mr_op_type mr_op_svm_proba = {
    .id = MR_OP_SVM_PROBA, .name = "svm_proba", .check = check, .eval = eval, .cost = cost};
