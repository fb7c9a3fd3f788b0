/* The statements that several parts of jobs share. */
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/events/events.h"
#include "core/jobs/jobs_priv.h"

#include <stdarg.h>

/* --- log lines ---------------------------------------------------------------------------- */

/* The newest MR_JOB_LOGS_MAX lines stay. */
int mr_job_log_in(struct mr_tx *tx, struct mr_id job, enum mr_job_level level,
                  struct mr_str message, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "UPDATE jobs SET logged = logged + 1 WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, job);
    rc = mr_db_exec(s, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO job_logs (job_id, seq, at, level, message) "
                           "SELECT ?1, logged, ?2, ?3, ?4 FROM jobs WHERE id = ?1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, job);
    mr_db_bind_i64(s, 2, mr_now_us());
    mr_db_bind_i64(s, 3, level);
    mr_db_bind_str(s, 4, message);
    rc = mr_db_exec(s, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "DELETE FROM job_logs WHERE job_id = ?1 AND seq = "
                           "(SELECT logged FROM jobs WHERE id = ?1) - ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, job);
    mr_db_bind_i64(s, 2, MR_JOB_LOGS_MAX);
    return mr_db_exec(s, e);
}

int mr_job_logf_in(struct mr_tx *tx, struct mr_id job, enum mr_job_level level, struct mr_err *e,
                   const char *fmt, ...) {
    char text[800];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0)
        n = 0;
    return mr_job_log_in(tx, job, level,
                         mr_strn(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1), e);
}

/* --- the end of a job --------------------------------------------------------------------- */

static int end_row(struct mr_tx *tx, struct mr_id id, int64_t fence, enum mr_job_status status,
                   struct mr_str error, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE jobs SET status = ?2, ended_at = ?3, error = ?4, "
                           "lease_until = 0, fence = fence + 1 WHERE id = ?1 AND "
                           "(?5 < 0 OR fence = ?5) AND status IN (0, 1, 2)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_i64(s, 2, status);
    mr_db_bind_i64(s, 3, mr_now_us());
    mr_db_bind_str(s, 4, error);
    mr_db_bind_i64(s, 5, fence);
    rc = mr_db_exec(s, e);
    if (!rc && mr_db_changes(tx) != 1)
        return mr_fail(e, MR_ECONFLICT, "the job is no longer held by this process");
    return rc;
}

static int account_of(struct mr_tx *tx, struct mr_id id, struct mr_id *ret, int64_t *ret_done,
                      int64_t *ret_failed, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT account_id, done, failed FROM jobs WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc < 0 ? rc : mr_fail(e, MR_ENOTFOUND, "job not found");
    mr_db_id(s, 0, ret);
    *ret_done = mr_db_i64(s, 1);
    *ret_failed = mr_db_i64(s, 2);
    mr_db_done(s);
    return 0;
}

static int emit(struct mr_jobs *j, struct mr_tx *tx, struct mr_id account, struct mr_id id,
                enum mr_job_status status, struct mr_err *e) {
    char job[64], data[300];
    if (!j->c.events)
        return 0;
    mr_id_print(MR_JOB_PREFIX, id, job, sizeof job);
    int n = snprintf(data, sizeof data,
                     "{\"job_id\":\"%s\",\"status\":\"%s\",\"results_url\":\"/jobs/%s/results\"}",
                     job, mr_job_status_name(status), job);
    return mr_event_emit(j->c.events, tx, account,
                         status == MR_JOB_COMPLETED ? "job.completed" : "job.failed",
                         mr_strn(data, (size_t)n), e);
}

int mr_job_end_in(struct mr_jobs *j, struct mr_tx *tx, struct mr_id id, int64_t fence,
                  struct mr_str error, struct mr_err *e) {
    enum mr_job_status status = error.p ? MR_JOB_FAILED : MR_JOB_COMPLETED;
    struct mr_id account = {0};
    int64_t done = 0, failed = 0;
    int rc = end_row(tx, id, fence, status, error, e);
    if (!rc)
        rc = account_of(tx, id, &account, &done, &failed, e);
    if (!rc && error.p)
        rc = mr_job_logf_in(tx, id, MR_JOB_ERROR, e, "Processing failed: %.*s",
                            (int)(error.n > 600 ? 600 : error.n), error.p);
    else if (!rc)
        rc = mr_job_logf_in(tx, id, failed ? MR_JOB_WARNING : MR_JOB_INFO, e,
                            "Processing completed: %lld items, %lld of them failed",
                            (long long)done, (long long)failed);
    mr_crash_point("job-ended");
    return rc ? rc : emit(j, tx, account, id, status, e);
}

/* --- rows --------------------------------------------------------------------------------- */

int mr_job_row(struct mr_stmt *s, bool with_parameters, struct mr_arena *arena, struct mr_job *ret,
               struct mr_err *e) {
    struct mr_job k = {.status = (enum mr_job_status)mr_db_i64(s, 4),
                       .priority = (enum mr_job_priority)mr_db_i64(s, 5),
                       .done = mr_db_i64(s, 6),
                       .failed = mr_db_i64(s, 7),
                       .total = mr_db_i64(s, 8),
                       .created_us = mr_db_i64(s, 9),
                       .scheduled_us = mr_db_i64(s, 10),
                       .started_us = mr_db_i64(s, 11),
                       .ended_us = mr_db_i64(s, 12),
                       .attempt = (int)mr_db_i64(s, 13)};
    struct {
        struct mr_str *to;
        int col;
    } const text[] = {
        {&k.name, 1},   {&k.type, 2},  {&k.service, 3},     {&k.format, 15},
        {&k.error, 16}, {&k.cron, 17}, {&k.parameters, 18},
    };
    size_t n = sizeof text / sizeof *text - !with_parameters;
    if (!mr_db_id(s, 0, &k.id))
        return mr_fail(e, MR_EIO, "a job's row is damaged");
    mr_db_id(s, 14, &k.parent);
    for (size_t i = 0; i < n; i++) {
        struct mr_str v = mr_db_str(s, text[i].col);
        *text[i].to = mr_arena_keep(arena, v);
        if (v.p && !text[i].to->p)
            return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    *ret = k;
    return 0;
}

int mr_job_read_in(struct mr_tx *tx, struct mr_id account, struct mr_id id, struct mr_arena *arena,
                   struct mr_job *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT " MR_JOB_COLUMNS " FROM jobs WHERE id = ?1 AND account_id = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_id(s, 2, account);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc < 0 ? rc : mr_fail(e, MR_ENOTFOUND, "job not found");
    rc = mr_job_row(s, true, arena, ret, e);
    mr_db_done(s);
    return rc;
}
