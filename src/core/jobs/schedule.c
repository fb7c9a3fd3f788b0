/* Jobs that wait for a time, and the runs of cron jobs. A cron job itself never runs: when it is
 * due a job is made after its model, unless the one before still runs, and its next time is set in
 * the same transaction. Times that passed while no server ran are one run, not many. */
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/jobs/cron.h"
#include "core/jobs/jobs_priv.h"

#define AT_ONCE 64

struct due {
    struct mr_id id;
    bool cron;
    int64_t total;
    char expression[260];
    char service[64];
};

struct schedule {
    struct mr_jobs *j;
    int64_t now_us, next_us;
    struct due due[AT_ONCE];
    unsigned n;
    unsigned queued;
};

static int find_due(struct schedule *d, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT id, cron, service, total FROM jobs WHERE status = 0 AND "
                           "scheduled_at <= ?1 ORDER BY scheduled_at LIMIT ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, d->now_us);
    mr_db_bind_i64(s, 2, AT_ONCE);
    for (d->n = 0; d->n < AT_ONCE && (rc = mr_db_step(s, e)) > 0; d->n++) {
        struct due *x = &d->due[d->n];
        struct mr_str cron = mr_db_str(s, 1), service = mr_db_str(s, 2);
        mr_db_id(s, 0, &x->id);
        x->cron = cron.p != NULL;
        x->total = mr_db_i64(s, 3);
        snprintf(x->expression, sizeof x->expression, "%.*s", (int)cron.n, cron.p ? cron.p : "");
        snprintf(x->service, sizeof x->service, "%.*s", (int)service.n, service.p);
    }
    if (d->n == AT_ONCE)
        mr_db_done(s);
    return rc < 0 ? rc : 0;
}

static int queue(struct mr_tx *tx, struct mr_id id, int64_t now, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "UPDATE jobs SET status = 1, queued_at = ?2 WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_i64(s, 2, now);
    return mr_db_exec(s, e);
}

/* 1 when a run of the cron job has not ended. */
static int still_runs(struct mr_tx *tx, struct mr_id parent, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT 1 FROM jobs WHERE parent = ?1 AND status IN (1, 2) LIMIT 1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, parent);
    rc = mr_db_step(s, e);
    if (rc > 0)
        mr_db_done(s);
    return rc;
}

static int make_run(struct mr_tx *tx, struct mr_id parent, int64_t now, struct mr_id *ret,
                    struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "INSERT INTO jobs (id, account_id, user_id, key_id, parent, service, status, priority, "
        "retries, attempt, stalls, moved_at, fence, lease_until, queued_at, scheduled_at, "
        "created_at, "
        "started_at, ended_at, done, failed, total, logged, source, source_format, format, name, "
        "type, cron, error, input_blob, source_blob, source_name, idem_key, body_hash, parameters) "
        "SELECT ?1, account_id, user_id, key_id, id, service, 1, priority, retries, 0, 0, ?2, 0, "
        "0, "
        "?2, "
        "scheduled_at, ?2, 0, 0, 0, 0, total, 0, source, source_format, format, name, type, NULL, "
        "NULL, input_blob, source_blob, source_name, NULL, NULL, parameters FROM jobs "
        "WHERE id = ?3",
        &s, e);
    if (rc)
        return rc;
    *ret = mr_id_new();
    mr_db_bind_id(s, 1, *ret);
    mr_db_bind_i64(s, 2, now);
    mr_db_bind_id(s, 3, parent);
    return mr_db_exec(s, e);
}

static int set_next(struct mr_tx *tx, struct mr_id id, int64_t at_us, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "UPDATE jobs SET scheduled_at = ?2 WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_i64(s, 2, at_us);
    return mr_db_exec(s, e);
}

static int cron_run(struct schedule *d, struct mr_tx *tx, struct due *x, struct mr_err *e) {
    struct mr_cron cron;
    int64_t next;
    int rc = mr_cron_parse(mr_str(x->expression), &cron, e);
    if (rc || !mr_cron_next(&cron, d->j->c.zone, d->now_us, &next))
        return mr_job_end_in(d->j, tx, x->id, -1, MR_LIT("its cron expression has no next time"),
                             e);
    int busy = still_runs(tx, x->id, e);
    if (busy < 0)
        return busy;
    if (busy)
        rc = mr_job_log_in(tx, x->id, MR_JOB_WARNING,
                           MR_LIT("A run was left out: the one before has not ended"), e);
    else {
        struct mr_id run;
        char text[64] = "";
        rc = make_run(tx, x->id, d->now_us, &run, e);
        mr_id_print(MR_JOB_PREFIX, run, text, sizeof text);
        if (!rc)
            rc = mr_job_logf_in(tx, x->id, MR_JOB_INFO, e, "Run %s is queued", text);
    }
    return rc ? rc : set_next(tx, x->id, next, e);
}

static int next_time(struct schedule *d, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT MIN(scheduled_at) FROM jobs WHERE status = 0", &s, e);
    if (rc)
        return rc;
    rc = mr_db_step(s, e);
    d->next_us = rc > 0 && !mr_db_is_null(s, 0) ? mr_db_i64(s, 0) : INT64_MAX;
    if (rc > 0)
        mr_db_done(s);
    return rc < 0 ? rc : 0;
}

static int schedule_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct schedule *d = arg;
    int rc = find_due(d, tx, e);
    for (unsigned i = 0; i < d->n && !rc; i++)
        rc =
            d->due[i].cron ? cron_run(d, tx, &d->due[i], e) : queue(tx, d->due[i].id, d->now_us, e);
    mr_crash_point("job-scheduled");
    return rc ? rc : next_time(d, tx, e);
}

int mr_job_schedule(struct mr_jobs *j, int64_t now_us, int64_t *ret_next_us, struct mr_err *e) {
    struct schedule d = {.j = j, .now_us = now_us};
    int rc = mr_db_write(j->c.db, schedule_in, &d, e);
    if (rc)
        return rc;
    mr_crash_point("job-schedule-committed");
    for (unsigned i = 0; i < d.n; i++) {
        int s = mr_jobs_service(j, mr_str(d.due[i].service));
        if (s < 0)
            continue;
        atomic_fetch_add(&j->service[s].ahead, d.due[i].total);
        pthread_mutex_lock(&j->mu);
        mr_job_maybe_queued(j, (unsigned)s, -1);
        pthread_mutex_unlock(&j->mu);
    }
    *ret_next_us = d.next_us;
    return 0;
}
