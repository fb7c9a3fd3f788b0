/* Statuses and error shape of seed 004; the only place that knows them. The seed lists 400 for what
 * is missing or wrong in a request, so a field that breaks the schema is 400 here. */
#include "api/status_text.h"
#include "api/tasks/tasks.h"

static const struct {
    int code, status;
} by_code[] = {
    {MR_EUNAUTH, 401},  {MR_EFORBIDDEN, 403}, {MR_ENOTFOUND, 404},    {MR_EINVAL, 400},
    {MR_EFIELD, 400},   {MR_ECONFLICT, 409},  {MR_ETOOBIG, 413},      {MR_ELIMIT, 429},
    {MR_EPREDICT, 502}, {MR_ETIMEOUT, 502},   {MR_EUNAVAIL, 503},     {MR_ENOSPC, 507},
    {MR_EREFUSED, 400}, {MR_ECANCELLED, 503}, {MR_EUNSUPPORTED, 400},
};

static int status_of(const struct mr_err *e) {
    if (e && e->code == MR_EFIELD && !strcmp(e->field, "Idempotency-Key"))
        return 422; /* a key that was used for something else */
    for (size_t i = 0; e && i < sizeof by_code / sizeof *by_code; i++)
        if (by_code[i].code == e->code)
            return by_code[i].status;
    return 500;
}

void mr_tasks_render_error(struct mr_api *api, struct mr_req *r, int status,
                           const struct mr_err *e) {
    struct mr_buf b;
    if (!status)
        status = status_of(e);
    mr_buf_init(&b, 16384);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "error", mr_error_text(api, r, status, e));
    mr_buf_char(&b, '}');
    if (status == 401)
        mr_req_set_header(r, "WWW-Authenticate", MR_LIT("Bearer"));
    mr_req_reply_buf(r, status, "application/json", &b);
}
