/* Outlier detectors with a closed form: SGDOneClassSVM and EllipticEnvelope. Both answer 1 where
 * the decision value is at least 0. */
#include "model/convert/families.h"

#include <math.h>

static void inlier(struct mr_convert *c, uint32_t decision, struct mr_estimator_out *ret) {
    static const struct mr_label labels[2] = {{.i = -1, .f = -1}, {.i = 1, .f = 1}};
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_threshold));
    struct mr_p_threshold *p = mr_blob_head(&blob);
    if (p)
        p->or_equal = 1;
    ret->task = MR_TASK_OUTLIER;
    ret->n_outputs = 1;
    ret->decision_slot = decision;
    ret->out[0] =
        (struct mr_build_output){.pred_slot = mr_emit(c, MR_OP_THRESHOLD, decision, 1, &blob),
                                 .proba_slot = MR_NO_SLOT,
                                 .label_kind = MR_LABEL_INT,
                                 .classes = labels,
                                 .n_classes = 2};
}

int mr_convert_sgd_one_class(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                             struct mr_estimator_out *ret, struct mr_err *e) {
    uint32_t n = mr_build_slot_width(c->b, in), d = MR_NO_SLOT;
    const double *w, *offset;
    int r = mr_get_vector(c, obj, "coef_", n, &w, e);
    if (!r)
        r = mr_get_vector(c, obj, "offset_", 1, &offset, e);
    if (r)
        return r;
    double b = -offset[0];
    r = mr_emit_linear(c, in, n, 1, w, &b, &d, e);
    if (!r)
        inlier(c, d, ret);
    return r;
}

/* Lower triangle L with L L' = a, row-major; false when `a` is not positive definite. */
static bool cholesky(const double *a, size_t n, double *l) {
    memset(l, 0, n * n * sizeof *l);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double s = a[i * n + j];
            for (size_t k = 0; k < j; k++)
                s -= l[i * n + k] * l[j * n + k];
            if (i == j && !(s > 0))
                return false;
            l[i * n + j] = i == j ? sqrt(s) : s / l[j * n + j];
        }
    return true;
}

/* decision = -(x - m)' P (x - m) - offset, with P = L L': the sum of squares over L's columns. The
 * operation halves it, hence the factor sqrt(2). */
int mr_convert_elliptic(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                        struct mr_estimator_out *ret, struct mr_err *e) {
    const double *mean, *precision;
    double offset;
    size_t n = mr_build_slot_width(c->b, in);
    if (n > 4096)
        return mr_unsupported(obj, e, "reads %zu columns; at most 4096 are served", n);
    int r = mr_get_vector(c, obj, "location_", n, &mean, e);
    if (!r)
        r = mr_get_vector(c, obj, "precision_", n * n, &precision, e);
    if (!r)
        r = mr_get_num(obj, "offset_", &offset, e);
    if (r)
        return r;
    double *l = mr_convert_array(c, n * n, sizeof *l, e);
    double *rot = mr_convert_array(c, n * n, sizeof *rot, e);
    if (!l || !rot)
        return MR_ENOMEM;
    if (!cholesky(precision, n, l))
        return mr_refuse_attr(obj, "precision_", e, "is not positive definite");
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            rot[i * n + j] = l[j * n + i] * M_SQRT2;
    double bias = -offset;
    uint32_t rank = (uint32_t)n;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_qda_params));
    struct mr_ref mr = mr_blob_f64(&blob, mean, n), kr = mr_blob_u32(&blob, &rank, 1),
                  rr = mr_blob_f64(&blob, rot, n * n), br = mr_blob_f64(&blob, &bias, 1);
    struct mr_qda_params *p = mr_blob_head(&blob);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_qda_params){
        .n_in = rank, .n_class = 1, .mean = mr, .rank = kr, .rot = rr, .bias = br};
    inlier(c, mr_emit(c, MR_OP_QDA, mr_convert_dense(c, in), 1, &blob), ret);
    return 0;
}
