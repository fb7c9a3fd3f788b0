/* SimpleImputer and MissingIndicator. */
#include "model/convert/steps.h"

#include <math.h>

/* Which value counts as missing; *text holds it when it is a text. */
static int sentinel(const struct mr_pk *obj, uint32_t *kind, double *num, struct mr_str *text,
                    struct mr_err *e) {
    const struct mr_pk *v = mr_pk_attr(obj, "missing_values");
    *kind = MR_MISSING_NAN;
    if (!v || v->type == MR_PK_NONE || v->type == MR_PK_GLOBAL || v->type == MR_PK_OBJ)
        return 0; /* None, pandas.NA */
    if (mr_pk_str(v, text)) {
        *kind = MR_MISSING_STR;
        return 0;
    }
    if (!mr_pk_num(v, num))
        return mr_step_refuse(obj, e,
                              "marks missing values by something that is no number or text");
    *kind = isnan(*num) ? MR_MISSING_NAN : MR_MISSING_NUM;
    return 0;
}

/* features_ of a MissingIndicator as columns below width. */
static int features(struct mr_convert *c, const struct mr_pk *ind, uint32_t width,
                    const uint32_t **ret, uint32_t *ret_n, struct mr_err *e) {
    const double *v;
    size_t rows, cols;
    int rc = mr_convert_need_f64(c, ind, "features_", &v, &rows, &cols, e);
    if (rc)
        return rc;
    size_t n = rows * cols;
    uint32_t *f = n <= width ? mr_arena_array(c->arena, n + 1, sizeof *f) : NULL;
    if (!f)
        return mr_fail(e, MR_EREFUSED, "MissingIndicator: features_ is damaged");
    for (size_t i = 0; i < n; i++) {
        if (!(v[i] >= 0 && v[i] < width))
            return mr_fail(e, MR_EREFUSED, "MissingIndicator: features_ is out of range");
        f[i] = (uint32_t)v[i];
    }
    *ret = f;
    *ret_n = (uint32_t)n;
    return 0;
}

MR_STEP(mr_prep_indicator) {
    const uint32_t *cols;
    struct mr_p_missing v = {0};
    struct mr_str text = MR_LIT("");
    uint32_t n;
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = sentinel(obj, &v.kind, &v.num, &text, e);
    if (rc == 0)
        rc = features(c, obj, mr_build_slot_width(c->b, in), &cols, &n, e);
    if (rc)
        return rc;
    if (n == 0)
        return mr_step_refuse(obj, e, "marks no column");
    if (v.kind != MR_MISSING_STR)
        in = mr_convert_dense(c, in);
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof v);
    v.str = mr_blob_bytes(&blob, text.p, text.n);
    v.cols = mr_blob_u32(&blob, cols, n);
    struct mr_p_missing *p = mr_blob_head(&blob);
    if (p)
        *p = v;
    *ret_out = mr_step_op(c, MR_OP_MISSING, in, MR_SLOT_DENSE, n, &blob);
    return 0;
}

struct fill {
    uint32_t *col, *is_str;
    double *num;
    struct mr_str *str;
    uint32_t n;
    bool text;
};

/* Columns that stay and what fills them: a column without values (statistic NaN) is dropped unless
 * the imputer keeps it. */
static int statistics(struct mr_convert *c, const struct mr_pk *obj, uint32_t width, struct fill *f,
                      struct mr_err *e) {
    const struct mr_pk *stat;
    int rc = mr_convert_need(obj, "statistics_", &stat, e);
    if (rc)
        return rc;
    if (mr_pk_len(stat) != width)
        return mr_fail(e, MR_EREFUSED, "SimpleImputer: statistics_ has the wrong length");
    f->col = mr_arena_array(c->arena, width + 1, sizeof *f->col);
    f->is_str = mr_arena_array(c->arena, width + 1, sizeof *f->is_str);
    f->num = mr_arena_array(c->arena, width + 1, sizeof *f->num);
    f->str = mr_arena_array(c->arena, width + 1, sizeof *f->str);
    if (!f->col || !f->is_str || !f->num || !f->str)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    bool keep = mr_step_flag(obj, "keep_empty_features", false);
    for (uint32_t j = 0; j < width; j++) {
        const struct mr_pk *v = mr_pk_item(c->arena, stat, j);
        double x = NAN;
        struct mr_str s = MR_LIT("");
        bool text = v && mr_pk_str(v, &s);
        if (!text && (!v || (v->type != MR_PK_NONE && !mr_pk_num(v, &x))))
            return mr_step_refuse(obj, e,
                                  "fills column %u with something that is no number or text", j);
        if (!text && isnan(x) && !keep)
            continue;
        f->col[f->n] = j;
        f->num[f->n] = x;
        f->str[f->n] = s.p ? s : MR_LIT("");
        f->is_str[f->n++] = text;
        f->text |= text;
    }
    return 0;
}

MR_STEP(mr_prep_imputer) {
    uint32_t width = mr_build_slot_width(c->b, in), n_ind = 0;
    struct mr_p_impute v = {0};
    struct fill f = {0};
    struct mr_str text = MR_LIT("");
    const uint32_t *ind = NULL;
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = sentinel(obj, &v.missing.kind, &v.missing.num, &text, e);
    if (rc == 0)
        rc = statistics(c, obj, width, &f, e);
    if (rc == 0 && mr_step_flag(obj, "add_indicator", false)) {
        const struct mr_pk *i;
        rc = mr_convert_need(obj, "indicator_", &i, e);
        if (rc == 0)
            rc = features(c, i, width, &ind, &n_ind, e);
    }
    if (rc)
        return rc;
    if (f.n + n_ind == 0)
        return mr_step_refuse(obj, e, "drops every column");
    bool cells = f.text || v.missing.kind == MR_MISSING_STR;
    if (!cells || mr_build_slot_kind(c->b, in) != MR_SLOT_CELLS)
        in = mr_convert_dense(c, in);
    cells = mr_build_slot_kind(c->b, in) == MR_SLOT_CELLS;
    if (f.text && !cells)
        return mr_step_refuse(obj, e, "fills text into numbers");
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof v);
    v.missing.str = mr_blob_bytes(&blob, text.p, text.n);
    v.missing.cols = mr_blob_u32(&blob, ind, n_ind);
    v.fill_col = mr_blob_u32(&blob, f.col, f.n);
    v.fill_num = mr_blob_f64(&blob, f.num, f.n);
    if (f.text) {
        v.fill_str = mr_blob_strtab(&blob, f.str, f.n);
        v.fill_is_str = mr_blob_u32(&blob, f.is_str, f.n);
    }
    struct mr_p_impute *p = mr_blob_head(&blob);
    if (p)
        *p = v;
    *ret_out =
        mr_step_op(c, MR_OP_IMPUTE, in, cells ? MR_SLOT_CELLS : MR_SLOT_DENSE, f.n + n_ind, &blob);
    return 0;
}

MR_STEP(mr_prep_refused_imputer) {
    (void)c, (void)in, (void)ret_out;
    return mr_step_refuse(obj, e,
                          "fills gaps from other rows or models and has no native form; use "
                          "SimpleImputer, or a model that takes missing values itself");
}
