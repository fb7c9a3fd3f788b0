/* The family, its errors and its headers. */
#include "api/openai/gen_openai.h"
#include "api/openai/openai.h"
#include "api/status_text.h"
#include "base/clock.h"
#include "core/money/money.h"

static const char *const prefixes[] = {"/v1", NULL};

const struct mr_family mr_family_openai = {
    .name = "openai",
    .rows = mr_openai_rows,
    .n_rows = &mr_openai_n_rows,
    .openapi = mr_openai_openapi_json,
    .openapi_len = &mr_openai_openapi_json_len,
    .render_error = mr_openai_render_error,
    .prefixes = prefixes,
    .limits = {[MR_RATE_GENERAL] = {6000, 60},
               [MR_RATE_AUTH] = {10, 60},
               [MR_RATE_DEPLOY] = {600, 60},
               [MR_RATE_PREDICT] = {6000, 60},
               [MR_RATE_METRICS] = {600, 60}},
};

static const struct {
    int code, status;
} by_code[] = {
    {MR_EUNAUTH, 401},  {MR_EFORBIDDEN, 403}, {MR_ENOTFOUND, 404},  {MR_EINVAL, 400},
    {MR_EFIELD, 400},   {MR_ECONFLICT, 409},  {MR_ETOOBIG, 413},    {MR_ELIMIT, 429},
    {MR_EPREDICT, 502}, {MR_ETIMEOUT, 504},   {MR_EUNAVAIL, 503},   {MR_ENOTLOADED, 503},
    {MR_EREFUSED, 400}, {MR_ENOSPC, 507},     {MR_ECANCELLED, 503}, {MR_EUNSUPPORTED, 400},
};

int mr_openai_status(const struct mr_err *e) {
    for (size_t i = 0; e && i < sizeof by_code / sizeof *by_code; i++)
        if (by_code[i].code == e->code)
            return by_code[i].status;
    return 500;
}

static const char *type_of(int status, bool limited) {
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return limited ? "rate_limit_error" : "insufficient_quota";
    default:
        return status < 500 ? "invalid_request_error" : "server_error";
    }
}

static const char *code_of(int status, const struct mr_err *e, bool limited) {
    switch (status) {
    case 401:
        return "invalid_api_key";
    case 404:
        return e && !strcmp(e->field, "model") ? "model_not_found" : "not_found";
    case 429:
        return limited ? "rate_limit_exceeded" : "insufficient_quota";
    case 503:
        return e && e->code == MR_ENOTLOADED ? "model_not_loaded" : "service_unavailable";
    default:
        return NULL;
    }
}

void mr_openai_put_error(struct mr_buf *b, const struct mr_err *e, const char *message, int status,
                         bool limited) {
    const char *code = code_of(status, e, limited);
    mr_buf_cstr(b, "{\"error\":{");
    mr_buf_cstr(b, "\"message\":");
    mr_buf_json(b, mr_str(message));
    mr_buf_fmt(b, ",\"type\":\"%s\",\"param\":", type_of(status, limited));
    if (e && e->field[0])
        mr_buf_json(b, mr_str(e->field));
    else
        mr_buf_cstr(b, "null");
    if (code)
        mr_buf_fmt(b, ",\"code\":\"%s\"}}", code);
    else
        mr_buf_cstr(b, ",\"code\":null}}");
}

static void put_header(struct mr_call *c, const char *name, const char *fmt, long long v) {
    char text[40];
    int n = snprintf(text, sizeof text, fmt, v);
    mr_req_set_header(c->req, name, mr_strn(text, (size_t)n));
}

void mr_openai_headers(struct mr_call *c) {
    const struct mr_rate_state *st = &c->rate;
    int64_t now_s = mr_now_us() / 1000000;
    put_header(c, "openai-processing-ms", "%lld", (mr_mono_ns() - c->req->start_ns) / 1000000);
    put_header(c, "x-ratelimit-limit-requests", "%lld", st->limit);
    put_header(c, "x-ratelimit-remaining-requests", "%lld", st->remaining);
    put_header(c, "x-ratelimit-reset-requests", "%llds",
               st->reset_s > now_s ? st->reset_s - now_s : 0);
}

int mr_openai_json(struct mr_call *c, int status, struct mr_buf *b, struct mr_err *e) {
    mr_openai_headers(c);
    return mr_call_json(c, status, b, e);
}

/* Whether the same request may succeed later: OpenAI's SDKs obey it. */
static void retry_headers(struct mr_call *c, int status, bool limited) {
    bool again = status == 503 || status == 408 || (status == 429 && limited);
    mr_req_set_header(c->req, "x-should-retry", again ? MR_LIT("true") : MR_LIT("false"));
    if (!again)
        return;
    int64_t ms = limited ? (int64_t)c->rate.retry_s * 1000 : c->retry_after_ms;
    if (ms <= 0)
        ms = 1000;
    put_header(c, "retry-after-ms", "%lld", ms);
    if (!limited) /* a rate limit's is set where it was found */
        put_header(c, "Retry-After", "%lld", (ms + 999) / 1000);
}

void mr_openai_render_error(struct mr_api *api, struct mr_req *r, int status,
                            const struct mr_err *e) {
    struct mr_call *c = r->app;
    struct mr_buf b;
    if (!status)
        status = mr_openai_status(e);
    bool limited = c && c->rate.limit && !c->rate.allowed;
    if (c) {
        mr_openai_headers(c);
        retry_headers(c, status, limited);
    }
    mr_buf_init(&b, 16384);
    mr_openai_put_error(&b, e, mr_error_text(api, r, status, e), status, limited);
    if (status == 401)
        mr_req_set_header(r, "WWW-Authenticate", MR_LIT("Bearer"));
    mr_req_reply_buf(r, status, "application/json", &b);
}

void mr_openai_cost_headers(struct mr_call *c, const struct mr_openai_sum *s, struct mr_str model) {
    char text[32];
    struct mr_buf b;
    mr_buf_init(&b, 64);
    mr_money_print(&b, s->cost_nano);
    mr_req_set_header(c->req, "x-millrace-response-cost", mr_buf_view(&b));
    mr_buf_release(&b);
    int n = snprintf(text, sizeof text, "%lld", (long long)s->charge);
    mr_req_set_header(c->req, "x-millrace-call-id", mr_strn(text, (size_t)n));
    mr_req_set_header(c->req, "x-millrace-model-id", model);
    if (s->provider.n)
        mr_req_set_header(c->req, "x-millrace-provider", s->provider);
}
