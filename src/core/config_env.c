/* Settings from the environment. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "core/config_priv.h"

#include <ctype.h>

#define SECRET_MAX 4096

/* Names under MILLRACE_ that are not settings. */
static const char *const other_env[] = {"URL", "KEY", "CACHE", "TEST_OUT", "CONFIG", "ORT", NULL};

const char *mr_config_getenv(char **env, const char *name) {
    size_t n = strlen(name);
    for (; *env; env++)
        if (!strncmp(*env, name, n) && (*env)[n] == '=')
            return (*env)[n + 1] ? *env + n + 1 : NULL;
    return NULL;
}

int mr_config_secret_file(const char *path, char **ret, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    int rc = mr_config_read(path, SECRET_MAX, &b, e);
    if (rc)
        return rc;
    while (b.n && isspace((unsigned char)b.p[b.n - 1]))
        b.n--;
    if (!b.n || memchr(b.p, '\n', b.n) || memchr(b.p, 0, b.n))
        return mr_fail(e, MR_EINVAL, "%s must hold one line, the secret", path);
    *ret = mr_strndup(b.p, b.n);
    return *ret ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static int from_file(struct mr_config *c, const char *key, const char *path, struct mr_err *e) {
    MR_AUTO_FREE char *secret = NULL;
    int rc = mr_config_secret_file(path, &secret, e);
    return rc ? rc : mr_config_set(c, mr_str(key), mr_str(secret), true, e);
}

/* The settings' own names: STRIPE_API_KEY, STRIPE_API_KEY_FILE. */
static int own_names(struct mr_config *c, char **env, struct mr_err *e) {
    for (const struct mr_setting *s = mr_settings; s->key; s++) {
        if (!s->env)
            continue;
        char file_name[80];
        struct mr_err le;
        snprintf(file_name, sizeof file_name, "%s_FILE", s->env);
        const char *v = mr_config_getenv(env, s->env);
        const char *file = s->secret ? mr_config_getenv(env, file_name) : NULL;
        int rc = 0;
        if (v)
            rc = mr_config_set(c, mr_str(s->key), mr_str(v), true, &le);
        else if (file)
            rc = from_file(c, s->key, file, &le);
        if (rc)
            return mr_fail(e, rc, "environment %s: %s", v ? s->env : file_name, le.msg);
    }
    return 0;
}

/* MILLRACE_OWNER_KEY_FILE: the secret's key, when the name is one. */
static const char *secret_file_of(struct mr_str lower) {
    if (!mr_str_ends(lower, MR_LIT("_file")))
        return NULL;
    for (const struct mr_setting *s = mr_settings; s->key; s++)
        if (s->secret && mr_str_is(mr_strn(lower.p, lower.n - 5), s->key))
            return s->key;
    return NULL;
}

static int one(struct mr_config *c, struct mr_str key, struct mr_str value, struct mr_err *e) {
    const char *secret = secret_file_of(key);
    int rc = 0;
    bool fresh = true;
    if (secret)
        return from_file(c, secret, value.p, e);
    const struct mr_setting *s = mr_config_find(key);
    if (!s || s->kind != MR_SET_LIST)
        return mr_config_set(c, key, value, true, e);
    while (value.p && !rc) {
        rc = mr_config_set(c, key, mr_str_trim(mr_str_cut(&value, ',')), fresh, e);
        fresh = false;
    }
    return rc;
}

int mr_config_env(struct mr_config *c, char **env, struct mr_err *e) {
    int rc = own_names(c, env, e);
    for (char **at = env; *at && !rc; at++) {
        struct mr_str value = mr_str(*at);
        if (!mr_str_starts(value, MR_LIT("MILLRACE_")))
            continue;
        value = mr_strn(value.p + 9, value.n - 9);
        struct mr_str name = mr_str_cut(&value, '=');
        char lower[64];
        bool other = name.n >= sizeof lower || !value.p;
        for (size_t i = 0; other_env[i] && !other; i++)
            other = mr_str_is(name, other_env[i]);
        if (other)
            continue;
        for (size_t i = 0; i < name.n; i++)
            lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + 32 : name.p[i]);
        struct mr_err le;
        rc = one(c, mr_strn(lower, name.n), value, &le);
        if (rc)
            mr_fail(e, rc, "environment MILLRACE_%.*s: %s", (int)name.n, name.p, le.msg);
    }
    return rc ? rc : mr_config_provider_env(c, env, e);
}
