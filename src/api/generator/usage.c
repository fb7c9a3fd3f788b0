/* Usage: what an account used this month, what it reports itself, how one charge came about. */
#include "core/usage/usage.h"
#include "api/generator/gen_generator.h"
#include "api/generator/generator.h"
#include "base/clock.h"
#include "core/money/ledger.h"
#include "core/money/money.h"
#include "core/reported.h"

static bool is_id(struct mr_str text, const char *prefix, struct mr_id want) {
    static const struct mr_id none;
    struct mr_id id;
    if (!mr_id_parse_prefixed(prefix, text, &id) && !mr_id_parse(text, &id))
        return false;
    return mr_id_eq(id, want) && !mr_id_eq(id, none);
}

/* The seed's userId names the caller, nobody else: figures are those of the caller's account. */
static int own(struct mr_call *c, struct mr_str text, struct mr_err *e) {
    static const struct mr_id none;
    struct mr_user u;
    if (is_id(text, "user-", c->who.user) || is_id(text, "acc-", c->who.account))
        return 0;
    if (!mr_id_eq(c->who.user, none) &&
        !mr_accounts_user(c->core->accounts, c->who.account, c->who.user, c->req->arena, &u, e) &&
        (mr_str_eq(text, u.username) || mr_str_ieq(text, u.email)))
        return 0;
    return mr_fail_field(e, MR_EFORBIDDEN, "userId",
                         "userId must be your own: your user id, user name, e-mail address or "
                         "account id");
}

int mr_generator_usage(struct mr_call *c, struct mr_err *e) {
    struct mr_core *core = c->core;
    struct mr_report_query q = {.account = c->who.account};
    const struct mr_zone *zone;
    struct mr_month_counts counts;
    struct mr_report_line *v;
    struct mr_date first;
    struct mr_buf b;
    size_t n;
    int64_t predictions, tokens, requests = 0, cost = 0;
    int rc = own(c, mr_call_str(c, "userId"), e);
    if (!rc)
        rc = mr_ledger_zone(core->ledger, c->who.account, &zone, e);
    if (rc)
        return rc;
    mr_zone_period(zone, MR_PERIOD_MONTH, mr_zone_date(zone, mr_now_us()), &first, &q.from_us,
                   &q.to_us);
    rc = mr_month_counts(core->db, c->who.account, q.from_us, &counts, e);
    if (!rc)
        rc = mr_usage_requests_since(core->usage, c->who.account, q.from_us, &predictions, e);
    if (!rc)
        rc = mr_report(core->ledger, &q, MR_BY_TOTAL, c->req->arena, &v, &n, e);
    if (rc)
        return rc;
    tokens = counts.reported_tokens;
    for (size_t i = 0; i < n; i++) {
        tokens += v[i].tokens.input + v[i].tokens.output;
        requests += v[i].requests;
        if (mr_str_is(v[i].currency, "usd"))
            cost = v[i].expense_nano;
    }
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_i64(&b, "tokensUsed", tokens);
    mr_json_i64(&b, "apisCreated", counts.deployments_created);
    mr_json_i64(&b, "modelsDeployed", counts.deployments_active);
    mr_json_i64(&b, "requestsThisMonth", predictions + requests);
    mr_json_key(&b, "costThisMonth");
    mr_money_print(&b, cost);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_generator_usage_log(struct mr_call *c, struct mr_err *e) {
    struct mr_reported r = {.endpoint = mr_call_str(c, "endpoint"),
                            .method = mr_call_str(c, "method"),
                            .tokens = mr_call_i64(c, "tokensUsed", 0),
                            .response_ms = mr_call_value(c, "responseTime")->f};
    struct mr_id id;
    struct mr_buf b;
    int rc = mr_reported_add(c->core->db, c->who.account, &r, &id, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"success\":true");
    mr_json_id(&b, "id", "usage-", id);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

/* --- explain ------------------------------------------------------------------------------ */

static void money(struct mr_buf *b, const char *key, int64_t nano) {
    mr_json_key(b, key);
    mr_money_print(b, nano);
}

/* tokens * price exactly: nano-dollars a million tokens make units of 1e-15 dollars. */
static void product(struct mr_buf *b, int64_t tokens, int64_t price) {
    unsigned __int128 v = (unsigned __int128)(uint64_t)tokens * (uint64_t)price;
    const uint64_t unit = 1000000000000000u;
    char frac[20];
    snprintf(frac, sizeof frac, "%015llu", (unsigned long long)(v % unit));
    size_t n = 15;
    while (n > 1 && frac[n - 1] == '0')
        n--;
    mr_json_key(b, "usd");
    mr_buf_u64(b, (uint64_t)(v / unit));
    mr_buf_fmt(b, ".%.*s", (int)n, frac);
}

static void line(struct mr_buf *b, const char *what, int64_t tokens, int64_t price) {
    if (!tokens)
        return;
    if (b->p[b->n - 1] != '[')
        mr_buf_char(b, ',');
    mr_buf_char(b, '{');
    mr_json_cstr(b, "what", what);
    mr_json_i64(b, "tokens", tokens);
    money(b, "usdPerMillion", price);
    product(b, tokens, price);
    mr_buf_char(b, '}');
}

static void fee(struct mr_buf *b, int64_t price) {
    if (!price)
        return;
    if (b->p[b->n - 1] != '[')
        mr_buf_char(b, ',');
    mr_buf_cstr(b, "{\"what\":\"request\"");
    money(b, "usd", price);
    mr_buf_char(b, '}');
}

static void lines(struct mr_buf *b, const struct mr_charge *k, const struct mr_price *p) {
    const struct mr_usage_tokens *u = &k->tokens;
    bool dear = p->long_over && u->input > p->long_over;
    mr_json_key(b, "lines");
    mr_buf_char(b, '[');
    line(b, "input", u->input - u->cached - u->cache_write, dear ? p->long_input : p->input);
    line(b, "cached input", u->cached, dear ? p->long_cached : p->cached);
    line(b, "cache write", u->cache_write, dear ? p->long_cache_write : p->cache_write);
    line(b, "output", u->output, dear ? p->long_output : p->output);
    fee(b, p->request);
    mr_buf_char(b, ']');
}

static void charge(struct mr_buf *b, const struct mr_charge *k, const struct mr_price *p) {
    static const char *const states[] = {"open", "settled", "released"};
    static const struct mr_id none;
    mr_buf_cstr(b, "{\"success\":true");
    mr_json_i64(b, "id", k->id);
    mr_json_str(b, "family", k->family);
    mr_json_str(b, "provider", k->provider);
    mr_json_str(b, "model", k->model);
    mr_json_cstr(b, "state", states[k->state]);
    mr_json_str(b, "userId", k->end_user.n ? k->end_user : mr_strn(NULL, 0));
    if (mr_id_eq(k->key, none))
        mr_json_raw(b, "keyId", MR_LIT("null"));
    else
        mr_json_id(b, "keyId", "key-", k->key);
    mr_buf_cstr(b, ",\"tokens\":{");
    mr_json_i64(b, "input", k->tokens.input);
    mr_json_i64(b, "cached", k->tokens.cached);
    mr_json_i64(b, "cacheWrite", k->tokens.cache_write);
    mr_json_i64(b, "output", k->tokens.output);
    mr_buf_char(b, '}');
    mr_json_bool(b, "estimated", k->estimated);
    mr_json_str(b, "priceVersion", k->price_version.p ? k->price_version : MR_LIT(""));
    if (p && p->source.n)
        mr_json_str(b, "priceSource", p->source);
    if (p)
        lines(b, k, p);
    else
        mr_json_raw(b, "lines", MR_LIT("[]"));
    money(b, "cost", k->cost_nano);
    money(b, "reserved", k->reserved_nano);
    mr_json_time(b, "createdAt", k->created_us);
    if (k->settled_us)
        mr_json_time(b, "settledAt", k->settled_us);
    else
        mr_json_raw(b, "settledAt", MR_LIT("null"));
    mr_buf_char(b, '}');
}

int mr_generator_usage_explain(struct mr_call *c, struct mr_err *e) {
    struct mr_charge k;
    struct mr_price p;
    struct mr_buf b;
    int64_t id;
    if (!mr_str_i64(mr_req_param(c->req, "charge_id"), 1, INT64_MAX, &id))
        return mr_fail(e, MR_ENOTFOUND, "no such charge");
    int rc = mr_charge_get(c->core->ledger, c->who.account, id, c->req->arena, &k, e);
    if (rc)
        return rc;
    bool known = !mr_price_version(c->core->price_book, k.price_version, c->req->arena, &p, NULL);
    mr_call_buf(c, &b);
    charge(&b, &k, known ? &p : NULL);
    return mr_call_json(c, 200, &b, e);
}
