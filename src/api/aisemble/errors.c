/* Error codes and shape of seed 002; the only place that knows them. The seed lists 400 for what is
 * wrong in a request, so a field that breaks the schema is 400 here. */
#include "api/aisemble/aisemble.h"
#include "api/status_text.h"
#include "base/clock.h"

struct wire {
    int code; /* enum mr_code */
    int status;
    const char *name;
};

static const struct wire by_code[] = {
    {MR_EUNAUTH, 401, "AUTHENTICATION_REQUIRED"}, {MR_EFORBIDDEN, 403, "INSUFFICIENT_PERMISSIONS"},
    {MR_ENOTFOUND, 404, "RESOURCE_NOT_FOUND"},    {MR_EINVAL, 400, "INVALID_REQUEST"},
    {MR_EFIELD, 400, "INVALID_REQUEST"},          {MR_EREFUSED, 400, "INVALID_REQUEST"},
    {MR_EUNSUPPORTED, 400, "INVALID_REQUEST"},    {MR_ECONFLICT, 409, "CONFLICT"},
    {MR_ETOOBIG, 413, "INVALID_REQUEST"},         {MR_ELIMIT, 429, "RATE_LIMIT_EXCEEDED"},
    {MR_ENOTLOADED, 422, "MODEL_NOT_LOADED"},     {MR_EPREDICT, 502, "SERVICE_UNAVAILABLE"},
    {MR_EUNAVAIL, 503, "SERVICE_UNAVAILABLE"},    {MR_ETIMEOUT, 503, "SERVICE_UNAVAILABLE"},
    {MR_ECANCELLED, 503, "SERVICE_UNAVAILABLE"},  {MR_ENOSPC, 507, "SERVICE_UNAVAILABLE"},
};

/* Of statuses that the HTTP layer finds by itself. */
static const char *name_of_status(int status) {
    switch (status) {
    case 401:
        return "AUTHENTICATION_REQUIRED";
    case 403:
        return "INSUFFICIENT_PERMISSIONS";
    case 404:
        return "RESOURCE_NOT_FOUND";
    case 503:
    case 507:
        return "SERVICE_UNAVAILABLE";
    default:
        return status < 500 ? "INVALID_REQUEST" : "INTERNAL_ERROR";
    }
}

static struct wire look_up(int status, const struct mr_err *e) {
    if (!status && e && e->code == MR_ELIMIT && !strcmp(e->field, "budget"))
        return (struct wire){MR_ELIMIT, 402, "QUOTA_EXCEEDED"};
    for (size_t i = 0; !status && e && i < sizeof by_code / sizeof *by_code; i++)
        if (by_code[i].code == e->code)
            return by_code[i];
    status = status ? status : 500;
    return (struct wire){0, status, name_of_status(status)};
}

const char *mr_aisemble_code(int code) {
    struct mr_err e = {.code = code};
    return look_up(0, &e).name;
}

static void object(struct mr_buf *b, const char *name, const char *msg, const struct mr_err *e,
                   struct mr_str details, const char *request_id) {
    mr_buf_char(b, '{');
    mr_json_cstr(b, "code", name);
    mr_json_cstr(b, "message", msg);
    mr_buf_cstr(b, ",\"details\":{");
    if (e && e->field[0]) {
        mr_json_cstr(b, "field", e->field);
        mr_json_cstr(b, "reason", msg);
    }
    if (details.n) {
        if (b->n && b->p[b->n - 1] != '{')
            mr_buf_char(b, ',');
        mr_buf_str(b, details);
    }
    mr_buf_char(b, '}');
    mr_json_cstr(b, "request_id", request_id);
    mr_json_time(b, "timestamp", mr_now_us());
    mr_buf_char(b, '}');
}

void mr_aisemble_error_json(struct mr_buf *b, const struct mr_err *e, const char *request_id) {
    struct wire w = look_up(0, e);
    object(b, w.name, w.status == 500 ? "an internal error occurred" : e->msg, e, mr_strn(NULL, 0),
           request_id);
}

/* What the owner finds under /ops/logs: services that failed, with the request's id. */
static void log_failure(struct mr_api *api, struct mr_req *r, const struct wire *w,
                        const struct mr_err *e) {
    static const struct {
        const char *part, *event;
    } services[] = {{"/ai/llm/", "llm"}, {"/ai/vision/", "vision"}, {"/ai/nlp/", "nlp"}};
    struct mr_log_line l;
    const char *event = "aisemble";
    if (w->status < 500 && w->code != MR_ENOTLOADED)
        return;
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (r->route && strstr(r->route->pattern, services[i].part))
            event = services[i].event;
    mr_log_begin(&l, &api->core->log, w->code == MR_ECANCELLED ? MR_LOG_INFO : MR_LOG_ERROR, event);
    mr_log_cstr(&l, "msg", e && e->msg[0] ? e->msg : mr_status_text(w->status));
    mr_log_cstr(&l, "trace_id", r->id);
    mr_log_cstr(&l, "error_code", w->name);
    mr_log_end(&l);
}

void mr_aisemble_render_error(struct mr_api *api, struct mr_req *r, int status,
                              const struct mr_err *e) {
    struct wire w = look_up(status, e);
    struct mr_call *c = r->app;
    const char *id = mr_aisemble_request_id(r);
    const char *msg = mr_error_text(api, r, w.status, e);
    struct mr_buf b;
    log_failure(api, r, &w, e);
    mr_buf_init(&b, 16384);
    mr_buf_cstr(&b, "{\"error\":");
    object(&b, w.name, msg, e, c ? c->error_details : mr_strn(NULL, 0), id);
    mr_buf_char(&b, '}');
    if (w.status == 401)
        mr_req_set_header(r, "WWW-Authenticate", MR_LIT("Bearer"));
    mr_req_reply_buf(r, w.status, "application/json", &b);
}
