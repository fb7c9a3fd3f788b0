/* One catalogue file into the catalogue. */
#include "base/num.h"
#include "core/catalog/catalog_priv.h"
#include "wire/toml.h"

enum { TEXT_MAX = 1000, NAME_MAX_BYTES = 128, TOKENS_MAX = 100000000, SCALE_MAX = 100 };

struct file {
    struct mr_catalog *c;
    const char *name;
    bool own;
    const struct mr_toml_table *row;
    struct mr_err *e;
};

#define SHOW(s) (int)((s).n > 100 ? 100 : (s).n), (s).p

static const char *const model_keys[] = {
    "id",      "name",           "description", "kind", "runtime",      "version",
    "license", "license_source", "default",     "file", "packages",     "members",
    "outputs", "context_length", "max_tokens",  "path", "capabilities", "converter",
    "service", "converter_uses", NULL};
static const char *const adapter_keys[] = {
    "id", "base", "path", "scale", "name", "description", "license", "license_source", NULL};
static const char *const alias_keys[] = {"name", "target", "kind", NULL};

static int wrong(const struct file *f, uint32_t line, const char *key, const char *what) {
    return mr_fail_field(f->e, MR_EFIELD, key, "%s: line %u: %s %s", f->name, line, key, what);
}

static int no_memory(const struct file *f) {
    return mr_fail(f->e, MR_ENOMEM, "out of memory");
}

/* A misspelt key would be silently ignored otherwise. */
static int known_keys(const struct file *f, const char *const *known) {
    for (uint32_t i = 0; i < f->row->n_value; i++) {
        const char *const *k = known;
        while (*k && !mr_str_is(f->row->value[i].key, *k))
            k++;
        if (!*k)
            return mr_fail_field(f->e, MR_EFIELD, "models", "%s: line %u: unknown key '%.*s'",
                                 f->name, f->row->value[i].line, SHOW(f->row->value[i].key));
    }
    return 0;
}

static int text(const struct file *f, const char *key, bool needed, const char **ret) {
    const struct mr_toml_value *v = mr_toml_find(f->row, key);
    if (!v && needed)
        return wrong(f, f->row->line, key, "is missing");
    if (v && (v->kind != MR_TOML_STRING || v->text.n > TEXT_MAX || (needed && !v->text.n)))
        return wrong(f, v->line, key, "must be a string of 1 to 1000 bytes");
    *ret = mr_arena_str(&f->c->arena, v ? v->text : MR_LIT(""));
    return *ret ? 0 : no_memory(f);
}

static int tokens(const struct file *f, const char *key, int64_t *ret) {
    const struct mr_toml_value *v = mr_toml_find(f->row, key);
    *ret = 0;
    if (!v)
        return 0;
    if (v->kind != MR_TOML_INTEGER || !mr_str_i64(v->text, 0, TOKENS_MAX, ret))
        return wrong(f, v->line, key, "must be a whole number of tokens");
    return 0;
}

static int strings(const struct file *f, const char *key, const char *const **ret, size_t *ret_n) {
    const struct mr_toml_value *v = mr_toml_find(f->row, key);
    size_t n = v ? v->n_item : 0;
    if (v && v->kind != MR_TOML_STRINGS)
        return wrong(f, v->line, key, "must be a list of strings");
    const char **item = mr_arena_array(&f->c->arena, n + 1, sizeof *item);
    if (!item)
        return no_memory(f);
    for (size_t i = 0; i < n; i++)
        if (!(item[i] = mr_arena_str(&f->c->arena, v->item[i])))
            return no_memory(f);
    item[n] = NULL;
    *ret = item;
    *ret_n = n;
    return 0;
}

static bool flag(const struct file *f, const char *key) {
    const struct mr_toml_value *v = mr_toml_find(f->row, key);
    return v && v->kind == MR_TOML_BOOL && v->on;
}

/* Ids become folders and parts of URLs. */
static bool good_name(const char *s) {
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
              (s[i] >= '0' && s[i] <= '9') || (i && strchr("._-", s[i]))))
            return false;
    return n && n <= NAME_MAX_BYTES;
}

static enum mr_service service_of(enum mr_model_kind k) {
    if (k == MR_KIND_LLM)
        return MR_SERVICE_LLM;
    return k == MR_KIND_CLASSIFIER || k == MR_KIND_DETECTOR || k == MR_KIND_OCR ? MR_SERVICE_VISION
                                                                                : MR_SERVICE_NLP;
}

/* The path of an operator's file: relative ones are below <data dir>/models. */
static int own_path(const struct file *f, const struct mr_toml_value *path, char **ret) {
    if (path->kind != MR_TOML_STRING || !path->text.n || path->text.n > TEXT_MAX)
        return wrong(f, path->line, "path", "must be a string");
    *ret = path->text.p[0] == '/' ? mr_arena_str(&f->c->arena, path->text)
                                  : mr_arena_fmt(&f->c->arena, "%s/models/%.*s", f->c->data_dir,
                                                 (int)path->text.n, path->text.p);
    return *ret ? 0 : no_memory(f);
}

/* Where the files are: a folder named after the id, or the path that the operator gives. */
static int place(const struct file *f, struct mr_catalog_model *m) {
    const struct mr_toml_value *path = mr_toml_find(f->row, "path");
    if (path && !f->own)
        return wrong(f, path->line, "path", "is for models of your own");
    if (f->own && !path)
        return wrong(f, f->row->line, "path", "is missing: where the model's file is");
    if (!path) {
        m->dir = mr_arena_fmt(&f->c->arena, "%s/%s", f->c->models_dir, m->id);
        return m->dir ? 0 : no_memory(f);
    }
    char *p;
    int rc = own_path(f, path, &p);
    if (rc)
        return rc;
    char *slash = strrchr(p, '/');
    *slash = 0;
    m->dir = p;
    m->file = slash + 1;
    return *m->file ? 0 : wrong(f, path->line, "path", "must name a file");
}

static int add_model(const struct file *f) {
    struct mr_catalog *c = f->c;
    struct mr_catalog_model m = {.own = f->own};
    const char *kind;
    const char *const *packages;
    size_t n;
    int rc = known_keys(f, model_keys);
    if (rc || (rc = text(f, "id", true, &m.id)) || (rc = text(f, "name", !f->own, &m.name)) ||
        (rc = text(f, "kind", true, &kind)) ||
        (rc = text(f, "description", false, &m.description)) ||
        (rc = text(f, "runtime", false, &m.runtime)) ||
        (rc = text(f, "version", false, &m.version)) ||
        (rc = text(f, "license", !f->own, &m.license)) ||
        (rc = text(f, "license_source", false, &m.license_source)) ||
        (rc = text(f, "file", false, &m.file)) ||
        (rc = tokens(f, "context_length", &m.context_length)) ||
        (rc = tokens(f, "max_tokens", &m.max_tokens)) ||
        (rc = strings(f, "capabilities", &m.capabilities, &n)) ||
        (rc = strings(f, "packages", &packages, &n)))
        return rc;
    if (!good_name(m.id))
        return wrong(f, f->row->line, "id", "may hold letters, digits, '.', '_' and '-'");
    if (!mr_kind_parse(mr_str(kind), &m.kind))
        return wrong(f, f->row->line, "kind", "is none of the kinds of models");
    for (size_t i = 0; i < c->n_model; i++)
        if (!strcmp(c->model[i].id, m.id))
            return wrong(f, f->row->line, "id", "is taken by another model");
    m.service = service_of(m.kind);
    m.is_default = flag(f, "default");
    if (!*m.name)
        m.name = m.id;
    if (!*m.license)
        m.license = "unknown";
    m.package = n ? packages[0] : f->own ? "file" : "";
    if (c->n_model == c->cap_model)
        return mr_fail(f->e, MR_ETOOBIG, "%s: more than %d models", f->name, MR_CATALOG_MODELS_MAX);
    rc = place(f, &m);
    if (!rc)
        c->model[c->n_model++] = m;
    return rc;
}

static int scale_of(const struct file *f, double *ret) {
    const struct mr_toml_value *v = mr_toml_find(f->row, "scale");
    *ret = 1;
    if (!v)
        return 0;
    if ((v->kind != MR_TOML_INTEGER && v->kind != MR_TOML_DECIMAL) || !mr_f64_parse(v->text, ret) ||
        !(*ret >= -SCALE_MAX && *ret <= SCALE_MAX))
        return wrong(f, v->line, "scale", "must be a number from -100 to 100");
    return 0;
}

static int add_adapter(const struct file *f) {
    struct mr_catalog *c = f->c;
    struct mr_catalog_adapter a = {0};
    const struct mr_toml_value *path = mr_toml_find(f->row, "path");
    const char *base;
    char *where;
    if (!f->own)
        return mr_fail(f->e, MR_EFIELD, "%s: line %u: [[adapter]] is for files of your own",
                       f->name, f->row->line);
    if (!path)
        return wrong(f, f->row->line, "path", "is missing: where the adapter's file is");
    int rc = known_keys(f, adapter_keys);
    if (rc || (rc = text(f, "id", true, &a.id)) || (rc = text(f, "base", true, &base)) ||
        (rc = text(f, "name", false, &a.name)) ||
        (rc = text(f, "description", false, &a.description)) ||
        (rc = text(f, "license", false, &a.license)) ||
        (rc = text(f, "license_source", false, &a.license_source)) ||
        (rc = scale_of(f, &a.scale)) || (rc = own_path(f, path, &where)))
        return rc;
    a.path = where;
    if (!good_name(a.id))
        return wrong(f, f->row->line, "id", "may hold letters, digits, '.', '_' and '-'");
    if (mr_catalog_adapter(c, mr_str(a.id)))
        return wrong(f, f->row->line, "id", "is taken by another adapter");
    if (!*a.name)
        a.name = a.id;
    if (!*a.license)
        a.license = "unknown";
    if (c->n_adapter == c->cap_adapter)
        return mr_fail(f->e, MR_ETOOBIG, "%s: more than %d adapters", f->name,
                       MR_CATALOG_ADAPTERS_MAX);
    c->adapter_base[c->n_adapter] = base;
    c->adapter[c->n_adapter++] = a;
    return 0;
}

static int add_alias(const struct file *f) {
    struct mr_catalog *c = f->c;
    struct mr_catalog_alias a = {.kind = MR_KIND_N};
    const char *kind;
    int rc = known_keys(f, alias_keys);
    if (rc || (rc = text(f, "name", true, &a.alias.name)) ||
        (rc = text(f, "target", true, &a.alias.target)) || (rc = text(f, "kind", false, &kind)))
        return rc;
    if (*kind && !mr_kind_parse(mr_str(kind), &a.kind))
        return wrong(f, f->row->line, "kind", "is none of the kinds of models");
    if (c->n_alias == c->cap_alias)
        return mr_fail(f->e, MR_ETOOBIG, "%s: more than %d aliases", f->name,
                       MR_CATALOG_ALIASES_MAX);
    c->alias[c->n_alias++] = a;
    return 0;
}

int mr_catalog_load(struct mr_catalog *c, const char *name, struct mr_str text_, bool own,
                    struct mr_err *e) {
    struct mr_toml t;
    struct mr_err why;
    int rc = mr_toml_parse(text_, &c->arena, &t, &why);
    if (rc)
        return mr_fail(e, rc, "%s: %.400s", name, why.msg);
    for (uint32_t i = 0; !rc && i < t.n_table; i++) {
        struct file f = {.c = c, .name = name, .own = own, .row = &t.table[i], .e = e};
        if (mr_str_is(f.row->name, "model"))
            rc = add_model(&f);
        else if (mr_str_is(f.row->name, "adapter"))
            rc = add_adapter(&f);
        else if (mr_str_is(f.row->name, "alias"))
            rc = add_alias(&f);
        else if (i || f.row->n_value)
            rc = mr_fail(e, MR_EFIELD,
                         "%s: line %u: only [[model]], [[adapter]] and [[alias]] belong here", name,
                         f.row->line);
    }
    return rc;
}
