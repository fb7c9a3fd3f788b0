/* Health: of the services, for everybody; of machine, database and what the services rest on, for
 * those with an account. Figures are measured, never made up. */
#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"
#include "api/stats.h"
#include "base/clock.h"
#include "core/catalog/residency.h"
#include "core/ops/ops.h"

#define LOW_SPACE_BYTES (256ull << 20)
#define QUEUE_DEGRADED  100u

static int64_t uptime_s(const struct mr_core *core) {
    int64_t s = (mr_now_us() - core->started_us) / 1000000;
    return s > 0 ? s : 0;
}

static double rounded(double v) {
    return (double)(int64_t)(v * 1e6 + 0.5) / 1e6;
}

/* Mean of all replies of the server, seconds. */
static double server_seconds(const struct mr_api *a) {
    uint64_t sum = 0, n = 0;
    for (size_t i = 0; i < a->n_refs; i++) {
        struct mr_row_stats *s = a->refs[i].stats;
        sum += atomic_load_explicit(&s->sum_ns, memory_order_relaxed);
        for (int k = 0; k < 6; k++)
            n += atomic_load_explicit(&s->by_class[k], memory_order_relaxed);
    }
    return n ? rounded((double)sum / 1e9 / (double)n) : 0;
}

static void memory(struct mr_buf *b, uint64_t bytes) {
    char text[32];
    double mb = (double)bytes / (1 << 20);
    snprintf(text, sizeof text, mb < 1024 ? "%.0fMB" : "%.1fGB", mb < 1024 ? mb : mb / 1024);
    mr_json_cstr(b, "memory_usage", text);
}

static const char *service_state(const struct mr_service_stats *s) {
    return !s->running ? "stopped" : s->queue >= QUEUE_DEGRADED ? "degraded" : "healthy";
}

static bool one_service(struct mr_call *c, struct mr_buf *b, enum mr_service which) {
    static const char *const names[] = {"llm_service", "vision_service", "nlp_service"};
    struct mr_service_stats s;
    mr_service_stats(c->core->residency, which, &s);
    mr_json_key(b, names[which]);
    mr_buf_char(b, '{');
    mr_json_cstr(b, "status", service_state(&s));
    mr_json_f64(b, "response_time", rounded(s.avg_seconds));
    int64_t up = s.running ? (mr_now_us() - s.since_us) / 1000000 : 0;
    mr_json_i64(b, "uptime", up > 0 ? up : 0);
    mr_json_i64(b, "models_loaded", s.models_loaded);
    mr_json_i64(b, "queue_size", (int64_t)s.queue);
    if (which == MR_SERVICE_VISION)
        mr_json_i64(b, "gpu_utilization", 0); /* models run on the CPU */
    memory(b, s.memory);
    mr_buf_char(b, '}');
    return s.running && s.queue < QUEUE_DEGRADED;
}

int mr_aisemble_health(struct mr_call *c, struct mr_err *e) {
    struct mr_buf services, b;
    struct mr_err err;
    bool db = mr_db_ping(c->core->db, &err) == 0, ok = true;
    bool draining = mr_http_draining(c->core->http);
    mr_call_buf(c, &services);
    mr_buf_cstr(&services, "{\"orchestrator\":{");
    mr_json_cstr(&services, "status", !db ? "unhealthy" : draining ? "degraded" : "healthy");
    mr_json_f64(&services, "response_time", server_seconds(c->api));
    mr_json_i64(&services, "uptime", uptime_s(c->core));
    mr_json_i64(&services, "queue_size", (int64_t)mr_pool_queued(c->core->pool));
    memory(&services, mr_process_memory());
    mr_buf_char(&services, '}');
    for (int s = 0; s < MR_SERVICE_N; s++)
        ok &= one_service(c, &services, (enum mr_service)s);
    mr_buf_char(&services, '}');
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "status", !db ? "unhealthy" : ok && !draining ? "healthy" : "degraded");
    mr_json_time(&b, "timestamp", mr_now_us());
    mr_json_cstr(&b, "version", MR_AISEMBLE_VERSION);
    mr_json_raw(&b, "services", mr_buf_view(&services));
    mr_buf_char(&b, '}');
    mr_buf_release(&services);
    return mr_call_json(c, 200, &b, e);
}

/* --- comprehensive ------------------------------------------------------------------------ */

struct probe {
    struct mr_buf issues; /* JSON strings, comma-separated */
    bool degraded, unhealthy;
};

static const char *state(struct probe *p, bool bad, bool broken, const char *issue) {
    if (bad || broken) {
        mr_buf_cstr(&p->issues, p->issues.n ? "," : "");
        mr_buf_json(&p->issues, mr_str(issue));
    }
    p->degraded |= bad;
    p->unhealthy |= broken;
    return broken ? "unhealthy" : bad ? "degraded" : "healthy";
}

/* Writes a small blob, reads it back, and takes it away. */
static bool storage_works(struct mr_call *c) {
    struct mr_blob_writer *w = NULL;
    struct mr_err e;
    bool ok = !mr_blob_begin_write(c->core->blobs, &w, &e) && !mr_blob_write(w, "probe", 5, &e);
    mr_blob_writer_free(w);
    return ok;
}

static void external(struct mr_call *c, struct mr_buf *b, struct probe *p,
                     const struct mr_machine *m) {
    size_t n, installed = 0;
    const struct mr_catalog_model *v = mr_catalog_models(c->core->catalog, &n);
    for (size_t i = 0; i < n; i++)
        installed += mr_catalog_installed(&v[i]);
    mr_json_key(b, "external_services");
    mr_buf_char(b, '{');
    mr_json_cstr(b, "model_registry",
                 state(p, !installed, false, "no model is installed: run scripts/setup"));
    mr_json_cstr(b, "monitoring",
                 state(p, !mr_ops_alive(c->core->ops), false, "the machine's figures are stale"));
    mr_json_cstr(b, "storage",
                 state(p, m->disk_free < LOW_SPACE_BYTES, !storage_works(c),
                       "files cannot be stored, or little space is left"));
    mr_buf_char(b, '}');
}

static void database(struct mr_call *c, struct mr_buf *b, struct probe *p) {
    struct mr_db_stats s;
    struct mr_err err;
    int64_t began = mr_mono_ns();
    bool ok = mr_db_ping(c->core->db, &err) == 0;
    double seconds = rounded((double)(mr_mono_ns() - began) / 1e9);
    mr_db_stats(c->core->db, &s);
    (void)state(p, false, !ok, "the database does not answer");
    mr_json_key(b, "database");
    mr_buf_char(b, '{');
    mr_json_cstr(b, "status", ok ? "connected" : "disconnected");
    mr_json_f64(b, "response_time", seconds);
    mr_buf_cstr(b, ",\"connection_pool\":{");
    /* A thread that reads has a connection of its own, so there can be as many as threads. */
    unsigned active = s.connections_active < s.connections ? s.connections_active : s.connections;
    unsigned max = mr_process_threads();
    mr_json_i64(b, "active", active);
    mr_json_i64(b, "idle", s.connections - active);
    mr_json_i64(b, "max", max > s.connections ? max : s.connections);
    mr_buf_cstr(b, "}}");
}

int mr_aisemble_health_comprehensive(struct mr_call *c, struct mr_err *e) {
    struct mr_machine m;
    struct probe p = {0};
    struct mr_buf rest, b;
    mr_ops_machine(c->core->ops, &m);
    mr_call_buf(c, &rest);
    mr_buf_init(&p.issues, 4096);
    mr_buf_char(&rest, '{'); /* so that members get their commas; skipped below */
    mr_json_key(&rest, "system_metrics");
    mr_buf_char(&rest, '{');
    mr_json_f64(&rest, "cpu_usage", (double)(int)(m.cpu_percent * 10 + 0.5) / 10);
    mr_json_f64(&rest, "memory_usage", (double)(int)(m.memory_percent * 10 + 0.5) / 10);
    mr_json_f64(&rest, "disk_usage", (double)(int)(m.disk_percent * 10 + 0.5) / 10);
    mr_buf_cstr(&rest, ",\"network_io\":{");
    mr_json_i64(&rest, "bytes_sent", (int64_t)m.net_sent);
    mr_json_i64(&rest, "bytes_received", (int64_t)m.net_received);
    mr_buf_cstr(&rest, "}}");
    database(c, &rest, &p);
    external(c, &rest, &p, &m);
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "status", p.unhealthy ? "unhealthy" : p.degraded ? "degraded" : "healthy");
    mr_json_time(&b, "timestamp", mr_now_us());
    mr_buf_char(&b, ',');
    mr_buf_add(&b, rest.p ? rest.p + 1 : "", rest.n ? rest.n - 1 : 0);
    if (p.issues.n)
        mr_buf_fmt(&b, ",\"issues\":[%s]", p.issues.p);
    mr_buf_char(&b, '}');
    mr_buf_release(&p.issues);
    mr_buf_release(&rest);
    return mr_call_json(c, 200, &b, e);
}
