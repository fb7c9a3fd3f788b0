#include "core/config.h"

#include "base/alloc.h"
#include "base/num.h"
#include "core/config_priv.h"

#include <stddef.h>

#define STR(k, field, d, ch, h)                                                                    \
    { k, MR_SET_STR, offsetof(struct mr_config, field), d, 0, 0, ch, 0, h, NULL }
/* A secret with a name of its own in the environment; NULL: none. */
#define SECRET(k, field, en, h)                                                                    \
    { k, MR_SET_STR, offsetof(struct mr_config, field), "", 0, 0, NULL, 1, h, en }
/* Not a secret, but with a name of its own in the environment. */
#define NAMED(k, field, en, h)                                                                     \
    { k, MR_SET_STR, offsetof(struct mr_config, field), "", 0, 0, NULL, 0, h, en }
#define INT(k, field, d, lo, hi, h)                                                                \
    { k, MR_SET_INT, offsetof(struct mr_config, field), d, lo, hi, NULL, 0, h, NULL }
#define BOOL(k, field, d, h)                                                                       \
    { k, MR_SET_BOOL, offsetof(struct mr_config, field), d, 0, 0, NULL, 0, h, NULL }
#define LIST(k, field, d, h)                                                                       \
    { k, MR_SET_LIST, offsetof(struct mr_config, field), d, 0, 0, NULL, false, h, NULL }
#define NUM(k, field, d, h)                                                                        \
    { k, MR_SET_NUM, offsetof(struct mr_config, field), d, 0, 1e9, NULL, 0, h, NULL }

const struct mr_setting mr_settings[] = {
    STR("data_dir", data_dir, "data", NULL, "folder of the database, models and keys"),
    LIST("listen", listen, "127.0.0.1:8080", "address:port[=family] to serve on; repeatable"),
    STR("tls_cert", tls_cert, "", NULL, "certificate chain (PEM)"),
    STR("tls_key", tls_key, "", NULL, "private key (PEM)"),
    LIST("trusted_proxies", trusted_proxies, "",
         "address or CIDR of a proxy whose X-Forwarded-* headers count; repeatable"),
    LIST("cors_origin", cors_origin, "", "origin whose pages may call this server; repeatable"),
    LIST("webhook_allow_targets", webhook_allow_targets, "",
         "host, host:port or CIDR block that webhooks may call although it is private; repeatable"),
    BOOL("open", open, "false",
         "DANGER: keyless families take every request without a key as the owner's"),
    STR("public_url", public_url, "", NULL, "base URL in replies; default: the request's Host"),
    SECRET("owner_key", owner_key, NULL,
           "the operator's API key; default: made at the first start"),
    INT("threads", threads, "0", 0, 256, "event loops; 0 = one a CPU"),
    INT("pool_threads", pool_threads, "8", 1, 256, "threads for work that may block"),
    STR("log_format", log_format, "auto", "auto|json|text", "auto: text on a terminal, else json"),
    STR("log_level", log_level, "info", "debug|info|warn|error", "least level that is logged"),
    STR("log_file", log_file, "", NULL, "log to this file; default: standard error"),
    BOOL("rate_limits", rate_limits, "true", "rate limits (budgets stay on)"),
    BOOL("metering_sync", metering_sync, "false", "answer after the metering record is committed"),
    INT("model_cache_mb", model_cache_mb, "4096", 16, 1 << 24, "memory for loaded models"),
    INT("idle_unload_seconds", idle_unload_s, "900", 1, 1 << 30,
        "an unused model with min_instances 0 leaves memory after this"),
    INT("header_timeout_ms", header_timeout_ms, "10000", 100, 600000, "whole request head"),
    INT("idle_timeout_ms", idle_timeout_ms, "75000", 100, 3600000, "keep-alive"),
    INT("write_timeout_ms", write_timeout_ms, "30000", 100, 3600000, "no progress while sending"),
    INT("drain_timeout_ms", drain_timeout_ms, "30000", 0, 3600000, "in-flight requests at SIGTERM"),
    INT("body_min_rate", body_min_rate, "1024", 0, 1 << 30, "bytes a second of a request body"),
    INT("conns_max", conns_max, "10000", 1, 1 << 20, "open connections"),
    INT("conns_per_ip", conns_per_ip, "0", 0, 1 << 20, "per address; 0 = 1000, none on loopback"),
    INT("header_max", header_max, "32768", 1024, 1 << 20, "bytes of a request head"),
    INT("token_ttl_seconds", token_ttl_s, "86400", 60, 31536000, "life of a login token"),
    NUM("price_compute_hour", price_compute_hour, "0.05", "USD an hour of model run time"),
    NUM("price_storage_gb_month", price_storage_gb_month, "0.10", "USD a GB of models and month"),
    NUM("price_network_gb", price_network_gb, "0.09", "USD a GB in and out"),
    STR("timezone", timezone, "UTC", NULL, "where days and months begin: an IANA zone"),
    STR("prices_dir", prices_dir, "", NULL, "folder of price files over the built-in ones"),
    STR("models_dir", models_dir, "", NULL,
        "folder of the catalogue's models; default: where scripts/setup put them"),
    INT("models_memory_mb", models_memory_mb, "0", 0, 1 << 24,
        "memory for the catalogue's models; 0 = half of the machine's"),
    INT("llm_parallel", llm_parallel, "8", 1, 64, "generations of a language model side by side"),
    INT("llm_threads", llm_threads, "0", 0, 256, "of a language model's worker; 0 = one a CPU"),
    INT("llm_queue", llm_queue, "256", 1, 1 << 16, "generations that may wait; beyond: 503"),
    INT("job_keep_days", job_keep_days, "30", 1, 3650,
        "ended jobs, their results and unused files of inputs are kept so long"),
    INT("task_deadline_ms", task_deadline_ms, "30000", 100, 3600000, "a task, with its retries"),
    INT("task_retries", task_retries, "2", 0, 5, "further attempts after a provider's failure"),
    INT("max_output_tokens", max_output_tokens, "4096", 1, 1 << 24,
        "longest answer that a task asks for and reserves budget for"),
    SECRET("stripe_api_key", stripe_api_key, "STRIPE_API_KEY", "secret key of payments"),
    NAMED("stripe_api_base", stripe_api_base, "STRIPE_API_BASE", "default: https://api.stripe.com"),
    SECRET("stripe_webhook_secret", stripe_webhook_secret, "STRIPE_WEBHOOK_SECRET",
           "signs the events of /api/webhook/stripe"),
    NAMED("stripe_price_id", stripe_price_id, "STRIPE_PRICE_ID", "what a subscription costs"),
    STR("checkout_success_url", checkout_success_url, "", NULL,
        "where a payment leads to; default: a page below public_url"),
    STR("checkout_cancel_url", checkout_cancel_url, "", NULL,
        "where an abandoned payment leads to; default: a page below public_url"),
    STR("micro_payment_amount", micro_payment_amount, "1.00", NULL, "of one micro-payment"),
    STR("micro_payment_currency", micro_payment_currency, "usd", NULL, "ISO 4217, lower case"),
    INT("stripe_timeout_ms", stripe_timeout_ms, "30000", 100, 120000, "a request to Stripe"),
    {NULL, MR_SET_STR, 0, NULL, 0, 0, NULL, false, NULL, NULL},
};

static void *at(struct mr_config *c, const struct mr_setting *s) {
    return (char *)c + s->offset;
}

size_t mr_config_distance(struct mr_str a, const char *b) {
    size_t n = strlen(b), row[128];
    if (a.n > 100 || n > 100)
        return 1000;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t up = row[j], cost = diag + (a.p[i - 1] != b[j - 1]);
            if (up + 1 < cost)
                cost = up + 1;
            if (row[j - 1] + 1 < cost)
                cost = row[j - 1] + 1;
            diag = up;
            row[j] = cost;
        }
    }
    return row[n];
}

static const struct mr_setting *find(struct mr_str key, struct mr_err *e) {
    const struct mr_setting *nearest = mr_settings;
    size_t best = 1000;
    for (const struct mr_setting *s = mr_settings; s->key; s++) {
        size_t d = mr_config_distance(key, s->key);
        if (!d)
            return s;
        if (d < best) {
            best = d;
            nearest = s;
        }
    }
    mr_fail_field(e, MR_EFIELD, "config", "unknown setting '%.*s'; did you mean '%s'?",
                  (int)(key.n > 60 ? 60 : key.n), key.p, nearest->key);
    return NULL;
}

const struct mr_setting *mr_config_find(struct mr_str key) {
    for (const struct mr_setting *s = mr_settings; s->key; s++)
        if (mr_str_is(key, s->key))
            return s;
    return NULL;
}

static bool choice_ok(const char *choices, struct mr_str v) {
    struct mr_str rest = mr_str(choices);
    while (rest.p)
        if (mr_str_eq(mr_str_cut(&rest, '|'), v))
            return true;
    return false;
}

static int set_bool(const struct mr_setting *s, bool *out, struct mr_str v, struct mr_err *e) {
    static const char *const yes[] = {"true", "on", "yes", "1"}, *const no[] = {"false", "off",
                                                                                "no", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (mr_str_is(v, yes[i]) || mr_str_is(v, no[i])) {
            *out = mr_str_is(v, yes[i]);
            return 0;
        }
    }
    return mr_fail_field(e, MR_EFIELD, s->key, "%s must be true or false", s->key);
}

static int set_str(const struct mr_setting *s, char **out, struct mr_str v, struct mr_err *e) {
    if (s->choices && !choice_ok(s->choices, v))
        return mr_fail_field(e, MR_EFIELD, s->key, "%s must be one of %s", s->key, s->choices);
    char *copy = mr_strndup(v.p, v.n);
    if (!copy)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_free(*out);
    *out = copy;
    return 0;
}

static void clear_list(struct mr_strings *l) {
    while (l->n > 0) {
        mr_free(l->item[--l->n]);
        l->item[l->n] = NULL;
    }
}

/* An empty value empties the list. */
static int add_item(struct mr_strings *l, const struct mr_setting *s, struct mr_str v, bool fresh,
                    struct mr_err *e) {
    if (fresh)
        clear_list(l);
    if (!v.n)
        return 0;
    if (l->n == MR_LIST_MAX)
        return mr_fail_field(e, MR_EFIELD, s->key, "%s takes at most %d values", s->key,
                             MR_LIST_MAX);
    int rc = set_str(s, &l->item[l->n], v, e);
    if (!rc)
        l->n++;
    return rc;
}

int mr_config_set(struct mr_config *c, struct mr_str key, struct mr_str value, bool fresh,
                  struct mr_err *e) {
    if (mr_str_starts(key, MR_LIT("provider.")))
        return mr_config_provider_set(c, mr_strn(key.p + 9, key.n - 9), value, e);
    const struct mr_setting *s = find(key, e);
    if (!s)
        return MR_EFIELD;
    double num;
    switch (s->kind) {
    case MR_SET_STR:
        return set_str(s, at(c, s), value, e);
    case MR_SET_BOOL:
        return set_bool(s, at(c, s), value, e);
    case MR_SET_LIST:
        return add_item(at(c, s), s, value, fresh, e);
    case MR_SET_INT:
        if (!mr_str_i64(value, (int64_t)s->min, (int64_t)s->max, at(c, s)))
            return mr_fail_field(e, MR_EFIELD, s->key,
                                 "%s must be a whole number from %.0f to %.0f", s->key, s->min,
                                 s->max);
        return 0;
    case MR_SET_NUM:
        if (!mr_f64_parse(value, &num) || num < s->min || num > s->max)
            return mr_fail_field(e, MR_EFIELD, s->key, "%s must be a number from %g to %g", s->key,
                                 s->min, s->max);
        *(double *)at(c, s) = num;
        return 0;
    }
    return mr_fail(e, MR_EINTERNAL, "setting of an unknown kind");
}

void mr_config_defaults(struct mr_config *c) {
    *c = (struct mr_config){0};
    for (const struct mr_setting *s = mr_settings; s->key; s++)
        mr_config_set(c, mr_str(s->key), mr_str(s->def), true, NULL);
    mr_config_provider_defaults(c);
}

void mr_config_release(struct mr_config *c) {
    for (const struct mr_setting *s = mr_settings; s->key; s++) {
        if (s->kind == MR_SET_STR)
            mr_free(*(char **)at(c, s));
        else if (s->kind == MR_SET_LIST)
            clear_list(at(c, s));
    }
    mr_config_provider_release(c);
    *c = (struct mr_config){0};
}

static void print_value(const struct mr_config *c, const struct mr_setting *s, struct mr_buf *out) {
    const void *v = (const char *)c + s->offset;
    switch (s->kind) {
    case MR_SET_STR: {
        const char *text = *(char *const *)v;
        mr_buf_json(out, s->secret && text && *text ? MR_LIT("(set)") : mr_str(text ? text : ""));
        break;
    }
    case MR_SET_INT:
        mr_buf_i64(out, *(const int64_t *)v);
        break;
    case MR_SET_BOOL:
        mr_buf_cstr(out, *(const bool *)v ? "true" : "false");
        break;
    case MR_SET_NUM:
        mr_buf_f64(out, *(const double *)v);
        break;
    case MR_SET_LIST:
        mr_buf_char(out, '[');
        for (size_t i = 0; i < ((const struct mr_strings *)v)->n; i++) {
            if (i)
                mr_buf_cstr(out, ", ");
            mr_buf_json(out, mr_str(((const struct mr_strings *)v)->item[i]));
        }
        mr_buf_char(out, ']');
        break;
    }
}

void mr_config_print(const struct mr_config *c, struct mr_buf *out) {
    for (const struct mr_setting *s = mr_settings; s->key; s++) {
        mr_buf_fmt(out, "# %s\n%s = ", s->help, s->key);
        print_value(c, s, out);
        mr_buf_char(out, '\n');
    }
    mr_config_provider_print(c, out);
}

void mr_config_print_json(const struct mr_config *c, struct mr_buf *out) {
    for (const struct mr_setting *s = mr_settings; s->key; s++) {
        mr_buf_fmt(out, "%s\n  \"%s\": ", s == mr_settings ? "{" : ",", s->key);
        print_value(c, s, out);
    }
    mr_config_provider_print_json(c, out);
    mr_buf_cstr(out, "\n}\n");
}
