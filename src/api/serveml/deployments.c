/* Deploy, list, get, update, delete, versions, rollback. */
#include "api/form.h"
#include "api/prediction.h"
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "core/usage/usage.h"

int mr_serveml_deployment_id(struct mr_call *c, struct mr_id *ret, struct mr_err *e) {
    if (mr_id_parse_prefixed(MR_DEP_PREFIX, mr_req_param(c->req, "deployment_id"), ret))
        return 0;
    return mr_fail(e, MR_ENOTFOUND, "no such deployment");
}

static void configuration(struct mr_buf *b, const struct mr_dep_config *g) {
    mr_json_key(b, "configuration");
    mr_buf_char(b, '{');
    mr_json_i64(b, "memory_mb", g->memory_mb);
    mr_json_i64(b, "timeout_seconds", g->timeout_s);
    mr_json_i64(b, "min_instances", g->min_instances);
    mr_json_i64(b, "max_instances", g->max_instances);
    mr_buf_char(b, '}');
}

static void version_name(struct mr_buf *b, const char *key, uint32_t n) {
    mr_json_key(b, key);
    mr_buf_fmt(b, "\"v%u\"", n);
}

static void head_members(struct mr_buf *b, const struct mr_deployment *d) {
    mr_json_id(b, "id", MR_DEP_PREFIX, d->id);
    mr_json_str(b, "name", d->name);
    mr_json_str(b, "status", d->status);
}

/* A file that was kept as failed: the reply names the row, so that it can be looked up. */
static void name_failed(struct mr_call *c, const struct mr_deployment *d) {
    struct mr_buf b;
    mr_buf_init(&b, 256);
    if (d->version) {
        mr_json_id(&b, "deployment_id", MR_DEP_PREFIX, d->id);
        version_name(&b, "version", d->version);
        mr_call_error_details(c, mr_buf_view(&b));
    }
    mr_buf_release(&b);
}

int mr_serveml_deploy(struct mr_call *c, struct mr_err *e) {
    struct mr_deploy in = {.name = mr_call_str(c, "name"),
                           .changes = mr_call_str(c, "changes"),
                           .requirements = mr_form_text_file(c, "requirements_file"),
                           .memory_mb = -1,
                           .timeout_s = -1,
                           .idempotency_key = mr_call_str(c, "Idempotency-Key"),
                           .base_url = mr_call_base_url(c)};
    struct mr_deployment d = {0};
    struct mr_buf b;
    bool replayed = false;
    if (mr_call_value(c, "memory")->given)
        in.memory_mb = mr_call_i64(c, "memory", -1);
    if (mr_call_value(c, "timeout")->given)
        in.timeout_s = mr_call_i64(c, "timeout", -1);
    in.model = mr_form_take_file(c, "model_file", &in.file_name);
    if (!in.model)
        return mr_fail_field(e, MR_EFIELD, "model_file", "model_file is required");
    int rc = mr_deploy(c->core->deployments, &c->who, &in, c->req->arena, &d, &replayed, e);
    if (replayed)
        mr_req_set_header(c->req, "Idempotent-Replayed", MR_LIT("true"));
    if (rc) {
        name_failed(c, &d);
        return rc;
    }
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    head_members(&b, &d);
    version_name(&b, "version", d.version);
    mr_json_time(&b, "created_at", d.created_us);
    mr_prediction_url(c, &b, d.id);
    mr_json_raw(&b, "model_metadata", d.metadata);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_deployments_list(struct mr_call *c, struct mr_err *e) {
    struct mr_dep_filter f = {.limit = mr_call_i64(c, "limit", 20),
                              .offset = mr_call_i64(c, "offset", 0),
                              .status = mr_call_str(c, "status"),
                              .framework = mr_call_str(c, "framework"),
                              .search = mr_call_str(c, "search")};
    struct mr_deployment *v = NULL;
    size_t n = 0;
    int64_t total = 0;
    struct mr_buf b;
    if (c->who.authenticated) {
        int rc = mr_deployments_list(c->core->deployments, c->who.account, &f, c->req->arena, &v,
                                     &n, &total, e);
        if (rc)
            return rc;
    }
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        head_members(&b, &v[i]);
        version_name(&b, "version", v[i].version);
        mr_json_time(&b, "created_at", v[i].created_us);
        mr_json_time(&b, "updated_at", v[i].updated_us);
        mr_prediction_url(c, &b, v[i].id);
        mr_json_raw(&b, "model_metadata", v[i].metadata);
        mr_buf_char(&b, '}');
    }
    mr_buf_fmt(&b, "],\"total\":%lld,\"limit\":%lld,\"offset\":%lld}", (long long)total,
               (long long)f.limit, (long long)f.offset);
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_deployments_get(struct mr_call *c, struct mr_err *e) {
    struct mr_deployment d;
    struct mr_usage_totals t;
    struct mr_id id;
    struct mr_buf b;
    int rc = mr_serveml_deployment_id(c, &id, e);
    if (!rc)
        rc = mr_deployments_get(c->core->deployments, c->who.account, id, c->req->arena, &d, e);
    if (!rc)
        rc = mr_usage_deployment_totals(c->core->usage, c->who.account, id, &t, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    head_members(&b, &d);
    version_name(&b, "version", d.version);
    mr_json_time(&b, "created_at", d.created_us);
    mr_json_time(&b, "updated_at", d.updated_us);
    mr_prediction_url(c, &b, d.id);
    if (d.error.n)
        mr_json_str(&b, "error", d.error);
    mr_json_raw(&b, "model_metadata", d.metadata);
    configuration(&b, &d.config);
    mr_json_key(&b, "metrics_summary");
    mr_buf_char(&b, '{');
    mr_json_i64(&b, "total_predictions", (int64_t)t.requests);
    mr_json_f64(&b, "avg_latency_ms",
                t.requests ? (double)t.latency_us_sum / (double)t.requests / 1000.0 : 0);
    mr_json_f64(&b, "error_rate", t.requests ? (double)t.errors / (double)t.requests : 0);
    mr_buf_cstr(&b, "}}");
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_deployments_update(struct mr_call *c, struct mr_err *e) {
    struct mr_dep_change ch = {.name = mr_call_str(c, "name"),
                               .memory_mb = mr_call_i64(c, "memory_mb", -1),
                               .timeout_s = mr_call_i64(c, "timeout_seconds", -1),
                               .min_instances = mr_call_i64(c, "min_instances", -1),
                               .max_instances = mr_call_i64(c, "max_instances", -1)};
    struct mr_deployment d;
    struct mr_id id;
    struct mr_buf b;
    int rc = mr_serveml_deployment_id(c, &id, e);
    if (!rc)
        rc = mr_deployments_update(c->core->deployments, c->who.account, id, &ch, c->req->arena, &d,
                                   e);
    if (rc)
        return rc;
    d.status = MR_LIT("updating");
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    head_members(&b, &d);
    configuration(&b, &d.config);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_deployments_delete(struct mr_call *c, struct mr_err *e) {
    struct mr_id id;
    struct mr_buf b;
    int rc = mr_serveml_deployment_id(c, &id, e);
    if (!rc)
        rc =
            mr_deployments_delete(c->core->deployments, c->who.account, id, mr_call_base_url(c), e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "message", "Deployment deleted successfully");
    mr_json_id(&b, "id", MR_DEP_PREFIX, id);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_versions_list(struct mr_call *c, struct mr_err *e) {
    struct mr_version *v;
    struct mr_id id;
    struct mr_buf b;
    size_t n;
    int rc = mr_serveml_deployment_id(c, &id, e);
    if (!rc)
        rc = mr_versions_list(c->core->deployments, c->who.account, id, c->req->arena, &v, &n, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"versions\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        version_name(&b, "version", v[i].n);
        mr_json_time(&b, "created_at", v[i].created_us);
        mr_json_str(&b, "status", v[i].status);
        mr_json_bool(&b, "is_current", v[i].current);
        mr_json_str(&b, "changes", v[i].changes);
        if (v[i].error.n)
            mr_json_str(&b, "error", v[i].error);
        mr_buf_char(&b, '}');
    }
    mr_buf_cstr(&b, "]}");
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_rollback(struct mr_call *c, struct mr_err *e) {
    struct mr_str text = mr_call_str(c, "version");
    int64_t version = 0;
    uint32_t previous;
    struct mr_id id;
    struct mr_buf b;
    int rc = mr_serveml_deployment_id(c, &id, e);
    if (rc)
        return rc;
    if (!mr_str_i64(mr_strn(text.p + 1, text.n - 1), 1, UINT32_MAX, &version))
        return mr_fail_field(e, MR_EFIELD, "version", "version must look like v2");
    rc = mr_versions_rollback(c->core->deployments, c->who.account, id, (uint32_t)version,
                              &previous, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_id(&b, "id", MR_DEP_PREFIX, id);
    version_name(&b, "version", (uint32_t)version);
    version_name(&b, "previous_version", previous);
    mr_json_cstr(&b, "status", "active");
    mr_buf_fmt(&b, ",\"message\":\"Rolled back to v%u\"}", (unsigned)version);
    return mr_call_json(c, 200, &b, e);
}
