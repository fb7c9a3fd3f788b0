#include "api/kserve/gen_kserve.h"
#include "api/kserve/kserve.h"
#include "api/status_text.h"

static const char *const prefixes[] = {"/v2", NULL};

const struct mr_family mr_family_kserve = {
    .name = "kserve",
    .rows = mr_kserve_rows,
    .n_rows = &mr_kserve_n_rows,
    .openapi = mr_kserve_openapi_json,
    .openapi_len = &mr_kserve_openapi_json_len,
    .render_error = mr_kserve_render_error,
    .prefixes = prefixes,
    /* Predictions as in the ServeML family, so that no protocol is a way around a limit. */
    .limits = {[MR_RATE_GENERAL] = {6000, 60},
               [MR_RATE_AUTH] = {10, 60},
               [MR_RATE_DEPLOY] = {100, 3600},
               [MR_RATE_PREDICT] = {1000, 60},
               [MR_RATE_METRICS] = {100, 3600}},
};

static const struct {
    int code, status;
} by_code[] = {
    {MR_EUNAUTH, 401},  {MR_EFORBIDDEN, 403}, {MR_ENOTFOUND, 404},  {MR_EINVAL, 400},
    {MR_EFIELD, 400},   {MR_ECONFLICT, 409},  {MR_ETOOBIG, 413},    {MR_ELIMIT, 429},
    {MR_EPREDICT, 500}, {MR_ETIMEOUT, 500},   {MR_EUNAVAIL, 503},   {MR_ENOTLOADED, 503},
    {MR_EREFUSED, 400}, {MR_ENOSPC, 507},     {MR_ECANCELLED, 503}, {MR_EUNSUPPORTED, 400},
};

void mr_kserve_render_error(struct mr_api *api, struct mr_req *r, int status,
                            const struct mr_err *e) {
    struct mr_buf b;
    bool known = status != 0;
    for (size_t i = 0; !known && e && i < sizeof by_code / sizeof *by_code; i++)
        if (by_code[i].code == e->code) {
            status = by_code[i].status;
            known = true;
        }
    /* A model that failed may be told why; what failed inside the server may not. */
    bool ours = !known || (status == 500 && e && e->code != MR_EPREDICT && e->code != MR_ETIMEOUT);
    const char *text = mr_error_text(api, r, ours ? 500 : status == 500 ? 0 : status, e);
    if (!known)
        status = 500;
    mr_buf_init(&b, 16384);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "error", text);
    mr_buf_char(&b, '}');
    if (status == 401)
        mr_req_set_header(r, "WWW-Authenticate", MR_LIT("Bearer"));
    mr_req_reply_buf(r, status, "application/json", &b);
}
