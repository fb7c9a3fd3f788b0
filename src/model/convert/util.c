#include "model/convert/convert.h"
#include "model/op_ids.h"
#include "model/ops/params.h"

#define MAX_CLASSES 1000000u

/* Labels of one kind: booleans mixed with integers are integers, integers with floats floats. */
static int label_of(const struct mr_pk *n, struct mr_label *l, enum mr_label_kind *kind) {
    *l = (struct mr_label){0};
    if (!n)
        return -1;
    switch (n->type) {
    case MR_PK_BOOL:
        *kind = MR_LABEL_BOOL;
        l->i = n->i;
        l->f = (double)n->i;
        return 0;
    case MR_PK_INT:
        *kind = MR_LABEL_INT;
        l->i = n->i;
        l->f = (double)n->i;
        return 0;
    case MR_PK_FLOAT:
        *kind = MR_LABEL_FLOAT;
        l->f = n->f;
        return n->f - n->f == 0 ? 0 : -1;
    case MR_PK_STR:
        *kind = MR_LABEL_STR;
        l->s = n->s.p ? n->s : MR_LIT("");
        return 0;
    default:
        return -1;
    }
}

int mr_convert_classes(struct mr_arena *a, const struct mr_pk *arr, enum mr_label_kind *ret_kind,
                       const struct mr_label **ret, uint32_t *ret_n, struct mr_err *e) {
    size_t n = mr_pk_len(arr);
    if (n == 0 || n > MAX_CLASSES || (arr->type == MR_PK_ARRAY && arr->a.ndim != 1))
        return mr_fail(e, MR_EREFUSED, "the model's class labels are missing or damaged");
    struct mr_label *v = mr_arena_array(a, n, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    enum mr_label_kind kind = MR_LABEL_BOOL, k = MR_LABEL_BOOL;
    for (size_t i = 0; i < n; i++) {
        if (label_of(mr_pk_item(a, arr, i), &v[i], &k))
            return mr_fail(e, MR_EUNSUPPORTED,
                           "class label %zu is neither a number, a text nor a boolean", i);
        if (i == 0 || (kind == MR_LABEL_BOOL && k == MR_LABEL_INT))
            kind = k;
        else if (kind != k && !(kind == MR_LABEL_INT && k == MR_LABEL_BOOL)) {
            if (kind == MR_LABEL_STR || k == MR_LABEL_STR)
                return mr_fail(e, MR_EUNSUPPORTED, "class labels mix text and numbers");
            kind = MR_LABEL_FLOAT;
        }
    }
    *ret_kind = kind;
    *ret = v;
    *ret_n = (uint32_t)n;
    return 0;
}

int mr_convert_need(const struct mr_pk *obj, const char *attr, const struct mr_pk **ret,
                    struct mr_err *e) {
    const struct mr_pk *v = mr_pk_attr(obj, attr);
    if (!v) {
        struct mr_str s = mr_pk_class_short(obj);
        return mr_fail(e, MR_EREFUSED, "%.*s has no attribute %s (is the model fitted?)", (int)s.n,
                       s.p ? s.p : "", attr);
    }
    *ret = v;
    return 0;
}

int mr_convert_need_f64(struct mr_convert *c, const struct mr_pk *obj, const char *attr,
                        const double **ret, size_t *ret_rows, size_t *ret_cols, struct mr_err *e) {
    const struct mr_pk *v;
    int r = mr_convert_need(obj, attr, &v, e);
    if (r)
        return r;
    size_t rows, cols;
    r = mr_pk_f64(c->arena, v, ret, &rows, &cols, e);
    if (r)
        return r;
    if (ret_rows)
        *ret_rows = rows;
    if (ret_cols)
        *ret_cols = cols;
    return 0;
}

uint32_t mr_convert_dense(struct mr_convert *c, uint32_t slot) {
    if (mr_build_slot_kind(c->b, slot) == MR_SLOT_DENSE)
        return slot;
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, mr_build_slot_width(c->b, slot));
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_to_dense));
    mr_build_op(c->b, MR_OP_TO_DENSE, &slot, 1, out, &blob);
    return out;
}
