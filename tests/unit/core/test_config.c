/* Settings: providers from file, environment and flags; secrets from files; what is refused. */
#include "core/config.h"

#include "base/buf.h"
#include "mr_test.h"
#include "mr_tmp.h"

#include <stdio.h>

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "we");
    fputs(text, f);
    fclose(f);
}

static const struct mr_config_provider *named(const struct mr_config *c, const char *name) {
    for (int64_t i = 0; i < c->n_provider; i++)
        if (!strcmp(c->provider[i].name, name))
            return &c->provider[i];
    return NULL;
}

MR_TEST(providers_come_from_file_environment_and_flags) {
    struct mr_config c;
    struct mr_err e;
    struct mr_tmp t;
    char path[300], secret[300], env_secret[400];
    mr_tmp_make(&t);
    mr_tmp_path(&t, "millrace.toml", path);
    mr_tmp_path(&t, "secret", secret);
    snprintf(env_secret, sizeof env_secret, "MISTRAL_API_KEY_FILE=%s", secret);
    write_file(secret, "sk-from-a-file\n");
    write_file(path, "timezone = \"Europe/Berlin\"\n"
                     "[provider.groq]\nbase_url = \"https://groq.example/v1/\"\n"
                     "key_env = \"MY_GROQ\"\nmodel = \"llama\"\nconcurrency = 8\n"
                     "[provider.openai]\nkey = \"from-the-file\"\nfallback = \"groq\"\n");
    char *env[] = {"MY_GROQ=gk", "OPENAI_API_KEY=sk-env", "OPENAI_BASE_URL=http://127.0.0.1:9/v1",
                   env_secret, NULL};
    mr_config_defaults(&c);
    CHECK_INT(mr_config_file(&c, path, &e), 0);
    CHECK_INT(mr_config_env(&c, env, &e), 0);
    CHECK_INT(mr_config_set(&c, MR_LIT("provider.late.base_url"), MR_LIT("http://h/v1"), true, &e),
              0);
    CHECK_INT(mr_config_finish(&c, env, &e), 0);
    CHECK_STR(c.timezone, "Europe/Berlin");
    CHECK_STR(named(&c, "groq")->base_url, "https://groq.example/v1");
    CHECK_STR(named(&c, "groq")->key, "gk");
    CHECK_STR(named(&c, "groq")->dialect, "compatible");
    CHECK_INT(named(&c, "groq")->concurrency, 8);
    CHECK_STR(named(&c, "openai")->key, "sk-env"); /* the environment wins over the file */
    CHECK_STR(named(&c, "openai")->base_url, "http://127.0.0.1:9/v1");
    CHECK_STR(named(&c, "openai")->fallback, "groq");
    CHECK_STR(named(&c, "mistral")->key, "sk-from-a-file");
    CHECK_STR(named(&c, "mistral")->dialect, "mistral");
    CHECK_STR(named(&c, "late")->key, "");

    struct mr_buf b;
    mr_buf_init(&b, 1 << 20);
    mr_config_print(&c, &b);
    mr_config_print_json(&c, &b);
    CHECK(strstr(b.p, "[provider.groq]") && strstr(b.p, "key = \"(set)\""));
    CHECK(!strstr(b.p, "sk-") && !strstr(b.p, "\"gk\""));
    mr_buf_release(&b);
    mr_config_release(&c);
    mr_tmp_remove(&t);
}

MR_TEST(secrets_may_lie_in_files) {
    struct mr_config c;
    struct mr_err e;
    struct mr_tmp t;
    char secret[300], entry[400];
    mr_tmp_make(&t);
    mr_tmp_path(&t, "secret", secret);
    snprintf(entry, sizeof entry, "MILLRACE_OWNER_KEY_FILE=%s", secret);
    char *env[] = {entry, NULL};
    write_file(secret, "mrk_owner\n");
    mr_config_defaults(&c);
    CHECK_INT(mr_config_env(&c, env, &e), 0);
    CHECK_STR(c.owner_key, "mrk_owner");
    write_file(secret, "two\nlines\n");
    CHECK_INT(mr_config_env(&c, env, &e), MR_EINVAL);
    CHECK(strstr(e.msg, "MILLRACE_OWNER_KEY_FILE") && strstr(e.msg, "one line"));
    mr_config_release(&c);
    mr_tmp_remove(&t);
}

static void refused(const char *key, const char *value, const char *want) {
    struct mr_config c;
    struct mr_err e = {0};
    mr_config_defaults(&c);
    int rc = mr_config_set(&c, mr_str(key), mr_str(value), true, &e);
    char *none[] = {NULL};
    if (!rc)
        rc = mr_config_finish(&c, none, &e);
    CHECK_INT(rc, MR_EFIELD);
    CHECK(strstr(e.msg, want) != NULL);
    mr_config_release(&c);
}

MR_TEST(wrong_settings_name_what_is_wrong) {
    refused("timezoone", "UTC", "did you mean 'timezone'");
    refused("provider.groq.base_ulr", "x", "did you mean 'base_url'");
    refused("provider.Groq.base_url", "http://h/v1", "lower case");
    refused("provider.groq.base_url", "ftp://h/v1", "https://");
    refused("provider.groq.model", "m", "needs a base_url");
    refused("provider.openai.fallback", "nobody", "not another provider");
    refused("provider.openai.fallback", "openai", "not another provider");
    refused("provider.openai.dialect", "klingon", "openai|mistral|compatible");
    refused("provider.openai.concurrency", "0", "1 to 10000");
    refused("provider.openai", "x", "provider.NAME.setting");
}

MR_TEST_MAIN(CASE(providers_come_from_file_environment_and_flags), CASE(secrets_may_lie_in_files),
             CASE(wrong_settings_name_what_is_wrong))
