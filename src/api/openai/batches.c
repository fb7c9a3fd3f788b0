/* /v1/batches: a file of requests, run as a durable job. */
#include "api/openai/batch.h"
#include "api/openai/gen_openai.h"
#include "base/hash.h"

#define WINDOW_S 86400

static int no_batch(struct mr_err *e) {
    return mr_fail_field(e, MR_ENOTFOUND, "batch_id", "there is no such batch");
}

int mr_openai_batch_job(struct mr_call *c, struct mr_id id, struct mr_job *ret, struct mr_err *e) {
    int rc = mr_job_get(c->core->jobs, c->who.account, id, c->req->arena, ret, e);
    if (rc == MR_ENOTFOUND || (!rc && !mr_str_is(ret->service, MR_OPENAI_SERVICE)))
        return no_batch(e);
    return rc;
}

static const char *status_of(const struct mr_job *j) {
    switch (j->status) {
    case MR_JOB_SCHEDULED:
    case MR_JOB_QUEUED:
        return j->started_us ? "in_progress" : "validating";
    case MR_JOB_RUNNING:
        return "in_progress";
    case MR_JOB_CANCELLED:
        return "cancelled";
    case MR_JOB_FAILED: /* all lines failed: they are in the error file, the batch is through */
        return j->total && j->done == j->total ? "completed" : "failed";
    default:
        return "completed";
    }
}

static void put_time(struct mr_buf *b, const char *key, int64_t us) {
    if (us)
        mr_json_i64(b, key, us / 1000000);
    else
        mr_json_raw(b, key, MR_LIT("null"));
}

static void put_file(struct mr_buf *b, const char *key, const char *prefix, const struct mr_job *j,
                     enum mr_openai_file_kind kind) {
    if (mr_openai_batch_has(j, kind))
        mr_json_id(b, key, prefix, j->id);
    else
        mr_json_raw(b, key, MR_LIT("null"));
}

static void put_errors(struct mr_buf *b, const struct mr_job *j, bool failed) {
    mr_json_key(b, "errors");
    if (!failed) {
        mr_buf_cstr(b, "null");
        return;
    }
    mr_buf_cstr(b, "{\"object\":\"list\",\"data\":[{\"code\":\"batch_failed\",\"line\":null,"
                   "\"param\":null,\"message\":");
    mr_buf_json(b, j->error.p ? j->error : MR_LIT("the batch failed"));
    mr_buf_cstr(b, "}]}");
}

/* Parameters of the job, as we wrote them. */
static void put_params(struct mr_buf *b, const struct mr_job *j) {
    yyjson_doc *doc = yyjson_read(j->parameters.p, j->parameters.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *file = yyjson_obj_get(root, "input_file"),
               *endpoint = yyjson_obj_get(root, "endpoint"),
               *metadata = yyjson_obj_get(root, "metadata");
    struct mr_id id;
    mr_json_cstr(b, "endpoint", yyjson_is_str(endpoint) ? yyjson_get_str(endpoint) : "");
    if (yyjson_is_str(file) &&
        mr_id_parse_prefixed(MR_JOB_FILE_PREFIX,
                             mr_strn(yyjson_get_str(file), yyjson_get_len(file)), &id))
        mr_json_id(b, "input_file_id", MR_OPENAI_FILE, id);
    else
        mr_json_cstr(b, "input_file_id", "");
    mr_json_cstr(b, "completion_window", "24h");
    size_t n;
    char *json = yyjson_is_obj(metadata) ? yyjson_val_write(metadata, 0, &n) : NULL;
    mr_json_raw(b, "metadata", json ? mr_strn(json, n) : MR_LIT("null"));
    free(json);
    yyjson_doc_free(doc);
}

static void put_batch(struct mr_buf *b, const struct mr_job *j) {
    const char *status = status_of(j);
    bool failed = !strcmp(status, "failed"), done = !strcmp(status, "completed"),
         cancelled = !strcmp(status, "cancelled");
    mr_buf_char(b, '{');
    mr_json_id(b, "id", MR_OPENAI_BATCH, j->id);
    mr_json_cstr(b, "object", "batch");
    put_params(b, j);
    put_errors(b, j, failed);
    mr_json_cstr(b, "status", status);
    put_file(b, "output_file_id", MR_OPENAI_OUTPUT, j, MR_FILE_OUTPUT);
    put_file(b, "error_file_id", MR_OPENAI_ERRORS, j, MR_FILE_ERRORS);
    put_time(b, "created_at", j->created_us);
    put_time(b, "in_progress_at", j->started_us);
    put_time(b, "expires_at", j->created_us + WINDOW_S * 1000000ll);
    put_time(b, "finalizing_at", done ? j->ended_us : 0);
    put_time(b, "completed_at", done ? j->ended_us : 0);
    put_time(b, "failed_at", failed ? j->ended_us : 0);
    put_time(b, "expired_at", 0);
    put_time(b, "cancelling_at", cancelled ? j->ended_us : 0);
    put_time(b, "cancelled_at", cancelled ? j->ended_us : 0);
    mr_json_key(b, "request_counts");
    mr_buf_fmt(b, "{\"total\":%lld,\"completed\":%lld,\"failed\":%lld}}", (long long)j->total,
               (long long)(j->done - j->failed), (long long)j->failed);
}

static int reply(struct mr_call *c, const struct mr_job *j, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    put_batch(&b, j);
    return mr_openai_json(c, 200, &b, e);
}

/* --- create --------------------------------------------------------------------------------- */

static int make_params(struct mr_call *c, struct mr_buf *b, struct mr_err *e) {
    struct mr_str file = mr_call_str(c, "input_file_id"),
                  window = mr_call_str(c, "completion_window");
    yyjson_val *metadata = mr_call_value(c, "metadata")->json;
    enum mr_openai_file_kind kind;
    struct mr_id id;
    if (!mr_openai_file_id(file, &kind, &id) || kind != MR_FILE_UPLOAD)
        return mr_fail_field(e, MR_EFIELD, "input_file_id",
                             "'input_file_id' must be the id of an uploaded file");
    if (!mr_str_is(window, "24h"))
        return mr_fail_field(e, MR_EFIELD, "completion_window", "'completion_window' must be 24h");
    mr_buf_char(b, '{');
    mr_json_id(b, "input_file", MR_JOB_FILE_PREFIX, id);
    mr_json_cstr(b, "input_format", "jsonl");
    mr_json_str(b, "endpoint", mr_call_str(c, "endpoint"));
    if (yyjson_is_obj(metadata)) {
        size_t n;
        char *json = yyjson_val_write(metadata, 0, &n);
        mr_json_raw(b, "metadata", json ? mr_strn(json, n) : MR_LIT("null"));
        free(json);
    }
    mr_buf_char(b, '}');
    return mr_buf_ok(b) ? 0 : mr_fail(e, b->fail, "the batch does not fit into memory");
}

int mr_openai_batch_create(struct mr_call *c, struct mr_err *e) {
    struct mr_job job;
    struct mr_buf b;
    bool again;
    mr_buf_init(&b, 1 << 20);
    int rc = make_params(c, &b, e);
    struct mr_job_request q = {.who = c->who,
                               .name = MR_LIT("OpenAI batch"),
                               .type = MR_LIT("batch_processing"),
                               .service = MR_LIT(MR_OPENAI_SERVICE),
                               .parameters = mr_buf_view(&b),
                               .priority = MR_JOB_LOW,
                               .idempotency_key = mr_req_header(c->req, "idempotency-key"),
                               .retries = -1};
    mr_sha256(c->req->body, q.body_hash);
    if (!rc)
        rc = mr_job_create(c->core->jobs, &q, c->req->arena, &job, &again, e);
    mr_buf_release(&b);
    if (rc && !strcmp(e->field, "parameters.input_file"))
        return mr_fail_field(e, rc, "input_file_id", "there is no such file");
    return rc ? rc : reply(c, &job, e);
}

/* --- look, cancel --------------------------------------------------------------------------- */

static int named(struct mr_call *c, struct mr_job *ret, struct mr_err *e) {
    struct mr_id id;
    if (!mr_id_parse_prefixed(MR_OPENAI_BATCH, mr_req_param(c->req, "batch_id"), &id))
        return no_batch(e);
    return mr_openai_batch_job(c, id, ret, e);
}

int mr_openai_batch(struct mr_call *c, struct mr_err *e) {
    struct mr_job job;
    int rc = named(c, &job, e);
    return rc ? rc : reply(c, &job, e);
}

int mr_openai_batch_cancel(struct mr_call *c, struct mr_err *e) {
    struct mr_job job;
    int rc = named(c, &job, e);
    if (!rc)
        rc = mr_job_cancel(c->core->jobs, c->who.account, job.id, c->req->arena, &job, e);
    return rc ? rc : reply(c, &job, e);
}

int mr_openai_batches(struct mr_call *c, struct mr_err *e) {
    struct mr_str after = mr_call_str(c, "after");
    struct mr_job_query q = {.account = c->who.account,
                             .status = -1,
                             .service = MR_LIT(MR_OPENAI_SERVICE),
                             .limit = mr_call_i64(c, "limit", 20) + 1};
    int64_t total, limit = q.limit - 1, shown = 0;
    struct mr_id from = {0};
    struct mr_job *v;
    struct mr_buf b;
    size_t n, i = 0;
    if (after.n && !mr_id_parse_prefixed(MR_OPENAI_BATCH, after, &from))
        return mr_fail_field(e, MR_EFIELD, "after", "'after' must be a batch's id");
    if (after.n)
        q.limit = 1000; /* the page behind an id is looked for among the newest */
    int rc = mr_job_list(c->core->jobs, &q, c->req->arena, &v, &n, &total, e);
    if (rc)
        return rc;
    while (after.n && i < n && memcmp(v[i].id.b, from.b, sizeof from.b) >= 0)
        i++;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"object\":\"list\",\"data\":[");
    size_t first = i;
    for (; i < n && shown < limit; i++, shown++) {
        if (shown)
            mr_buf_char(&b, ',');
        put_batch(&b, &v[i]);
    }
    mr_buf_char(&b, ']');
    if (shown) {
        mr_json_id(&b, "first_id", MR_OPENAI_BATCH, v[first].id);
        mr_json_id(&b, "last_id", MR_OPENAI_BATCH, v[i - 1].id);
    }
    mr_json_bool(&b, "has_more", i < n);
    mr_buf_char(&b, '}');
    return mr_openai_json(c, 200, &b, e);
}
