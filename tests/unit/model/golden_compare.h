/* Comparing a model's result with the stored answers of its library (tests/golden/README.md). */
#ifndef MR_TEST_GOLDEN_COMPARE_H
#define MR_TEST_GOLDEN_COMPARE_H

#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <yyjson.h>

struct golden {
    yyjson_doc *doc;
    yyjson_val *root, *inputs;
    size_t rows;
    double tolerance;
    double worst;  /* largest |a - b| / max(1, |b|) so far */
    char why[256]; /* first disagreement, "" when none */
};

static void golden_differ(struct golden *g, const char *what, size_t row, size_t col, double got,
                          double want) {
    if (!g->why[0])
        snprintf(g->why, sizeof g->why, "%s row %zu column %zu: %.17g, library %.17g", what, row,
                 col, got, want);
}

static double golden_number(yyjson_val *v) {
    if (yyjson_is_str(v))
        return yyjson_equals_str(v, "inf")    ? INFINITY
               : yyjson_equals_str(v, "-inf") ? -INFINITY
                                              : NAN;
    if (yyjson_is_bool(v))
        return yyjson_get_bool(v);
    return yyjson_is_null(v) ? NAN : yyjson_get_num(v);
}

static void golden_value(struct golden *g, const char *what, size_t row, size_t col, double got,
                         yyjson_val *v) {
    double want = golden_number(v);
    if (got == want || (got != got && want != want))
        return;
    double d = fabs(got - want) / fmax(1, fabs(want));
    if (!(d <= g->worst))
        g->worst = d;
    if (!(d <= g->tolerance))
        golden_differ(g, what, row, col, got, want);
}

static bool golden_label(const struct mr_model_output *o, double index, yyjson_val *v) {
    const struct mr_label *l = &o->classes[(size_t)index];
    switch (o->label_kind) {
    case MR_LABEL_STR:
        return yyjson_is_str(v) && mr_str_eq(l->s, mr_strn(yyjson_get_str(v), yyjson_get_len(v)));
    case MR_LABEL_BOOL:
        return yyjson_is_bool(v) && yyjson_get_bool(v) == (l->i != 0);
    case MR_LABEL_FLOAT:
        return yyjson_is_num(v) && yyjson_get_num(v) == l->f;
    default:
        return yyjson_is_num(v) && yyjson_get_num(v) == (double)l->i;
    }
}

/* The library's two decision values are equal but for rounding (the input is the training mean of a
 * ridge classifier, say): which one is larger is decided by its BLAS, not by the model. */
static bool golden_tied(const struct golden *g, const struct mr_model_output *o, size_t row,
                        double index, yyjson_val *want) {
    yyjson_val *d = yyjson_arr_get(yyjson_obj_get(g->root, "decision_function"), row);
    if (!yyjson_is_arr(d) || yyjson_arr_size(d) != o->n_classes)
        return false;
    double got = golden_number(yyjson_arr_get(d, (size_t)index));
    for (uint32_t k = 0; k < o->n_classes; k++)
        if (golden_label(o, k, want))
            return fabs(golden_number(yyjson_arr_get(d, k)) - got) <= 1e-14 * fmax(1, fabs(got));
    return false;
}

static void golden_predict(struct golden *g, const struct mr_model_info *in,
                           const struct mr_result *r) {
    yyjson_val *predict = yyjson_obj_get(g->root, "predict");
    if (!yyjson_is_arr(predict) || in->task == MR_TASK_TRANSFORM)
        return;
    for (size_t i = 0; i < g->rows; i++)
        for (uint32_t k = 0; k < in->n_outputs; k++) {
            const struct mr_model_output *o = &in->outputs[k];
            yyjson_val *v = yyjson_arr_get(predict, i);
            if (yyjson_is_arr(v))
                v = yyjson_arr_get(v, k);
            double got = r->slot[o->pred_slot].dense[i];
            if (!o->classes)
                golden_value(g, "predict", i, k, got, v);
            else if (!golden_label(o, got, v) && !golden_tied(g, o, i, got, v))
                golden_differ(g, "label", i, k, got, golden_number(v));
        }
}

static void golden_proba(struct golden *g, const struct mr_model_info *in,
                         const struct mr_result *r) {
    yyjson_val *proba = yyjson_obj_get(g->root, "predict_proba");
    bool have = yyjson_is_arr(proba),
         many = have && yyjson_arr_size(proba) == in->n_outputs && in->n_outputs > 1;
    if (in->task != MR_TASK_CLASSIFY)
        return;
    for (uint32_t k = 0; k < in->n_outputs; k++) {
        const struct mr_model_output *o = &in->outputs[k];
        if (have != (o->proba_slot != UINT32_MAX)) {
            snprintf(g->why, sizeof g->why, "probabilities: %s", have ? "missing" : "unexpected");
            return;
        }
        yyjson_val *rows = many ? yyjson_arr_get(proba, k) : proba;
        if (!many && in->n_outputs > 1) { /* one yes-or-no a label: a row holds each one's yes */
            for (size_t i = 0; have && i < g->rows; i++)
                golden_value(g, "probability", i, k, r->slot[o->proba_slot].dense[i * 2 + 1],
                             yyjson_arr_get(yyjson_arr_get(rows, i), k));
            continue;
        }
        for (size_t i = 0; have && i < g->rows; i++)
            for (uint32_t j = 0; j < o->n_classes; j++)
                golden_value(g, "probability", i, j,
                             r->slot[o->proba_slot].dense[i * o->n_classes + j],
                             yyjson_arr_get(yyjson_arr_get(rows, i), j));
    }
}

static void golden_transform(struct golden *g, const struct mr_model_info *in,
                             const struct mr_result *r) {
    yyjson_val *t = yyjson_obj_get(g->root, "transform");
    if (in->task != MR_TASK_TRANSFORM)
        return;
    const struct mr_vec *v = &r->slot[in->outputs[0].pred_slot];
    if (!yyjson_is_arr(t) || yyjson_arr_size(t) != g->rows) {
        snprintf(g->why, sizeof g->why, "the library gives no transform");
        return;
    }
    for (size_t i = 0; i < g->rows; i++) {
        yyjson_val *row = yyjson_arr_get(t, i);
        if (yyjson_is_arr(row) && yyjson_arr_size(row) != v->width) {
            snprintf(g->why, sizeof g->why, "%u columns, library %zu", v->width,
                     yyjson_arr_size(row));
            return;
        }
        for (uint32_t j = 0; j < v->width; j++)
            golden_value(g, "transform", i, j, v->dense[i * v->width + j],
                         yyjson_is_arr(row) ? yyjson_arr_get(row, j) : row);
    }
}

/* Decision values are no output of a model; an outlier detector's must still be in a slot. */
static void golden_decision(struct golden *g, const struct mr_model_info *in,
                            const struct mr_result *r, uint32_t n_slots) {
    yyjson_val *d = yyjson_obj_get(g->root, "decision_function");
    if (in->task != MR_TASK_OUTLIER || !yyjson_is_arr(d))
        return;
    double best = INFINITY;
    for (uint32_t s = 1; s < n_slots; s++) {
        const struct mr_vec *v = &r->slot[s];
        if (v->kind != MR_SLOT_DENSE || v->width != 1)
            continue;
        double worst = 0;
        for (size_t i = 0; i < g->rows; i++) {
            double w = golden_number(yyjson_arr_get(d, i));
            worst = fmax(worst, fabs(v->dense[i] - w) / fmax(1, fabs(w)));
        }
        best = fmin(best, worst);
    }
    g->worst = fmax(g->worst, best);
    if (!(best <= g->tolerance))
        golden_differ(g, "decision", 0, 0, best, 0);
}

#endif
