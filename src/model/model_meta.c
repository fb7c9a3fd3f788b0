#include "model/model_priv.h"

#include <yyjson.h>

#define MAX_CLASSES 1000000u

static int bad(struct mr_err *e, const char *what) {
    return mr_fail(e, MR_EREFUSED, "compiled model: metadata: %s", what);
}

static struct mr_str copy_str(struct mr_model *m, yyjson_val *v) {
    if (!yyjson_is_str(v))
        return (struct mr_str){0};
    char *p = mr_arena_strn(&m->arena, yyjson_get_str(v), yyjson_get_len(v));
    return (struct mr_str){p, p ? yyjson_get_len(v) : 0};
}

static int copy_strings(struct mr_model *m, yyjson_val *arr, const struct mr_str **ret,
                        struct mr_err *e) {
    size_t n = yyjson_arr_size(arr);
    struct mr_str *v = mr_arena_array(&m->arena, n + 1, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (arr, i, max, x) {
        v[i] = copy_str(m, x);
        if (!v[i].p)
            return bad(e, "text expected");
    }
    *ret = v;
    return 0;
}

static int read_classes(struct mr_model *m, yyjson_val *arr, struct mr_model_output *o,
                        struct mr_err *e) {
    size_t n = yyjson_arr_size(arr);
    if (n == 0 || n > MAX_CLASSES || o->label_kind < MR_LABEL_INT || o->label_kind > MR_LABEL_BOOL)
        return bad(e, "classes");
    struct mr_label *v = mr_arena_array(&m->arena, n, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (arr, i, max, x) {
        v[i] = (struct mr_label){0};
        bool ok;
        if (o->label_kind == MR_LABEL_STR)
            ok = (v[i].s = copy_str(m, x)).p != NULL;
        else if (o->label_kind == MR_LABEL_FLOAT)
            ok = yyjson_is_num(x), v[i].f = yyjson_get_num(x);
        else
            ok = yyjson_is_int(x), v[i].i = yyjson_get_sint(x);
        if (!ok)
            return bad(e, "a class label has the wrong type");
    }
    o->classes = v;
    o->n_classes = (uint32_t)n;
    return 0;
}

static bool dense_slot(const struct mr_model *m, yyjson_val *v, const uint8_t *written,
                       uint32_t *ret) {
    uint64_t slot = yyjson_is_uint(v) ? yyjson_get_uint(v) : UINT64_MAX;
    if (slot >= m->n_slots || !written[slot] || m->slots[slot].kind != MR_SLOT_DENSE)
        return false;
    *ret = (uint32_t)slot;
    return true;
}

static int read_output(struct mr_model *m, yyjson_val *v, const uint8_t *written,
                       struct mr_model_output *o, struct mr_err *e) {
    *o = (struct mr_model_output){.proba_slot = UINT32_MAX};
    if (!dense_slot(m, yyjson_obj_get(v, "pred"), written, &o->pred_slot))
        return bad(e, "prediction slot");
    bool row = m->info.task == MR_TASK_TRANSFORM;
    if (!row && m->slots[o->pred_slot].width != 1)
        return bad(e, "a prediction must be one column");
    yyjson_val *classes = yyjson_obj_get(v, "classes");
    if (classes) {
        o->label_kind = (enum mr_label_kind)yyjson_get_uint(yyjson_obj_get(v, "label_kind"));
        int r = read_classes(m, classes, o, e);
        if (r)
            return r;
    }
    bool labels = m->info.task == MR_TASK_CLASSIFY || m->info.task == MR_TASK_CLUSTER ||
                  m->info.task == MR_TASK_OUTLIER;
    if (labels != (o->classes != NULL))
        return bad(e, "classes do not fit the task");
    yyjson_val *proba = yyjson_obj_get(v, "proba");
    if (proba && (!dense_slot(m, proba, written, &o->proba_slot) ||
                  m->slots[o->proba_slot].width != o->n_classes))
        return bad(e, "probability slot");
    return 0;
}

static int read_outputs(struct mr_model *m, yyjson_val *arr, const uint8_t *written,
                        struct mr_err *e) {
    size_t n = yyjson_arr_size(arr);
    if (n == 0 || n > MR_MODEL_MAX_OUT)
        return bad(e, "outputs");
    struct mr_model_output *out = mr_arena_array(&m->arena, n, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (arr, i, max, x) {
        int r = read_output(m, x, written, &out[i], e);
        if (r)
            return r;
    }
    m->info.outputs = out;
    m->info.n_outputs = (uint32_t)n;
    uint32_t wide = out[0].proba_slot != UINT32_MAX ? out[0].proba_slot : out[0].pred_slot;
    m->info.output_width = m->slots[wide].width;
    return 0;
}

static int read_doc(struct mr_model *m, yyjson_val *root, const uint8_t *written,
                    struct mr_err *e) {
    struct mr_model_info *in = &m->info;
    uint64_t task = yyjson_get_uint(yyjson_obj_get(root, "task"));
    if (task < MR_TASK_CLASSIFY || task > MR_TASK_TRANSFORM)
        return bad(e, "task");
    in->task = (enum mr_task)task;
    in->framework = copy_str(m, yyjson_obj_get(root, "framework"));
    in->framework_version = copy_str(m, yyjson_obj_get(root, "framework_version"));
    in->model_type = copy_str(m, yyjson_obj_get(root, "model_type"));
    in->accepts_missing = yyjson_get_bool(yyjson_obj_get(root, "accepts_missing"));
    in->text_input = yyjson_get_bool(yyjson_obj_get(root, "text_input"));
    in->input_kind = (enum mr_slot_kind)m->slots[0].kind;
    in->n_features = m->slots[0].width;
    if (in->text_input && (in->input_kind != MR_SLOT_CELLS || in->n_features != 1))
        return bad(e, "a text model has one column of cells");
    yyjson_val *names = yyjson_obj_get(root, "feature_names");
    if (names) {
        if (yyjson_arr_size(names) != in->n_features)
            return bad(e, "feature names");
        int r = copy_strings(m, names, &in->feature_names, e);
        if (r)
            return r;
    }
    yyjson_val *warn = yyjson_obj_get(root, "warnings");
    int r = copy_strings(m, warn, &in->warnings, e);
    if (r)
        return r;
    in->n_warnings = (uint32_t)yyjson_arr_size(warn);
    return read_outputs(m, yyjson_obj_get(root, "outputs"), written, e);
}

int mr_model_read_meta(struct mr_model *m, struct mr_str json, const uint8_t *written,
                       struct mr_err *e) {
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    if (!doc)
        return bad(e, "not JSON");
    int r = read_doc(m, yyjson_doc_get_root(doc), written, e);
    yyjson_doc_free(doc);
    return r;
}
