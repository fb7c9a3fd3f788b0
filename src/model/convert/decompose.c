/* Projections (PCA, IncrementalPCA, TruncatedSVD, FastICA): one matrix product each. */
#include "model/convert/families.h"

#include <math.h>

/* x W' - mean W', rows of W divided by `scale` when given. */
static int project(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, bool centre,
                   bool whiten, uint32_t *ret, struct mr_err *e) {
    const double *w, *mean = NULL, *var = NULL;
    size_t k, d;
    int r = mr_get_matrix(c, obj, "components_", false, &w, &k, &d, e);
    if (!r)
        r = mr_want_width(c, obj, in, d, e);
    if (!r && (!k || k > MR_MAX_WIDTH))
        r = mr_refuse_attr(obj, "components_", e, "has %zu rows", k);
    const struct mr_pk *m = mr_pk_attr(obj, "mean_");
    if (!r && centre && m && m->type != MR_PK_NONE)
        r = mr_get_vector(c, obj, "mean_", d, &mean, e);
    if (!r && whiten)
        r = mr_get_vector(c, obj, "explained_variance_", k, &var, e);
    if (r)
        return r;
    double *ws = mr_convert_array(c, k * d, sizeof *ws, e);
    double *b = mr_convert_array(c, k, sizeof *b, e);
    if (!ws || !b)
        return MR_ENOMEM;
    for (size_t i = 0; i < k; i++) {
        long double shift = 0;
        double s = 1;
        if (var) { /* a vanishing variance counts as the smallest step, as scikit-learn does */
            s = sqrt(var[i]);
            s = s < 2.220446049250313e-16 ? 2.220446049250313e-16 : s;
        }
        for (size_t j = 0; j < d; j++) {
            shift += mean ? (long double)mean[j] * w[i * d + j] : 0;
            ws[i * d + j] = w[i * d + j] / s;
        }
        b[i] = (double)(-shift / s);
    }
    return mr_emit_linear(c, in, (uint32_t)d, (uint32_t)k, ws, b, ret, e);
}

int mr_convert_pca(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t *ret_out,
                   struct mr_err *e) {
    bool whiten = false;
    mr_pk_bool(mr_pk_attr(obj, "whiten"), &whiten);
    return project(c, obj, in, true, whiten, ret_out, e);
}

int mr_convert_svd(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t *ret_out,
                   struct mr_err *e) {
    return project(c, obj, in, false, false, ret_out, e);
}

/* components_ already holds the whitening; without whitening there is no mean. */
int mr_convert_ica(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t *ret_out,
                   struct mr_err *e) {
    bool whiten = true;
    mr_pk_bool(mr_pk_attr(obj, "whiten"), &whiten); /* a text ("unit-variance") means true */
    return project(c, obj, in, whiten, false, ret_out, e);
}
