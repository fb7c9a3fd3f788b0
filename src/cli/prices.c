/* millrace prices: what models cost, and how a request's cost comes about. Reads the price files
 * itself: no server is needed. */
#include "core/money/prices.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/local_config.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "core/money/money.h"
#include "core/money/zone.h"

static const struct mr_opt opts[] = {
    {"--provider", "NAME", "list: only this provider's"},
    {"--model", "TEXT", "list: only models whose name holds this"},
    {"--at", "DATE", "the prices in force on this day; default today"},
    {"--input", "N", "explain: all prompt tokens"},
    {"--cached", "N", "explain: of them read from the provider's cache"},
    {"--cache-write", "N", "explain: of them written to it"},
    {"--output", "N", "explain: answered tokens, reasoning included"},
    {"--tier", "NAME", "explain: standard, batch, flex or priority"},
    {"--prices-dir", "FOLDER", "price files over the built-in ones; default: the settings'"},
    {"--config", "FILE", "settings file"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_prices_spec = {
    .verb = "prices",
    .usage = "[list | explain PROVIDER MODEL] [options]",
    .about = "Prices of models in US dollars a million tokens, from the program and prices_dir.\n"
             "explain shows what a request with these token counts costs, and why.",
    .subs = "list explain",
    .opts = opts,
};

enum { COLUMNS = 9 };
static const char *const tier_name[MR_PRICE_TIERS] = {"standard", "batch", "flex", "priority"};

struct view {
    const struct mr_args *a;
    struct mr_price_book *book;
    struct mr_arena arena;
    int64_t at_us;
};

static void json_money(struct mr_buf *b, const char *key, int64_t nano) {
    mr_buf_fmt(b, ",\"%s\":", key);
    mr_money_print(b, nano);
}

static void json_date(struct mr_buf *b, const char *key, int64_t us) {
    char t[MR_TIME_LEN];
    mr_time_rfc3339(us, t);
    mr_buf_fmt(b, ",\"%s\":\"%.10s\"", key, t);
}

static void json_price(struct mr_buf *b, const struct mr_price *p) {
    mr_buf_cstr(b, "{\"provider\":");
    mr_buf_json(b, p->provider);
    mr_buf_cstr(b, ",\"model\":");
    mr_buf_json(b, p->model);
    mr_buf_cstr(b, ",\"version\":");
    mr_buf_json(b, p->version);
    json_date(b, "from", p->from_us);
    json_money(b, "input", p->input);
    json_money(b, "cached_input", p->cached);
    json_money(b, "cache_write", p->cache_write);
    json_money(b, "output", p->output);
    if (p->request)
        json_money(b, "request", p->request);
    if (p->long_over) {
        mr_buf_fmt(b, ",\"long_over\":%lld", (long long)p->long_over);
        json_money(b, "long_input", p->long_input);
        json_money(b, "long_cached_input", p->long_cached);
        json_money(b, "long_cache_write", p->long_cache_write);
        json_money(b, "long_output", p->long_output);
    }
    for (int i = 1; i < MR_PRICE_TIERS; i++) {
        if (p->tier_input[i] < 0)
            continue;
        mr_buf_fmt(b, ",\"%s_input\":", tier_name[i]);
        mr_money_print(b, p->tier_input[i]);
        mr_buf_fmt(b, ",\"%s_output\":", tier_name[i]);
        mr_money_print(b, p->tier_output[i]);
    }
    if (p->max_input)
        mr_buf_fmt(b, ",\"max_input\":%lld", (long long)p->max_input);
    if (p->max_output)
        mr_buf_fmt(b, ",\"max_output\":%lld", (long long)p->max_output);
    if (p->retires_us)
        json_date(b, "retires", p->retires_us);
    mr_buf_cstr(b, ",\"source\":");
    mr_buf_json(b, p->source);
    mr_buf_char(b, '}');
}

static int print_buf(const struct mr_args *a, struct mr_buf *b) {
    int bad = !mr_buf_ok(b);
    if (bad)
        fprintf(stderr, "millrace %s: out of memory\n", a->spec->verb);
    else
        printf("%s\n", b->p);
    mr_buf_release(b);
    return bad;
}

static void cell_money(struct mr_table *t, int64_t nano) {
    struct mr_buf b;
    mr_buf_init(&b, 64);
    mr_money_print(&b, nano);
    mr_table_cell(t, b.p);
    mr_buf_release(&b);
}

static bool wanted(const struct view *v, const struct mr_price *p, const struct mr_price *next) {
    const char *provider = mr_args_get(v->a, "--provider"), *model = mr_args_get(v->a, "--model");
    if ((provider && !mr_str_is(p->provider, provider)) ||
        (model && !memmem(p->model.p, p->model.n, model, strlen(model))))
        return false;
    /* of several rows of a model the one in force and those to come */
    bool more = next && mr_str_eq(next->provider, p->provider) && mr_str_eq(next->model, p->model);
    return !more || next->from_us > v->at_us;
}

static void table_row(struct mr_table *t, const struct mr_price *p) {
    char date[MR_TIME_LEN];
    mr_table_fmt(t, "%.*s", (int)p->provider.n, p->provider.p);
    mr_table_fmt(t, "%.*s", (int)p->model.n, p->model.p);
    cell_money(t, p->input);
    cell_money(t, p->cached);
    cell_money(t, p->cache_write);
    cell_money(t, p->output);
    cell_money(t, p->request);
    mr_time_rfc3339(p->from_us, date);
    mr_table_fmt(t, "%.10s", date);
    mr_time_rfc3339(p->retires_us, date);
    mr_table_fmt(t, "%.10s", p->retires_us ? date : "");
}

static int list(struct view *v, struct mr_err *e) {
    static const char *const head[] = {"PROVIDER", "MODEL",   "INPUT", "CACHED", "WRITE",
                                       "OUTPUT",   "REQUEST", "FROM",  "RETIRES"};
    struct mr_price *row;
    size_t n, shown = 0;
    int rc = mr_price_list(v->book, &v->arena, &row, &n, e);
    if (rc)
        return mr_args_failed(v->a, e);
    struct mr_table t;
    struct mr_buf b;
    mr_table_init(&t, COLUMNS);
    mr_buf_init(&b, 64u << 20);
    for (size_t i = 0; i < COLUMNS; i++)
        mr_table_cell(&t, head[i]);
    mr_buf_char(&b, '[');
    for (size_t i = 0; i < n; i++) {
        if (!wanted(v, &row[i], i + 1 < n ? &row[i + 1] : NULL))
            continue;
        table_row(&t, &row[i]);
        mr_buf_cstr(&b, shown++ ? ",\n " : "");
        json_price(&b, &row[i]);
    }
    mr_buf_char(&b, ']');
    int status = 0;
    if (v->a->json)
        status = print_buf(v->a, &b);
    else if (shown)
        mr_table_print(&t);
    else
        printf("no prices\n");
    if (!v->a->json)
        mr_buf_release(&b);
    mr_table_release(&t);
    return status;
}

/* "   1920 cached input      x 0.075    0.000144" */
static void part(int64_t tokens, const char *what, int64_t price) {
    struct mr_buf b;
    if (!tokens)
        return;
    mr_buf_init(&b, 256);
    mr_buf_fmt(&b, "%12lld %-18s x ", (long long)tokens, what);
    mr_money_print(&b, price);
    mr_buf_cstr(&b, " USD a million");
    printf("%s\n", b.p ? b.p : "");
    mr_buf_release(&b);
}

static void explain_text(const struct mr_price *p, enum mr_price_tier tier,
                         const struct mr_usage_tokens *u, const struct mr_price_rates *r,
                         int64_t cost) {
    char date[MR_TIME_LEN];
    struct mr_buf b;
    printf("%.*s\n", (int)p->version.n, p->version.p);
    if (p->source.n)
        printf("source: %.*s\n", (int)p->source.n, p->source.p);
    if (p->retires_us) {
        mr_time_rfc3339(p->retires_us, date);
        printf("the provider %s it on %.10s\n",
               p->retires_us <= mr_now_us() ? "retired" : "retires", date);
    }
    if (p->long_over && u->input > p->long_over)
        printf("long context: more than %lld input tokens\n", (long long)p->long_over);
    if (tier)
        printf("tier: %s\n", tier_name[tier]);
    part(u->input - u->cached - u->cache_write, "input", r->input);
    part(u->cached, "cached input", r->cached);
    part(u->cache_write, "cache write", r->cache_write);
    part(u->output, "output", r->output);
    mr_buf_init(&b, 64);
    if (p->request) {
        mr_money_print(&b, p->request);
        printf("%12d %-18s x %s USD\n", 1, "request", b.p ? b.p : "");
        mr_buf_clear(&b);
    }
    mr_money_print(&b, cost);
    printf("%12s %s USD\n", "=", b.p ? b.p : "");
    mr_buf_release(&b);
}

static int explain_json(const struct mr_args *a, const struct mr_price *p, enum mr_price_tier tier,
                        const struct mr_usage_tokens *u, const struct mr_price_rates *r,
                        int64_t cost) {
    struct mr_buf b;
    mr_buf_init(&b, 1 << 16);
    mr_buf_fmt(&b,
               "{\"tokens\":{\"input\":%lld,\"cached\":%lld,\"cache_write\":%lld,\"output\":%lld},"
               "\"tier\":\"%s\",\"long_context\":%s,\"rates\":{\"input\":",
               (long long)u->input, (long long)u->cached, (long long)u->cache_write,
               (long long)u->output, tier_name[tier],
               p->long_over && u->input > p->long_over ? "true" : "false");
    mr_money_print(&b, r->input);
    json_money(&b, "cached", r->cached);
    json_money(&b, "cache_write", r->cache_write);
    json_money(&b, "output", r->output);
    mr_buf_fmt(&b, "},\"cost_nano_usd\":%lld", (long long)cost);
    json_money(&b, "cost_usd", cost);
    mr_buf_cstr(&b, ",\"price\":");
    json_price(&b, p);
    mr_buf_char(&b, '}');
    return print_buf(a, &b);
}

static int explain(struct view *v, struct mr_err *e) {
    const struct mr_args *a = v->a;
    const char *name = mr_args_get(a, "--tier");
    const int64_t most = INT64_C(1000000000000);
    struct mr_usage_tokens u;
    struct mr_price_rates r;
    struct mr_price p;
    int64_t cost;
    int tier = 0;
    if (a->n_pos != 3)
        return mr_args_wrong(a, "explain takes a provider and a model");
    while (name && tier < MR_PRICE_TIERS && strcmp(name, tier_name[tier]) != 0)
        tier++;
    if (tier == MR_PRICE_TIERS)
        return mr_args_wrong(a, "--tier must be standard, batch, flex or priority");
    if (!mr_args_int(a, "--input", 0, most, 0, &u.input) ||
        !mr_args_int(a, "--cached", 0, most, 0, &u.cached) ||
        !mr_args_int(a, "--cache-write", 0, most, 0, &u.cache_write) ||
        !mr_args_int(a, "--output", 0, most, 0, &u.output))
        return 2;
    if (mr_price_find(v->book, mr_str(a->pos[1]), mr_str(a->pos[2]), v->at_us, &v->arena, &p, e) ||
        mr_price_rates(&p, (enum mr_price_tier)tier, u.input, &r, e) ||
        mr_price_cost(&p, (enum mr_price_tier)tier, &u, &cost, e))
        return mr_args_failed(a, e);
    if (a->json)
        return explain_json(a, &p, (enum mr_price_tier)tier, &u, &r, cost);
    explain_text(&p, (enum mr_price_tier)tier, &u, &r, cost);
    return 0;
}

static int open_book(struct view *v, struct mr_err *e) {
    const char *dir = mr_args_get(v->a, "--prices-dir");
    struct mr_config c;
    if (dir)
        return mr_price_book_open(dir, NULL, &v->book, e);
    int rc = mr_cli_local_config(&c, mr_args_get(v->a, "--config"), e);
    if (rc == 0)
        rc = mr_price_book_open(c.prices_dir, NULL, &v->book, e);
    mr_config_release(&c);
    return rc;
}

int mr_cli_prices(int argc, char **argv) {
    struct mr_args a;
    struct mr_err e = {0};
    struct view v = {.a = &a, .at_us = mr_now_us()};
    int status;
    if (mr_args_parse(&a, &mr_prices_spec, argc, argv, &status))
        return status;
    const char *at = mr_args_get(&a, "--at"), *sub = a.n_pos ? a.pos[0] : "list";
    if (at) {
        char text[40];
        struct mr_date d;
        snprintf(text, sizeof text, "%.10sT00:00:00Z", at);
        if (!mr_date_parse(mr_str(at), &d) || !mr_time_parse(mr_str(text), &v.at_us))
            return mr_args_wrong(&a, "--at must be a date like 2026-01-31");
    }
    bool listing = !strcmp(sub, "list");
    if ((!listing && strcmp(sub, "explain") != 0) || (listing && a.n_pos > 1))
        return mr_args_wrong(&a, "'%s' is not known", a.pos[listing]);
    if (open_book(&v, &e))
        return mr_args_failed(&a, &e);
    mr_arena_init(&v.arena, 64u << 20);
    status = listing ? list(&v, &e) : explain(&v, &e);
    mr_arena_release(&v.arena);
    mr_price_book_free(v.book);
    return status;
}
