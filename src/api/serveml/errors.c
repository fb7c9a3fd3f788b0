/* Error codes and shape of seed 001; the only place that knows them. */
#include "api/serveml/serveml.h"

struct wire {
    int code; /* enum mr_code */
    int status;
    const char *name;
};

static const struct wire by_code[] = {
    {MR_EUNAUTH, 401, "UNAUTHORIZED"},       {MR_EFORBIDDEN, 403, "FORBIDDEN"},
    {MR_ENOTFOUND, 404, "NOT_FOUND"},        {MR_EINVAL, 400, "INVALID_INPUT"},
    {MR_EFIELD, 422, "VALIDATION_ERROR"},    {MR_ECONFLICT, 409, "INVALID_INPUT"},
    {MR_ETOOBIG, 413, "INVALID_INPUT"},      {MR_ELIMIT, 429, "RATE_LIMITED"},
    {MR_EREFUSED, 400, "DEPLOYMENT_FAILED"}, {MR_EUNSUPPORTED, 400, "DEPLOYMENT_FAILED"},
    {MR_EPREDICT, 500, "PREDICTION_ERROR"},  {MR_ETIMEOUT, 500, "PREDICTION_ERROR"},
    {MR_ENOSPC, 507, "SERVICE_ERROR"},       {MR_EUNAVAIL, 503, "SERVICE_ERROR"},
    {MR_ENOTLOADED, 503, "SERVICE_ERROR"},
};

/* Statuses that the HTTP layer finds by itself. */
static const struct {
    int status;
    const char *name, *text;
} by_status[] = {
    {400, "INVALID_INPUT", "the request is malformed"},
    {401, "UNAUTHORIZED", "authentication is required"},
    {403, "FORBIDDEN", "that is not allowed"},
    {404, "NOT_FOUND", "there is nothing at this path"},
    {405, "INVALID_INPUT", "this path does not take this method"},
    {408, "INVALID_INPUT", "the request took too long to arrive"},
    {413, "INVALID_INPUT", "the body is too large"},
    {414, "INVALID_INPUT", "the request target is too long"},
    {415, "INVALID_INPUT", "this media type is not taken here"},
    {416, "INVALID_INPUT", "the range cannot be satisfied"},
    {431, "INVALID_INPUT", "the request headers are too large"},
    {503, "SERVICE_ERROR", "the server is not ready: try again"},
    {505, "INVALID_INPUT", "this HTTP version is not spoken"},
    {507, "SERVICE_ERROR", "the server is out of storage"},
};

static struct wire look_up(int status, const struct mr_err *e) {
    if (!status && e)
        for (size_t i = 0; i < sizeof by_code / sizeof *by_code; i++)
            if (by_code[i].code == e->code)
                return by_code[i];
    for (size_t i = 0; status && i < sizeof by_status / sizeof *by_status; i++)
        if (by_status[i].status == status)
            return (struct wire){0, status, by_status[i].name};
    return (struct wire){0, status ? status : 500,
                         status && status < 500 ? "INVALID_INPUT" : "SERVICE_ERROR"};
}

static const char *text_of(int status) {
    for (size_t i = 0; i < sizeof by_status / sizeof *by_status; i++)
        if (by_status[i].status == status)
            return by_status[i].text;
    return "the request failed";
}

void mr_serveml_render_error(struct mr_api *api, struct mr_req *r, int status,
                             const struct mr_err *e) {
    struct wire w = look_up(status, e);
    struct mr_call *c = r->app;
    const char *msg = e && e->msg[0] ? e->msg : text_of(w.status);
    struct mr_buf b;
    if (w.status == 500 && !strcmp(w.name, "SERVICE_ERROR")) {
        /* What went wrong inside is for the log, not for the client. */
        mr_log_msg(&api->core->log, MR_LOG_ERROR, "internal", "%s: %s (%s)", r->id, msg,
                   mr_code_name(e ? e->code : 0));
        msg = "an internal error occurred; the request id is in the server's log";
    }
    mr_buf_init(&b, 16384);
    mr_buf_fmt(&b, "{\"error\":{\"code\":\"%s\",\"message\":", w.name);
    mr_buf_json(&b, mr_str(msg));
    mr_buf_cstr(&b, ",\"details\":{");
    if (e && e->field[0]) {
        mr_json_cstr(&b, "field", e->field);
        mr_json_cstr(&b, "reason", msg);
    }
    if (c && c->error_details.n) {
        if (b.p[b.n - 1] != '{')
            mr_buf_char(&b, ',');
        mr_buf_str(&b, c->error_details);
    }
    mr_buf_cstr(&b, "}},\"request_id\":");
    mr_buf_json(&b, mr_str(r->id));
    mr_buf_char(&b, '}');
    if (w.status == 401)
        mr_req_set_header(r, "WWW-Authenticate", MR_LIT("Bearer"));
    mr_req_reply_buf(r, w.status, "application/json", &b);
}
