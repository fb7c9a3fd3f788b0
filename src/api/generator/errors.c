/* Error codes and shape of seed 000; the only place that knows them. */
#include "api/generator/generator.h"
#include "api/status_text.h"

static const struct wire {
    int code, status;
    const char *name;
} by_code[] = {
    {MR_EUNAUTH, 401, "UNAUTHORIZED"},         {MR_EFORBIDDEN, 403, "FORBIDDEN"},
    {MR_ENOTFOUND, 404, "NOT_FOUND"},          {MR_EINVAL, 400, "INVALID_REQUEST"},
    {MR_EFIELD, 400, "INVALID_REQUEST"},       {MR_ECONFLICT, 409, "CONFLICT"},
    {MR_ETOOBIG, 413, "INVALID_REQUEST"},      {MR_ELIMIT, 429, "INSUFFICIENT_QUOTA"},
    {MR_EUNAVAIL, 503, "SERVICE_UNAVAILABLE"}, {MR_ENOSPC, 507, "SERVICE_UNAVAILABLE"},
};

static struct wire look_up(int status, const struct mr_err *e) {
    size_t n = sizeof by_code / sizeof *by_code;
    for (size_t i = 0; !status && e && i < n; i++)
        if (by_code[i].code == e->code)
            return by_code[i];
    for (size_t i = 0; status && i < n; i++)
        if (by_code[i].status == status)
            return by_code[i];
    return (struct wire){0, status ? status : 500,
                         status && status < 500 ? "INVALID_REQUEST" : "INTERNAL_ERROR"};
}

void mr_generator_render_error(struct mr_api *api, struct mr_req *r, int status,
                               const struct mr_err *e) {
    struct wire w = look_up(status, e);
    const char *msg = mr_error_text(api, r, w.status, e);
    struct mr_buf b;
    mr_buf_init(&b, 16384);
    mr_buf_cstr(&b, "{\"success\":false");
    mr_json_cstr(&b, "error", msg);
    mr_json_cstr(&b, "code", w.name);
    mr_buf_cstr(&b, ",\"details\":{");
    if (e && e->field[0]) {
        mr_buf_json(&b, mr_str(e->field));
        mr_buf_char(&b, ':');
        mr_buf_json(&b, mr_str(msg));
    }
    mr_buf_cstr(&b, "}}");
    if (w.status == 401)
        mr_req_set_header(r, "WWW-Authenticate", MR_LIT("Bearer"));
    mr_req_reply_buf(r, w.status, "application/json", &b);
}
