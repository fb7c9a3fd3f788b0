/* A batch's output and error files, made of its job's results: one JSON object a line. */
#include "api/openai/batch.h"

#define PAGE 200

bool mr_openai_batch_has(const struct mr_job *job, enum mr_openai_file_kind kind) {
    bool over = job->status == MR_JOB_COMPLETED || job->status == MR_JOB_FAILED ||
                job->status == MR_JOB_CANCELLED;
    return over && (kind == MR_FILE_OUTPUT ? job->done > job->failed : job->failed > 0);
}

static struct mr_str member(yyjson_val *o, const char *key) {
    yyjson_val *v = yyjson_obj_get(o, key);
    return mr_strn(yyjson_get_str(v), yyjson_get_len(v));
}

/* What the runner made of a line: {"custom_id","body"}. */
static void good_line(struct mr_buf *b, struct mr_id job, const struct mr_job_result *r) {
    yyjson_doc *doc = yyjson_read(r->output.p, r->output.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    char hex[MR_ID_HEX];
    size_t n;
    char *body = yyjson_val_write(yyjson_obj_get(root, "body"), 0, &n);
    struct mr_str custom = member(root, "custom_id");
    mr_id_hex(job, hex);
    mr_buf_fmt(b, "{\"id\":\"batch_req_%s_%lld\",\"custom_id\":", hex, (long long)r->index);
    mr_buf_json(b, custom.p ? custom : MR_LIT(""));
    mr_buf_fmt(b, ",\"response\":{\"status_code\":200,\"request_id\":\"%s-%lld\",\"body\":", hex,
               (long long)r->index);
    if (body)
        mr_buf_add(b, body, n);
    else
        mr_buf_cstr(b, "null");
    mr_buf_cstr(b, "},\"error\":null}\n");
    free(body);
    yyjson_doc_free(doc);
}

static void bad_line(struct mr_buf *b, struct mr_id job, const struct mr_job_result *r) {
    yyjson_doc *doc = yyjson_read(r->input.p, r->input.n, 0);
    struct mr_str custom = member(yyjson_doc_get_root(doc), "custom_id");
    struct mr_err e = {.code = r->error_code};
    char hex[MR_ID_HEX], text[sizeof e.msg];
    int status = mr_openai_status(&e);
    mr_id_hex(job, hex);
    snprintf(text, sizeof text, "%.*s", (int)(r->error.n < 500 ? r->error.n : 500), r->error.p);
    mr_buf_fmt(b, "{\"id\":\"batch_req_%s_%lld\",\"custom_id\":", hex, (long long)r->index);
    mr_buf_json(b, custom.p ? custom : MR_LIT(""));
    mr_buf_fmt(b, ",\"response\":{\"status_code\":%d,\"request_id\":\"%s-%lld\",\"body\":", status,
               hex, (long long)r->index);
    mr_openai_put_error(b, &e, text, status, false);
    mr_buf_cstr(b, "},\"error\":null}\n");
    yyjson_doc_free(doc);
}

static int one_page(struct mr_core *core, struct mr_id account, struct mr_id job,
                    enum mr_openai_file_kind kind, int64_t at, size_t *ret_n, struct mr_buf *b,
                    struct mr_err *e) {
    struct mr_arena arena;
    struct mr_job_result *v;
    int64_t total;
    mr_arena_init(&arena, (size_t)256 << 20);
    int rc = mr_job_results(core->jobs, account, job, PAGE, at, &arena, &v, ret_n, &total, e);
    mr_buf_clear(b);
    for (size_t i = 0; !rc && i < *ret_n; i++) {
        if (v[i].output.p && kind == MR_FILE_OUTPUT)
            good_line(b, job, &v[i]);
        else if (!v[i].output.p && kind == MR_FILE_ERRORS)
            bad_line(b, job, &v[i]);
    }
    mr_arena_release(&arena);
    if (!rc && !mr_buf_ok(b))
        rc = mr_fail(e, b->fail, "the lines do not fit into memory");
    return rc;
}

int mr_openai_batch_lines(struct mr_core *core, struct mr_id account, struct mr_id job,
                          enum mr_openai_file_kind kind,
                          int (*take)(void *arg, struct mr_str lines, struct mr_err *e), void *arg,
                          struct mr_err *e) {
    struct mr_buf b;
    size_t n = 1;
    int rc = 0;
    mr_buf_init(&b, (size_t)512 << 20);
    for (int64_t at = 0; !rc && n; at += (int64_t)n) {
        rc = one_page(core, account, job, kind, at, &n, &b, e);
        if (!rc && b.n)
            rc = take(arg, mr_buf_view(&b), e);
    }
    mr_buf_release(&b);
    return rc;
}
