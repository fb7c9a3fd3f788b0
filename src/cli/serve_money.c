#include "cli/serve_money.h"

#include "core/billing/billing.h"
#include "core/gateway/gateway.h"
#include "core/money/ledger.h"
#include "core/money/money.h"
#include "core/plans.h"
#include "core/tasks/tasks.h"

static enum mr_dialect dialect_of(const char *name) {
    if (!strcmp(name, "openai"))
        return MR_DIALECT_OPENAI;
    return !strcmp(name, "mistral") ? MR_DIALECT_MISTRAL : MR_DIALECT_COMPATIBLE;
}

static const char *or_null(const char *text) {
    return *text ? text : NULL;
}

static int open_gateway(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    struct mr_provider v[MR_PROVIDERS_MAX];
    char variable[MR_PROVIDERS_MAX][128];
    for (int64_t i = 0; i < c->n_provider; i++) {
        const struct mr_config_provider *p = &c->provider[i];
        mr_config_key_variable(p, variable[i], sizeof variable[i]);
        v[i] = (struct mr_provider){.name = p->name,
                                    .dialect = dialect_of(p->dialect),
                                    .base_url = p->base_url,
                                    .key = or_null(p->key),
                                    /* A local Ollama takes none; who names a key wants it sent. */
                                    .key_needed = strcmp(p->dialect, "compatible") || *p->key_env ||
                                                  *p->key_file,
                                    .key_variable = variable[i],
                                    .model = p->model,
                                    .fallback = or_null(p->fallback),
                                    .concurrency = (unsigned)p->concurrency};
    }
    struct mr_gateway_config gc = {.upstream = core->upstream,
                                   .providers = v,
                                   .n_providers = (size_t)c->n_provider,
                                   .deadline_ms = (int)c->task_deadline_ms,
                                   .retries = (int)c->task_retries,
                                   .log = &core->log};
    return mr_gateway_new(&gc, &core->gateway, e);
}

/* Where a payment leads to: the setting, else the dashboard at the address that users know. */
static void return_url(const struct mr_config *c, const char *setting, const char *query, char *out,
                       size_t cap) {
    struct mr_str listen = mr_str(c->listen.n ? c->listen.item[0] : "");
    struct mr_str address = mr_str_cut(&listen, '=');
    if (*setting)
        snprintf(out, cap, "%s", setting);
    else if (*c->public_url)
        snprintf(out, cap, "%s/dashboard%s", c->public_url, query);
    else
        snprintf(out, cap, "%s://%.*s/dashboard%s", *c->tls_cert ? "https" : "http", (int)address.n,
                 address.p, query);
}

static int open_billing(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    struct mr_principal operator_;
    char success[2048], cancel[2048];
    int64_t amount = 0;
    if (!mr_money_parse(mr_str(c->micro_payment_amount), &amount))
        return mr_fail_field(e, MR_EFIELD, "micro_payment_amount",
                             "micro_payment_amount must be a decimal, like 1.00");
    return_url(c, c->checkout_success_url, "?payment=success&session_id={CHECKOUT_SESSION_ID}",
               success, sizeof success);
    return_url(c, c->checkout_cancel_url, "?payment=cancelled", cancel, sizeof cancel);
    mr_accounts_operator(core->accounts, &operator_);
    struct mr_billing_config bc = {.db = core->db,
                                   .ledger = core->ledger,
                                   .upstream = core->upstream,
                                   .api_key = or_null(c->stripe_api_key),
                                   .api_base = or_null(c->stripe_api_base),
                                   .webhook_secret = or_null(c->stripe_webhook_secret),
                                   .price_id = or_null(c->stripe_price_id),
                                   .success_url = success,
                                   .cancel_url = cancel,
                                   .micro_amount_nano = amount,
                                   .micro_currency = c->micro_payment_currency,
                                   .timeout_ms = (int)c->stripe_timeout_ms,
                                   .log = &core->log,
                                   .operator_account = operator_.account};
    return mr_billing_open(&bc, &core->billing, e);
}

int mr_serve_money_open(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    struct mr_upstream_config uc = {0};
    int rc = mr_zone_open(mr_str(c->timezone), &core->zone, e);
    if (!rc)
        rc = mr_price_book_open(or_null(c->prices_dir), &core->log, &core->price_book, e);
    struct mr_ledger_config lc = {.db = core->db,
                                  .prices = core->price_book,
                                  .events = core->events,
                                  .zone = core->zone,
                                  .log = &core->log};
    if (!rc)
        rc = mr_ledger_open(&lc, &core->ledger, e);
    if (!rc)
        rc = mr_plans_new(core->db, core->ledger, &core->plans, e);
    if (!rc)
        rc = mr_upstream_new(&uc, &core->upstream, e);
    if (!rc)
        rc = open_gateway(core, c, e);
    struct mr_tasks_config tc = {.db = core->db,
                                 .ledger = core->ledger,
                                 .prices = core->price_book,
                                 .gateway = core->gateway,
                                 .log = &core->log,
                                 .max_output_tokens = c->max_output_tokens};
    if (!rc)
        rc = mr_tasks_open(&tc, &core->tasks, e);
    return rc ? rc : open_billing(core, c, e);
}

void mr_serve_money_close(struct mr_core *core) {
    mr_tasks_free(core->tasks);
    mr_billing_free(core->billing);
    mr_upstream_free(core->upstream);
    mr_gateway_free(core->gateway);
    mr_plans_free(core->plans);
    mr_ledger_free(core->ledger);
    mr_price_book_free(core->price_book);
    mr_zone_free(core->zone);
}
