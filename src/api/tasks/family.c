#include "api/tasks/gen_tasks.h"
#include "api/tasks/tasks.h"
#include "core/money/money.h"
#include "core/money/zone.h"

static const char *const prefixes[] = {"/api/task",    "/api/tasks",   "/api/report", "/api/stats",
                                       "/api/payment", "/api/webhook", NULL};

const struct mr_family mr_family_tasks = {
    .name = "tasks",
    .rows = mr_tasks_rows,
    .n_rows = &mr_tasks_n_rows,
    .openapi = mr_tasks_openapi_json,
    .openapi_len = &mr_tasks_openapi_json_len,
    .render_error = mr_tasks_render_error,
    .prefixes = prefixes,
    .keyless_owner = true,
    /* The seed has no limits; these keep one account from taking the whole server. */
    .limits = {[MR_RATE_GENERAL] = {60000, 60},
               [MR_RATE_AUTH] = {600, 60},
               [MR_RATE_DEPLOY] = {600, 60},
               [MR_RATE_PREDICT] = {60000, 60},
               [MR_RATE_METRICS] = {6000, 60}},
};

void mr_tasks_time(const struct mr_call *c, struct mr_buf *b, const char *key, int64_t wall_us) {
    char t[MR_LOCAL_TIME_LEN];
    if (!wall_us) {
        mr_json_raw(b, key, MR_LIT("null"));
        return;
    }
    mr_zone_print(c->core->zone, wall_us, t);
    mr_json_cstr(b, key, t);
}

void mr_tasks_money(struct mr_buf *b, const char *key, int64_t nano) {
    mr_json_key(b, key);
    mr_money_print(b, nano);
}
