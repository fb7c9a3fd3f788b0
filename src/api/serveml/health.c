/* Root, status, probes, Prometheus, the OpenAPI document and its page. */
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "api/stats.h"
#include "base/clock.h"

#include <sys/statvfs.h>

#define LOW_SPACE_BYTES (256ull << 20)

/* A browser gets the dashboard, everything else the seed's JSON. */
int mr_serveml_root(struct mr_call *c, struct mr_err *e) {
    struct mr_str accept = mr_req_header(c->req, "accept");
    struct mr_buf b;
    if (mr_str_starts(accept, MR_LIT("text/html")))
        return mr_serveml_dashboard(c, e);
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"status\":\"healthy\",\"message\":\"Welcome to ServeML API\","
                    "\"version\":\"1.0.0\"");
    mr_json_time(&b, "timestamp", mr_now_us());
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_health(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"status\":\"healthy\"");
    mr_json_time(&b, "timestamp", mr_now_us());
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

static int alive(struct mr_call *c) {
    mr_req_reply(c->req, 200, "application/json", MR_LIT("{\"status\":\"ok\"}"), true);
    return 0;
}

int mr_serveml_livez(struct mr_call *c, struct mr_err *e) {
    (void)e;
    return alive(c);
}

int mr_serveml_healthz(struct mr_call *c, struct mr_err *e) {
    (void)e;
    return alive(c);
}

int mr_serveml_readyz(struct mr_call *c, struct mr_err *e) {
    if (mr_http_draining(c->core->http))
        return mr_fail(e, MR_EUNAVAIL, "the server is shutting down");
    if (mr_db_ping(c->core->db, e))
        return MR_EUNAVAIL;
    return alive(c);
}

static uint64_t free_bytes(const char *dir) {
    struct statvfs v;
    return statvfs(dir, &v) ? 0 : (uint64_t)v.f_bavail * v.f_frsize;
}

int mr_serveml_api_status(struct mr_call *c, struct mr_err *e) {
    static const char ok[] = "operational", degraded[] = "degraded", outage[] = "outage";
    struct mr_err err;
    bool db = mr_db_ping(c->core->db, &err) == 0;
    uint64_t space = free_bytes(c->core->data_dir);
    bool draining = mr_http_draining(c->core->http);
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "api", draining ? degraded : ok);
    mr_json_cstr(&b, "deployments", db ? space < LOW_SPACE_BYTES ? degraded : ok : outage);
    mr_json_cstr(&b, "predictions", ok);
    mr_json_cstr(&b, "database", db ? ok : outage);
    mr_json_cstr(&b, "storage", space < LOW_SPACE_BYTES ? degraded : ok);
    mr_buf_cstr(&b, ",\"issues\":[");
    if (!db)
        mr_buf_cstr(&b, "\"the database does not answer\"");
    if (space < LOW_SPACE_BYTES)
        mr_buf_fmt(&b, "%s\"only %llu MB of disk are free\"", db ? "" : ",",
                   (unsigned long long)(space >> 20));
    mr_buf_cstr(&b, "]}");
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_prometheus(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_stats_render(c->api, &b);
    if (!mr_buf_ok(&b)) {
        mr_buf_release(&b);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    mr_req_reply_buf(c->req, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
    return 0;
}

static int send_document(struct mr_call *c, const struct mr_family *f) {
    mr_req_reply(c->req, 200, "application/json", mr_strn(f->openapi, *f->openapi_len), true);
    return 0;
}

int mr_serveml_openapi(struct mr_call *c, struct mr_err *e) {
    (void)e;
    return send_document(c, c->family);
}

int mr_serveml_openapi_of(struct mr_call *c, struct mr_err *e) {
    struct mr_str name = mr_req_param(c->req, "document"), end = MR_LIT(".json");
    if (mr_str_ends(name, end))
        name.n -= end.n;
    for (const struct mr_family *const *f = c->api->families; *f; f++)
        if (mr_str_is(name, (*f)->name) && (*f)->openapi)
            return send_document(c, *f);
    return mr_fail(e, MR_ENOTFOUND, "there is no such family of endpoints");
}
