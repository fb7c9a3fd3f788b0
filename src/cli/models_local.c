#include "cli/models_local.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "cli/local_config.h"
#include "cli/table.h"
#include "core/catalog/catalog.h"

#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int open_catalog(const struct mr_args *a, struct mr_config *cfg, struct mr_catalog **ret) {
    struct mr_err e = {0};
    int rc = mr_cli_local_config(cfg, NULL, &e);
    if (!rc)
        rc = mr_catalog_open(
            &(struct mr_catalog_config){.models_dir = cfg->models_dir, .data_dir = cfg->data_dir},
            ret, &e);
    return rc ? mr_args_failed(a, &e) : 0;
}

static void add_json(struct mr_buf *b, const struct mr_catalog_model *m) {
    const struct {
        const char *key, *value;
    } text[] = {{"id", m->id},
                {"name", m->name},
                {"kind", mr_kind_name(m->kind)},
                {"service", mr_service_name(m->service)},
                {"version", m->version},
                {"license", m->license},
                {"license_source", m->license_source},
                {"package", m->package},
                {"description", m->description}};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        mr_buf_fmt(b, "%s\"%s\":", i ? "," : "{", text[i].key);
        mr_buf_json(b, mr_str(text[i].value));
    }
    mr_buf_fmt(b, ",\"default\":%s,\"installed\":%s,\"size_bytes\":%llu}",
               m->is_default ? "true" : "false", mr_catalog_installed(m) ? "true" : "false",
               (unsigned long long)m->size_bytes);
}

static void print_json(const struct mr_catalog_model *m, size_t n) {
    struct mr_buf b;
    mr_buf_init(&b, 16 << 20);
    mr_buf_cstr(&b, "{\"models\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            mr_buf_char(&b, ',');
        add_json(&b, &m[i]);
    }
    mr_buf_cstr(&b, "]}");
    if (mr_buf_ok(&b))
        printf("%.*s\n", (int)b.n, b.p);
    mr_buf_release(&b);
}

static void print_table(const struct mr_catalog_model *m, size_t n) {
    static const char *const head[] = {"ID", "KIND", "LICENSE", "SIZE", "STATE"};
    struct mr_table t;
    mr_table_init(&t, 5);
    for (size_t i = 0; i < 5; i++)
        mr_table_cell(&t, head[i]);
    for (size_t i = 0; i < n; i++) {
        mr_table_cell(&t, m[i].id);
        mr_table_cell(&t, mr_kind_name(m[i].kind));
        mr_table_cell(&t, m[i].license);
        if (m[i].size_bytes)
            mr_table_fmt(&t, "%.1f MB", (double)m[i].size_bytes / 1e6);
        else
            mr_table_cell(&t, "-");
        mr_table_cell(&t, mr_catalog_installed(&m[i]) ? "installed"
                          : m[i].is_default           ? "missing: models pull"
                                                      : "models pull");
    }
    mr_table_print(&t);
    mr_table_release(&t);
}

int mr_models_catalog(const struct mr_args *a) {
    struct mr_config cfg = {0};
    struct mr_catalog *c = NULL;
    int status = open_catalog(a, &cfg, &c);
    if (!status) {
        size_t n;
        const struct mr_catalog_model *m = mr_catalog_models(c, &n);
        if (a->json)
            print_json(m, n);
        else
            print_table(m, n);
    }
    mr_catalog_free(c);
    mr_config_release(&cfg);
    return status;
}

/* Beside the program in a checkout, else where `make install` would put it. */
static bool find_installer(char out[4096]) {
    static const char *const places[] = {"../tools/models/install.py",
                                         "../../tools/models/install.py",
                                         "../share/millrace/tools/models/install.py"};
    char self[3900];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    while (n > 0 && self[n - 1] != '/')
        n--;
    for (size_t i = 0; n > 0 && i < sizeof places / sizeof *places; i++) {
        snprintf(out, 4096, "%.*s%s", (int)n, self, places[i]);
        if (!access(out, R_OK))
            return true;
    }
    return false;
}

/* The interpreter that scripts/setup made for converters; else the system's. */
static void find_python(char out[4096]) {
    const char *cache = getenv("MILLRACE_CACHE"), *home = getenv("HOME");
    if (cache && *cache)
        snprintf(out, 4096, "%s/models-venv/bin/python", cache);
    else
        snprintf(out, 4096, "%s/.cache/millrace/models-venv/bin/python", home ? home : "");
    if (access(out, X_OK))
        snprintf(out, 4096, "python3");
}

int mr_models_pull(const struct mr_args *a) {
    char script[4096], python[4096];
    const char *argv[8 + MR_ARGS_POS];
    struct mr_config cfg = {0};
    struct mr_err e = {0};
    int n = 0, status = 1;
    pid_t pid;
    if (!find_installer(script)) {
        mr_fail(&e, MR_ENOTFOUND,
                "tools/models/install.py is not beside this program: run it from a checkout of "
                "millrace, or run scripts/setup");
        return mr_args_failed(a, &e);
    }
    if (mr_cli_local_config(&cfg, NULL, &e)) {
        mr_config_release(&cfg);
        return mr_args_failed(a, &e);
    }
    find_python(python);
    argv[n++] = python;
    argv[n++] = script;
    if (*cfg.models_dir) {
        argv[n++] = "--models-dir";
        argv[n++] = cfg.models_dir;
    }
    for (int i = 1; i < a->n_pos; i++)
        argv[n++] = a->pos[i];
    argv[n] = NULL;
    int rc = posix_spawnp(&pid, python, NULL, NULL, (char *const *)argv, environ);
    if (rc) {
        errno = rc;
        mr_fail_errno(&e, python);
        status = mr_args_failed(a, &e);
    } else if (waitpid(pid, &status, 0) == pid)
        status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    mr_config_release(&cfg);
    return status;
}
