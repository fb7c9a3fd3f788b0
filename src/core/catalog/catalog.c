#include "base/alloc.h"
#include "base/cleanup.h"
#include "core/catalog/catalog_priv.h"
#include "io/folder.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILE_MAX_BYTES ((4u << 20) + 65536)

static const char *const kind_names[MR_KIND_N] = {
    "language_model", "embedder", "image_classifier", "object_detector", "text_reader",
    "sentiment",      "entities", "language",         "keywords",        "summary"};
static const char *const service_names[MR_SERVICE_N] = {"llm", "vision", "nlp"};

const char *mr_kind_name(enum mr_model_kind k) {
    return k < MR_KIND_N ? kind_names[k] : "model";
}

bool mr_kind_parse(struct mr_str s, enum mr_model_kind *ret) {
    for (size_t k = 0; k < MR_KIND_N; k++)
        if (mr_str_is(s, kind_names[k])) {
            *ret = (enum mr_model_kind)k;
            return true;
        }
    return false;
}

const char *mr_service_name(enum mr_service s) {
    return s < MR_SERVICE_N ? service_names[s] : "orchestrator";
}

bool mr_service_parse(struct mr_str s, enum mr_service *ret) {
    if (mr_str_ends(s, MR_LIT("_service")))
        s.n -= strlen("_service");
    for (size_t k = 0; k < MR_SERVICE_N; k++)
        if (mr_str_is(s, service_names[k])) {
            *ret = (enum mr_service)k;
            return true;
        }
    return false;
}

static char *default_dir(void) {
    const char *cache = getenv("MILLRACE_CACHE"), *home = getenv("HOME");
    char path[4096];
    if (cache && *cache)
        snprintf(path, sizeof path, "%s/models", cache);
    else
        snprintf(path, sizeof path, "%s/.cache/millrace/models", home && *home ? home : "/root");
    return mr_strdup(path);
}

/* <data dir>/models/<file>.toml; no such folder: no models of one's own. */
static int load_own(struct mr_catalog *c, struct mr_err *e) {
    char dir[4096];
    struct stat st;
    snprintf(dir, sizeof dir, "%s/models", c->data_dir);
    if (stat(dir, &st))
        return 0;
    MR_CLEANUP(mr_folder_release) struct mr_folder l = {.n = 0};
    int rc = mr_folder_list(dir, ".toml", &l, e);
    for (size_t i = 0; !rc && i < l.n; i++) {
        MR_CLEANUP(mr_buf_release) struct mr_buf b;
        mr_buf_init(&b, FILE_MAX_BYTES);
        rc = mr_folder_read(dir, l.name[i], &b, e);
        /* The parsed file points into its text. */
        struct mr_str text = rc ? MR_LIT("") : mr_arena_keep(&c->arena, mr_buf_view(&b));
        if (!rc && !text.p)
            rc = mr_fail(e, MR_ENOMEM, "out of memory");
        if (!rc)
            rc = mr_catalog_load(c, l.name[i], text, true, e);
    }
    return rc;
}

/* An alias that leads nowhere is a mistake in a file, found at start. */
static int check_aliases(struct mr_catalog *c, struct mr_err *e) {
    for (size_t i = 0; i < c->n_alias; i++) {
        const char *target = c->alias[i].alias.target;
        bool known = strchr(target, '/') != NULL;
        for (size_t k = 0; !known && k < c->n_model; k++)
            known = !strcmp(c->model[k].id, target);
        if (!known)
            return mr_fail_field(e, MR_EFIELD, "target",
                                 "the alias '%.100s' points at '%.100s', which is no model",
                                 c->alias[i].alias.name, target);
        c->shown[i] = c->alias[i].alias;
    }
    return 0;
}

/* Files may name models of later files. */
static int resolve_adapters(struct mr_catalog *c, struct mr_err *e) {
    for (size_t i = 0; i < c->n_adapter; i++) {
        struct mr_catalog_adapter *a = &c->adapter[i];
        for (size_t k = 0; k < c->n_model; k++) {
            if (!strcmp(c->model[k].id, a->id))
                return mr_fail_field(e, MR_EFIELD, "id", "the adapter '%s' has a model's id",
                                     a->id);
            if (!strcmp(c->model[k].id, c->adapter_base[i]))
                a->base = &c->model[k];
        }
        if (!a->base || a->base->kind != MR_KIND_LLM)
            return mr_fail_field(e, MR_EFIELD, "base",
                                 "the adapter '%s' is for '%.100s', which is no language model of "
                                 "the catalogue",
                                 a->id, c->adapter_base[i]);
    }
    return 0;
}

int mr_catalog_open(const struct mr_catalog_config *cfg, struct mr_catalog **ret,
                    struct mr_err *e) {
    struct mr_catalog *c = mr_calloc(1, sizeof *c);
    if (!c)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_arena_init(&c->arena, (size_t)64 << 20);
    c->cap_model = MR_CATALOG_MODELS_MAX;
    c->cap_alias = MR_CATALOG_ALIASES_MAX;
    c->model = mr_calloc(c->cap_model, sizeof *c->model);
    c->alias = mr_calloc(c->cap_alias, sizeof *c->alias);
    c->shown = mr_calloc(c->cap_alias, sizeof *c->shown);
    c->cap_adapter = MR_CATALOG_ADAPTERS_MAX;
    c->adapter = mr_calloc(c->cap_adapter, sizeof *c->adapter);
    c->adapter_base = mr_calloc(c->cap_adapter, sizeof *c->adapter_base);
    c->models_dir =
        cfg->models_dir && *cfg->models_dir ? mr_strdup(cfg->models_dir) : default_dir();
    c->data_dir = cfg->data_dir ? mr_strdup(cfg->data_dir) : NULL;
    int rc = 0;
    if (!c->model || !c->alias || !c->shown || !c->adapter || !c->adapter_base || !c->models_dir ||
        (cfg->data_dir && !c->data_dir))
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    for (const struct mr_catalog_file *f = mr_catalog_files; !rc && f->name; f++)
        rc = mr_catalog_load(c, f->name, mr_str(f->text), false, e);
    if (!rc && c->data_dir)
        rc = load_own(c, e);
    if (!rc)
        rc = resolve_adapters(c, e);
    if (!rc)
        rc = check_aliases(c, e);
    if (rc) {
        mr_catalog_free(c);
        return rc;
    }
    for (size_t i = 0; i < c->n_model; i++)
        c->model[i].size_bytes = mr_catalog_size(&c->model[i]);
    *ret = c;
    return 0;
}

void mr_catalog_free(struct mr_catalog *c) {
    if (!c)
        return;
    mr_free(c->model);
    mr_free(c->alias);
    mr_free(c->shown);
    mr_free(c->adapter);
    mr_free(c->adapter_base);
    mr_free(c->models_dir);
    mr_free(c->data_dir);
    mr_arena_release(&c->arena);
    mr_free(c);
}

const struct mr_catalog_model *mr_catalog_models(const struct mr_catalog *c, size_t *ret_n) {
    *ret_n = c->n_model;
    return c->model;
}

const struct mr_alias *mr_catalog_aliases(const struct mr_catalog *c, size_t *ret_n) {
    *ret_n = c->n_alias;
    return c->shown;
}

const struct mr_catalog_adapter *mr_catalog_adapters(const struct mr_catalog *c, size_t *ret_n) {
    *ret_n = c->n_adapter;
    return c->adapter;
}

const struct mr_catalog_adapter *mr_catalog_adapter(const struct mr_catalog *c, struct mr_str id) {
    for (size_t i = 0; i < c->n_adapter; i++)
        if (mr_str_is(id, c->adapter[i].id))
            return &c->adapter[i];
    return NULL;
}

bool mr_catalog_adapter_installed(const struct mr_catalog_adapter *a) {
    struct stat st;
    return !stat(a->path, &st) && S_ISREG(st.st_mode) && st.st_size > 0;
}

static uint64_t file_size(const char *dir, const char *file) {
    char path[4096];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", dir, file);
    return n > 0 && (size_t)n < sizeof path && !stat(path, &st) && S_ISREG(st.st_mode)
               ? (uint64_t)st.st_size
               : 0;
}

static bool is_algorithm(const struct mr_catalog_model *m) {
    return !*m->file && !*m->package;
}

uint64_t mr_catalog_size(const struct mr_catalog_model *m) {
    if (m->own)
        return file_size(m->dir, m->file);
    uint64_t sum = 0;
    DIR *d = mr_catalog_installed(m) && !is_algorithm(m) ? opendir(m->dir) : NULL;
    if (!d)
        return 0;
    for (struct dirent *at; (at = readdir(d));)
        sum += file_size(m->dir, at->d_name);
    closedir(d);
    return sum;
}

/* The installer renames a whole folder into place, so the stamp in it says that all is there. */
bool mr_catalog_installed(const struct mr_catalog_model *m) {
    if (is_algorithm(m))
        return true;
    return file_size(m->dir, m->own ? m->file : ".installed") > 0;
}

/* --- names -------------------------------------------------------------------------------- */

static const struct mr_catalog_model *by_id(const struct mr_catalog *c, const char *id, size_t n) {
    for (size_t i = 0; i < c->n_model; i++)
        if (mr_str_eq(mr_str(c->model[i].id), mr_strn(id, n)))
            return &c->model[i];
    return NULL;
}

static const struct mr_catalog_model *by_alias(const struct mr_catalog *c, struct mr_str name,
                                               enum mr_model_kind kind) {
    for (size_t i = c->n_alias; i-- > 0;) { /* the operator's come last and win */
        const struct mr_catalog_alias *a = &c->alias[i];
        if (!mr_str_eq(mr_str(a->alias.name), name) || strchr(a->alias.target, '/') ||
            (a->kind != MR_KIND_N && kind != MR_KIND_N && a->kind != kind))
            continue;
        const struct mr_catalog_model *m = by_id(c, a->alias.target, strlen(a->alias.target));
        if (m && (kind == MR_KIND_N || m->kind == kind))
            return m;
    }
    return NULL;
}

/* The first installed one, defaults before others; else the first default, for its message. */
static const struct mr_catalog_model *first_of(const struct mr_catalog *c,
                                               enum mr_model_kind kind) {
    const struct mr_catalog_model *best = NULL;
    int rank = 0;
    for (size_t i = 0; i < c->n_model; i++) {
        const struct mr_catalog_model *m = &c->model[i];
        if (kind != MR_KIND_N && m->kind != kind)
            continue;
        int r = 1 + (m->is_default ? 1 : 0) + (mr_catalog_installed(m) ? 2 : 0);
        if (r > rank) {
            best = m;
            rank = r;
        }
    }
    return best;
}

static int unknown(const struct mr_catalog *c, struct mr_str name, enum mr_model_kind kind,
                   struct mr_err *e) {
    char list[300] = "";
    size_t at = 0;
    for (size_t i = 0; i < c->n_model && at < sizeof list - 1; i++)
        if (kind == MR_KIND_N || c->model[i].kind == kind) {
            int n = snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", c->model[i].id);
            at += n > 0 ? (size_t)n : 0;
        }
    return mr_fail_field(
        e, MR_ENOTFOUND, "model", "model '%.*s' is not in the catalogue%s%s; known: %s",
        (int)(name.n > 100 ? 100 : name.n), name.p ? name.p : "", kind == MR_KIND_N ? "" : " as a ",
        kind == MR_KIND_N ? "" : mr_kind_name(kind), *list ? list : "none");
}

int mr_catalog_find(const struct mr_catalog *c, struct mr_str name, enum mr_model_kind kind,
                    const struct mr_catalog_model **ret, struct mr_err *e) {
    const struct mr_catalog_model *m;
    if (!name.n)
        m = first_of(c, kind);
    else {
        m = by_id(c, name.p, name.n);
        if (m && kind != MR_KIND_N && m->kind != kind)
            m = NULL;
        if (!m)
            m = by_alias(c, name, kind);
    }
    if (!m)
        return unknown(c, name, kind, e);
    *ret = m;
    return 0;
}

static bool split(const char *target, struct mr_str *provider, struct mr_str *model) {
    const char *slash = strchr(target, '/');
    if (!slash || slash == target || !slash[1])
        return false;
    *provider = mr_strn(target, (size_t)(slash - target));
    *model = mr_str(slash + 1);
    return true;
}

bool mr_catalog_remote(const struct mr_catalog *c, struct mr_str name, struct mr_str *ret_provider,
                       struct mr_str *ret_model) {
    for (size_t i = c->n_alias; i-- > 0;)
        if (mr_str_eq(mr_str(c->alias[i].alias.name), name) &&
            split(c->alias[i].alias.target, ret_provider, ret_model))
            return true;
    return false;
}
