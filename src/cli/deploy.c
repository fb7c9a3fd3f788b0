/* millrace deploy: upload, wait, say how to call it. */
#include "base/clock.h"
#include "cli/client.h"
#include "cli/verbs.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct mr_opt opts[] = {
    {"--name", "NAME", "name; deploying under the same name makes its next version"},
    {"--requirements", "FILE", "requirements.txt, to compare versions with"},
    {"--memory", "MB", "memory that the model may take; default 1024"},
    {"--timeout", "SECONDS", "time that a prediction may take; default 30"},
    {"--changes", "TEXT", "what changed in this version"},
    {"--wait", NULL, "wait until it serves or failed (the default)"},
    {"--no-wait", NULL, "end when the upload is accepted"},
    {"--wait-timeout", "SECONDS", "give up waiting after this; default 300"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_deploy_spec = {
    .verb = "deploy",
    .usage = "FILE [options]",
    .about = "Uploads a model file, waits until it serves, and prints how to call it.",
    .opts = opts,
    .net = true,
    .files = true,
};

struct bar {
    int64_t start_ns, last_ns;
    bool drawn;
};

static void draw(void *arg, int64_t sent, int64_t total) {
    struct bar *b = arg;
    int64_t now = mr_mono_ns();
    if (total <= 0 || (sent < total && now - b->last_ns < 100000000))
        return;
    if (sent >= total && b->last_ns == INT64_MAX)
        return; /* the full bar is drawn once */
    b->last_ns = sent >= total ? INT64_MAX : now;
    char line[31];
    int filled = (int)(sent * 30 / total);
    for (int i = 0; i < 30; i++)
        line[i] = i < filled ? '#' : '.';
    line[30] = 0;
    double s = (double)(now - b->start_ns) / 1e9, mb = (double)sent / 1e6;
    fprintf(stderr, "\rUploading [%s] %3d%%  %.1f MB  %.1f MB/s ", line, (int)(sent * 100 / total),
            mb, s > 0 ? mb / s : 0);
    b->drawn = true;
}

static const char *str_of(yyjson_val *obj, const char *key) {
    const char *s = yyjson_get_str(yyjson_obj_get(obj, key));
    return s ? s : "";
}

/* What became of version `want`: 1 serves, 0 not yet, negative with the reason. */
static int version_state(struct mr_client *c, const char *id, const char *want, struct mr_err *e) {
    struct mr_reply r;
    yyjson_val *v;
    size_t i, max;
    int rc = mr_client_get_id(c, "/api/v1/deployments/", id, "/versions", &r, e);
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(r.doc), "versions");
    if (!rc) {
        yyjson_arr_foreach (list, i, max, v) {
            const char *status = str_of(v, "status");
            if (strcmp(str_of(v, "version"), want))
                continue;
            if (!strcmp(status, "failed"))
                rc = mr_fail(e, MR_EREFUSED, "DEPLOYMENT_FAILED: %.400s", str_of(v, "error"));
            else
                rc = strcmp(status, "building") ? 1 : 0;
        }
    }
    mr_reply_release(&r);
    return rc;
}

/* Waits; *ret_last is the last answer about the deployment. */
static int wait_active(struct mr_client *c, const char *id, const char *want, int64_t seconds,
                       struct mr_reply *ret_last, struct mr_err *e) {
    int64_t end = mr_mono_ns() + seconds * 1000000000;
    for (int64_t pause_us = 20000;; pause_us = pause_us < 1000000 ? pause_us * 3 / 2 : 1000000) {
        mr_reply_release(ret_last);
        int rc = mr_client_get_id(c, "/api/v1/deployments/", id, "", ret_last, e);
        if (rc)
            return rc;
        yyjson_val *d = yyjson_doc_get_root(ret_last->doc);
        const char *status = str_of(d, "status");
        if (!strcmp(status, "failed"))
            return mr_fail(e, MR_EREFUSED, "DEPLOYMENT_FAILED: %.400s", str_of(d, "error"));
        if (!strcmp(status, "deleted"))
            return mr_fail(e, MR_ENOTFOUND, "%s was deleted meanwhile", id);
        if (strcmp(status, "building")) {
            if (!*want || !strcmp(str_of(d, "version"), want))
                return 0;
            /* The version before this one still serves, or a newer one already does. */
            rc = version_state(c, id, want, e);
            if (rc)
                return rc < 0 ? rc : 0;
        }
        if (mr_mono_ns() + pause_us * 1000 > end)
            return mr_fail(e, MR_ETIMEOUT,
                           "%s is still %s after %lld s; look again with: "
                           "millrace models show %s",
                           id, status, (long long)seconds, id);
        usleep((useconds_t)pause_us);
    }
}

/* Zeros in the model's width, where it is known. */
static void sample_row(struct mr_buf *b, yyjson_val *meta) {
    yyjson_val *shape = yyjson_obj_get(meta, "input_shape");
    int64_t n = yyjson_arr_size(shape) == 1 ? yyjson_get_sint(yyjson_arr_get_first(shape)) : 0;
    if (n < 1 || n > 64) {
        mr_buf_cstr(b, "...");
        return;
    }
    for (int64_t i = 0; i < n; i++)
        mr_buf_cstr(b, i ? ", 0" : "0");
}

static void say(const struct mr_client *c, yyjson_val *d) {
    yyjson_val *meta = yyjson_obj_get(d, "model_metadata");
    struct mr_buf row;
    mr_buf_init(&row, 4096);
    sample_row(&row, meta);
    printf("%s  %s  %s  %s  (%s %s)\n", str_of(d, "id"), str_of(d, "name"), str_of(d, "status"),
           str_of(d, "version"), str_of(meta, "framework"), str_of(meta, "model_type"));
    yyjson_val *w;
    size_t i, max;
    yyjson_arr_foreach (yyjson_obj_get(meta, "warnings"), i, max, w) {
        if (yyjson_is_str(w))
            fprintf(stderr, "warning: %s\n", yyjson_get_str(w));
    }
    printf("URL: %s\n", str_of(d, "endpoint_url"));
    printf("Try: curl -X POST %s -H \"Authorization: Bearer %s\" -H 'Content-Type: "
           "application/json' -d '{\"data\": [%.*s]}'\n",
           str_of(d, "endpoint_url"), c->key_show, (int)row.n, row.p ? row.p : "");
    mr_buf_release(&row);
}

static int file_ok(const struct mr_args *a, const char *path) {
    struct stat st;
    if (stat(path, &st) || access(path, R_OK)) {
        fprintf(stderr, "millrace deploy: %s: %s\n", path, strerror(errno));
        return 1;
    }
    if (!S_ISREG(st.st_mode))
        return mr_args_wrong(a, "%s is not a file", path);
    return 0;
}

static int run(struct mr_client *c, const struct mr_args *a, int64_t wait_s) {
    static const char *const fields[][2] = {{"--name", "name"},
                                            {"--memory", "memory"},
                                            {"--timeout", "timeout"},
                                            {"--changes", "changes"}};
    struct mr_upload parts[8];
    struct mr_reply made, now = {0};
    struct mr_err e = {0};
    struct bar bar = {.start_ns = mr_mono_ns()};
    size_t n = 0;
    for (size_t i = 0; i < 4; i++)
        if (mr_args_get(a, fields[i][0]))
            parts[n++] = (struct mr_upload){fields[i][1], NULL, mr_args_get(a, fields[i][0])};
    if (mr_args_get(a, "--requirements"))
        parts[n++] =
            (struct mr_upload){"requirements_file", mr_args_get(a, "--requirements"), NULL};
    parts[n++] = (struct mr_upload){"model_file", a->pos[0], NULL};
    bool show = isatty(STDERR_FILENO) && !a->json;
    int rc = mr_client_upload(c, "/api/v1/deploy", parts, n, show ? draw : NULL, &bar, &made, &e);
    if (bar.drawn)
        fputc('\n', stderr);
    if (rc) {
        int status = mr_reply_failed(a, &made, &e);
        mr_reply_release(&made);
        return status;
    }
    yyjson_val *d = yyjson_doc_get_root(made.doc);
    const struct mr_reply *last = &made;
    if (!mr_args_get(a, "--no-wait")) {
        rc = wait_active(c, str_of(d, "id"), str_of(d, "version"), wait_s, &now, &e);
        last = &now;
    }
    int status = 0;
    if (rc)
        status = mr_reply_failed(a, last, &e);
    else if (a->json)
        mr_reply_print(last);
    else
        say(c, yyjson_doc_get_root(last->doc));
    mr_reply_release(&now);
    mr_reply_release(&made);
    return status;
}

int mr_cli_deploy(int argc, char **argv) {
    struct mr_args a;
    struct mr_client c;
    struct mr_err e = {0};
    int64_t wait_s, ignored;
    int status;
    if (mr_args_parse(&a, &mr_deploy_spec, argc, argv, &status))
        return status;
    if (a.n_pos != 1)
        return mr_args_wrong(&a, a.n_pos ? "one file at a time" : "which file?");
    if (!mr_args_int(&a, "--wait-timeout", 1, 86400, 300, &wait_s) ||
        !mr_args_int(&a, "--memory", 1, 1 << 20, 0, &ignored) ||
        !mr_args_int(&a, "--timeout", 1, 3600, 0, &ignored))
        return 2;
    const char *req = mr_args_get(&a, "--requirements");
    status = file_ok(&a, a.pos[0]);
    if (!status && req)
        status = file_ok(&a, req);
    if (status)
        return status;
    int rc = mr_client_open(&c, &a, &e);
    status = rc ? (mr_args_failed(&a, &e), 2) : run(&c, &a, wait_s);
    mr_client_release(&c);
    return status;
}
