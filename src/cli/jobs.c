/* millrace jobs: submit, watch, results, list, show, cancel. */
#include "base/cleanup.h"
#include "base/codec.h"
#include "cli/client.h"
#include "cli/read_input.h"
#include "cli/table.h"
#include "cli/verbs.h"

#include <unistd.h>

#define PARAMETERS_MAX (16u << 20)
#define PAGE           100
#define BAR            30

static const struct mr_opt opts[] = {
    {"--parameters", "JSON", "submit: what the service takes, as JSON, @FILE or -"},
    {"--input", "FILE", "submit: upload this JSONL, CSV or zip of images as the input"},
    {"--name", "NAME", "submit: shown in listings"},
    {"--priority", "LEVEL", "submit: low, normal, high or critical"},
    {"--at", "TIME", "submit: begin then (RFC 3339)"},
    {"--cron", "FIELDS", "submit: begin again and again, like '0 3 * * *'"},
    {"--watch", NULL, "submit: show its progress until it ends"},
    {"--status", "STATUS", "list: scheduled, queued, running, completed, failed or cancelled"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_jobs_spec = {
    .verb = "jobs",
    .usage = "submit SERVICE | list | show ID | watch ID | results ID | cancel ID [options]",
    .about = "Work over many items in the background. SERVICE is llm, vision, nlp or predictions;\n"
             "results prints one JSON object a line.",
    .subs = "submit list show watch results cancel",
    .opts = opts,
    .net = true,
};

static const char *str_of(yyjson_val *obj, const char *key) {
    const char *s = yyjson_get_str(yyjson_obj_get(obj, key));
    return s ? s : "";
}

/* --- watching ----------------------------------------------------------------------------- */

static void draw(yyjson_val *job) {
    yyjson_val *p = yyjson_obj_get(job, "progress");
    double percent = yyjson_get_num(yyjson_obj_get(p, "percentage"));
    int full = (int)(percent / 100 * BAR);
    fprintf(stderr, "\r%-10s [%.*s%*s] %lld of %lld (%.1f %%)  ", str_of(job, "status"), full,
            "##############################", BAR - full, "",
            (long long)yyjson_get_sint(yyjson_obj_get(p, "completed")),
            (long long)yyjson_get_sint(yyjson_obj_get(p, "total")), percent);
}

static bool has_ended(yyjson_val *job) {
    const char *s = str_of(job, "status");
    return !strcmp(s, "completed") || !strcmp(s, "failed") || !strcmp(s, "cancelled");
}

static int watch(struct mr_client *c, const struct mr_args *a, const char *id) {
    bool show = isatty(STDERR_FILENO) && !a->json;
    for (useconds_t pause = 100000;; pause = pause < 1000000 ? pause * 3 / 2 : pause) {
        struct mr_reply r;
        struct mr_err e = {0};
        if (mr_client_get_id(c, "/api/v2/jobs/", id, "", &r, &e)) {
            int status = mr_reply_failed(a, &r, &e);
            mr_reply_release(&r);
            return status;
        }
        yyjson_val *job = yyjson_doc_get_root(r.doc);
        if (show)
            draw(job);
        if (has_ended(job)) {
            bool good = !strcmp(str_of(job, "status"), "completed");
            if (show)
                fputc('\n', stderr);
            if (a->json)
                mr_reply_print(&r);
            else
                printf("%s: %s%s%s\n", id, str_of(job, "status"), *str_of(job, "error") ? ": " : "",
                       str_of(job, "error"));
            mr_reply_release(&r);
            return good ? 0 : 1;
        }
        mr_reply_release(&r);
        usleep(pause);
    }
}

/* --- submit ------------------------------------------------------------------------------- */

static int upload_input(struct mr_client *c, const struct mr_args *a, const char *path, char *id,
                        size_t cap) {
    struct mr_upload part = {"file", path, NULL};
    struct mr_reply r = {0};
    struct mr_err e = {0};
    int status = 0;
    if (mr_client_upload(c, "/api/v2/jobs/inputs", &part, 1, NULL, NULL, &r, &e))
        status = mr_reply_failed(a, &r, &e);
    else
        snprintf(id, cap, "%s", str_of(yyjson_doc_get_root(r.doc), "input_file"));
    mr_reply_release(&r);
    return status;
}

/* The parameters as given, with the uploaded input's id added. */
static int add_parameters(const struct mr_args *a, const char *input, struct mr_buf *body) {
    MR_CLEANUP(mr_buf_release) struct mr_buf text;
    struct mr_err e = {0};
    const char *given = mr_args_get(a, "--parameters");
    mr_buf_init(&text, PARAMETERS_MAX);
    if (given && mr_cli_read_input(given, &text, &e))
        return mr_args_failed(a, &e);
    if (!given)
        mr_buf_cstr(&text, "{}");
    yyjson_doc *doc = yyjson_read(text.p, text.n, 0);
    yyjson_mut_doc *m = yyjson_doc_mut_copy(doc, NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(m);
    char *json = NULL;
    if (yyjson_mut_is_obj(root)) {
        if (*input)
            yyjson_mut_obj_add_str(m, root, "input_file", input);
        json = yyjson_mut_write(m, 0, NULL);
    }
    if (json) {
        mr_buf_cstr(body, ",\"parameters\":");
        mr_buf_cstr(body, json);
    }
    bool good = json != NULL;
    free(json); /* yyjson's own malloc */
    yyjson_mut_doc_free(m);
    yyjson_doc_free(doc);
    return good ? 0 : mr_args_wrong(a, "--parameters must be a JSON object");
}

static int submit(struct mr_client *c, const struct mr_args *a) {
    static const char *const fields[][2] = {{"--name", "name"},
                                            {"--priority", "priority"},
                                            {"--at", "scheduled_at"},
                                            {"--cron", "cron"}};
    MR_CLEANUP(mr_buf_release) struct mr_buf body;
    struct mr_reply r = {0};
    struct mr_err e = {0};
    char input[80] = "", id[80];
    int status = 0;
    mr_buf_init(&body, PARAMETERS_MAX + 65536);
    if (mr_args_get(a, "--input"))
        status = upload_input(c, a, mr_args_get(a, "--input"), input, sizeof input);
    mr_buf_cstr(&body, "{\"type\":\"batch_processing\",\"service\":");
    mr_buf_json(&body, mr_str(a->pos[1]));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *v = mr_args_get(a, fields[i][0]);
        if (!v)
            continue;
        mr_buf_fmt(&body, ",\"%s\":", fields[i][1]);
        mr_buf_json(&body, mr_str(v));
    }
    if (!status)
        status = add_parameters(a, input, &body);
    mr_buf_char(&body, '}');
    if (status)
        return status;
    if (!mr_buf_ok(&body))
        return mr_args_wrong(a, "the parameters are too large: use --input");
    if (mr_client_call(c, "POST", "/api/v2/jobs", mr_buf_view(&body), &r, &e))
        status = mr_reply_failed(a, &r, &e);
    snprintf(id, sizeof id, "%s", str_of(yyjson_doc_get_root(r.doc), "job_id"));
    bool follow = !status && mr_args_get(a, "--watch");
    if (!status && a->json && !follow)
        mr_reply_print(&r);
    else if (!status && !a->json)
        printf("%s  %s\n", id, str_of(yyjson_doc_get_root(r.doc), "status"));
    mr_reply_release(&r);
    return follow ? watch(c, a, id) : status;
}

/* --- the others --------------------------------------------------------------------------- */

static int list(struct mr_client *c, const struct mr_args *a) {
    static const char *const head[] = {"ID", "NAME", "STATUS", "PROGRESS", "CREATED"};
    const char *want = mr_args_get(a, "--status");
    char path[128];
    struct mr_reply r;
    struct mr_err e = {0};
    int status = 0;
    if (want && strspn(want, "abcdefghijklmnopqrstuvwxyz") != strlen(want))
        return mr_args_wrong(a, "--status is one word");
    snprintf(path, sizeof path, "/api/v2/jobs?limit=%d%s%.40s", PAGE, want ? "&status=" : "",
             want ? want : "");
    if (mr_client_call(c, "GET", path, mr_strn(NULL, 0), &r, &e))
        status = mr_reply_failed(a, &r, &e);
    else if (a->json)
        mr_reply_print(&r);
    else {
        struct mr_table t;
        yyjson_val *j;
        size_t i, max;
        mr_table_init(&t, 5);
        for (i = 0; i < 5; i++)
            mr_table_cell(&t, head[i]);
        yyjson_arr_foreach (yyjson_obj_get(yyjson_doc_get_root(r.doc), "jobs"), i, max, j) {
            mr_table_cell(&t, str_of(j, "job_id"));
            mr_table_cell(&t, str_of(j, "name"));
            mr_table_cell(&t, str_of(j, "status"));
            mr_table_fmt(&t, "%.1f %%", yyjson_get_num(yyjson_obj_get(j, "progress")));
            mr_table_cell(&t, str_of(j, "created_at"));
        }
        mr_table_print(&t);
        mr_table_release(&t);
    }
    mr_reply_release(&r);
    return status;
}

static void print_lines(yyjson_val *results) {
    yyjson_val *one;
    size_t i, max;
    yyjson_arr_foreach (results, i, max, one) {
        char *text = yyjson_val_write(one, 0, NULL);
        puts(text ? text : "");
        free(text); /* yyjson's own malloc */
    }
}

static int results(struct mr_client *c, const struct mr_args *a, const char *id) {
    for (int64_t offset = 0;; offset += PAGE) {
        struct mr_reply r;
        struct mr_err e = {0};
        char tail[80];
        snprintf(tail, sizeof tail, "/results?format=json&limit=%d&offset=%lld", PAGE,
                 (long long)offset);
        int status = 0;
        if (mr_client_get_id(c, "/api/v2/jobs/", id, tail, &r, &e))
            status = mr_reply_failed(a, &r, &e);
        yyjson_val *root = yyjson_doc_get_root(r.doc);
        if (!status)
            print_lines(yyjson_obj_get(root, "results"));
        bool more = yyjson_get_bool(yyjson_obj_get(yyjson_obj_get(root, "pagination"), "has_more"));
        mr_reply_release(&r);
        if (status || !more)
            return status;
    }
}

static int show_or_cancel(struct mr_client *c, const struct mr_args *a, const char *method) {
    MR_CLEANUP(mr_buf_release) struct mr_buf path;
    struct mr_reply r = {0};
    struct mr_err e = {0};
    int status = 0;
    mr_buf_init(&path, 4096);
    mr_buf_cstr(&path, "/api/v2/jobs/");
    mr_percent_add(&path, mr_str(a->pos[1]));
    if (!mr_buf_ok(&path))
        return mr_args_wrong(a, "the id is too long");
    if (mr_client_call(c, method, path.p, mr_strn(NULL, 0), &r, &e))
        status = mr_reply_failed(a, &r, &e);
    else
        mr_reply_print(&r);
    mr_reply_release(&r);
    return status;
}

static int run(struct mr_client *c, const struct mr_args *a) {
    const char *sub = a->pos[0];
    if (!strcmp(sub, "submit"))
        return submit(c, a);
    if (!strcmp(sub, "list"))
        return list(c, a);
    if (!strcmp(sub, "watch"))
        return watch(c, a, a->pos[1]);
    if (!strcmp(sub, "results"))
        return results(c, a, a->pos[1]);
    return show_or_cancel(c, a, !strcmp(sub, "cancel") ? "DELETE" : "GET");
}

int mr_cli_jobs(int argc, char **argv) {
    static const char *const subs[] = {"submit", "show", "watch", "results", "cancel", "list"};
    struct mr_args a;
    struct mr_client c;
    struct mr_err e = {0};
    int status;
    size_t i = 0, n = sizeof subs / sizeof *subs;
    if (mr_args_parse(&a, &mr_jobs_spec, argc, argv, &status))
        return status;
    while (a.n_pos && i < n && strcmp(a.pos[0], subs[i]))
        i++;
    if (!a.n_pos || i == n)
        return mr_args_wrong(&a, "submit, list, show, watch, results or cancel?");
    if (a.n_pos != (i == n - 1 ? 1 : 2))
        return mr_args_wrong(&a, "%s takes %s", subs[i],
                             i == n - 1 ? "no arguments"
                             : i        ? "a job's id"
                                        : "a service");
    int rc = mr_client_open(&c, &a, &e);
    status = rc ? (mr_args_failed(&a, &e), 2) : run(&c, &a);
    mr_client_release(&c);
    return status;
}
