/* millrace keys: create, list, revoke. */
#include "base/codec.h"
#include "base/num.h"
#include "cli/client.h"
#include "cli/table.h"
#include "cli/verbs.h"

static const struct mr_opt opts[] = {
    {"--scopes", "LIST", "create: of read,write,predict,admin; default read,write,predict"},
    {"--rate", "N", "create: requests a minute"},
    {"--budget", "USD", "create: spend a month"},
    {"--expires-days", "N", "create: valid for so many days"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_keys_spec = {
    .verb = "keys",
    .usage = "create NAME | list | revoke ID [options]",
    .about = "API keys of the account. create prints the key, which is never shown again.",
    .subs = "create list revoke",
    .opts = opts,
    .net = true,
};

#define KEYS "/api/v1/auth/api-keys"

static const char *str_of(yyjson_val *obj, const char *key) {
    return yyjson_get_str(yyjson_obj_get(obj, key));
}

static int create_body(const struct mr_args *a, struct mr_buf *b) {
    const char *scopes = mr_args_get(a, "--scopes"), *budget = mr_args_get(a, "--budget");
    int64_t rate, days;
    double usd;
    if (!mr_args_int(a, "--rate", 1, 1000000, 0, &rate) ||
        !mr_args_int(a, "--expires-days", 1, 3650, 0, &days))
        return 2;
    mr_buf_cstr(b, "{\"name\":");
    mr_buf_json(b, mr_str(a->pos[1]));
    if (scopes) {
        struct mr_str rest = mr_str(scopes);
        mr_buf_cstr(b, ",\"scopes\":");
        for (char sep = '['; rest.p; sep = ',') {
            mr_buf_char(b, sep);
            mr_buf_json(b, mr_str_trim(mr_str_cut(&rest, ',')));
        }
        mr_buf_char(b, ']');
    }
    if (rate)
        mr_buf_fmt(b, ",\"rate_limit_per_minute\":%lld", (long long)rate);
    if (days)
        mr_buf_fmt(b, ",\"expires_in_days\":%lld", (long long)days);
    if (budget) {
        if (!mr_f64_parse(mr_str(budget), &usd) || usd < 0)
            return mr_args_wrong(a, "--budget must be a number of dollars");
        mr_buf_cstr(b, ",\"monthly_budget_usd\":");
        mr_buf_f64(b, usd);
    }
    mr_buf_char(b, '}');
    return mr_buf_ok(b) ? 0 : mr_args_wrong(a, "the values are too long");
}

static int create(struct mr_client *c, const struct mr_args *a) {
    struct mr_reply r = {0};
    struct mr_err e = {0};
    struct mr_buf body;
    mr_buf_init(&body, 8192);
    int status = create_body(a, &body);
    if (!status && mr_client_call(c, "POST", KEYS, mr_buf_view(&body), &r, &e))
        status = mr_reply_failed(a, &r, &e);
    yyjson_val *root = yyjson_doc_get_root(r.doc);
    if (!status && a->json) {
        mr_reply_print(&r);
    } else if (!status) {
        printf("%s\n", str_of(root, "key"));
        fprintf(stderr, "Keep it: it is not shown again. Id %s\n", str_of(root, "id"));
    }
    mr_reply_release(&r);
    mr_buf_release(&body);
    return status;
}

static void print_list(const struct mr_reply *r) {
    static const char *const head[] = {"ID",      "NAME",      "PREFIX", "SCOPES",
                                       "CREATED", "LAST USED", "EXPIRES"};
    static const char *const times[] = {"created_at", "last_used_at", "expires_at"};
    yyjson_val *k, *scope;
    struct mr_table t;
    size_t i, max, j, n;
    mr_table_init(&t, 7);
    for (i = 0; i < 7; i++)
        mr_table_cell(&t, head[i]);
    yyjson_arr_foreach (yyjson_obj_get(yyjson_doc_get_root(r->doc), "items"), i, max, k) {
        struct mr_buf list;
        mr_buf_init(&list, 256);
        yyjson_arr_foreach (yyjson_obj_get(k, "scopes"), j, n, scope) {
            mr_buf_fmt(&list, "%s%s", j ? "," : "", yyjson_get_str(scope));
        }
        mr_table_cell(&t, str_of(k, "id"));
        mr_table_cell(&t, str_of(k, "name"));
        mr_table_cell(&t, str_of(k, "prefix"));
        mr_table_cell(&t, list.p);
        for (j = 0; j < 3; j++)
            mr_table_cell(&t, str_of(k, times[j]));
        mr_buf_release(&list);
    }
    mr_table_print(&t);
    mr_table_release(&t);
}

static int run(struct mr_client *c, const struct mr_args *a) {
    struct mr_reply r = {0};
    struct mr_err e = {0};
    struct mr_buf path;
    int status = 0;
    if (!strcmp(a->pos[0], "create"))
        return create(c, a);
    bool list = !strcmp(a->pos[0], "list");
    mr_buf_init(&path, 1024);
    mr_buf_cstr(&path, KEYS);
    if (!list) {
        mr_buf_char(&path, '/');
        mr_percent_add(&path, mr_str(a->pos[1]));
    }
    if (!mr_buf_ok(&path))
        status = mr_args_wrong(a, "the id is too long");
    else if (mr_client_call(c, list ? "GET" : "DELETE", path.p, mr_strn(NULL, 0), &r, &e))
        status = mr_reply_failed(a, &r, &e);
    else if (a->json)
        mr_reply_print(&r);
    else if (list)
        print_list(&r);
    else
        printf("%s: %s\n", a->pos[1], str_of(yyjson_doc_get_root(r.doc), "message"));
    mr_reply_release(&r);
    mr_buf_release(&path);
    return status;
}

int mr_cli_keys(int argc, char **argv) {
    struct mr_args a;
    struct mr_client c;
    struct mr_err e = {0};
    int status;
    if (mr_args_parse(&a, &mr_keys_spec, argc, argv, &status))
        return status;
    if (!a.n_pos)
        return mr_args_wrong(&a, "create, list or revoke?");
    int want = !strcmp(a.pos[0], "list") ? 1 : 2;
    if (want == 2 && strcmp(a.pos[0], "create") && strcmp(a.pos[0], "revoke"))
        return mr_args_wrong(&a, "'%.40s' is none of create, list, revoke", a.pos[0]);
    if (a.n_pos != want)
        return mr_args_wrong(&a, want == 1 ? "list takes no argument"
                                           : "create takes a name, revoke the id of a key");
    int rc = mr_client_open(&c, &a, &e);
    status = rc ? (mr_args_failed(&a, &e), 2) : run(&c, &a);
    mr_client_release(&c);
    return status;
}
