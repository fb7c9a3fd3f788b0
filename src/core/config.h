/* Settings: one table row each (config.c), and the model providers, a table each
 * (config_providers.c). Precedence: flags > environment > millrace.toml > defaults. An unknown key
 * is an error naming the nearest one. */
#ifndef MR_CORE_CONFIG_H
#define MR_CORE_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_LIST_MAX      16
#define MR_PROVIDERS_MAX 16

/* [provider.NAME]; NAME is lower case letters, digits and '_'. "openai" and "mistral" are always
 * there. Environment: <NAME>_API_KEY (or what key_env names), the same with _FILE, <NAME>_BASE_URL,
 * <NAME>_MODEL. Strings are never NULL. */
struct mr_config_provider {
    char name[32];
    char *base_url; /* includes /v1, no trailing slash */
    char *model;    /* default */
    char *key, *key_env, *key_file;
    char *dialect;  /* openai | mistral | compatible */
    char *fallback; /* another provider, or "" */
    int64_t concurrency;
};

/* The values of a repeatable setting. */
struct mr_strings {
    char *item[MR_LIST_MAX];
    size_t n;
};

struct mr_config {
    char *data_dir;
    struct mr_strings listen; /* "ADDRESS:PORT" or "ADDRESS:PORT=FAMILY" */
    char *tls_cert, *tls_key;
    char *public_url;
    struct mr_strings trusted_proxies;       /* addresses or CIDR blocks */
    struct mr_strings cors_origin;           /* "https://host[:port]" */
    struct mr_strings webhook_allow_targets; /* host, host:port or CIDR block */
    bool open;                               /* keyless requests act as the owner from anywhere */
    char *owner_key;
    int64_t threads, pool_threads;
    char *log_format, *log_level; /* auto | json | text; debug … error */
    char *log_file;               /* "": standard error */
    bool rate_limits;
    bool metering_sync;
    int64_t model_cache_mb, idle_unload_s;
    int64_t header_timeout_ms, idle_timeout_ms, write_timeout_ms, drain_timeout_ms;
    int64_t body_min_rate, conns_max, conns_per_ip, header_max;
    int64_t token_ttl_s;
    double price_compute_hour, price_storage_gb_month, price_network_gb;
    char *timezone, *prices_dir;
    char *models_dir;
    int64_t models_memory_mb, llm_parallel, llm_threads, llm_queue;
    int64_t job_keep_days;
    int64_t task_deadline_ms, task_retries, max_output_tokens;
    char *stripe_api_key, *stripe_api_base, *stripe_webhook_secret, *stripe_price_id;
    char *checkout_success_url, *checkout_cancel_url;
    char *micro_payment_amount; /* a decimal of micro_payment_currency */
    char *micro_payment_currency;
    int64_t stripe_timeout_ms;
    struct mr_config_provider provider[MR_PROVIDERS_MAX];
    int64_t n_provider;
};

enum mr_setting_kind { MR_SET_STR, MR_SET_INT, MR_SET_BOOL, MR_SET_NUM, MR_SET_LIST };

struct mr_setting {
    const char *key; /* "log_format"; flag --log-format, environment MILLRACE_LOG_FORMAT */
    enum mr_setting_kind kind;
    size_t offset;
    const char *def;
    double min, max;     /* numbers */
    const char *choices; /* "a|b|c", or NULL */
    bool secret;
    const char *help;
    const char *env; /* also this name in the environment, and for secrets <env>_FILE; or NULL */
};
extern const struct mr_setting mr_settings[]; /* key NULL ends it */
/* The setting of that key, or NULL. */
const struct mr_setting *mr_config_find(struct mr_str key);

void mr_config_defaults(struct mr_config *c);
void mr_config_release(struct mr_config *c);
/* One setting from text. MR_EFIELD naming the key and, for an unknown one, the nearest. A list
 * setting collects; its first value from a stronger source replaces weaker ones (`fresh`). */
int mr_config_set(struct mr_config *c, struct mr_str key, struct mr_str value, bool fresh,
                  struct mr_err *e);
/* key = value lines of a TOML file (strings, numbers, true/false, arrays of strings, comments, and
 * [tables] whose name is joined to the key by "_"). */
int mr_config_file(struct mr_config *c, const char *path, struct mr_err *e);
/* Every MILLRACE_<KEY>; other MILLRACE_ names are left alone when listed in config.c. Then the
 * settings' and providers' own names (OPENAI_API_KEY …). */
int mr_config_env(struct mr_config *c, char **env, struct mr_err *e);
/* What hangs together: providers that need a base URL, fallbacks that exist, key files and keys of
 * providers that flags added. Call it last. */
int mr_config_finish(struct mr_config *c, char **env, struct mr_err *e);
/* The variable that holds a provider's key: key_env, else "<NAME>_API_KEY". */
void mr_config_key_variable(const struct mr_config_provider *p, char *out, size_t cap);
/* All settings as TOML; secrets read "(set)". */
void mr_config_print(const struct mr_config *c, struct mr_buf *out);
/* The same as a JSON object. */
void mr_config_print_json(const struct mr_config *c, struct mr_buf *out);

#endif
