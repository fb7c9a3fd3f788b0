/* Operations: status with alerts, services, logs. */
#include "core/ops/ops.h"
#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"
#include "base/clock.h"
#include "core/catalog/residency.h"
#include "core/jobs/jobs.h"
#include "core/ops/log_ring.h"

#include <time.h>

#define ORCHESTRATOR   "orchestrator"
#define HEALTH_WAIT_NS (60ll * 1000000000)
#define HEALTH_LOOK_NS 20000000l

static double tenth(double v) {
    return (double)(int64_t)(v * 10 + 0.5) / 10;
}

int mr_aisemble_ops_status(struct mr_call *c, struct mr_err *e) {
    struct mr_jobs_metrics jobs = {0};
    struct mr_alert alert[MR_RULE_N];
    struct mr_machine m;
    struct mr_buf b;
    int64_t up = (mr_now_us() - c->core->started_us) / 1000000;
    size_t n = mr_ops_alerts(c->core->ops, alert);
    mr_ops_machine(c->core->ops, &m);
    mr_jobs_metrics(c->core->jobs, &jobs);
    up = up > 0 ? up : 0;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "system_status",
                 mr_http_draining(c->core->http) ? "stopping"
                 : n                             ? "degraded"
                                                 : "operational");
    mr_json_key(&b, "uptime");
    mr_buf_fmt(&b, "\"%lldd %lldh %lldm\"", (long long)(up / 86400), (long long)(up / 3600 % 24),
               (long long)(up / 60 % 60));
    mr_json_i64(&b, "active_jobs", (int64_t)jobs.active);
    mr_json_i64(&b, "queued_jobs", (int64_t)jobs.queued);
    mr_json_i64(&b, "failed_jobs_24h", (int64_t)jobs.failed_24h);
    mr_buf_cstr(&b, ",\"resource_utilization\":{");
    mr_json_f64(&b, "cpu", tenth(m.cpu_percent));
    mr_json_f64(&b, "memory", tenth(m.memory_percent));
    mr_json_raw(&b, "gpu", MR_LIT("null"));
    mr_buf_cstr(&b, "},\"alerts\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        mr_json_cstr(&b, "level", alert[i].critical ? "critical" : "warning");
        mr_json_cstr(&b, "message", alert[i].message);
        mr_json_time(&b, "timestamp", alert[i].since_us);
        mr_json_cstr(&b, "rule", mr_rule_name(alert[i].rule));
        mr_buf_char(&b, '}');
    }
    mr_buf_cstr(&b, "]}");
    return mr_call_json(c, 200, &b, e);
}

/* --- services ----------------------------------------------------------------------------- */

/* The service of the path; *ret_self: it is the orchestrator, this server. */
static int find_service(struct mr_call *c, enum mr_service *ret, bool *ret_self, struct mr_err *e) {
    struct mr_str name = mr_req_param(c->req, "service_name");
    int rc = mr_aisemble_owner_only(c, e);
    if (rc)
        return rc;
    *ret_self = mr_str_is(name, ORCHESTRATOR) || mr_str_is(name, ORCHESTRATOR "_service");
    if (*ret_self || mr_service_parse(name, ret))
        return 0;
    return mr_fail(e, MR_ENOTFOUND,
                   "there is no such service; there are: llm, vision, nlp, "
                   "orchestrator");
}

static void name_member(struct mr_buf *b, enum mr_service s, bool self) {
    mr_json_key(b, "service");
    if (self)
        mr_buf_cstr(b, "\"" ORCHESTRATOR "\"");
    else
        mr_buf_fmt(b, "\"%s_service\"", mr_service_name(s));
}

static int action(struct mr_call *c, enum mr_service s, bool self, const char *what,
                  const char *status, const char *message, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    name_member(&b, s, self);
    mr_json_cstr(&b, "action", what);
    mr_json_cstr(&b, "status", status);
    mr_json_cstr(&b, "message", message);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

/* Begins to load the service's default models that are installed and not kept out by the owner,
 * also those that are just leaving memory (once they have left); true while one is loading.
 * `again`: also where the last load failed. */
static bool warm_up(struct mr_call *c, enum mr_service s, bool again) {
    size_t n;
    const struct mr_catalog_model *v = mr_catalog_models(c->core->catalog, &n);
    bool loading = false;
    for (size_t i = 0; i < n; i++) {
        struct mr_model_stats st;
        if (v[i].service != s || !v[i].is_default || !mr_catalog_installed(&v[i]))
            continue;
        mr_model_stats(c->core->residency, &v[i], &st);
        if (st.state == MR_MODEL_AVAILABLE || (again && st.state == MR_MODEL_FAILED)) {
            (void)mr_model_load(c->core->residency, &v[i], false, NULL); /* its state says how */
            mr_model_stats(c->core->residency, &v[i], &st);
        }
        loading |= st.state == MR_MODEL_LOADING;
    }
    return loading;
}

static bool warm(struct mr_call *c, enum mr_service s) {
    return !warm_up(c, s, false);
}

static bool empty(struct mr_call *c, enum mr_service s) {
    struct mr_service_stats st;
    mr_service_stats(c->core->residency, s, &st);
    return !st.models_loaded;
}

/* False: it took too long, or the client went away. */
static bool wait_until(struct mr_call *c, enum mr_service s,
                       bool (*done)(struct mr_call *c, enum mr_service s)) {
    struct timespec pause = {0, HEALTH_LOOK_NS};
    int64_t until = mr_mono_ns() + HEALTH_WAIT_NS;
    bool is = done(c, s);
    while (!is && mr_mono_ns() < until && !mr_req_gone(c->req)) {
        nanosleep(&pause, NULL);
        is = done(c, s);
    }
    return is;
}

int mr_aisemble_service_start(struct mr_call *c, struct mr_err *e) {
    struct mr_service_stats st;
    enum mr_service s = MR_SERVICE_LLM;
    bool self;
    int rc = find_service(c, &s, &self, e);
    if (rc)
        return rc;
    if (self)
        return action(c, s, true, "start", "running", "Service is running", e);
    mr_service_stats(c->core->residency, s, &st);
    bool again = st.running && mr_call_value(c, "force")->i;
    if (again) {
        rc = mr_service_stop(c->core->residency, s, e);
        wait_until(c, s, empty);
    }
    if (!rc && (again || !st.running))
        rc = mr_service_start(c->core->residency, s, e);
    if (rc)
        return rc;
    bool loading = warm_up(c, s, true);
    if (loading && mr_call_value(c, "wait_for_health")->i)
        loading = !wait_until(c, s, warm);
    return action(c, s, false, "start", loading ? "starting" : "running",
                  loading ? "Service start initiated" : "Service is running", e);
}

int mr_aisemble_service_stop(struct mr_call *c, struct mr_err *e) {
    enum mr_service s = MR_SERVICE_LLM;
    bool self;
    int rc = find_service(c, &s, &self, e);
    if (!rc && self)
        rc = mr_fail_field(e, MR_EFIELD, "service_name",
                           "the orchestrator is this server itself: end its process to stop it");
    if (!rc)
        rc = mr_service_stop(c->core->residency, s, e);
    return rc ? rc
              : action(c, s, false, "stop", "stopped", "Service stopped; its models leave memory",
                       e);
}

int mr_aisemble_service_status(struct mr_call *c, struct mr_err *e) {
    struct mr_service_stats st = {.running = true, .since_us = c->core->started_us};
    enum mr_service s = MR_SERVICE_LLM;
    struct mr_buf b;
    bool self;
    int rc = find_service(c, &s, &self, e);
    if (rc)
        return rc;
    if (self) {
        st.queue = mr_pool_queued(c->core->pool);
        st.memory = mr_process_memory();
    } else
        mr_service_stats(c->core->residency, s, &st);
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    name_member(&b, s, self);
    mr_json_cstr(&b, "status", st.running ? "running" : "stopped");
    mr_json_time(&b, "since", st.since_us);
    mr_json_i64(&b, "models_loaded", st.models_loaded);
    mr_json_i64(&b, "memory_bytes", (int64_t)st.memory);
    mr_json_i64(&b, "queue_size", (int64_t)st.queue);
    mr_json_i64(&b, "in_use", (int64_t)st.in_use);
    mr_json_i64(&b, "requests", (int64_t)(st.ok + st.failed));
    mr_json_i64(&b, "failures", (int64_t)st.failed);
    mr_json_f64(&b, "response_time", st.avg_seconds);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

/* --- logs --------------------------------------------------------------------------------- */

static int log_query(struct mr_call *c, struct mr_log_query *q, struct mr_err *e) {
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    static const char *const services[] = {"llm_service", "vision_service", "nlp_service"};
    struct mr_str service = mr_call_str(c, "service"), level = mr_call_str(c, "level");
    struct mr_str cursor = mr_call_str(c, "cursor");
    enum mr_service s;
    int64_t before = 0;
    *q = (struct mr_log_query){.limit = (size_t)mr_call_i64(c, "limit", 100)};
    for (int i = 0; i < 4; i++)
        if (mr_str_is(level, levels[i]))
            q->level = (enum mr_log_level)i;
    if (service.n && mr_service_parse(service, &s))
        q->service = services[s];
    else if (mr_str_is(service, ORCHESTRATOR) || mr_str_is(service, ORCHESTRATOR "_service"))
        q->service = ORCHESTRATOR;
    else if (service.n)
        return mr_fail_field(e, MR_EFIELD, "service",
                             "service must be one of: llm, vision, nlp, orchestrator");
    if (cursor.n && !mr_str_i64(cursor, 1, INT64_MAX, &before))
        return mr_fail_field(e, MR_EFIELD, "cursor", "cursor is not a next_cursor of an answer");
    q->before = (uint64_t)before;
    return 0;
}

static void line(struct mr_buf *b, const struct mr_log_entry *l) {
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    mr_buf_char(b, '{');
    mr_json_time(b, "timestamp", l->at_us);
    mr_json_cstr(b, "level", names[l->level]);
    mr_json_cstr(b, "service", l->service);
    mr_json_str(b, "message", l->message);
    mr_json_str(b, "trace_id", l->trace_id);
    mr_json_raw(b, "details", l->details);
    mr_buf_char(b, '}');
}

int mr_aisemble_ops_logs(struct mr_call *c, struct mr_err *e) {
    struct mr_log_entry *v;
    struct mr_log_query q;
    struct mr_buf b;
    size_t n;
    bool more;
    int rc = mr_aisemble_owner_only(c, e);
    if (!rc)
        rc = log_query(c, &q, e);
    if (!rc)
        rc = mr_log_ring_read(c->core->log_ring, &q, c->req->arena, &v, &n, &more, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"logs\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            mr_buf_char(&b, ',');
        line(&b, &v[i]);
    }
    mr_buf_cstr(&b, "],\"pagination\":{");
    mr_json_i64(&b, "limit", (int64_t)q.limit);
    mr_json_bool(&b, "has_more", more);
    mr_json_key(&b, "next_cursor");
    if (more && n)
        mr_buf_fmt(&b, "\"%llu\"", (unsigned long long)v[n - 1].seq);
    else
        mr_buf_cstr(&b, "null");
    mr_buf_cstr(&b, "}}");
    return mr_call_json(c, 200, &b, e);
}
