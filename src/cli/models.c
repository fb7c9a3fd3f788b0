/* millrace models: what is deployed (list, show, rm, rollback), and the catalogue
 * (models_local.h). */
#include "base/codec.h"
#include "cli/client.h"
#include "cli/models_local.h"
#include "cli/table.h"
#include "cli/verbs.h"

#include <unistd.h>

static const struct mr_opt opts[] = {
    {"--status", "STATUS", "list: active, building, updating, failed or deleted"},
    {"--framework", "NAME", "list: sklearn, xgboost, lightgbm, onnx, pytorch or tensorflow"},
    {"--search", "TEXT", "list: part of the name"},
    {"--yes", NULL, "rm: do not ask"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_models_spec = {
    .verb = "models",
    .usage =
        "list | show ID|NAME | rm ID|NAME | rollback ID|NAME VERSION | catalog | pull [NAME…] |\n"
        "                       load NAME | unload NAME",
    .about = "Deployed models: all of them, one with its versions, delete one, or make another\n"
             "version of one the current one. catalog lists the models that come with millrace\n"
             "and their licences; pull installs some of them (without a name: the default set);\n"
             "load and unload bring one into the server's memory or out of it.",
    .subs = "list show rm rollback catalog pull load unload",
    .opts = opts,
    .net = true,
};

#define PAGE 100

static const char *str_of(yyjson_val *obj, const char *key) {
    return yyjson_get_str(yyjson_obj_get(obj, key));
}

static void add_query(struct mr_buf *b, const char *key, const char *value) {
    if (!value)
        return;
    mr_buf_fmt(b, "&%s=", key);
    mr_percent_add(b, mr_str(value));
}

static void add_row(struct mr_table *t, yyjson_val *d) {
    yyjson_val *meta = yyjson_obj_get(d, "model_metadata");
    mr_table_cell(t, str_of(d, "id"));
    mr_table_cell(t, str_of(d, "name"));
    mr_table_cell(t, str_of(d, "status"));
    mr_table_cell(t, str_of(d, "version"));
    mr_table_cell(t, str_of(meta, "framework"));
    mr_table_cell(t, str_of(meta, "model_type"));
    mr_table_cell(t, str_of(d, "created_at"));
}

static int list(struct mr_client *c, const struct mr_args *a) {
    static const char *const head[] = {"ID",        "NAME", "STATUS", "VERSION",
                                       "FRAMEWORK", "TYPE", "CREATED"};
    struct mr_table t;
    struct mr_err e = {0};
    struct mr_buf path;
    yyjson_mut_doc *all = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *items = yyjson_mut_arr(all);
    int64_t total = 1, seen = 0;
    int status = 0;
    yyjson_mut_doc_set_root(all, items);
    mr_table_init(&t, 7);
    mr_buf_init(&path, 8192);
    for (size_t i = 0; i < 7; i++)
        mr_table_cell(&t, head[i]);
    while (seen < total && !status) {
        struct mr_reply r = {0};
        yyjson_val *d;
        size_t i, max = 0;
        mr_buf_clear(&path);
        mr_buf_fmt(&path, "/api/v1/deployments?limit=%d&offset=%lld", PAGE, (long long)seen);
        add_query(&path, "status", mr_args_get(a, "--status"));
        add_query(&path, "framework", mr_args_get(a, "--framework"));
        add_query(&path, "search", mr_args_get(a, "--search"));
        if (!mr_buf_ok(&path))
            status = mr_args_wrong(a, "the filters are too long");
        else if (mr_client_call(c, "GET", path.p, mr_strn(NULL, 0), &r, &e))
            status = mr_reply_failed(a, &r, &e);
        yyjson_val *root = yyjson_doc_get_root(r.doc);
        yyjson_val *page = yyjson_obj_get(root, "items");
        if (!status) {
            yyjson_arr_foreach (page, i, max, d) {
                add_row(&t, d);
                yyjson_mut_arr_append(items, yyjson_val_mut_copy(all, d));
            }
            total = yyjson_get_sint(yyjson_obj_get(root, "total"));
        }
        mr_reply_release(&r);
        seen += (int64_t)max;
        if (!max)
            break;
    }
    if (!status && a->json) {
        char *text = yyjson_mut_write(all, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
        printf("%s\n", text ? text : "[]");
        free(text); /* yyjson's own malloc */
    } else if (!status) {
        mr_table_print(&t);
        if (!c->key)
            fprintf(stderr, "(no key: nothing is visible; give --key or set MILLRACE_KEY)\n");
    }
    yyjson_mut_doc_free(all);
    mr_table_release(&t);
    mr_buf_release(&path);
    return status;
}

static void print_versions(yyjson_val *root) {
    yyjson_val *v;
    struct mr_table t;
    size_t i, max;
    mr_table_init(&t, 5);
    yyjson_arr_foreach (yyjson_obj_get(root, "versions"), i, max, v) {
        const char *error = str_of(v, "error");
        mr_table_cell(&t, yyjson_is_true(yyjson_obj_get(v, "is_current")) ? "* current" : " ");
        mr_table_cell(&t, str_of(v, "version"));
        mr_table_cell(&t, str_of(v, "status"));
        mr_table_cell(&t, str_of(v, "created_at"));
        mr_table_cell(&t, error && *error ? error : str_of(v, "changes"));
    }
    printf("Versions:\n");
    mr_table_print(&t);
    mr_table_release(&t);
}

static void print_members(yyjson_val *obj, int depth) {
    yyjson_val *k, *v;
    size_t i, max;
    yyjson_obj_foreach (obj, i, max, k, v) {
        if (yyjson_is_obj(v) && depth == 0) {
            printf("%s:\n", yyjson_get_str(k));
            print_members(v, depth + 1);
            continue;
        }
        char *text = yyjson_is_str(v) ? NULL : yyjson_val_write(v, 0, NULL);
        printf("%s%s: %s\n", depth ? "  " : "", yyjson_get_str(k), text ? text : yyjson_get_str(v));
        free(text); /* yyjson's own malloc */
    }
}

static int show(struct mr_client *c, const struct mr_args *a, const char *id) {
    struct mr_reply dep = {0}, ver = {0};
    struct mr_err e = {0};
    int status = 0;
    int rc = mr_client_get_id(c, "/api/v1/deployments/", id, "", &dep, &e);
    if (rc)
        status = mr_reply_failed(a, &dep, &e);
    if (!status && mr_client_get_id(c, "/api/v1/deployments/", id, "/versions", &ver, &e))
        status = mr_reply_failed(a, &ver, &e);
    if (!status && a->json) {
        yyjson_mut_doc *m = yyjson_doc_mut_copy(dep.doc, NULL);
        yyjson_val *list_of = yyjson_obj_get(yyjson_doc_get_root(ver.doc), "versions");
        yyjson_mut_obj_add_val(m, yyjson_mut_doc_get_root(m), "versions",
                               yyjson_val_mut_copy(m, list_of));
        char *text = yyjson_mut_write(m, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
        printf("%s\n", text ? text : "{}");
        free(text); /* yyjson's own malloc */
        yyjson_mut_doc_free(m);
    } else if (!status) {
        print_members(yyjson_doc_get_root(dep.doc), 0);
        print_versions(yyjson_doc_get_root(ver.doc));
    }
    mr_reply_release(&ver);
    mr_reply_release(&dep);
    return status;
}

static bool confirmed(const struct mr_args *a, const char *id) {
    char answer[16];
    if (mr_args_get(a, "--yes"))
        return true;
    if (!isatty(STDIN_FILENO))
        return false;
    fprintf(stderr, "Delete %s? It cannot be undone. [y/N] ", id);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Sends and prints the answer's message, or the JSON. */
static int act_on(struct mr_client *c, const struct mr_args *a, const char *method,
                  const char *folder, const char *id, const char *tail, struct mr_str body) {
    struct mr_reply r = {0};
    struct mr_err e = {0};
    struct mr_buf path;
    int status = 0;
    mr_buf_init(&path, 1024);
    mr_buf_cstr(&path, folder);
    mr_percent_add(&path, mr_str(id));
    mr_buf_cstr(&path, tail);
    if (mr_client_call(c, method, path.p, body, &r, &e))
        status = mr_reply_failed(a, &r, &e);
    else if (a->json)
        mr_reply_print(&r);
    else
        printf("%s: %s\n", id, str_of(yyjson_doc_get_root(r.doc), "message"));
    mr_reply_release(&r);
    mr_buf_release(&path);
    return status;
}

static int act(struct mr_client *c, const struct mr_args *a, const char *method, const char *id,
               const char *tail, struct mr_str body) {
    return act_on(c, a, method, "/api/v1/deployments/", id, tail, body);
}

static int run(struct mr_client *c, const struct mr_args *a) {
    const char *sub = a->pos[0];
    struct mr_err e = {0};
    char id[80];
    if (!strcmp(sub, "list"))
        return list(c, a);
    if (!strcmp(sub, "load") || !strcmp(sub, "unload"))
        return act_on(c, a, "POST", "/api/v2/models/", a->pos[1], *sub == 'l' ? "/load" : "/unload",
                      MR_LIT("{}"));
    if (mr_client_deployment(c, a->pos[1], id, sizeof id, &e))
        return mr_args_failed(a, &e);
    if (!strcmp(sub, "show"))
        return show(c, a, id);
    if (!strcmp(sub, "rm")) {
        if (confirmed(a, id))
            return act(c, a, "DELETE", id, "", mr_strn(NULL, 0));
        return isatty(STDIN_FILENO) ? 1
                                    : mr_args_wrong(a, "rm needs --yes when nobody can be asked");
    }
    struct mr_buf body;
    mr_buf_init(&body, 1024);
    mr_buf_cstr(&body, "{\"version\":");
    mr_buf_json(&body, mr_str(a->pos[2]));
    mr_buf_char(&body, '}');
    int status = mr_buf_ok(&body) ? act(c, a, "POST", id, "/rollback", mr_buf_view(&body))
                                  : mr_args_wrong(a, "the version must look like v2");
    mr_buf_release(&body);
    return status;
}

int mr_cli_models(int argc, char **argv) {
    static const struct {
        const char *name;
        int n_pos;
    } subs[] = {{"list", 1}, {"show", 2}, {"rm", 2}, {"rollback", 3}, {"load", 2}, {"unload", 2}};
    struct mr_args a;
    struct mr_client c;
    struct mr_err e = {0};
    int status;
    size_t i = 0;
    if (mr_args_parse(&a, &mr_models_spec, argc, argv, &status))
        return status;
    if (!a.n_pos)
        return mr_args_wrong(&a, "list, show, rm, rollback, catalog, pull, load or unload?");
    if (!strcmp(a.pos[0], "pull"))
        return mr_models_pull(&a);
    if (!strcmp(a.pos[0], "catalog") && a.n_pos == 1)
        return mr_models_catalog(&a);
    while (i < 6 && strcmp(a.pos[0], subs[i].name))
        i++;
    if (i == 6)
        return mr_args_wrong(
            &a, "'%.40s' is none of list, show, rm, rollback, catalog, pull, load, unload",
            a.pos[0]);
    if (a.n_pos != subs[i].n_pos)
        return mr_args_wrong(&a, "%s takes %d argument%s", subs[i].name, subs[i].n_pos - 1,
                             subs[i].n_pos == 2 ? "" : "s");
    int rc = mr_client_open(&c, &a, &e);
    status = rc ? (mr_args_failed(&a, &e), 2) : run(&c, &a);
    mr_client_release(&c);
    return status;
}
