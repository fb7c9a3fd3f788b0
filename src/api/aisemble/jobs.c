/* Jobs: create, get, list, cancel, results. */
#include "core/jobs/jobs.h"
#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"
#include "base/clock.h"
#include "base/hash.h"

#include <stdlib.h>

#define LOGS_SHOWN 100

static int job_id(struct mr_call *c, struct mr_id *ret, struct mr_err *e) {
    if (mr_id_parse_prefixed(MR_JOB_PREFIX, mr_req_param(c->req, "job_id"), ret))
        return 0;
    return mr_fail(e, MR_ENOTFOUND, "no such job");
}

static void page(struct mr_buf *b, int64_t limit, int64_t offset, int64_t total, size_t n) {
    mr_json_key(b, "pagination");
    mr_buf_char(b, '{');
    mr_json_i64(b, "limit", limit);
    mr_json_i64(b, "offset", offset);
    mr_json_i64(b, "total", total);
    mr_json_bool(b, "has_more", offset + (int64_t)n < total);
    mr_buf_char(b, '}');
}

static double percent(const struct mr_job *j) {
    if (j->total <= 0)
        return j->status == MR_JOB_COMPLETED ? 100 : 0;
    return (double)(int64_t)(1000.0 * (double)j->done / (double)j->total + 0.5) / 10;
}

static void head(struct mr_buf *b, const struct mr_job *j) {
    mr_json_id(b, "job_id", MR_JOB_PREFIX, j->id);
    mr_json_str(b, "name", j->name);
    mr_json_cstr(b, "status", mr_job_status_name(j->status));
}

/* --- create ------------------------------------------------------------------------------- */

static int when(struct mr_call *c, struct mr_job_request *q, struct mr_err *e) {
    struct mr_str at = mr_call_str(c, "scheduled_at");
    if (at.p && !mr_time_parse(at, &q->scheduled_us))
        return mr_fail_field(e, MR_EFIELD, "scheduled_at",
                             "scheduled_at must be a time in UTC, like 2024-01-01T12:00:00Z");
    return 0;
}

int mr_aisemble_jobs_create(struct mr_call *c, struct mr_err *e) {
    struct mr_job_request q = {.who = c->who,
                               .name = mr_call_str(c, "name"),
                               .type = mr_call_str(c, "type"),
                               .service = mr_call_str(c, "service"),
                               .cron = mr_call_str(c, "cron"),
                               .idempotency_key = mr_call_str(c, "Idempotency-Key"),
                               .retries = (int)mr_call_i64(c, "retries", 2)};
    struct mr_str end = MR_LIT("_service");
    struct mr_job j;
    struct mr_buf b;
    bool again = false;
    size_t n = 0;
    int rc = when(c, &q, e);
    if (rc)
        return rc;
    if (mr_str_ends(q.service, end))
        q.service.n -= end.n;
    mr_job_priority_parse(mr_call_str(c, "priority"), &q.priority);
    mr_sha256(c->req->body, q.body_hash);
    yyjson_val *given = mr_call_value(c, "parameters")->json;
    char *text = given ? yyjson_val_write(given, 0, &n) : NULL;
    q.parameters = text ? mr_strn(text, n) : MR_LIT("{}");
    rc = mr_job_create(c->core->jobs, &q, c->req->arena, &j, &again, e);
    free(text);
    if (rc)
        return rc;
    if (again)
        mr_req_set_header(c->req, "Idempotent-Replayed", MR_LIT("true"));
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    head(&b, &j);
    mr_json_time(&b, "created_at", j.created_us);
    mr_json_time(&b, "estimated_completion", j.estimated_us);
    mr_json_cstr(&b, "priority", mr_job_priority_name(j.priority));
    if (j.scheduled_us)
        mr_json_time(&b, "scheduled_at", j.scheduled_us);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

/* --- get ---------------------------------------------------------------------------------- */

static void progress(struct mr_buf *b, const struct mr_job *j) {
    mr_json_key(b, "progress");
    mr_buf_char(b, '{');
    mr_json_i64(b, "completed", j->done);
    mr_json_i64(b, "failed", j->failed);
    mr_json_i64(b, "total", j->total);
    mr_json_f64(b, "percentage", percent(j));
    mr_buf_char(b, '}');
}

static void times(struct mr_buf *b, const struct mr_job *j) {
    mr_json_time(b, "created_at", j->created_us);
    if (j->scheduled_us)
        mr_json_time(b, "scheduled_at", j->scheduled_us);
    if (j->started_us)
        mr_json_time(b, "started_at", j->started_us);
    if (j->ended_us)
        mr_json_time(b, "completed_at", j->ended_us);
    mr_json_time(b, "estimated_completion", j->estimated_us);
}

int mr_aisemble_jobs_get(struct mr_call *c, struct mr_err *e) {
    struct mr_job_log *log = NULL;
    struct mr_job j;
    struct mr_id id;
    struct mr_buf b;
    char hex[MR_ID_HEX];
    size_t n = 0;
    int rc = job_id(c, &id, e);
    if (!rc)
        rc = mr_job_get(c->core->jobs, c->who.account, id, c->req->arena, &j, e);
    if (!rc)
        rc = mr_job_logs(c->core->jobs, c->who.account, id, LOGS_SHOWN, c->req->arena, &log, &n, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    head(&b, &j);
    mr_json_str(&b, "type", j.type);
    mr_json_str(&b, "service", j.service);
    mr_json_cstr(&b, "priority", mr_job_priority_name(j.priority));
    progress(&b, &j);
    times(&b, &j);
    mr_json_bool(&b, "results_available", j.done > 0);
    mr_id_hex(id, hex);
    mr_json_key(&b, "results_url");
    mr_buf_fmt(&b, "\"/jobs/" MR_JOB_PREFIX "%s/results\"", hex);
    if (j.error.n)
        mr_json_str(&b, "error", j.error);
    if (j.cron.n)
        mr_json_str(&b, "cron", j.cron);
    mr_json_i64(&b, "attempt", j.attempt);
    mr_json_str(&b, "output_format", j.format);
    mr_buf_cstr(&b, ",\"logs\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        mr_json_time(&b, "timestamp", log[i].at_us);
        mr_json_cstr(&b, "level", log[i].level);
        mr_json_str(&b, "message", log[i].message);
        mr_buf_char(&b, '}');
    }
    mr_buf_cstr(&b, "]}");
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_jobs_list(struct mr_call *c, struct mr_err *e) {
    struct mr_job_query q = {.account = c->who.account,
                             .status = -1,
                             .service = mr_call_str(c, "service"),
                             .limit = mr_call_i64(c, "limit", 10),
                             .offset = mr_call_i64(c, "offset", 0)};
    struct mr_str status = mr_call_str(c, "status"), end = MR_LIT("_service");
    enum mr_job_status s;
    struct mr_job *v = NULL;
    struct mr_buf b;
    size_t n = 0;
    int64_t total = 0;
    if (status.n && mr_job_status_parse(status, &s))
        q.status = (int)s;
    if (mr_str_ends(q.service, end))
        q.service.n -= end.n;
    int rc = mr_job_list(c->core->jobs, &q, c->req->arena, &v, &n, &total, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"jobs\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        head(&b, &v[i]);
        mr_json_str(&b, "service", v[i].service);
        mr_json_cstr(&b, "priority", mr_job_priority_name(v[i].priority));
        mr_json_f64(&b, "progress", percent(&v[i]));
        mr_json_time(&b, "created_at", v[i].created_us);
        mr_buf_char(&b, '}');
    }
    mr_buf_char(&b, ']');
    page(&b, q.limit, q.offset, total, n);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_jobs_cancel(struct mr_call *c, struct mr_err *e) {
    struct mr_job j;
    struct mr_id id;
    struct mr_buf b;
    int rc = job_id(c, &id, e);
    if (!rc)
        rc = mr_job_cancel(c->core->jobs, c->who.account, id, c->req->arena, &j, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_id(&b, "job_id", MR_JOB_PREFIX, j.id);
    mr_json_cstr(&b, "status", "cancelled");
    mr_json_time(&b, "cancelled_at", j.ended_us ? j.ended_us : mr_now_us());
    mr_json_cstr(&b, "message", "Job cancelled successfully");
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

/* --- results ------------------------------------------------------------------------------ */

static int results_csv(struct mr_call *c, struct mr_id id, int64_t limit, int64_t offset,
                       struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    int rc = mr_job_results_csv(c->core->jobs, c->who.account, id, limit, offset, &b, e);
    if (!rc && !mr_buf_ok(&b))
        rc = mr_fail(e, MR_ETOOBIG, "the results are too large for one page: use limit");
    if (rc) {
        mr_buf_release(&b);
        return rc;
    }
    mr_req_reply_buf(c->req, 200, "text/csv; charset=utf-8", &b);
    return 0;
}

static void one_result(struct mr_buf *b, const struct mr_job_result *r) {
    mr_buf_char(b, '{');
    mr_json_i64(b, "index", r->index);
    mr_json_raw(b, "input", r->input.p ? r->input : MR_LIT("null"));
    if (r->output.p)
        mr_json_raw(b, "output", r->output);
    else {
        mr_buf_cstr(b, ",\"error\":{");
        mr_json_cstr(b, "code", mr_aisemble_code(r->error_code));
        mr_json_str(b, "message", r->error);
        mr_buf_char(b, '}');
    }
    mr_buf_char(b, '}');
}

int mr_aisemble_jobs_results(struct mr_call *c, struct mr_err *e) {
    int64_t limit = mr_call_i64(c, "limit", 100), offset = mr_call_i64(c, "offset", 0), total = 0;
    struct mr_str format = mr_call_str(c, "format");
    struct mr_job_result *v = NULL;
    struct mr_job j;
    struct mr_id id;
    struct mr_buf b;
    size_t n = 0;
    int rc = job_id(c, &id, e);
    if (!rc)
        rc = mr_job_get(c->core->jobs, c->who.account, id, c->req->arena, &j, e);
    if (!rc && mr_str_is(format.n ? format : j.format, "csv"))
        return results_csv(c, id, limit, offset, e);
    if (!rc)
        rc = mr_job_results(c->core->jobs, c->who.account, id, limit, offset, c->req->arena, &v, &n,
                            &total, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_id(&b, "job_id", MR_JOB_PREFIX, id);
    mr_json_cstr(&b, "status", mr_job_status_name(j.status));
    mr_buf_cstr(&b, ",\"results\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            mr_buf_char(&b, ',');
        one_result(&b, &v[i]);
    }
    mr_buf_char(&b, ']');
    page(&b, limit, offset, total, n);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}
