/* Every request's way: authentication -> scope -> rate limit -> body -> validation -> handler ->
 * log. Driven by the row; handlers hold no policy. */
#include "api/access_log.h"
#include "api/api.h"
#include "api/cors.h"
#include "api/form.h"
#include "api/keyed.h"
#include "api/stats.h"
#include "api/validate.h"
#include "base/clock.h"
#include "core/usage/usage.h"

#include <stdlib.h>

static const struct mr_family *pinned_to(const struct mr_api *a, const struct mr_req *r) {
    return r->listener < MR_LIST_MAX ? a->pinned[r->listener] : NULL;
}

/* The row that serves the request: of families that share a path, the listener's own. */
static const struct mr_route_ref *ref_of(const struct mr_api *a, const struct mr_req *r) {
    const struct mr_route_ref *ref = r->route ? r->route->row : NULL;
    if (!ref || !ref->next)
        return ref;
    const struct mr_family *pin = pinned_to(a, r);
    for (const struct mr_route_ref *k = ref; k && pin; k = k->next)
        if (k->family == pin)
            return k;
    return ref;
}

/* Whose words a request gets that no row serves: the listener's, else its path's, else the first
 * family's. */
static const struct mr_family *family_of(const struct mr_api *a, const struct mr_req *r) {
    const struct mr_family *best = pinned_to(a, r);
    if (best)
        return best;
    best = a->families[0];
    size_t longest = 0;
    for (size_t f = 0; a->families[f]; f++)
        for (const char *const *p = a->families[f]->prefixes; p && *p; p++) {
            struct mr_str prefix = mr_str(*p);
            if (prefix.n > longest && mr_str_starts(r->path, prefix) &&
                (r->path.n == prefix.n || r->path.p[prefix.n] == '/')) {
                best = a->families[f];
                longest = prefix.n;
            }
        }
    return best;
}

static void fail(struct mr_call *c, const struct mr_err *e) {
    if (mr_req_streaming(c->req)) { /* its head is out: all that can be said is that it ends here */
        c->cut_off = true;
        mr_log_msg(&c->core->log, MR_LOG_WARN, "stream", "%s: cut off: %s", c->req->id, e->msg);
        mr_req_stream_abort(c->req);
        return;
    }
    c->family->render_error(c->api, c->req, 0, e);
}

/* --- authentication ---------------------------------------------------------------------- */

static struct mr_str bearer(const struct mr_req *r) {
    struct mr_str h = mr_req_header(r, "authorization");
    if (h.n > 7 && mr_str_ieq(mr_strn(h.p, 7), MR_LIT("bearer ")))
        return mr_str_trim(mr_strn(h.p + 7, h.n - 7));
    if (h.p)
        return h; /* another scheme: it will not authenticate, and the error says so */
    return mr_req_header(r, "x-api-key");
}

static int authenticate(struct mr_call *c, struct mr_err *e) {
    if (c->row->auth == MR_AUTH_NONE)
        return 0;
    struct mr_str token = bearer(c->req);
    if (!token.p && c->family->keyless_owner) {
        struct mr_caller from;
        mr_caller_read(c->req, &from);
        if (mr_keyless_owner(&c->api->edge, &from, true)) {
            mr_accounts_operator(c->core->accounts, &c->who);
            return 0;
        }
    }
    if (!token.p) {
        if (c->row->auth == MR_AUTH_OPTIONAL)
            return 0;
        return mr_fail(e, MR_EUNAUTH,
                       "authentication is required: send 'Authorization: Bearer <token>'");
    }
    int rc = mr_accounts_authenticate(c->core->accounts, token, &c->who, e);
    if (rc)
        return rc;
    if ((c->who.scopes & c->row->scope) != c->row->scope)
        return mr_fail(e, MR_EFORBIDDEN,
                       "this key or role may not do that: it lacks the scope "
                       "for this endpoint");
    return 0;
}

/* --- rate limits ------------------------------------------------------------------------- */

static void put_u64(struct mr_req *r, const char *name, uint64_t v) {
    char tmp[24]; /* snprintf took 1 % of a prediction's time here */
    size_t i = sizeof tmp;
    do
        tmp[--i] = (char)('0' + v % 10);
    while (v /= 10);
    mr_req_set_header(r, name, mr_strn(tmp + i, sizeof tmp - i));
}

/* The tighter of two standings. */
static void tighten(struct mr_rate_state *st, const struct mr_rate_state *k) {
    if (st->allowed && (!k->allowed || k->remaining < st->remaining))
        *st = *k;
}

/* The family's monthly plan; a request that it refuses, or that failed before, is not counted. */
static bool over_plan(struct mr_call *c, struct mr_rate_state *st, int64_t now) {
    if (!c->family->plans || !c->who.authenticated || !st->allowed)
        return false;
    struct mr_rate_state plan =
        mr_plans_take(c->core->plans, c->who.account, c->family->name, c->family->plans, now);
    if (plan.limit)
        tighten(st, &plan);
    return !plan.allowed;
}

static int limit(struct mr_call *c, struct mr_err *e) {
    struct mr_core *core = c->core;
    bool exempt = c->who.operator_ || core->rate_limits_off || c->row->rate == MR_RATE_NONE;
    bool planned = false;
    struct mr_rate_rule rule =
        c->family->limits[c->row->rate == MR_RATE_NONE ? MR_RATE_GENERAL : c->row->rate];
    int64_t now = mr_now_us();
    struct mr_rate_state st = {.limit = rule.limit, .remaining = rule.limit, .allowed = true};
    uint32_t cls = c->row->rate;
    if (c->family->hourly && c->who.authenticated && c->row->rate != MR_RATE_NONE) {
        rule =
            mr_plans_hourly(core->plans, c->who.account, c->family->name, c->family->hourly, now);
        cls = MR_RATE_N + 1; /* one count for all of the family's routes */
        st.limit = st.remaining = rule.limit;
    }
    st.reset_s = now / 1000000 + rule.window_s;
    if (!exempt) {
        struct mr_str subject =
            c->who.authenticated ? mr_strn((char *)c->who.account.b, 16) : mr_str(c->req->peer);
        st = mr_limits_take(core->limits, subject, cls, rule, now, true);
        if (st.allowed && c->who.key_rate_per_minute) {
            struct mr_rate_rule own = {c->who.key_rate_per_minute, 60};
            struct mr_rate_state k = mr_limits_take(core->limits, mr_strn((char *)c->who.key.b, 16),
                                                    MR_RATE_N, own, now, true);
            tighten(&st, &k);
        }
        planned = over_plan(c, &st, now);
    } /* else the figures say that nothing is used up */
    c->rate = st;
    put_u64(c->req, "X-RateLimit-Remaining", st.remaining);
    put_u64(c->req, "X-RateLimit-Limit", st.limit);
    put_u64(c->req, "X-RateLimit-Reset", (uint64_t)st.reset_s);
    if (st.allowed)
        return 0;
    put_u64(c->req, "Retry-After", st.retry_s);
    if (planned)
        return mr_fail(e, MR_ELIMIT,
                       "this month's %u requests of the account's plan are used up; it renews in "
                       "%u s",
                       st.limit, st.retry_s);
    return mr_fail(e, MR_ELIMIT,
                   "too many requests: %u are allowed in this window, try again in "
                   "%u s",
                   st.limit, st.retry_s);
}

/* What no route answers is not counted, but says where its peer stands. */
static void unrouted_limits(struct mr_api *a, struct mr_req *r, const struct mr_family *f) {
    struct mr_rate_rule rule = f->limits[MR_RATE_GENERAL];
    int64_t now = mr_now_coarse_us();
    struct mr_rate_state st = {.limit = rule.limit, .remaining = rule.limit};
    st.reset_s = now / 1000000 + rule.window_s;
    if (!a->core->rate_limits_off)
        st = mr_limits_take(a->core->limits, mr_str(r->peer), MR_RATE_GENERAL, rule, now, false);
    put_u64(r, "X-RateLimit-Remaining", st.remaining);
    put_u64(r, "X-RateLimit-Limit", st.limit);
    put_u64(r, "X-RateLimit-Reset", (uint64_t)st.reset_s);
}

/* --- head -------------------------------------------------------------------------------- */

static int prepare_body(struct mr_call *c, struct mr_err *e) {
    struct mr_req *r = c->req;
    r->body_max = (size_t)c->row->body_max;
    if (r->content_length > (int64_t)c->row->body_max)
        return mr_fail(e, MR_ETOOBIG, "the body has %lld bytes; at most %llu are allowed",
                       (long long)r->content_length, (unsigned long long)c->row->body_max);
    bool form = c->row->body == MR_BODY_MULTIPART;
    if (c->row->body == MR_BODY_EITHER) {
        struct mr_str type = mr_req_header(r, "content-type"), want = MR_LIT("multipart/");
        form = type.n >= want.n && mr_str_ieq(mr_strn(type.p, want.n), want);
    }
    return form ? mr_form_begin(c, e) : 0;
}

static enum mr_http_step on_head(void *ctx, struct mr_req *r) {
    struct mr_api *a = ctx;
    const struct mr_route_ref *ref = ref_of(a, r);
    struct mr_err e;
    struct mr_call *c = ref ? mr_arena_zalloc(r->arena, sizeof *c) : NULL;
    mr_edge_client(&a->edge, r);
    mr_cors_headers(&a->edge, r);
    if (!c) {
        const struct mr_family *f = ref ? ref->family : family_of(a, r);
        unrouted_limits(a, r, f);
        f->render_error(a, r, ref ? 503 : 404, NULL);
        return MR_HTTP_DONE;
    }
    *c = (struct mr_call){
        .api = a, .core = a->core, .req = r, .family = ref->family, .row = ref->row};
    c->who.key_budget_nanousd = -1;
    r->app = c;
    if (c->row->quick && c->family->ahead)
        c->family->ahead(c, false);
    int rc = mr_cors_check(&a->edge, r, &e);
    if (!rc)
        rc = authenticate(c, &e);
    int limited = 0;
    struct mr_err le;
    limited = limit(c, &le);
    if (limited && (!rc || rc == MR_EUNAUTH)) {
        rc = limited;
        e = le;
    }
    if (!rc)
        rc = mr_validate_params(c, &e);
    if (!rc)
        rc = prepare_body(c, &e);
    if (rc) {
        fail(c, &e);
        return MR_HTTP_DONE;
    }
    return MR_HTTP_NEXT;
}

/* --- body and handler -------------------------------------------------------------------- */

static void *arena_malloc(void *ctx, size_t n) {
    return mr_arena_alloc(ctx, n);
}
static void *arena_realloc(void *ctx, void *p, size_t old, size_t n) {
    if (n <= old)
        return p;
    void *fresh = mr_arena_alloc(ctx, n);
    if (fresh && old)
        memcpy(fresh, p, old);
    return fresh;
}
static void arena_free(void *ctx, void *p) {
    (void)ctx;
    (void)p;
}

static int parse_json(struct mr_call *c, struct mr_err *e) {
    yyjson_alc alc = {arena_malloc, arena_realloc, arena_free, c->req->arena};
    yyjson_read_err je;
    if (!c->req->body.n && c->row->body_optional)
        return mr_validate_body(c, e);
    if (!c->req->body.n)
        return mr_fail(e, MR_EINVAL, "the request has no body; a JSON object is expected");
    c->body_doc = yyjson_read_opts((char *)(uintptr_t)c->req->body.p, c->req->body.n, 0, &alc, &je);
    if (!c->body_doc)
        return je.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION
                   ? mr_fail(e, MR_ETOOBIG, "the JSON body is too large to read")
                   : mr_fail(e, MR_EINVAL, "the body is not valid JSON: %s at byte %zu", je.msg,
                             je.pos);
    c->body = yyjson_doc_get_root(c->body_doc);
    if (!yyjson_is_obj(c->body))
        return mr_fail(e, MR_EINVAL, "the body must be a JSON object");
    return mr_validate_body(c, e);
}

static int run_handler(struct mr_call *c, struct mr_err *e) {
    e->code = 0;
    int rc = c->row->fn(c, e);
    if (rc < 0)
        fail(c, e);
    return rc;
}

/* Before the reply leaves: what a client saw answered is in the spool, whatever happens next. What
 * cannot be recorded is not answered. */
static void meter(struct mr_call *c) {
    const struct mr_req *r = c->req;
    if (!c->meter.on)
        return;
    int64_t done_ns = mr_req_streaming(r) ? mr_mono_ns() : r->handled_ns;
    struct mr_usage_record u = {
        .time_us = mr_now_us(),
        .account = c->meter.account,
        .deployment = c->meter.deployment,
        .version = c->meter.version,
        .rows = c->meter.rows,
        .user_hash = c->meter.user_hash,
        .latency_us = (uint32_t)((done_ns - r->start_ns) / 1000),
        .bytes_in = (uint32_t)(r->body_len > UINT32_MAX ? UINT32_MAX : r->body_len),
        .bytes_out = (uint32_t)(r->reply_len > UINT32_MAX ? UINT32_MAX : r->reply_len),
        .error = r->status >= 400 || c->cut_off,
        .cold_start = c->meter.cold,
    };
    int rc = mr_usage_record(c->core->usage, &u);
    if (!rc)
        return;
    struct mr_err e;
    mr_fail(&e, rc, "the prediction cannot be recorded%s, so it is not answered: try again later",
            rc == MR_ENOSPC ? " (the disk is full)" : "");
    fail(c, &e);
}

void mr_call_finish(struct mr_call *c, const struct mr_err *e) {
    if (e)
        fail(c, e);
    mr_keyed_forget(c);
    meter(c);
    mr_req_finish(c->req);
}

static void run_on_pool(void *arg) {
    struct mr_call *c = arg;
    struct mr_err e;
    c->on_loop = false;
    if (run_handler(c, &e) != MR_CALL_LATER)
        mr_call_finish(c, NULL);
}

static enum mr_http_step on_request(void *ctx, struct mr_req *r) {
    struct mr_call *c = r->app;
    struct mr_err e;
    int rc = 0;
    (void)ctx;
    if (c->row->quick && c->family->ahead)
        c->family->ahead(c, true);
    if (r->body_err.code) {
        e = r->body_err;
        rc = e.code;
    } else if (c->form)
        rc = mr_form_end(c, &e);
    else if (c->row->body == MR_BODY_JSON || c->row->body == MR_BODY_EITHER)
        rc = parse_json(c, &e);
    if (rc) {
        fail(c, &e);
        return MR_HTTP_DONE;
    }
    if (c->row->quick && !c->core->metering_sync) {
        c->on_loop = true;
        rc = run_handler(c, &e);
        if (rc == MR_CALL_LATER)
            return MR_HTTP_LATER;
        if (rc != MR_CALL_POOL) {
            meter(c);
            return MR_HTTP_DONE;
        }
    }
    rc = mr_pool_submit(c->core->pool, run_on_pool, c);
    if (!rc)
        return MR_HTTP_LATER;
    put_u64(r, "Retry-After", 1);
    mr_fail(&e, MR_EUNAVAIL, "the server is busy: try again");
    fail(c, &e);
    return MR_HTTP_DONE;
}

/* --- log --------------------------------------------------------------------------------- */

static void on_log(void *ctx, struct mr_req *r) {
    struct mr_api *a = ctx;
    struct mr_call *c = r->app;
    const struct mr_route_ref *ref = ref_of(a, r);
    int64_t end = r->sent_ns ? r->sent_ns : r->handled_ns;
    if (ref)
        mr_stats_add(ref->stats, r->status, end > r->start_ns ? end - r->start_ns : 0, r->body_len,
                     r->reply_len);
    mr_access_log_add(a->core->access_log, r, c);
    if (c && c->form)
        mr_form_free(c->form);
}

static void render_error(void *ctx, struct mr_req *r, int status, const char *detail) {
    struct mr_api *a = ctx;
    const struct mr_route_ref *ref = ref_of(a, r);
    const struct mr_family *f = ref ? ref->family : family_of(a, r);
    struct mr_err e = {0};
    if (!r->app) {
        mr_edge_client(&a->edge, r);
        mr_cors_headers(&a->edge, r);
        if (mr_cors_preflight(&a->edge, r))
            return;
        unrouted_limits(a, r, f);
    }
    if (detail)
        mr_fail(&e, 0, "%s", detail);
    f->render_error(a, r, status, &e);
}

struct mr_http_app mr_api_app(struct mr_api *a) {
    return (struct mr_http_app){.ctx = a,
                                .on_head = on_head,
                                .on_request = on_request,
                                .on_log = on_log,
                                .render_error = render_error};
}
