#include "model/convert/steps.h"

#include <math.h>
#include <stdarg.h>

int mr_step_refuse(const struct mr_pk *obj, struct mr_err *e, const char *fmt, ...) {
    char why[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    struct mr_str s = mr_pk_class_short(obj);
    return mr_fail(e, MR_EUNSUPPORTED, "%.*s %s", (int)(s.n < 100 ? s.n : 100), s.p ? s.p : "",
                   why);
}

bool mr_step_none(const struct mr_pk *obj, const char *attr) {
    const struct mr_pk *v = mr_pk_attr(obj, attr);
    return !v || v->type == MR_PK_NONE;
}

bool mr_step_flag(const struct mr_pk *obj, const char *attr, bool otherwise) {
    bool v;
    return mr_pk_bool(mr_pk_attr(obj, attr), &v) ? v : otherwise;
}

bool mr_step_is(const struct mr_pk *obj, const char *attr, const char *text) {
    struct mr_str s;
    return mr_pk_str(mr_pk_attr(obj, attr), &s) && mr_str_is(s, text);
}

int mr_step_width(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, struct mr_err *e) {
    int64_t n;
    uint32_t width = mr_build_slot_width(c->b, in);
    if (mr_pk_int(mr_pk_attr(obj, "n_features_in_"), &n) && n != width) {
        struct mr_str s = mr_pk_class_short(obj);
        return mr_fail(e, MR_EREFUSED, "%.*s reads %lld columns but gets %u", (int)s.n,
                       s.p ? s.p : "", (long long)n, width);
    }
    return 0;
}

int mr_step_f64(struct mr_convert *c, const struct mr_pk *obj, const char *attr, size_t n,
                const double **ret, struct mr_err *e) {
    size_t rows, cols;
    const double *v;
    int rc = mr_convert_need_f64(c, obj, attr, &v, &rows, &cols, e);
    if (rc)
        return rc;
    if (cols == 0 || rows > n || rows * cols != n) {
        struct mr_str s = mr_pk_class_short(obj);
        return mr_fail(e, MR_EREFUSED, "%.*s: %s has %zu x %zu values, %zu are needed", (int)s.n,
                       s.p ? s.p : "", attr, rows, cols, n);
    }
    *ret = v;
    return 0;
}

int mr_step_answer(struct mr_convert *c, uint32_t in, uint32_t slot, uint32_t *ret,
                   struct mr_err *e) {
    /* Numbers become dense on the way; cells that are not the input hold text that was filled in.
     */
    if (slot != in && mr_build_slot_kind(c->b, slot) == MR_SLOT_CELLS)
        return mr_fail(e, MR_EUNSUPPORTED,
                       "the model answers with columns of text, which are not served; add an "
                       "encoder or an estimator behind the imputer");
    *ret = mr_convert_dense(c, slot);
    return 0;
}

uint32_t mr_step_op(struct mr_convert *c, uint32_t op, uint32_t in, enum mr_slot_kind kind,
                    uint32_t width, struct mr_blob *blob) {
    uint32_t out = mr_build_slot(c->b, kind, width);
    mr_build_op(c->b, op, &in, 1, out, blob);
    return out;
}

uint32_t mr_step_no_missing(struct mr_convert *c, uint32_t in) {
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, 8);
    in = mr_convert_dense(c, in);
    return mr_step_op(c, MR_OP_PRESENT, in, MR_SLOT_DENSE, mr_build_slot_width(c->b, in), &blob);
}

uint32_t mr_step_select(struct mr_convert *c, uint32_t in, const uint32_t *cols, uint32_t n) {
    enum mr_slot_kind kind = mr_build_slot_kind(c->b, in);
    if (kind == MR_SLOT_SPARSE) {
        in = mr_convert_dense(c, in);
        kind = MR_SLOT_DENSE;
    }
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_select));
    struct mr_ref r = mr_blob_u32(&blob, cols, n);
    struct mr_p_select *p = mr_blob_head(&blob);
    if (p)
        p->cols = r;
    return mr_step_op(c, MR_OP_SELECT, in, kind, n, &blob);
}

uint32_t mr_step_affine(struct mr_convert *c, uint32_t in, const struct mr_affine *a) {
    bool sparse = mr_build_slot_kind(c->b, in) == MR_SLOT_SPARSE;
    if (!sparse || a->shift || a->add || a->lo || a->hi) {
        in = mr_convert_dense(c, in);
        sparse = false;
    }
    uint32_t width = mr_build_slot_width(c->b, in);
    size_t n = a->one ? 1 : width;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_affine));
    struct mr_p_affine v = {.divide = a->divide};
    if (a->shift)
        v.shift = mr_blob_f64(&blob, a->shift, n);
    if (a->scale)
        v.scale = mr_blob_f64(&blob, a->scale, n);
    if (a->add)
        v.add = mr_blob_f64(&blob, a->add, n);
    if (a->lo)
        v.lo = mr_blob_f64(&blob, a->lo, n);
    if (a->hi)
        v.hi = mr_blob_f64(&blob, a->hi, n);
    struct mr_p_affine *p = mr_blob_head(&blob);
    if (p)
        *p = v;
    return mr_step_op(c, MR_OP_AFFINE, in, sparse ? MR_SLOT_SPARSE : MR_SLOT_DENSE, width, &blob);
}

int mr_step_concat(struct mr_convert *c, const uint32_t *in, uint32_t n, bool cells, uint32_t *ret,
                   struct mr_err *e) {
    uint64_t width = 0;
    bool sparse = false;
    uint32_t *part = mr_arena_array(c->arena, n + 1, sizeof *part);
    if (!part)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    if (n == 0)
        return mr_fail(e, MR_EUNSUPPORTED, "a step gives no columns at all");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t w = mr_build_slot_width(c->b, in[i]);
        width += w;
        sparse |= mr_build_slot_kind(c->b, in[i]) == MR_SLOT_SPARSE;
        part[i] = in[i];
    }
    if (width > MR_MAX_WIDTH)
        return mr_fail(e, MR_EUNSUPPORTED, "a step gives more than %u columns", MR_MAX_WIDTH);
    enum mr_slot_kind kind = cells ? MR_SLOT_CELLS : sparse ? MR_SLOT_SPARSE : MR_SLOT_DENSE;
    for (uint32_t i = 0; i < n; i++) {
        enum mr_slot_kind k = mr_build_slot_kind(c->b, in[i]);
        if ((cells && k == MR_SLOT_SPARSE) || (!cells && k == MR_SLOT_CELLS))
            part[i] = mr_convert_dense(c, in[i]);
    }
    /* More parts than one operation takes are joined in groups. */
    while (n > 1) {
        uint32_t groups = 0;
        for (uint32_t i = 0; i < n; i += MR_OP_MAX_IN, groups++) {
            uint32_t k = n - i < MR_OP_MAX_IN ? n - i : MR_OP_MAX_IN, w = 0;
            for (uint32_t j = 0; j < k; j++)
                w += mr_build_slot_width(c->b, part[i + j]);
            uint32_t out = mr_build_slot(c->b, kind, w);
            struct mr_blob blob;
            mr_blob_begin(c->b, &blob, sizeof(struct mr_p_concat));
            mr_build_op(c->b, MR_OP_CONCAT, part + i, k, out, &blob);
            part[groups] = out;
        }
        n = groups;
    }
    *ret = part[0];
    return 0;
}

uint32_t mr_step_unary(struct mr_convert *c, uint32_t in, uint32_t fn) {
    struct mr_blob blob;
    in = mr_convert_dense(c, in);
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_unary));
    struct mr_p_unary *p = mr_blob_head(&blob);
    if (p)
        p->fn = fn;
    return mr_step_op(c, MR_OP_UNARY, in, MR_SLOT_DENSE, mr_build_slot_width(c->b, in), &blob);
}

uint32_t mr_step_ufunc(const struct mr_pk *fn) {
    static const struct {
        const char *name;
        uint32_t fn;
    } known[] = {
        {"log1p", MR_UNARY_LOG1P},     {"log", MR_UNARY_LOG},
        {"log2", MR_UNARY_LOG2},       {"log10", MR_UNARY_LOG10},
        {"exp", MR_UNARY_EXP},         {"expm1", MR_UNARY_EXPM1},
        {"exp2", MR_UNARY_EXP2},       {"sqrt", MR_UNARY_SQRT},
        {"cbrt", MR_UNARY_CBRT},       {"square", MR_UNARY_SQUARE},
        {"absolute", MR_UNARY_ABS},    {"fabs", MR_UNARY_ABS},
        {"abs", MR_UNARY_ABS},         {"negative", MR_UNARY_NEGATE},
        {"sign", MR_UNARY_SIGN},       {"reciprocal", MR_UNARY_RECIPROCAL},
        {"sin", MR_UNARY_SIN},         {"cos", MR_UNARY_COS},
        {"tan", MR_UNARY_TAN},         {"tanh", MR_UNARY_TANH},
        {"arcsinh", MR_UNARY_ARCSINH}, {"floor", MR_UNARY_FLOOR},
        {"ceil", MR_UNARY_CEIL},       {"rint", MR_UNARY_RINT},
    };
    if (!fn || fn->type != MR_PK_GLOBAL)
        return 0;
    if (!mr_str_is(fn->g.mod, "numpy") && !mr_str_starts(fn->g.mod, MR_LIT("numpy.core.")) &&
        !mr_str_starts(fn->g.mod, MR_LIT("numpy._core.")))
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (mr_str_is(fn->g.name, known[i].name))
            return known[i].fn;
    return 0;
}

uint32_t mr_step_norm(struct mr_convert *c, uint32_t in, uint32_t norm) {
    struct mr_blob blob;
    uint32_t width = mr_build_slot_width(c->b, in);
    if (mr_build_slot_kind(c->b, in) == MR_SLOT_SPARSE) {
        mr_blob_begin(c->b, &blob, sizeof(struct mr_tfidf_params));
        struct mr_tfidf_params *p = mr_blob_head(&blob);
        if (p)
            p->norm = norm;
        return mr_step_op(c, MR_OP_TFIDF, in, MR_SLOT_SPARSE, width, &blob);
    }
    in = mr_convert_dense(c, in);
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_normalize));
    struct mr_p_normalize *p = mr_blob_head(&blob);
    if (p)
        p->norm = norm;
    return mr_step_op(c, MR_OP_NORMALIZE, in, MR_SLOT_DENSE, width, &blob);
}
