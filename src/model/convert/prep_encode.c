/* OneHotEncoder, OrdinalEncoder, TargetEncoder, LabelEncoder, LabelBinarizer: category maps. */
#include "model/convert/steps.h"

#include <math.h>
#include <stdlib.h>

/* One map under construction. */
struct cats {
    struct mr_p_cat head;
    double *num;
    struct mr_str *str;
    int32_t *num_code, *str_code;
    uint32_t n_num, n_str;
    const double *value;
    uint32_t n_value;
    bool has_missing;
};

struct pair {
    double x;
    int32_t code;
};

static int by_number(const void *a, const void *b) {
    double x = ((const struct pair *)a)->x, y = ((const struct pair *)b)->x;
    return (x > y) - (x < y);
}

static int sort_numbers(struct mr_convert *c, struct cats *m, struct mr_err *e) {
    struct pair *p = mr_arena_array(c->arena, (size_t)m->n_num + 1, sizeof *p);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < m->n_num; i++)
        p[i] = (struct pair){m->num[i], m->num_code[i]};
    qsort(p, m->n_num, sizeof *p, by_number);
    for (uint32_t i = 0; i < m->n_num; i++) {
        if (i && p[i].x <= p[i - 1].x)
            return mr_fail(e, MR_EREFUSED, "an encoder lists a category twice");
        m->num[i] = p[i].x;
        m->num_code[i] = p[i].code;
    }
    return 0;
}

/* Sorts the categories of `arr` into numbers, strings and missing; code[i] is category i's. */
static int fill(struct mr_convert *c, const struct mr_pk *arr, const int32_t *code, uint32_t n,
                struct cats *m, struct mr_err *e) {
    m->num = mr_arena_array(c->arena, (size_t)n + 1, sizeof *m->num);
    m->str = mr_arena_array(c->arena, (size_t)n + 1, sizeof *m->str);
    m->num_code = mr_arena_array(c->arena, (size_t)n + 1, sizeof *m->num_code);
    m->str_code = mr_arena_array(c->arena, (size_t)n + 1, sizeof *m->str_code);
    if (!m->num || !m->str || !m->num_code || !m->str_code)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        const struct mr_pk *v = mr_pk_item(c->arena, arr, i);
        double x = 0;
        struct mr_str s;
        if (v && mr_pk_str(v, &s)) {
            m->str[m->n_str] = s.p ? s : MR_LIT("");
            m->str_code[m->n_str++] = code[i];
        } else if (v && mr_pk_num(v, &x) && !isnan(x)) {
            m->num[m->n_num] = x;
            m->num_code[m->n_num++] = code[i];
        } else if (v && (v->type == MR_PK_NONE || v->type == MR_PK_FLOAT ||
                         v->type == MR_PK_GLOBAL || v->type == MR_PK_OBJ)) {
            m->head.missing = code[i];
            m->has_missing = true;
        } else {
            return mr_fail(e, MR_EUNSUPPORTED,
                           "an encoder's category %u is neither a number nor a text", i);
        }
    }
    if (!m->has_missing)
        m->head.missing = m->head.unknown;
    return sort_numbers(c, m, e);
}

/* The operation over finished maps. */
static uint32_t finish(struct mr_convert *c, uint32_t in, struct cats *m, uint32_t n, bool onehot) {
    bool text = false, sparse = false;
    uint32_t width = 0;
    for (uint32_t k = 0; k < n; k++) {
        text |= m[k].n_str > 0;
        width += onehot ? m[k].head.width : 1;
    }
    if (!text || mr_build_slot_kind(c->b, in) == MR_SLOT_SPARSE)
        in = mr_convert_dense(c, in);
    sparse = onehot && width > 256 && width / 8 > n;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_encode));
    struct mr_p_cat *head = mr_arena_array(c->arena, (size_t)n + 1, sizeof *head);
    uint32_t first = 0;
    for (uint32_t k = 0; k < n && head; k++) {
        struct mr_p_cat *h = &m[k].head;
        if (onehot)
            h->first = first;
        first += h->width;
        h->num = mr_blob_f64(&blob, m[k].num, m[k].n_num);
        h->num_code = mr_blob_i32(&blob, m[k].num_code, m[k].n_num);
        h->str = mr_blob_strtab(&blob, m[k].str, m[k].n_str);
        h->str_code = mr_blob_i32(&blob, m[k].str_code, m[k].n_str);
        if (!onehot)
            h->value = mr_blob_f64(&blob, m[k].value, m[k].n_value);
        head[k] = *h;
    }
    struct mr_ref r = mr_blob_bytes(&blob, head, head ? n * sizeof *head : 0);
    struct mr_p_encode *p = mr_blob_head(&blob);
    if (p)
        p->cats = r;
    return mr_step_op(c, onehot ? MR_OP_ONEHOT : MR_OP_ORDINAL, in,
                      sparse ? MR_SLOT_SPARSE : MR_SLOT_DENSE, width, &blob);
}

static struct cats *new_maps(struct mr_convert *c, size_t n) {
    struct cats *m = mr_arena_array(c->arena, n + 1, sizeof *m);
    if (m)
        memset(m, 0, (n + 1) * sizeof *m);
    return m;
}

/* categories_ with one entry a column. */
static int categories(const struct mr_pk *obj, uint32_t width, const struct mr_pk **ret,
                      struct mr_err *e) {
    int rc = mr_convert_need(obj, "categories_", ret, e);
    if (rc == 0 && mr_pk_len(*ret) != width)
        rc = mr_fail(e, MR_EREFUSED, "an encoder has %zu category lists for %u columns",
                     mr_pk_len(*ret), width);
    return rc;
}

/* Mapping of column j's categories to groups (identity without infrequent ones). */
static int grouping(struct mr_convert *c, const struct mr_pk *obj, uint32_t j, uint32_t n,
                    int32_t *map, uint32_t *ret_groups, int32_t *ret_infrequent, struct mr_err *e) {
    const struct mr_pk *all = mr_pk_attr(obj, "_default_to_infrequent_mappings"), *one = NULL;
    const struct mr_pk *idx = NULL;
    for (uint32_t i = 0; i < n; i++)
        map[i] = (int32_t)i;
    *ret_groups = n;
    *ret_infrequent = -1;
    if (all && all->type != MR_PK_NONE) {
        one = mr_pk_item(c->arena, all, j);
        idx = mr_pk_item(c->arena, mr_pk_attr(obj, "_infrequent_indices"), j);
    }
    if (!one || one->type == MR_PK_NONE)
        return 0;
    const double *v, *first;
    size_t rows, cols, k, one_col;
    int rc = mr_pk_f64(c->arena, one, &v, &rows, &cols, e);
    if (rc == 0)
        rc = mr_pk_f64(c->arena, idx, &first, &k, &one_col, e);
    if (rc)
        return rc;
    if (rows != n || cols != 1 || k == 0 || !(first[0] >= 0 && first[0] < n))
        return mr_fail(e, MR_EREFUSED, "an encoder's infrequent categories are damaged");
    uint32_t groups = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!(v[i] >= 0 && v[i] < n))
            return mr_fail(e, MR_EREFUSED, "an encoder's infrequent categories are damaged");
        map[i] = (int32_t)v[i];
        if ((uint32_t)map[i] + 1 > groups)
            groups = (uint32_t)map[i] + 1;
    }
    *ret_groups = groups;
    *ret_infrequent = map[(uint32_t)first[0]];
    return 0;
}

static int dropped(struct mr_convert *c, const struct mr_pk *obj, uint32_t j, uint32_t groups,
                   int32_t *ret, struct mr_err *e) {
    const struct mr_pk *all = mr_pk_attr(obj, "_drop_idx_after_grouping");
    *ret = -1;
    if (!all)
        all = mr_pk_attr(obj, "drop_idx_");
    if (!all || all->type == MR_PK_NONE)
        return 0;
    const struct mr_pk *one = mr_pk_item(c->arena, all, j);
    int64_t v;
    if (one && one->type == MR_PK_NONE)
        return 0;
    if (!mr_pk_int(one, &v) || v < 0 || v >= groups)
        return mr_fail(e, MR_EREFUSED, "OneHotEncoder: drop_idx_ is damaged");
    *ret = (int32_t)v;
    return 0;
}

static int32_t after_drop(int32_t group, int32_t drop) {
    return drop < 0 || group < drop ? group : group == drop ? MR_CAT_NONE : group - 1;
}

static int onehot_column(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *cats,
                         uint32_t j, struct cats *m, struct mr_err *e) {
    const struct mr_pk *arr = mr_pk_item(c->arena, cats, j);
    size_t len = mr_pk_len(arr);
    if (len > MR_MAX_WIDTH)
        return mr_fail(e, MR_EUNSUPPORTED, "OneHotEncoder has too many categories");
    uint32_t n = (uint32_t)len, groups;
    int32_t *code = mr_arena_array(c->arena, len + 1, sizeof *code), infrequent, drop;
    if (!code)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = grouping(c, obj, j, n, code, &groups, &infrequent, e);
    if (rc == 0)
        rc = dropped(c, obj, j, groups, &drop, e);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < n; i++)
        code[i] = after_drop(code[i], drop);
    m->head.in_col = j;
    m->head.width = groups - (drop >= 0);
    if (mr_step_is(obj, "handle_unknown", "error"))
        m->head.unknown = MR_CAT_ERROR;
    else if (infrequent >= 0 && !mr_step_is(obj, "handle_unknown", "ignore"))
        m->head.unknown = after_drop(infrequent, drop);
    else
        m->head.unknown = MR_CAT_NONE;
    return fill(c, arr, code, n, m, e);
}

MR_STEP(mr_prep_onehot) {
    uint32_t width = mr_build_slot_width(c->b, in);
    const struct mr_pk *cats;
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = categories(obj, width, &cats, e);
    if (rc)
        return rc;
    struct cats *m = new_maps(c, width);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    uint64_t total = 0;
    for (uint32_t j = 0; j < width && rc == 0; j++) {
        rc = onehot_column(c, obj, cats, j, &m[j], e);
        total += m[j].head.width;
    }
    if (rc)
        return rc;
    if (total == 0 || total > MR_MAX_WIDTH)
        return mr_step_refuse(obj, e, "gives %llu columns", (unsigned long long)total);
    *ret_out = finish(c, in, m, width, true);
    return 0;
}

static int ordinal_column(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *cats,
                          uint32_t j, struct cats *m, struct mr_err *e) {
    const struct mr_pk *arr = mr_pk_item(c->arena, cats, j);
    size_t len = mr_pk_len(arr);
    if (len > MR_MAX_WIDTH)
        return mr_fail(e, MR_EUNSUPPORTED, "OrdinalEncoder has too many categories");
    uint32_t n = (uint32_t)len, groups;
    int32_t *code = mr_arena_array(c->arena, len + 1, sizeof *code), infrequent;
    double *value = mr_arena_array(c->arena, len + 2, sizeof *value);
    if (!code || !value)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = grouping(c, obj, j, n, code, &groups, &infrequent, e);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < n; i++) {
        value[i] = code[i];
        code[i] = (int32_t)i;
    }
    m->head.in_col = j;
    m->head.unknown = MR_CAT_ERROR;
    m->n_value = n;
    if (mr_step_is(obj, "handle_unknown", "use_encoded_value")) {
        if (!mr_pk_num(mr_pk_attr(obj, "unknown_value"), &value[n]))
            return mr_fail(e, MR_EREFUSED, "OrdinalEncoder: unknown_value is not a number");
        m->head.unknown = (int32_t)n;
        m->n_value = n + 1;
    }
    m->value = value;
    rc = fill(c, arr, code, n, m, e);
    if (rc == 0 && m->has_missing) {
        double v = NAN;
        if (!mr_step_none(obj, "encoded_missing_value") &&
            !mr_pk_num(mr_pk_attr(obj, "encoded_missing_value"), &v))
            return mr_fail(e, MR_EREFUSED, "OrdinalEncoder: encoded_missing_value is no number");
        value[m->head.missing] = v;
    }
    return rc;
}

MR_STEP(mr_prep_ordinal) {
    uint32_t width = mr_build_slot_width(c->b, in);
    const struct mr_pk *cats;
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = categories(obj, width, &cats, e);
    if (rc)
        return rc;
    struct cats *m = new_maps(c, width);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t j = 0; j < width && rc == 0; j++)
        rc = ordinal_column(c, obj, cats, j, &m[j], e);
    if (rc)
        return rc;
    *ret_out = finish(c, in, m, width, false);
    return 0;
}

static int target_column(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *cats,
                         uint32_t k, uint32_t n_class, const double *mean, struct cats *m,
                         struct mr_err *e) {
    const struct mr_pk *arr = mr_pk_item(c->arena, cats, k / n_class);
    const struct mr_pk *enc = mr_pk_item(c->arena, mr_pk_attr(obj, "encodings_"), k);
    const double *v;
    size_t rows, cols, len = mr_pk_len(arr);
    if (!enc || len > MR_MAX_WIDTH)
        return mr_fail(e, MR_EREFUSED, "TargetEncoder: encodings_ is damaged");
    int rc = mr_pk_f64(c->arena, enc, &v, &rows, &cols, e);
    if (rc)
        return rc;
    int32_t *code = mr_arena_array(c->arena, len + 1, sizeof *code);
    double *value = mr_arena_array(c->arena, len + 1, sizeof *value);
    if (!code || !value)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    if (rows != len || cols != 1)
        return mr_fail(e, MR_EREFUSED, "TargetEncoder: encodings_ is damaged");
    for (size_t i = 0; i < len; i++) {
        code[i] = (int32_t)i;
        value[i] = v[i];
    }
    value[len] = mean[k % n_class];
    m->head.in_col = k / n_class;
    m->head.unknown = (int32_t)len;
    m->value = value;
    m->n_value = (uint32_t)len + 1;
    return fill(c, arr, code, (uint32_t)len, m, e);
}

MR_STEP(mr_prep_target) {
    uint32_t width = mr_build_slot_width(c->b, in), n_class = 1;
    const struct mr_pk *cats;
    const double *mean;
    size_t n_mean, one;
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = categories(obj, width, &cats, e);
    if (rc == 0)
        rc = mr_convert_need_f64(c, obj, "target_mean_", &mean, &n_mean, &one, e);
    if (rc)
        return rc;
    if (mr_step_is(obj, "target_type_", "multiclass"))
        n_class = (uint32_t)mr_pk_len(mr_pk_attr(obj, "classes_"));
    uint64_t total = (uint64_t)width * n_class;
    if (n_class == 0 || n_mean * one != n_class || total > MR_MAX_WIDTH ||
        mr_pk_len(mr_pk_attr(obj, "encodings_")) != total)
        return mr_fail(e, MR_EREFUSED, "TargetEncoder: its tables do not fit");
    struct cats *m = new_maps(c, (size_t)total);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < total && rc == 0; k++)
        rc = target_column(c, obj, cats, k, n_class, mean, &m[k], e);
    if (rc)
        return rc;
    *ret_out = finish(c, in, m, (uint32_t)total, false);
    return 0;
}

/* classes_ of a label transformer as one map; code[i] is class i's. */
static int labels(struct mr_convert *c, const struct mr_pk *obj, struct cats *m, int32_t **ret_code,
                  uint32_t *ret_n, struct mr_err *e) {
    const struct mr_pk *arr;
    int rc = mr_convert_need(obj, "classes_", &arr, e);
    if (rc)
        return rc;
    size_t n = mr_pk_len(arr);
    if (n == 0 || n > MR_MAX_WIDTH)
        return mr_fail(e, MR_EREFUSED, "the label transformer has no classes");
    *ret_code = mr_arena_array(c->arena, n, sizeof **ret_code);
    if (!*ret_code)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *ret_n = (uint32_t)n;
    for (uint32_t i = 0; i < n; i++)
        (*ret_code)[i] = (int32_t)i;
    if (m->head.width) { /* one-hot */
        m->head.width = n <= 2 ? 1 : (uint32_t)n;
        if (n <= 2) {
            (*ret_code)[0] = MR_CAT_NONE;
            if (n == 2)
                (*ret_code)[1] = 0;
        }
    }
    return fill(c, arr, *ret_code, (uint32_t)n, m, e);
}

MR_STEP(mr_prep_label_encoder) {
    struct cats *m = new_maps(c, 1);
    int32_t *code;
    uint32_t n;
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    m->head.unknown = MR_CAT_ERROR;
    int rc = labels(c, obj, m, &code, &n, e);
    if (rc)
        return rc;
    double *value = mr_arena_array(c->arena, n, sizeof *value);
    if (!value)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++)
        value[i] = i;
    m->value = value;
    m->n_value = n;
    *ret_out = finish(c, in, m, 1, false);
    return 0;
}

MR_STEP(mr_prep_label_binarizer) {
    struct cats *m = new_maps(c, 1);
    int32_t *code;
    uint32_t n;
    double neg = 0, pos = 1;
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    m->head.unknown = MR_CAT_NONE;
    m->head.width = 1;
    int rc = labels(c, obj, m, &code, &n, e);
    if (rc)
        return rc;
    mr_pk_num(mr_pk_attr(obj, "neg_label"), &neg);
    mr_pk_num(mr_pk_attr(obj, "pos_label"), &pos);
    *ret_out = finish(c, in, m, 1, true);
    if (neg != 0 || pos != 1) {
        double scale = pos - neg;
        *ret_out = mr_step_affine(c, *ret_out,
                                  &(struct mr_affine){.scale = &scale, .add = &neg, .one = true});
    }
    return 0;
}
