/* The catalogue: the embedded file, the operator's own models, names and aliases. */
#include "core/catalog/catalog_priv.h"
#include "mr_test.h"
#include "mr_tmp.h"

#include <sys/stat.h>

static struct mr_tmp tmp;
static struct mr_err err;

static void put(const char *path, const char *text) {
    char full[300];
    mr_tmp_path(&tmp, path, full);
    FILE *f = fopen(full, "w");
    if (!f || fputs(text, f) < 0 || fclose(f))
        exit(2);
}

static void folder(const char *path) {
    char full[300];
    mr_tmp_path(&tmp, path, full);
    mkdir(full, 0700);
}

static struct mr_catalog *open_it(void) {
    char data[300], models[300];
    struct mr_catalog *c = NULL;
    mr_tmp_path(&tmp, "data", data);
    mr_tmp_path(&tmp, "installed", models);
    err = (struct mr_err){0};
    mr_catalog_open(&(struct mr_catalog_config){.models_dir = models, .data_dir = data}, &c, &err);
    return c;
}

static const struct mr_catalog_model *find(struct mr_catalog *c, const char *name,
                                           enum mr_model_kind kind) {
    const struct mr_catalog_model *m = NULL;
    err = (struct mr_err){0};
    return mr_catalog_find(c, mr_str(name), kind, &m, &err) ? NULL : m;
}

#define OWN                                                                                        \
    "[[model]]\nid = \"tiny\"\nkind = \"language_model\"\npath = \"tiny.gguf\"\n"                  \
    "context_length = 512\n[[alias]]\nname = \"my-chat\"\ntarget = \"tiny\"\n"                     \
    "[[alias]]\nname = \"far\"\ntarget = \"openai/gpt-4o-mini\"\n"

MR_TEST(embedded_models_say_where_they_come_from) {
    struct mr_catalog *c = open_it();
    size_t n;
    CHECK(c);
    if (!c)
        return;
    const struct mr_catalog_model *m = mr_catalog_models(c, &n);
    for (size_t i = 0; i < n; i++) {
        CHECK(*m[i].name && *m[i].license && *m[i].version && *m[i].description);
        CHECK(!*m[i].package || *m[i].license_source);
        CHECK_INT(find(c, m[i].id, m[i].kind) == &m[i], 1);
    }
    mr_catalog_free(c);
}

MR_TEST(own_models_are_found_by_id_and_alias) {
    struct mr_str provider, model;
    put("data/models/own.toml", OWN);
    struct mr_catalog *c = open_it();
    CHECK_STR(err.msg, "");
    if (!c)
        return;
    const struct mr_catalog_model *m = find(c, "my-chat", MR_KIND_LLM);
    CHECK(m && m->own && m->service == MR_SERVICE_LLM);
    CHECK(m && !mr_catalog_installed(m));
    put("data/models/tiny.gguf", "x");
    CHECK(m && mr_catalog_installed(m)); /* it came after the start */
    CHECK(!find(c, "my-chat", MR_KIND_OCR));
    CHECK_INT(err.code, MR_ENOTFOUND);
    CHECK(!find(c, "nobody", MR_KIND_LLM));
    CHECK(strstr(err.msg, "tiny") != NULL);
    CHECK(mr_catalog_remote(c, MR_LIT("far"), &provider, &model));
    CHECK(mr_str_is(provider, "openai") && mr_str_is(model, "gpt-4o-mini"));
    CHECK(!mr_catalog_remote(c, MR_LIT("my-chat"), &provider, &model));
    mr_catalog_free(c);
}

MR_TEST(mistakes_name_file_and_line) {
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"[[model]]\nid = \"a b\"\nkind = \"language_model\"\npath = \"x\"\n", "id may hold"},
        {"[[model]]\nid = \"../x\"\nkind = \"language_model\"\npath = \"x\"\n", "id may hold"},
        {"[[model]]\nid = \"a\"\nkind = \"robot\"\npath = \"x\"\n", "kind"},
        {"[[model]]\nid = \"a\"\nkind = \"language_model\"\n", "path is missing"},
        {"[[model]]\nid = \"a\"\nkind = \"language_model\"\npath = \"x/\"\n", "must name a file"},
        {"[[model]]\nid = \"a\"\nkind = \"language_model\"\npath = \"x\"\nsize = 3\n",
         "unknown key"},
        {"[[alias]]\nname = \"a\"\ntarget = \"nobody\"\n", "which is no model"},
        {"[other]\nx = 1\n", "only [[model]]"},
        {"[[model]\n", "line 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("data/models/own.toml", bad[i].text);
        struct mr_catalog *c = open_it();
        CHECK(!c);
        if (!strstr(err.msg, bad[i].part))
            fprintf(stderr, "case %zu: %s\n", i, err.msg);
        CHECK(strstr(err.msg, bad[i].part) != NULL);
        mr_catalog_free(c);
    }
    put("data/models/own.toml", OWN OWN);
    CHECK(!open_it());
    CHECK(strstr(err.msg, "taken") != NULL);
}

MR_TEST(set_up) {
    mr_tmp_make(&tmp);
    folder("data");
    folder("data/models");
    folder("installed");
}

MR_TEST(tear_down) {
    mr_tmp_remove(&tmp);
}

MR_TEST_MAIN(CASE(set_up), CASE(embedded_models_say_where_they_come_from),
             CASE(own_models_are_found_by_id_and_alias), CASE(mistakes_name_file_and_line),
             CASE(tear_down))
