#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"

static const char *const prefixes[] = {"/api/v1", NULL};

const struct mr_family mr_family_serveml = {
    .name = "serveml",
    .rows = mr_serveml_rows,
    .n_rows = &mr_serveml_n_rows,
    .openapi = mr_serveml_openapi_json,
    .openapi_len = &mr_serveml_openapi_json_len,
    .render_error = mr_serveml_render_error,
    .ahead = mr_serveml_ahead,
    .prefixes = prefixes,
    /* The seed's table; `general` covers what it does not name. */
    .limits = {[MR_RATE_GENERAL] = {6000, 60},
               [MR_RATE_AUTH] = {10, 60},
               [MR_RATE_DEPLOY] = {100, 3600},
               [MR_RATE_PREDICT] = {1000, 60},
               [MR_RATE_METRICS] = {100, 3600}},
};
