/* [provider.NAME] tables: upstreams that speak OpenAI's or Mistral's chat completions. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/num.h"
#include "core/config_priv.h"

#include <ctype.h>

#define CONCURRENCY_DEFAULT 256

static const struct {
    const char *name, *base_url, *model, *dialect;
} built_in[] = {
    {"openai", "https://api.openai.com/v1", "gpt-4o-mini", "openai"},
    {"mistral", "https://api.mistral.ai/v1", "mistral-small-latest", "mistral"},
};

/* One row a text field. */
static const struct {
    const char *key;
    size_t offset;
} texts[] = {
    {"base_url", offsetof(struct mr_config_provider, base_url)},
    {"model", offsetof(struct mr_config_provider, model)},
    {"key", offsetof(struct mr_config_provider, key)},
    {"key_env", offsetof(struct mr_config_provider, key_env)},
    {"key_file", offsetof(struct mr_config_provider, key_file)},
    {"dialect", offsetof(struct mr_config_provider, dialect)},
    {"fallback", offsetof(struct mr_config_provider, fallback)},
};
#define N_TEXTS (sizeof texts / sizeof *texts)

static char **text_at(struct mr_config_provider *p, size_t i) {
    return (char **)(void *)((char *)p + texts[i].offset);
}
static const char *text_of(const struct mr_config_provider *p, size_t i) {
    return *(char *const *)(const void *)((const char *)p + texts[i].offset);
}

static int put(char **out, struct mr_str v, struct mr_err *e) {
    char *copy = mr_strndup(v.p ? v.p : "", v.n);
    if (!copy)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_free(*out);
    *out = copy;
    return 0;
}

static bool name_ok(struct mr_str s) {
    if (!s.n || s.n >= sizeof((struct mr_config_provider *)0)->name)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!islower((unsigned char)s.p[i]) && !isdigit((unsigned char)s.p[i]) && s.p[i] != '_')
            return false;
    return true;
}

static struct mr_config_provider *lookup(struct mr_config *c, struct mr_str name) {
    for (int64_t i = 0; i < c->n_provider; i++)
        if (mr_str_is(name, c->provider[i].name))
            return &c->provider[i];
    return NULL;
}

static int add(struct mr_config *c, struct mr_str name, struct mr_config_provider **ret,
               struct mr_err *e) {
    if (!name_ok(name))
        return mr_fail_field(e, MR_EFIELD, "provider",
                             "a provider's name has 1 to 31 lower case letters, digits or '_'");
    if (c->n_provider == MR_PROVIDERS_MAX)
        return mr_fail_field(e, MR_EFIELD, "provider", "at most %d providers", MR_PROVIDERS_MAX);
    struct mr_config_provider *p = &c->provider[c->n_provider++];
    memcpy(p->name, name.p, name.n);
    p->concurrency = CONCURRENCY_DEFAULT;
    for (size_t i = 0; i < N_TEXTS; i++) {
        int rc = put(text_at(p, i), MR_LIT(""), e);
        if (rc)
            return rc;
    }
    *ret = p;
    return put(&p->dialect, MR_LIT("compatible"), e);
}

static int base_url(char **out, struct mr_str v, struct mr_err *e) {
    while (v.n && v.p[v.n - 1] == '/')
        v.n--;
    if (v.n && !mr_str_starts(v, MR_LIT("https://")) && !mr_str_starts(v, MR_LIT("http://")))
        return mr_fail_field(e, MR_EFIELD, "base_url",
                             "base_url must begin with https:// or http://");
    return put(out, v, e);
}

static int set_field(struct mr_config_provider *p, struct mr_str field, struct mr_str v,
                     struct mr_err *e) {
    const char *nearest = "concurrency";
    size_t best = mr_config_distance(field, nearest);
    if (!best) {
        if (!mr_str_i64(v, 1, 10000, &p->concurrency))
            return mr_fail_field(e, MR_EFIELD, "concurrency",
                                 "concurrency must be a whole number from 1 to 10000");
        return 0;
    }
    for (size_t i = 0; i < N_TEXTS; i++) {
        size_t d = mr_config_distance(field, texts[i].key);
        if (d >= best)
            continue;
        best = d;
        nearest = texts[i].key;
        if (d)
            continue;
        if (mr_str_is(field, "base_url"))
            return base_url(&p->base_url, v, e);
        if (mr_str_is(field, "dialect") && !mr_str_is(v, "openai") && !mr_str_is(v, "mistral") &&
            !mr_str_is(v, "compatible"))
            return mr_fail_field(e, MR_EFIELD, "dialect",
                                 "dialect must be one of openai|mistral|compatible");
        return put(text_at(p, i), v, e);
    }
    return mr_fail_field(e, MR_EFIELD, "config",
                         "unknown setting 'provider.%s.%.*s'; did you mean '%s'?", p->name,
                         (int)(field.n > 60 ? 60 : field.n), field.p, nearest);
}

int mr_config_provider_set(struct mr_config *c, struct mr_str key, struct mr_str value,
                           struct mr_err *e) {
    struct mr_str name = mr_str_cut(&key, '.');
    if (!key.p)
        return mr_fail_field(e, MR_EFIELD, "provider", "expected provider.NAME.setting");
    struct mr_config_provider *p = lookup(c, name);
    int rc = p ? 0 : add(c, name, &p, e);
    return rc ? rc : set_field(p, key, value, e);
}

void mr_config_provider_defaults(struct mr_config *c) {
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        struct mr_config_provider *p;
        if (add(c, mr_str(built_in[i].name), &p, NULL))
            return;
        put(&p->base_url, mr_str(built_in[i].base_url), NULL);
        put(&p->model, mr_str(built_in[i].model), NULL);
        put(&p->dialect, mr_str(built_in[i].dialect), NULL);
    }
}

void mr_config_provider_release(struct mr_config *c) {
    for (int64_t i = 0; i < c->n_provider; i++)
        for (size_t k = 0; k < N_TEXTS; k++)
            mr_free(*text_at(&c->provider[i], k));
    c->n_provider = 0;
}

/* --- environment ------------------------------------------------------------------------- */

static void variable(const struct mr_config_provider *p, const char *suffix, char *out,
                     size_t cap) {
    size_t n = 0;
    for (; p->name[n] && n + 1 < cap; n++)
        out[n] = (char)toupper((unsigned char)p->name[n]);
    snprintf(out + n, cap - n, "_%s", suffix);
}

void mr_config_key_variable(const struct mr_config_provider *p, char *out, size_t cap) {
    if (*p->key_env)
        snprintf(out, cap, "%s", p->key_env);
    else
        variable(p, "API_KEY", out, cap);
}

static int key_from(struct mr_config_provider *p, char **env, struct mr_err *e) {
    char name[128], file_name[140];
    struct mr_err le;
    mr_config_key_variable(p, name, sizeof name);
    snprintf(file_name, sizeof file_name, "%s_FILE", name);
    const char *v = mr_config_getenv(env, name), *file = mr_config_getenv(env, file_name);
    if (v)
        return put(&p->key, mr_str(v), e);
    if (!file)
        return 0;
    MR_AUTO_FREE char *secret = NULL;
    int rc = mr_config_secret_file(file, &secret, &le);
    if (rc)
        return mr_fail(e, rc, "environment %s: %s", file_name, le.msg);
    return put(&p->key, mr_str(secret), e);
}

int mr_config_provider_env(struct mr_config *c, char **env, struct mr_err *e) {
    int rc = 0;
    for (int64_t i = 0; i < c->n_provider && !rc; i++) {
        struct mr_config_provider *p = &c->provider[i];
        char name[64];
        struct mr_err le;
        rc = key_from(p, env, e);
        variable(p, "BASE_URL", name, sizeof name);
        const char *v = mr_config_getenv(env, name);
        if (!rc && v && (rc = base_url(&p->base_url, mr_str(v), &le)))
            mr_fail(e, rc, "environment %s: %s", name, le.msg);
        variable(p, "MODEL", name, sizeof name);
        v = mr_config_getenv(env, name);
        if (!rc && v)
            rc = put(&p->model, mr_str(v), e);
    }
    return rc;
}

int mr_config_finish(struct mr_config *c, char **env, struct mr_err *e) {
    int rc = 0;
    for (int64_t i = 0; i < c->n_provider && !rc; i++) {
        struct mr_config_provider *p = &c->provider[i];
        if (!*p->base_url)
            return mr_fail_field(e, MR_EFIELD, "base_url",
                                 "provider '%s' needs a base_url (it ends in /v1)", p->name);
        if (*p->fallback && (!lookup(c, mr_str(p->fallback)) || !strcmp(p->fallback, p->name)))
            return mr_fail_field(e, MR_EFIELD, "fallback",
                                 "provider '%s' falls back to '%s', which is not another provider",
                                 p->name, p->fallback);
        if (*p->key)
            continue;
        rc = key_from(p, env, e);
        if (!rc && !*p->key && *p->key_file) {
            MR_AUTO_FREE char *secret = NULL;
            rc = mr_config_secret_file(p->key_file, &secret, e);
            if (!rc)
                rc = put(&p->key, mr_str(secret), e);
        }
    }
    return rc;
}

/* --- printing ---------------------------------------------------------------------------- */

static struct mr_str shown(const struct mr_config_provider *p, size_t i) {
    const char *v = text_of(p, i);
    return !strcmp(texts[i].key, "key") && *v ? MR_LIT("(set)") : mr_str(v);
}

void mr_config_provider_print(const struct mr_config *c, struct mr_buf *out) {
    for (int64_t i = 0; i < c->n_provider; i++) {
        const struct mr_config_provider *p = &c->provider[i];
        mr_buf_fmt(out, "\n[provider.%s]\n", p->name);
        for (size_t k = 0; k < N_TEXTS; k++) {
            if (!*text_of(p, k))
                continue;
            mr_buf_fmt(out, "%s = ", texts[k].key);
            mr_buf_json(out, shown(p, k));
            mr_buf_char(out, '\n');
        }
        mr_buf_fmt(out, "concurrency = %lld\n", (long long)p->concurrency);
    }
}

void mr_config_provider_print_json(const struct mr_config *c, struct mr_buf *out) {
    mr_buf_cstr(out, ",\n  \"provider\": {");
    for (int64_t i = 0; i < c->n_provider; i++) {
        const struct mr_config_provider *p = &c->provider[i];
        mr_buf_fmt(out, "%s\n    \"%s\": {", i ? "," : "", p->name);
        for (size_t k = 0; k < N_TEXTS; k++) {
            mr_buf_fmt(out, "\"%s\": ", texts[k].key);
            mr_buf_json(out, shown(p, k));
            mr_buf_cstr(out, ", ");
        }
        mr_buf_fmt(out, "\"concurrency\": %lld}", (long long)p->concurrency);
    }
    mr_buf_cstr(out, "\n  }");
}
