/* sklearn.preprocessing: transformers that work on numbers column by column or row by row. */
#include "model/convert/steps.h"

#include <math.h>

MR_STEP(mr_prep_standard) {
    const double *mean = NULL, *scale = NULL;
    size_t n = mr_build_slot_width(c->b, in);
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0 && mr_step_flag(obj, "with_mean", true))
        rc = mr_step_f64(c, obj, "mean_", n, &mean, e);
    if (rc == 0 && mr_step_flag(obj, "with_std", true) && !mr_step_none(obj, "scale_"))
        rc = mr_step_f64(c, obj, "scale_", n, &scale, e);
    if (rc)
        return rc;
    *ret_out =
        mr_step_affine(c, in, &(struct mr_affine){.shift = mean, .scale = scale, .divide = true});
    return 0;
}

/* feature_range or quantile_range: two numbers. */
static bool pair(const struct mr_pk *v, double *lo, double *hi) {
    struct mr_pk *const *item;
    size_t n;
    return mr_pk_seq(v, &item, &n) && n == 2 && mr_pk_num(item[0], lo) && mr_pk_num(item[1], hi);
}

MR_STEP(mr_prep_minmax) {
    const double *scale, *min;
    double lo = 0, hi = 1;
    size_t n = mr_build_slot_width(c->b, in);
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = mr_step_f64(c, obj, "scale_", n, &scale, e);
    if (rc == 0)
        rc = mr_step_f64(c, obj, "min_", n, &min, e);
    if (rc)
        return rc;
    bool clip = mr_step_flag(obj, "clip", false);
    if (clip && !pair(mr_pk_attr(obj, "feature_range"), &lo, &hi))
        return mr_fail(e, MR_EREFUSED, "MinMaxScaler: feature_range is not a pair of numbers");
    in = mr_step_affine(c, in, &(struct mr_affine){.scale = scale, .add = min});
    if (clip)
        in = mr_step_affine(c, in, &(struct mr_affine){.lo = &lo, .hi = &hi, .one = true});
    *ret_out = in;
    return 0;
}

MR_STEP(mr_prep_maxabs) {
    const double *scale;
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = mr_step_f64(c, obj, "scale_", mr_build_slot_width(c->b, in), &scale, e);
    if (rc)
        return rc;
    *ret_out = mr_step_affine(c, in, &(struct mr_affine){.scale = scale, .divide = true});
    if (!mr_step_flag(obj, "clip", false))
        return 0;
    double lo = -1, hi = 1;
    *ret_out = mr_step_affine(c, *ret_out, &(struct mr_affine){.lo = &lo, .hi = &hi, .one = true});
    return 0;
}

MR_STEP(mr_prep_robust) {
    const double *center = NULL, *scale = NULL;
    size_t n = mr_build_slot_width(c->b, in);
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0 && mr_step_flag(obj, "with_centering", true))
        rc = mr_step_f64(c, obj, "center_", n, &center, e);
    if (rc == 0 && mr_step_flag(obj, "with_scaling", true))
        rc = mr_step_f64(c, obj, "scale_", n, &scale, e);
    if (rc)
        return rc;
    *ret_out =
        mr_step_affine(c, in, &(struct mr_affine){.shift = center, .scale = scale, .divide = true});
    return 0;
}

MR_STEP(mr_prep_normalizer) {
    int rc = mr_step_width(c, obj, in, e);
    if (rc)
        return rc;
    uint32_t norm = mr_step_is(obj, "norm", "l1")    ? MR_NORM_L1
                    : mr_step_is(obj, "norm", "l2")  ? MR_NORM_L2
                    : mr_step_is(obj, "norm", "max") ? MR_NORM_MAX
                                                     : MR_NORM_NONE;
    if (norm == MR_NORM_NONE)
        return mr_step_refuse(obj, e, "has an unknown norm");
    *ret_out = mr_step_norm(c, in, norm);
    return 0;
}

MR_STEP(mr_prep_binarizer) {
    double t = 0;
    int rc = mr_step_width(c, obj, in, e);
    if (rc)
        return rc;
    if (!mr_step_none(obj, "threshold") && !mr_pk_num(mr_pk_attr(obj, "threshold"), &t))
        return mr_fail(e, MR_EREFUSED, "Binarizer: threshold is not a number");
    in = mr_convert_dense(c, in);
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_threshold));
    struct mr_p_threshold *p = mr_blob_head(&blob);
    if (p)
        p->t = t;
    *ret_out =
        mr_step_op(c, MR_OP_THRESHOLD, in, MR_SLOT_DENSE, mr_build_slot_width(c->b, in), &blob);
    return 0;
}

MR_STEP(mr_prep_quantile) {
    const double *q, *ref;
    size_t rows, cols, n_ref, one, width = mr_build_slot_width(c->b, in);
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = mr_convert_need_f64(c, obj, "quantiles_", &q, &rows, &cols, e);
    if (rc == 0)
        rc = mr_convert_need_f64(c, obj, "references_", &ref, &n_ref, &one, e);
    if (rc)
        return rc;
    if (cols != width || rows == 0 || rows > 1u << 24 || n_ref * one != rows)
        return mr_fail(e, MR_EREFUSED, "QuantileTransformer: quantiles_ has the wrong shape");
    double *t = mr_arena_array(c->arena, rows * cols, sizeof *t);
    if (!t)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t j = 0; j < cols; j++)
        for (size_t i = 0; i < rows; i++)
            t[j * rows + i] = q[i * cols + j];
    struct mr_blob blob;
    in = mr_convert_dense(c, in);
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_quantile));
    struct mr_p_quantile v = {.n = (uint32_t)rows,
                              .normal = mr_step_is(obj, "output_distribution", "normal")};
    v.quantile = mr_blob_f64(&blob, t, rows * cols);
    v.reference = mr_blob_f64(&blob, ref, rows);
    struct mr_p_quantile *p = mr_blob_head(&blob);
    if (p)
        *p = v;
    *ret_out = mr_step_op(c, MR_OP_QUANTILE, in, MR_SLOT_DENSE, (uint32_t)width, &blob);
    return 0;
}

MR_STEP(mr_prep_power) {
    const double *lambda;
    uint32_t width = mr_build_slot_width(c->b, in);
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = mr_step_f64(c, obj, "lambdas_", width, &lambda, e);
    if (rc)
        return rc;
    bool box = mr_step_is(obj, "method", "box-cox");
    if (!box && !mr_step_is(obj, "method", "yeo-johnson"))
        return mr_step_refuse(obj, e, "has an unknown method");
    struct mr_blob blob;
    in = mr_convert_dense(c, in);
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_power));
    struct mr_ref r = mr_blob_f64(&blob, lambda, width);
    struct mr_p_power *p = mr_blob_head(&blob);
    if (p)
        *p = (struct mr_p_power){.method = box ? MR_POWER_BOX_COX : MR_POWER_YEO_JOHNSON,
                                 .lambda = r};
    *ret_out = mr_step_op(c, MR_OP_POWER, in, MR_SLOT_DENSE, width, &blob);
    if (!mr_step_flag(obj, "standardize", true))
        return 0;
    const struct mr_pk *scaler;
    rc = mr_convert_need(obj, "_scaler", &scaler, e);
    return rc ? rc : mr_convert_transform(c, scaler, *ret_out, ret_out, e);
}

MR_STEP(mr_prep_function) {
    const struct mr_pk *fn = mr_pk_attr(obj, "func");
    if (!fn || fn->type == MR_PK_NONE) {
        *ret_out = in;
        return 0;
    }
    const struct mr_pk *kw = mr_pk_attr(obj, "kw_args");
    bool plain = !kw || kw->type == MR_PK_NONE || (kw->type == MR_PK_DICT && kw->l.n == 0);
    uint32_t u = plain ? mr_step_ufunc(fn) : 0;
    if (u) {
        *ret_out = mr_step_unary(c, in, u);
        return 0;
    }
    struct mr_str name = fn->type == MR_PK_GLOBAL ? fn->g.name : MR_LIT("a function");
    struct mr_str mod = fn->type == MR_PK_GLOBAL ? fn->g.mod : MR_LIT("");
    return mr_step_refuse(obj, e,
                          "calls %.*s%s%.*s, and the code of a model file is never run; use "
                          "numpy's log1p, log, exp, sqrt, abs or the like by name, or do the "
                          "calculation before sending the data",
                          (int)(mod.n < 80 ? mod.n : 80), mod.p, mod.n ? "." : "",
                          (int)(name.n < 80 ? name.n : 80), name.p);
}
