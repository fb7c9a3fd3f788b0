#include "engine/internal.h"

#include "base/cleanup.h"
#include "base/num.h"

#include <math.h>

#define NO_SLOT UINT32_MAX

static void print_label(const struct mr_model_output *o, uint32_t k, struct mr_buf *out) {
    const struct mr_label *l = &o->classes[k];
    switch (o->label_kind) {
    case MR_LABEL_INT:
        mr_buf_i64(out, l->i);
        break;
    case MR_LABEL_FLOAT:
        mr_buf_f64(out, l->f);
        break;
    case MR_LABEL_BOOL:
        mr_buf_cstr(out, l->i ? "true" : "false");
        break;
    default:
        mr_buf_json(out, l->s);
    }
}

static int init_labels(struct mr_labels *ret, const struct mr_model_output *o, struct mr_err *e) {
    if (!o->classes || !o->n_classes)
        return 0;
    MR_CLEANUP(mr_buf_release) struct mr_buf text;
    mr_buf_init(&text, (size_t)64 << 20);
    ret->json = mr_calloc(o->n_classes, sizeof *ret->json);
    if (!ret->json)
        return mr_fail(e, MR_ENOMEM, "out of memory for %u labels", o->n_classes);
    ret->n = o->n_classes;
    for (uint32_t k = 0; k < o->n_classes; k++) {
        size_t from = text.n;
        print_label(o, k, &text);
        ret->json[k] = (struct mr_str){NULL, text.n - from};
    }
    char *bytes = mr_buf_ok(&text) ? mr_strndup(text.p, text.n) : NULL;
    if (!bytes)
        return mr_fail(e, MR_ENOMEM, "out of memory for %u labels", o->n_classes);
    for (uint32_t k = 0; k < o->n_classes; k++) {
        ret->json[k].p = bytes;
        bytes += ret->json[k].n;
    }
    return 0;
}

int mr_output_init(struct mr_output *o, const struct mr_model_info *info, struct mr_err *e) {
    *o = (struct mr_output){.info = info};
    o->labels = mr_calloc(info->n_outputs ? info->n_outputs : 1, sizeof *o->labels);
    if (!o->labels)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < info->n_outputs; k++) {
        int r = init_labels(&o->labels[k], &info->outputs[k], e);
        if (r)
            return r;
    }
    return 0;
}

void mr_output_release(struct mr_output *o) {
    for (uint32_t k = 0; o->labels && k < o->info->n_outputs; k++) {
        if (o->labels[k].json)
            mr_free((char *)o->labels[k].json[0].p); /* one block for all */
        mr_free(o->labels[k].json);
    }
    mr_free(o->labels);
    *o = (struct mr_output){0};
}

static void put_values(const double *v, uint32_t n, struct mr_buf *out) {
    char *p = mr_buf_reserve(out, (size_t)n * (MR_F64_LEN + 1) + 2);
    if (!p)
        return;
    char *at = p;
    *at++ = '[';
    for (uint32_t k = 0; k < n; k++) {
        if (k)
            *at++ = ',';
        at += mr_f64_print(v[k], at);
    }
    *at++ = ']';
    *at = 0;
    out->n += (size_t)(at - p);
}

static int put_prediction(const struct mr_output *o, uint32_t k, const struct mr_vec *v, size_t row,
                          struct mr_buf *out, struct mr_err *e) {
    const double *value = v->dense + row * v->width;
    const struct mr_labels *labels = &o->labels[k];
    if (o->info->task == MR_TASK_TRANSFORM || v->width != 1) {
        put_values(value, v->width, out);
    } else if (o->info->task == MR_TASK_REGRESS) {
        mr_buf_f64(out, *value);
    } else if (labels->json) {
        if (!(*value >= 0 && *value < labels->n))
            return mr_fail(e, MR_EPREDICT, "the model answered class number %g of %u", *value,
                           labels->n);
        mr_buf_str(out, labels->json[(uint32_t)*value]);
    } else if (fabs(*value) < 1e15 && *value == floor(*value)) {
        mr_buf_i64(out, (int64_t)*value); /* cluster numbers, 1 and -1 of outlier models */
    } else {
        mr_buf_f64(out, *value);
    }
    return 0;
}

static int put_predictions(const struct mr_output *o, const struct mr_result *block, size_t row,
                           struct mr_buf *out, struct mr_err *e) {
    uint32_t n = o->info->n_outputs;
    if (n == 1)
        return put_prediction(o, 0, &block->slot[o->info->outputs[0].pred_slot], row, out, e);
    for (uint32_t k = 0; k < n; k++) {
        mr_buf_char(out, k ? ',' : '[');
        const struct mr_vec *v = &block->slot[o->info->outputs[k].pred_slot];
        int r = put_prediction(o, k, v, row, out, e);
        if (r)
            return r;
    }
    mr_buf_char(out, ']');
    return 0;
}

static void put_probabilities(const struct mr_output *o, const struct mr_result *block, size_t row,
                              struct mr_buf *out) {
    uint32_t n = o->info->n_outputs;
    for (uint32_t k = 0; k < n; k++) {
        if (n > 1)
            mr_buf_char(out, k ? ',' : '[');
        const struct mr_vec *v = &block->slot[o->info->outputs[k].proba_slot];
        put_values(v->dense + row * v->width, v->width, out);
    }
    if (n > 1)
        mr_buf_char(out, ']');
}

static bool has_probabilities(const struct mr_model_info *info) {
    for (uint32_t k = 0; k < info->n_outputs; k++)
        if (info->outputs[k].proba_slot == NO_SLOT)
            return false;
    return info->n_outputs > 0;
}

int mr_output_write(const struct mr_output *o, const struct mr_result *block, size_t n_blocks,
                    bool batch, struct mr_buf *out, struct mr_err *e) {
    mr_buf_str(out, batch ? MR_LIT("\"predictions\":[") : MR_LIT("\"prediction\":"));
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t r = 0; r < block[b].rows; r++) {
            if (b || r)
                mr_buf_char(out, ',');
            int rc = put_predictions(o, &block[b], r, out, e);
            if (rc)
                return rc;
        }
    if (batch)
        mr_buf_char(out, ']');
    if (has_probabilities(o->info)) {
        mr_buf_str(out, batch ? MR_LIT(",\"probabilities\":[") : MR_LIT(",\"probabilities\":"));
        for (size_t b = 0; b < n_blocks; b++)
            for (size_t r = 0; r < block[b].rows; r++) {
                if (b || r)
                    mr_buf_char(out, ',');
                put_probabilities(o, &block[b], r, out);
            }
        if (batch)
            mr_buf_char(out, ']');
    }
    if (!mr_buf_ok(out))
        return mr_fail(e, out->fail, "the reply is too large");
    return 0;
}
