/* The catalogue: list, load, unload, performance. */
#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"
#include "core/catalog/residency.h"

static int find(struct mr_call *c, const struct mr_catalog_model **ret, struct mr_err *e) {
    return mr_catalog_find(c->core->catalog, mr_req_param(c->req, "model_id"), MR_KIND_N, ret, e);
}

static void words(struct mr_buf *b, const char *key, const char *const *list) {
    mr_json_key(b, key);
    mr_buf_char(b, '[');
    for (; list && *list; list++) {
        if (b->p[b->n - 1] != '[')
            mr_buf_char(b, ',');
        mr_buf_json(b, mr_str(*list));
    }
    mr_buf_char(b, ']');
}

static void aliases(struct mr_call *c, struct mr_buf *b, const struct mr_catalog_model *m) {
    size_t n;
    const struct mr_alias *v = mr_catalog_aliases(c->core->catalog, &n);
    mr_json_key(b, "aliases");
    mr_buf_char(b, '[');
    for (size_t i = 0; i < n; i++)
        if (!strcmp(v[i].target, m->id)) {
            if (b->p[b->n - 1] != '[')
                mr_buf_char(b, ',');
            mr_buf_json(b, mr_str(v[i].name));
        }
    mr_buf_char(b, ']');
}

static void adapters(struct mr_call *c, struct mr_buf *b, const struct mr_catalog_model *m) {
    size_t n;
    const struct mr_catalog_adapter *v = mr_catalog_adapters(c->core->catalog, &n);
    mr_json_key(b, "adapters");
    mr_buf_char(b, '[');
    for (size_t i = 0; i < n; i++)
        if (v[i].base == m) {
            if (b->p[b->n - 1] != '[')
                mr_buf_char(b, ',');
            mr_buf_json(b, mr_str(v[i].id));
        }
    mr_buf_char(b, ']');
}

static void one(struct mr_call *c, struct mr_buf *b, const struct mr_catalog_model *m) {
    struct mr_model_stats st;
    mr_model_stats(c->core->residency, m, &st);
    mr_buf_char(b, '{');
    mr_json_cstr(b, "id", m->id);
    mr_json_cstr(b, "name", m->name);
    mr_json_cstr(b, "type", mr_kind_name(m->kind));
    mr_json_cstr(b, "version", m->version ? m->version : "");
    mr_json_cstr(b, "status", mr_model_state_name(st.state));
    words(b, "capabilities", m->capabilities);
    mr_buf_cstr(b, ",\"parameters\":{");
    mr_json_i64(b, "max_tokens", m->max_tokens ? m->max_tokens : m->context_length);
    mr_json_i64(b, "context_length", m->context_length);
    mr_buf_cstr(b, "},\"performance\":{");
    mr_json_f64(b, "avg_response_time", st.avg_seconds);
    mr_json_i64(b, "requests_per_hour", (int64_t)st.last_hour);
    mr_buf_char(b, '}');
    mr_json_cstr(b, "description", m->description ? m->description : "");
    mr_json_cstr(b, "license", m->license ? m->license : "");
    mr_json_cstr(b, "license_source", m->license_source ? m->license_source : "");
    mr_json_cstr(b, "runtime", m->runtime ? m->runtime : "");
    mr_json_cstr(b, "service", mr_service_name(m->service));
    mr_json_i64(b, "size_bytes", (int64_t)m->size_bytes);
    aliases(c, b, m);
    if (m->kind == MR_KIND_LLM)
        adapters(c, b, m);
    if (st.error[0])
        mr_json_cstr(b, "error", st.error);
    mr_buf_char(b, '}');
}

int mr_aisemble_models_list(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    size_t n;
    const struct mr_catalog_model *v = mr_catalog_models(c->core->catalog, &n);
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"models\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            mr_buf_char(&b, ',');
        one(c, &b, &v[i]);
    }
    mr_buf_cstr(&b, "]}");
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_model_load(struct mr_call *c, struct mr_err *e) {
    const struct mr_catalog_model *m;
    struct mr_model_stats st;
    struct mr_buf b;
    int rc = find(c, &m, e);
    if (!rc)
        rc = mr_model_load(c->core->residency, m, mr_call_value(c, "force_reload")->i != 0, e);
    if (rc)
        return rc;
    mr_model_stats(c->core->residency, m, &st);
    bool loaded = st.state == MR_MODEL_LOADED;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "model_id", m->id);
    mr_json_cstr(&b, "status", loaded ? "loaded" : "loading");
    mr_json_f64(&b, "estimated_time", loaded ? 0 : st.load_seconds);
    mr_json_cstr(&b, "message",
                 loaded ? "Model is loaded, on the CPU" : "Model loading initiated, on the CPU");
    mr_json_cstr(&b, "device", "cpu");
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_model_unload(struct mr_call *c, struct mr_err *e) {
    const struct mr_catalog_model *m;
    struct mr_buf b;
    int rc = mr_aisemble_owner_only(c, e);
    if (!rc)
        rc = find(c, &m, e);
    if (!rc)
        rc = mr_model_unload(c->core->residency, m, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "model_id", m->id);
    mr_json_cstr(&b, "status", "unloaded");
    mr_json_cstr(&b, "message", "Model unloaded; a load makes it available again");
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_model_performance(struct mr_call *c, struct mr_err *e) {
    const struct mr_catalog_model *m;
    struct mr_model_stats st;
    struct mr_buf b;
    int rc = find(c, &m, e);
    if (rc)
        return rc;
    mr_model_stats(c->core->residency, m, &st);
    double failed = st.requests ? 100.0 * (double)st.failures / (double)st.requests : 0;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "model_id", m->id);
    mr_buf_cstr(&b, ",\"performance_metrics\":{");
    mr_json_i64(&b, "requests_total", (int64_t)st.requests);
    mr_json_f64(&b, "avg_response_time", st.avg_seconds);
    mr_json_f64(&b, "p95_response_time", st.p95_seconds);
    mr_json_f64(&b, "success_rate", st.requests ? 100 - failed : 0);
    mr_json_f64(&b, "error_rate", failed);
    mr_json_i64(&b, "throughput_per_hour", (int64_t)st.last_hour);
    mr_buf_cstr(&b, "},\"resource_usage\":{");
    mr_json_f64(&b, "memory_mb", (double)(st.memory >> 10) / 1024);
    mr_json_raw(&b, "gpu_memory_mb", MR_LIT("null"));
    mr_json_f64(&b, "cpu_percent", st.cpu_percent);
    mr_buf_cstr(&b, "}}");
    return mr_call_json(c, 200, &b, e);
}
