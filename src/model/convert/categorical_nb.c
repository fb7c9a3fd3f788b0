/* CategoricalNB: feature_log_prob_ holds one n_class x n_category array a column. */
#include "model/convert/families.h"

struct tables {
    uint32_t *start;
    double *table;
    size_t rows;
};

/* Appends one column's array, turned to [category][class]. */
static int append(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *node,
                  struct tables *t, uint32_t j, uint32_t k, struct mr_err *e) {
    const double *v;
    size_t rows, cats;
    int r = mr_node_matrix(c, obj, node, "feature_log_prob_", false, &v, &rows, &cats, e);
    if (r)
        return r;
    if (rows != k || t->rows + cats > UINT32_MAX / 2)
        return mr_refuse_attr(obj, "feature_log_prob_", e, "column %u has the shape %zu x %zu", j,
                              rows, cats);
    double *all = mr_convert_array(c, (t->rows + cats) * k, sizeof *all, e);
    if (!all)
        return MR_ENOMEM;
    if (t->rows)
        memcpy(all, t->table, t->rows * k * sizeof *all);
    for (size_t i = 0; i < cats; i++)
        for (uint32_t q = 0; q < k; q++)
            all[(t->rows + i) * k + q] = v[q * cats + i];
    t->table = all;
    t->rows += cats;
    t->start[j + 1] = (uint32_t)t->rows;
    return 0;
}

int mr_convert_categorical_nb(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                              struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_build_output *out = &ret->out[0];
    struct mr_pk *const *col;
    const double *prior;
    size_t n;
    int r = mr_get_classes(c, obj, "classes_", out, e);
    if (!r)
        r = mr_get_vector(c, obj, "class_log_prior_", out->n_classes, &prior, e);
    if (r)
        return r;
    uint32_t k = out->n_classes;
    if (!mr_pk_seq(mr_pk_attr(obj, "feature_log_prob_"), &col, &n) || !n || n > 65536)
        return mr_refuse_attr(obj, "feature_log_prob_", e, "is no list of arrays");
    struct tables t = {.start = mr_convert_array(c, n + 1, sizeof *t.start, e)};
    if (!t.start)
        return MR_ENOMEM;
    r = mr_want_width(c, obj, in, n, e);
    t.start[0] = 0;
    for (uint32_t j = 0; !r && j < n; j++)
        r = append(c, obj, col[j], &t, j, k, e);
    if (r)
        return r;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_catnb_params));
    struct mr_ref sr = mr_blob_u32(&blob, t.start, n + 1),
                  tr = mr_blob_f64(&blob, t.table, t.rows * k), br = mr_blob_f64(&blob, prior, k);
    struct mr_catnb_params *p = mr_blob_head(&blob);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_catnb_params){
        .n_in = (uint32_t)n, .n_class = k, .start = sr, .table = tr, .bias = br};
    uint32_t jll = mr_emit(c, MR_OP_CATNB, mr_convert_dense(c, in), k, &blob);
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    out->pred_slot = mr_emit_argmax(c, jll);
    out->proba_slot = mr_emit_link(c, jll, MR_LINK_EXP_NORMALIZE);
    return 0;
}
