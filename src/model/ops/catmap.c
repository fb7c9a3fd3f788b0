#include "model/ops/catmap.h"

#include "base/alloc.h"
#include "base/num.h"
#include "model/ops/util.h"

#include <math.h>

static bool codes_ok(const struct mr_op *op, struct mr_ref r, uint64_t n, uint64_t limit) {
    const int32_t *v = mr_ref_i32(op, r);
    if (!v || r.n != n)
        return false;
    for (uint64_t i = 0; i < n; i++)
        if (v[i] < MR_CAT_ERROR || (v[i] >= 0 && (uint64_t)v[i] >= limit))
            return false;
    return true;
}

static bool code_ok(int32_t code, uint64_t limit) {
    return code >= MR_CAT_ERROR && (code < 0 || (uint64_t)code < limit);
}

static const struct mr_p_cat *maps(const struct mr_op *op, uint32_t *ret_n) {
    const struct mr_p_encode *p = op->params;
    const struct mr_p_cat *cat = (const void *)mr_ref_u8(op, p->cats);
    if (!cat || (uintptr_t)cat % 8 || p->cats.n % sizeof *cat ||
        p->cats.n / sizeof *cat > MR_MAX_WIDTH)
        return NULL;
    *ret_n = (uint32_t)(p->cats.n / sizeof *cat);
    return cat;
}

static bool map_ok(const struct mr_op *op, const struct mr_p_cat *c, const struct mr_slot_decl *in,
                   bool onehot) {
    struct mr_strtab tab = {0};
    const double *num = mr_ref_f64(op, c->num), *value = mr_ref_f64(op, c->value);
    uint64_t limit = onehot ? c->width : c->value.n;
    if (c->in_col >= in->width || !num || !value || !mr_ref_strtab(op, c->str, &tab))
        return false;
    for (uint64_t i = 0; i < c->num.n; i++)
        if (isnan(num[i]) || (i && num[i] <= num[i - 1]))
            return false;
    if (!codes_ok(op, c->num_code, c->num.n, limit) || !codes_ok(op, c->str_code, tab.n, limit) ||
        !code_ok(c->missing, limit) || !code_ok(c->unknown, limit))
        return false;
    /* An ordinal map has a value for each code: "no column" has no meaning there. */
    if (onehot)
        return true;
    const int32_t *nc = mr_ref_i32(op, c->num_code), *sc = mr_ref_i32(op, c->str_code);
    bool ok = c->missing != MR_CAT_NONE && c->unknown != MR_CAT_NONE;
    for (uint64_t i = 0; i < c->num.n; i++)
        ok &= nc[i] != MR_CAT_NONE;
    for (uint32_t i = 0; i < tab.n; i++)
        ok &= sc[i] != MR_CAT_NONE;
    return ok;
}

int mr_cats_check(const struct mr_op *op, const struct mr_slot_decl *in, bool onehot,
                  uint64_t *ret_width, struct mr_err *e) {
    uint32_t n = 0;
    const struct mr_p_cat *cat = maps(op, &n);
    if (!cat)
        return mr_op_bad(op, "broken category maps", e);
    uint64_t at = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (!map_ok(op, &cat[k], in, onehot) || (onehot && cat[k].first != at))
            return mr_op_bad(op, "a category map is out of range", e);
        at += onehot ? cat[k].width : 1;
        if (at > MR_MAX_WIDTH)
            return mr_op_bad(op, "too many columns", e);
    }
    *ret_width = at;
    return 0;
}

void mr_cats_free(struct mr_cats *c) {
    if (!c)
        return;
    for (uint32_t k = 0; c->set && k < c->n; k++)
        mr_strset_release(&c->set[k]);
    mr_free(c->set);
    mr_free(c->num);
    mr_free(c->num_code);
    mr_free(c->str_code);
    mr_free(c);
}

int mr_cats_prepare(const struct mr_op *op, struct mr_cats **ret, struct mr_err *e) {
    struct mr_cats *c = mr_calloc(1, sizeof *c);
    if (!c)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    c->cat = maps(op, &c->n);
    size_t n = c->n ? c->n : 1;
    c->set = mr_calloc(n, sizeof *c->set);
    c->num = mr_calloc(n, sizeof *c->num);
    c->num_code = mr_calloc(n, sizeof *c->num_code);
    c->str_code = mr_calloc(n, sizeof *c->str_code);
    int rc = 0;
    if (!c->set || !c->num || !c->num_code || !c->str_code)
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < c->n && rc == 0; k++) {
        struct mr_strtab tab;
        c->num[k] = mr_ref_f64(op, c->cat[k].num);
        c->num_code[k] = mr_ref_i32(op, c->cat[k].num_code);
        c->str_code[k] = mr_ref_i32(op, c->cat[k].str_code);
        if (!mr_ref_strtab(op, c->cat[k].str, &tab))
            rc = mr_op_bad(op, "a category map is out of range", e);
        else
            rc = mr_strset_init(&c->set[k], &tab, e);
    }
    if (rc) {
        mr_cats_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

int32_t mr_cats_number(const struct mr_cats *c, uint32_t k, double x) {
    const struct mr_p_cat *cat = &c->cat[k];
    if (isnan(x))
        return cat->missing;
    const double *v = c->num[k];
    size_t lo = 0, hi = cat->num.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (v[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < cat->num.n && v[lo] == x ? c->num_code[k][lo] : cat->unknown;
}

int32_t mr_cats_cell(const struct mr_cats *c, uint32_t k, const struct mr_cell *cell) {
    if (!cell->s.p)
        return mr_cats_number(c, k, cell->num);
    int64_t pos = mr_strset_find(&c->set[k], cell->s.p, cell->s.n);
    return pos < 0 ? c->cat[k].unknown : c->str_code[k][pos];
}

int mr_cats_fail(const struct mr_cats *c, uint32_t k, const struct mr_vec *in, size_t row,
                 struct mr_err *e) {
    uint32_t col = c->cat[k].in_col;
    size_t at = row * in->width + col;
    char num[MR_F64_LEN + 1];
    struct mr_str s = {NULL, 0};
    if (in->kind == MR_SLOT_CELLS && in->cells[at].s.p)
        s = in->cells[at].s;
    if (s.p)
        return mr_fail(e, MR_EINVAL,
                       "row %zu, column %u: \"%.*s\" is not among the categories of the training "
                       "data",
                       row, col, (int)(s.n < 100 ? s.n : 100), s.p);
    double x = in->kind == MR_SLOT_CELLS ? in->cells[at].num : in->dense[at];
    num[mr_f64_print(x, num)] = 0;
    return mr_fail(e, MR_EINVAL,
                   "row %zu, column %u: %s is not among the categories of the training data", row,
                   col, num);
}
