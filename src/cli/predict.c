/* millrace predict: one call, readable answer. */
#include "base/cleanup.h"
#include "base/codec.h"
#include "base/num.h"
#include "cli/client.h"
#include "cli/read_input.h"
#include "cli/verbs.h"

#define DATA_MAX (64u << 20)

static const struct mr_opt opts[] = {
    {"--user", "ID", "your end user, counted in unique_users"},
    {"--test", NULL, "do not count it, and show what the input was checked against"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_predict_spec = {
    .verb = "predict",
    .usage = "ID|NAME DATA|@FILE|- [options]",
    .about = "Asks a deployed model. DATA is JSON: a row [5.1, 3.5], a list of rows, an object by\n"
             "feature name, or a list of those; or plain numbers with commas. @FILE reads a file,\n"
             "- reads standard input.",
    .opts = opts,
    .net = true,
};

/* "5.1, 3.5" */
static bool plain_numbers(struct mr_str s) {
    double v;
    struct mr_str rest = s;
    bool any = false;
    while (rest.p) {
        struct mr_str one = mr_str_trim(mr_str_cut(&rest, ','));
        if (!mr_f64_parse(one, &v))
            return false;
        any = rest.p || any;
    }
    return any;
}

/* The request's body: {"data": …}. */
static int make_body(struct mr_str data, const char *user, const char *deployment,
                     struct mr_buf *out, struct mr_err *e) {
    yyjson_read_err why;
    while (data.n && (unsigned char)data.p[data.n - 1] <= ' ')
        data.n--;
    bool numbers = plain_numbers(data);
    mr_buf_cstr(out, "{\"data\":");
    if (numbers)
        mr_buf_char(out, '[');
    mr_buf_str(out, data);
    if (numbers)
        mr_buf_char(out, ']');
    if (user) {
        mr_buf_cstr(out, ",\"user_id\":");
        mr_buf_json(out, mr_str(user));
    }
    if (deployment) {
        mr_buf_cstr(out, ",\"deployment_id\":");
        mr_buf_json(out, mr_str(deployment));
    }
    mr_buf_char(out, '}');
    if (!mr_buf_ok(out))
        return mr_fail(e, MR_ETOOBIG, "the data is too large");
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)data.p, data.n, 0, NULL, &why);
    yyjson_doc_free(doc);
    if (!doc && !numbers)
        return mr_fail(e, MR_EINVAL,
                       "DATA is not JSON: %s at byte %zu (text needs quotes: "
                       "'\"text\"')",
                       why.msg, why.pos);
    return 0;
}

static void print_value(yyjson_val *v) {
    size_t n;
    if (yyjson_is_str(v)) {
        printf("%s", yyjson_get_str(v));
        return;
    }
    char *text = yyjson_val_write(v, 0, &n);
    printf("%s", text ? text : "");
    free(text); /* yyjson's own malloc */
}

static void print_row(yyjson_val *prediction, yyjson_val *probabilities) {
    print_value(prediction);
    if (probabilities) {
        printf("  ");
        print_value(probabilities);
    }
    putchar('\n');
}

static void print_answer(const struct mr_reply *r) {
    yyjson_val *root = yyjson_doc_get_root(r->doc), *row;
    yyjson_val *many = yyjson_obj_get(root, "predictions");
    yyjson_val *prob = yyjson_obj_get(root, "probabilities");
    size_t i, max;
    if (many) {
        yyjson_arr_foreach (many, i, max, row) {
            print_row(row, yyjson_arr_get(prob, i));
        }
    } else {
        print_row(yyjson_obj_get(root, "prediction"), prob);
    }
    const char *version = yyjson_get_str(yyjson_obj_get(root, "model_version"));
    fprintf(stderr, "(%s, %.3g ms)\n", version ? version : "",
            yyjson_get_num(yyjson_obj_get(root, "response_time_ms")));
}

static int run(struct mr_client *c, const struct mr_args *a) {
    MR_CLEANUP(mr_buf_release) struct mr_buf data, body, path;
    struct mr_reply r = {0};
    struct mr_err e = {0};
    char id[80];
    const char *text = a->pos[1];
    bool test = mr_args_get(a, "--test") != NULL;
    mr_buf_init(&data, DATA_MAX);
    mr_buf_init(&body, DATA_MAX + 4096);
    mr_buf_init(&path, 1024);
    int rc = mr_cli_read_input(text, &data, &e);
    if (rc)
        return mr_args_failed(a, &e);
    if (!data.n)
        return mr_args_wrong(a, "the data is empty");
    rc = mr_client_deployment(c, a->pos[0], id, sizeof id, &e);
    if (rc)
        return mr_args_failed(a, &e);
    rc = make_body(mr_buf_view(&data), mr_args_get(a, "--user"), test ? id : NULL, &body, &e);
    if (rc)
        return mr_args_wrong(a, "%s", e.msg);
    mr_buf_cstr(&path, test ? "/api/v1/test-model" : "/api/v1/predict/");
    if (!test)
        mr_percent_add(&path, mr_str(id));
    rc = mr_client_call(c, "POST", path.p, mr_buf_view(&body), &r, &e);
    int status = 0;
    if (rc)
        status = mr_reply_failed(a, &r, &e);
    else if (a->json || test)
        mr_reply_print(&r);
    else
        print_answer(&r);
    mr_reply_release(&r);
    return status;
}

int mr_cli_predict(int argc, char **argv) {
    struct mr_args a;
    struct mr_client c;
    struct mr_err e = {0};
    int status;
    if (mr_args_parse(&a, &mr_predict_spec, argc, argv, &status))
        return status;
    if (a.n_pos != 2)
        return mr_args_wrong(&a, "a deployment and its data are needed");
    int rc = mr_client_open(&c, &a, &e);
    status = rc ? (mr_args_failed(&a, &e), 2) : run(&c, &a);
    mr_client_release(&c);
    return status;
}
