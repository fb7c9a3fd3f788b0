/* MR_OP_IMPUTE, MR_OP_MISSING and MR_OP_PRESENT (sklearn.impute.SimpleImputer, MissingIndicator).
 */
#include "model/ops/prep.h"
#include "model/ops/util.h"

#include <math.h>

static int missing_ok(const struct mr_op *op, const struct mr_p_missing *p,
                      const struct mr_slot_decl *in, struct mr_err *e) {
    const uint32_t *cols = mr_ref_u32(op, p->cols);
    if (p->kind > MR_MISSING_STR || !mr_ref_u8(op, p->str) || !cols)
        return mr_op_bad(op, "parameters out of range", e);
    for (uint64_t i = 0; i < p->cols.n; i++)
        if (cols[i] >= in->width)
            return mr_op_bad(op, "a column is out of range", e);
    return 0;
}

static inline bool missing_number(const struct mr_p_missing *p, double x) {
    return isnan(x) ? p->kind == MR_MISSING_NAN : p->kind == MR_MISSING_NUM && x == p->num;
}

static inline bool missing_cell(const struct mr_op *op, const struct mr_p_missing *p,
                                const struct mr_cell *c) {
    if (!c->s.p)
        return missing_number(p, c->num);
    return p->kind == MR_MISSING_STR && c->s.n == p->str.n &&
           memcmp(c->s.p, mr_ref_u8(op, p->str), c->s.n) == 0;
}

static int check_missing(const struct mr_op *op, const struct mr_slot_decl *slots,
                         struct mr_err *e) {
    int rc = mr_op_inputs(op, slots, 1, 0, e);
    if (rc == 0)
        rc = mr_op_params(op, sizeof(struct mr_p_missing), e);
    if (rc)
        return rc;
    const struct mr_p_missing *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (in->kind == MR_SLOT_SPARSE || out->kind != MR_SLOT_DENSE || p->cols.n != out->width)
        return mr_op_bad(op, "output does not fit", e);
    return missing_ok(op, p, in, e);
}

static int eval_missing(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_p_missing *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    const uint32_t *cols = mr_ref_u32(op, p->cols);
    double *out = mr_op_out(op, f)->dense;
    for (size_t row = 0; row < f->rows; row++)
        for (size_t j = 0; j < p->cols.n; j++) {
            size_t at = row * in->width + cols[j];
            *out++ = in->kind == MR_SLOT_CELLS ? missing_cell(op, p, &in->cells[at])
                                               : missing_number(p, in->dense[at]);
        }
    return 0;
}

extern const struct mr_op_type mr_op_missing;
const struct mr_op_type mr_op_missing = {
    .id = MR_OP_MISSING, .name = "missing", .check = check_missing, .eval = eval_missing};

static int check_impute(const struct mr_op *op, const struct mr_slot_decl *slots,
                        struct mr_err *e) {
    int rc = mr_op_inputs(op, slots, 1, 0, e);
    if (rc == 0)
        rc = mr_op_params(op, sizeof(struct mr_p_impute), e);
    if (rc)
        return rc;
    const struct mr_p_impute *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    const uint32_t *col = mr_ref_u32(op, p->fill_col), *is_str = mr_ref_u32(op, p->fill_is_str);
    struct mr_strtab tab;
    if (in->kind == MR_SLOT_SPARSE || in->kind != out->kind || p->fill_col.n > out->width ||
        p->fill_col.n + p->missing.cols.n != out->width)
        return mr_op_bad(op, "output does not fit", e);
    if (!col || !is_str || !mr_ref_f64(op, p->fill_num) || p->fill_num.n != p->fill_col.n ||
        (p->fill_is_str.n && p->fill_is_str.n != p->fill_col.n) ||
        (p->fill_is_str.n && in->kind != MR_SLOT_CELLS) ||
        (p->fill_is_str.n && (!mr_ref_strtab(op, p->fill_str, &tab) || tab.n != p->fill_col.n)))
        return mr_op_bad(op, "fill values do not fit", e);
    for (uint64_t i = 0; i < p->fill_col.n; i++)
        if (col[i] >= in->width)
            return mr_op_bad(op, "a column is out of range", e);
    return missing_ok(op, &p->missing, in, e);
}

static int impute_cells(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_p_impute *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    int rc = mr_op_cells(f, op->out, e);
    if (rc)
        return rc;
    const uint32_t *col = mr_ref_u32(op, p->fill_col), *ind = mr_ref_u32(op, p->missing.cols),
                   *is_str = p->fill_is_str.n ? mr_ref_u32(op, p->fill_is_str) : NULL;
    const double *num = mr_ref_f64(op, p->fill_num);
    struct mr_strtab tab = {0};
    if (is_str && !mr_ref_strtab(op, p->fill_str, &tab))
        return mr_op_bad(op, "fill values do not fit", e);
    struct mr_cell *out = mr_op_out(op, f)->cells;
    for (size_t row = 0; row < f->rows; row++) {
        const struct mr_cell *x = in->cells + row * in->width;
        for (uint32_t j = 0; j < p->fill_col.n; j++, out++) {
            *out = x[col[j]];
            if (!missing_cell(op, &p->missing, out))
                continue;
            *out = (struct mr_cell){num[j], {NULL, 0}};
            if (is_str && is_str[j])
                out->s = mr_strtab_at(&tab, j);
        }
        for (uint32_t j = 0; j < p->missing.cols.n; j++)
            *out++ = (struct mr_cell){missing_cell(op, &p->missing, &x[ind[j]]), {NULL, 0}};
    }
    return 0;
}

static int eval_impute(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_p_impute *p = op->params;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    if (in->kind == MR_SLOT_CELLS)
        return impute_cells(op, f, e);
    const uint32_t *col = mr_ref_u32(op, p->fill_col), *ind = mr_ref_u32(op, p->missing.cols);
    const double *num = mr_ref_f64(op, p->fill_num);
    double *out = mr_op_out(op, f)->dense;
    for (size_t row = 0; row < f->rows; row++) {
        const double *x = in->dense + row * in->width;
        for (uint32_t j = 0; j < p->fill_col.n; j++)
            *out++ = missing_number(&p->missing, x[col[j]]) ? num[j] : x[col[j]];
        for (uint32_t j = 0; j < p->missing.cols.n; j++)
            *out++ = missing_number(&p->missing, x[ind[j]]);
    }
    return 0;
}

extern const struct mr_op_type mr_op_impute;
const struct mr_op_type mr_op_impute = {
    .id = MR_OP_IMPUTE, .name = "impute", .check = check_impute, .eval = eval_impute};

static int check_present(const struct mr_op *op, const struct mr_slot_decl *slots,
                         struct mr_err *e) {
    int rc = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (rc)
        return rc;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (out->kind != MR_SLOT_DENSE || in->width != out->width)
        return mr_op_bad(op, "output does not fit", e);
    return 0;
}

static int eval_present(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_vec *in = mr_op_in(op, f, 0);
    double *out = mr_op_out(op, f)->dense;
    for (size_t i = 0; i < f->rows * in->width; i++) {
        out[i] = in->dense[i];
        if (isnan(out[i]))
            return mr_fail(e, MR_EINVAL,
                           "row %zu: a value is missing in a column where the model takes no "
                           "missing values",
                           i / in->width);
    }
    return 0;
}

extern const struct mr_op_type mr_op_present;
const struct mr_op_type mr_op_present = {
    .id = MR_OP_PRESENT, .name = "present", .check = check_present, .eval = eval_present};
