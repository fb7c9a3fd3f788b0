#include "api/generator/gen_generator.h"
#include "api/generator/generator.h"

static const char *const prefixes[] = {"/api/ai", "/api/usage", "/api/deploy", NULL};

/* The seed's table. */
static const struct mr_plan plans[] = {
    {"free", 1000}, {"pro", 100000}, {"enterprise", 0}, {NULL, 0}};

const struct mr_family mr_family_generator = {
    .name = "generator",
    .rows = mr_generator_rows,
    .n_rows = &mr_generator_n_rows,
    .openapi = mr_generator_openapi_json,
    .openapi_len = &mr_generator_openapi_json_len,
    .render_error = mr_generator_render_error,
    .prefixes = prefixes,
    .plans = plans,
    /* Bursts; the plans above are what counts. */
    .limits = {[MR_RATE_GENERAL] = {6000, 60},
               [MR_RATE_AUTH] = {600, 60},
               [MR_RATE_DEPLOY] = {600, 60},
               [MR_RATE_PREDICT] = {6000, 60},
               [MR_RATE_METRICS] = {6000, 60}},
};
