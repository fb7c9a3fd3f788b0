/* MR_OP_QUANTILE (sklearn.preprocessing.QuantileTransformer). */
#include "model/ops/prep.h"
#include "model/ops/util.h"

#include <float.h>
#include <math.h>

#define BOUNDS 1e-7 /* the library's BOUNDS_THRESHOLD */

static double poly7(const double c[8], double x) {
    double r = c[7];
    for (int i = 6; i >= 0; i--)
        r = r * x + c[i];
    return r;
}

/* Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
 * Statistics 37 (1988), routine PPND16: about 1e-16 relative. */
double mr_normal_quantile(double p) {
    static const double a[8] = {3.3871328727963666080e0, 1.3314166789178437745e2,
                                1.9715909503065514427e3, 1.3731693765509461125e4,
                                4.5921953931549871457e4, 6.7265770927008700853e4,
                                3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double b[8] = {1,
                                4.2313330701600911252e1,
                                6.8718700749205790830e2,
                                5.3941960214247511077e3,
                                2.1213794301586595867e4,
                                3.9307895800092710610e4,
                                2.8729085735721942674e4,
                                5.2264952788528545610e3};
    static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                5.76949722146069140550e0,  3.64784832476320460504e0,
                                1.27045825245236838258e0,  2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[8] = {1,
                                2.05319162663775882187e0,
                                1.67638483018380384940e0,
                                6.89767334985100004550e-1,
                                1.48103976427480074590e-1,
                                1.51986665636164571966e-2,
                                5.47593808499534494600e-4,
                                1.05075007164441684324e-9};
    static const double t[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double u[8] = {1,
                                5.99832206555887937690e-1,
                                1.36929880922735805310e-1,
                                1.48753612908506148525e-2,
                                7.86869131145613259100e-4,
                                1.84631831751005468180e-5,
                                1.42151175831644588870e-7,
                                2.04426310338993978564e-15};
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * poly7(a, r) / poly7(b, r);
    }
    double r = q < 0 ? p : 1 - p;
    if (!(r > 0))
        return r == 0 ? (q < 0 ? -INFINITY : INFINITY) : NAN;
    r = sqrt(-log(r));
    double x = r <= 5 ? poly7(c, r - 1.6) / poly7(d, r - 1.6) : poly7(t, r - 5) / poly7(u, r - 5);
    return q < 0 ? -x : x;
}

static int check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int rc = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (rc == 0)
        rc = mr_op_params(op, sizeof(struct mr_p_quantile), e);
    if (rc)
        return rc;
    const struct mr_p_quantile *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (p->normal > 1 || p->n == 0 || p->reference.n != p->n || !mr_ref_f64(op, p->reference) ||
        !mr_ref_f64(op, p->quantile) || p->quantile.n != (uint64_t)p->n * in->width ||
        out->kind != MR_SLOT_DENSE || in->width != out->width)
        return mr_op_bad(op, "quantiles do not fit", e);
    return 0;
}

/* numpy.interp over n ascending xp; sign = -1 reads both arrays mirrored and negated. */
static double interp(double x, const double *xp, const double *fp, size_t n, int sign) {
#define XP(i) (sign > 0 ? xp[i] : -xp[n - 1 - (i)])
#define FP(i) (sign > 0 ? fp[i] : -fp[n - 1 - (i)])
    if (n == 1 || x < XP(0))
        return FP(0);
    if (x >= XP(n - 1))
        return FP(n - 1);
    size_t lo = 0, hi = n - 1; /* last lo with XP(lo) <= x */
    while (lo + 1 < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (XP(mid) <= x)
            lo = mid;
        else
            hi = mid;
    }
    double slope = (FP(lo + 1) - FP(lo)) / (XP(lo + 1) - XP(lo));
    return slope * (x - XP(lo)) + FP(lo);
#undef XP
#undef FP
}

static double transform(const struct mr_p_quantile *p, const double *q, const double *ref,
                        double x) {
    if (isnan(x))
        return x;
    double low = q[0], high = q[p->n - 1];
    bool at_low = p->normal ? x - BOUNDS < low : x == low;
    bool at_high = p->normal ? x + BOUNDS > high : x == high;
    double y = 0.5 * (interp(x, q, ref, p->n, 1) - interp(-x, q, ref, p->n, -1));
    if (at_high)
        y = 1;
    if (at_low)
        y = 0;
    if (!p->normal)
        return y;
    double lo = mr_normal_quantile(BOUNDS - DBL_EPSILON),
           hi = mr_normal_quantile(1 - (BOUNDS - DBL_EPSILON));
    y = mr_normal_quantile(y);
    return y < lo ? lo : y > hi ? hi : y;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_p_quantile *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    const double *q = mr_ref_f64(op, p->quantile), *ref = mr_ref_f64(op, p->reference);
    double *out = mr_op_out(op, f)->dense;
    for (size_t row = 0; row < f->rows; row++)
        for (size_t j = 0; j < in->width; j++)
            *out++ = transform(p, q + j * p->n, ref, in->dense[row * in->width + j]);
    return 0;
}

extern const struct mr_op_type mr_op_quantile;
const struct mr_op_type mr_op_quantile = {
    .id = MR_OP_QUANTILE, .name = "quantile", .check = check, .eval = eval};
