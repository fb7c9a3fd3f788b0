#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"
#include "api/keyed.h"
#include "base/clock.h"
#include "core/bill/bill.h"

static const char *const prefixes[] = {"/api/v2", NULL};

static const struct mr_tier_rate hourly[] = {
    {"free", 100}, {"pro", 1000}, {"enterprise", 10000}, {NULL, 0}};

const struct mr_family mr_family_aisemble = {
    .name = "aisemble",
    .rows = mr_aisemble_rows,
    .n_rows = &mr_aisemble_n_rows,
    .openapi = mr_aisemble_openapi_json,
    .openapi_len = &mr_aisemble_openapi_json_len,
    .render_error = mr_aisemble_render_error,
    .prefixes = prefixes,
    .hourly = hourly,
    /* For callers who are not known yet, by address. */
    .limits = {[MR_RATE_GENERAL] = {100, 3600},
               [MR_RATE_AUTH] = {10, 60},
               [MR_RATE_DEPLOY] = {100, 3600},
               [MR_RATE_PREDICT] = {100, 3600},
               [MR_RATE_METRICS] = {100, 3600}},
};

const char *mr_aisemble_request_id(struct mr_req *r) {
    if (!strncmp(r->id, "req-", 4)) /* ours: a client's own id stays as it is */
        r->id[3] = '_';
    return r->id;
}

void mr_aisemble_begin(struct mr_call *c, struct mr_buf *b) {
    mr_call_buf(c, b);
    mr_buf_char(b, '{');
    mr_json_cstr(b, "request_id", mr_aisemble_request_id(c->req));
}

struct mr_bill mr_aisemble_bill(struct mr_call *c) {
    return (struct mr_bill){
        .biller = &c->core->biller, .who = &c->who, .family = "aisemble", .arena = c->req->arena};
}

double mr_aisemble_seconds(const struct mr_call *c) {
    return (double)((mr_mono_ns() - c->req->start_ns) / 1000) / 1e6;
}

int mr_aisemble_owner_only(const struct mr_call *c, struct mr_err *e) {
    return c->who.operator_ ? 0 : mr_fail(e, MR_EFORBIDDEN, "only the owner of this server may");
}

struct later {
    struct mr_call *c;
    mr_handler_fn *fn;
};

static void run_later(void *arg) {
    struct later *l = arg;
    struct mr_err e = {0};
    int rc = mr_req_gone(l->c->req) ? mr_fail(&e, MR_ECANCELLED, "the client went away")
                                    : l->fn(l->c, &e);
    if (rc != MR_CALL_LATER)
        mr_call_finish(l->c, rc ? &e : NULL);
}

int mr_aisemble_again(struct mr_call *c, struct mr_err *e) {
    struct mr_reply r;
    int rc = mr_keyed_begin(c, &r, e);
    if (!rc)
        mr_keyed_replay(c, &r);
    return rc;
}

int mr_aisemble_later(struct mr_call *c, mr_handler_fn *fn, struct mr_err *e) {
    int again = mr_aisemble_again(c, e);
    if (again <= 0)
        return again;
    struct later *l = mr_arena_zalloc(c->req->arena, sizeof *l);
    if (!l)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *l = (struct later){c, fn};
    if (!mr_pool_submit(c->core->ai_pool, run_later, l))
        return MR_CALL_LATER;
    mr_req_set_header(c->req, "Retry-After", MR_LIT("1"));
    return mr_fail(e, MR_EUNAVAIL, "too many analyses are waiting: try again");
}

int mr_aisemble_root(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"status\":\"healthy\",\"message\":\"Ai-semble API: see /api/v2/health\"");
    mr_json_cstr(&b, "version", MR_AISEMBLE_VERSION);
    mr_json_time(&b, "timestamp", mr_now_us());
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}
