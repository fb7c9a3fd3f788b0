#include "engine/metadata.h"

#include "engine/internal.h"

#define CLASSES_MAX  1000
#define FEATURES_MAX 100000

static const char *task_name(enum mr_task t) {
    switch (t) {
    case MR_TASK_CLASSIFY:
        return "classification";
    case MR_TASK_REGRESS:
        return "regression";
    case MR_TASK_CLUSTER:
        return "clustering";
    case MR_TASK_OUTLIER:
        return "outlier_detection";
    default:
        return "transform";
    }
}

static void put_strings(const char *key, const struct mr_str *v, size_t n, struct mr_buf *out) {
    mr_buf_fmt(out, ",\"%s\":[", key);
    for (size_t k = 0; k < n; k++) {
        if (k)
            mr_buf_char(out, ',');
        mr_buf_json(out, v[k]);
    }
    mr_buf_char(out, ']');
}

/* One list of classes, or a list of lists for several outputs. */
static void put_classes(const struct mr_model_info *info, struct mr_buf *out) {
    struct mr_output o;
    if (mr_output_init(&o, info, NULL) == 0 && info->n_outputs && o.labels[0].json) {
        bool many = info->n_outputs > 1;
        mr_buf_cstr(out, many ? ",\"classes\":[[" : ",\"classes\":[");
        for (uint32_t k = 0; k < info->n_outputs; k++) {
            if (k)
                mr_buf_cstr(out, "],[");
            for (uint32_t c = 0; c < o.labels[k].n && c < CLASSES_MAX; c++) {
                if (c)
                    mr_buf_char(out, ',');
                mr_buf_str(out, o.labels[k].json[c]);
            }
        }
        mr_buf_cstr(out, many ? "]]" : "]");
    }
    mr_output_release(&o);
}

void mr_metadata_native(const struct mr_model_info *info, const char *source,
                        const struct mr_str *extra, size_t n_extra, struct mr_buf *out) {
    bool proba = info->n_outputs > 0;
    for (uint32_t k = 0; k < info->n_outputs; k++)
        proba = proba && info->outputs[k].proba_slot != UINT32_MAX;
    uint32_t outputs = info->n_outputs > 1 ? info->n_outputs : info->output_width;
    mr_buf_cstr(out, "{\"framework\":");
    mr_buf_json(out, info->framework);
    mr_buf_cstr(out, ",\"framework_version\":");
    if (info->framework_version.n)
        mr_buf_json(out, info->framework_version);
    else
        mr_buf_cstr(out, "null");
    mr_buf_cstr(out, ",\"model_type\":");
    mr_buf_json(out, info->model_type);
    mr_buf_fmt(out, ",\"task\":\"%s\",\"source\":\"%s\",\"engine\":\"native\"",
               task_name(info->task), source);
    mr_buf_fmt(out, ",\"input_shape\":[%u],\"output_shape\":[%u],\"input_kind\":\"%s\"",
               info->text_input ? 1 : info->n_features, outputs,
               info->text_input                    ? "text"
               : info->input_kind == MR_SLOT_CELLS ? "mixed"
                                                   : "numeric");
    mr_buf_fmt(out, ",\"has_probabilities\":%s,\"accepts_missing\":%s", proba ? "true" : "false",
               info->accepts_missing ? "true" : "false");
    if (info->feature_names && info->n_features <= FEATURES_MAX)
        put_strings("feature_names", info->feature_names, info->n_features, out);
    put_classes(info, out);
    mr_buf_cstr(out, ",\"estimated_memory_mb\":");
    mr_buf_f64(out, (double)(info->memory / 1000) / 1000);
    mr_buf_cstr(out, ",\"warnings\":[");
    for (size_t k = 0; k < info->n_warnings + n_extra; k++) {
        if (k)
            mr_buf_char(out, ',');
        mr_buf_json(out, k < info->n_warnings ? info->warnings[k] : extra[k - info->n_warnings]);
    }
    mr_buf_cstr(out, "]}");
}

static void put_dims(const struct mr_onnx_value *v, int from, struct mr_buf *out) {
    mr_buf_char(out, '[');
    for (int k = from; k < v->rank; k++) {
        if (k > from)
            mr_buf_char(out, ',');
        if (v->dim[k] < 0)
            mr_buf_cstr(out, "null");
        else
            mr_buf_i64(out, v->dim[k]);
    }
    mr_buf_char(out, ']');
}

void mr_metadata_onnx_values(const struct mr_onnx_value *v, uint32_t n, struct mr_buf *out) {
    mr_buf_char(out, '[');
    for (uint32_t k = 0; k < n; k++) {
        mr_buf_cstr(out, k ? ",{\"name\":" : "{\"name\":");
        mr_buf_json(out, v[k].name);
        const char *kind = v[k].kind == MR_ONNX_TENSOR         ? ""
                           : v[k].kind == MR_ONNX_SEQUENCE_MAP ? "list of maps by "
                                                               : "other ";
        mr_buf_fmt(out, ",\"type\":\"%s%s\",\"shape\":", kind, mr_onnx_type_name(v[k].elem));
        if (v[k].rank < 0)
            mr_buf_cstr(out, "null");
        else
            put_dims(&v[k], 0, out);
        mr_buf_char(out, '}');
    }
    mr_buf_char(out, ']');
}

/* skl2onnx and others: a label, then scores of its classes. */
static bool is_classifier(const struct mr_onnx_model *m) {
    return m->n_outputs == 2 && m->output[0].kind == MR_ONNX_TENSOR &&
           (m->output[0].elem == MR_ONNX_INT64 || m->output[0].elem == MR_ONNX_STRING) &&
           (m->output[1].kind == MR_ONNX_SEQUENCE_MAP || m->output[1].elem == MR_ONNX_FLOAT ||
            m->output[1].elem == MR_ONNX_DOUBLE);
}

void mr_metadata_onnx(const struct mr_onnx_model *m, uint64_t file_size, struct mr_buf *out) {
    bool classify = is_classifier(m);
    const struct mr_onnx_value *o = &m->output[classify ? 1 : 0];
    mr_buf_cstr(out, "{\"framework\":\"onnx\",\"framework_version\":");
    char version[64];
    int n = snprintf(version, sizeof version, "IR %lld, opset %lld", (long long)m->ir_version,
                     (long long)m->opset);
    mr_buf_json(out, (struct mr_str){version, (size_t)n});
    mr_buf_cstr(out, ",\"model_type\":");
    mr_buf_json(out, m->main_op.n ? m->main_op : MR_LIT("Graph"));
    mr_buf_cstr(out, ",\"producer\":");
    mr_buf_json(out, m->producer);
    mr_buf_cstr(out, ",\"producer_version\":");
    mr_buf_json(out, m->producer_version);
    mr_buf_fmt(out, ",\"task\":\"%s\",\"source\":\"onnx\",\"engine\":\"onnxruntime\"",
               classify ? "classification" : "tensor");
    mr_buf_cstr(out, ",\"input_shape\":");
    put_dims(&m->input[0], m->input[0].rank > 1 ? 1 : 0, out);
    mr_buf_cstr(out, ",\"output_shape\":");
    put_dims(o, o->rank > 1 ? 1 : 0, out);
    mr_buf_fmt(out,
               ",\"input_kind\":\"tensor\",\"has_probabilities\":%s,\"accepts_missing\":false"
               ",\"inputs\":",
               classify ? "true" : "false");
    mr_metadata_onnx_values(m->input, m->n_inputs, out);
    mr_buf_cstr(out, ",\"outputs\":");
    mr_metadata_onnx_values(m->output, m->n_outputs, out);
    /* ONNX Runtime holds the file, its own copy of the weights, and about 40 MB of itself. */
    mr_buf_fmt(out, ",\"nodes\":%llu,\"estimated_memory_mb\":", (unsigned long long)m->n_nodes);
    mr_buf_f64(out, (double)((file_size + m->weight_bytes + 40000000) / 1000) / 1000);
    mr_buf_cstr(out, ",\"warnings\":[]}");
}
