/* Storing what ended: one transaction for all items of a job that wait, with its progress, its
 * lease and, behind the last item, its end. At most one such transaction of a job is under way, so
 * items that end meanwhile go together into the next. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/jobs/jobs_priv.h"

#define AGAIN_NS     1000000000ll
#define FAILURE_LOGS 100 /* failed items of a job that get a line of their own */

static int advance(struct mr_job_active *a, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx,
                      "UPDATE jobs SET done = done + ?4, failed = failed + ?5, stalls = 0, "
                      "moved_at = ?6, lease_until = ?3 WHERE id = ?1 AND fence = ?2 AND status = 2",
                      &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, a->id);
    mr_db_bind_i64(s, 2, a->fence);
    int64_t now = mr_now_us();
    mr_db_bind_i64(s, 3, now + mr_job_lease_us(a->j));
    mr_db_bind_i64(s, 6, now);
    mr_db_bind_i64(s, 4, a->n_batch);
    mr_db_bind_i64(s, 5, a->n_batch_failed);
    rc = mr_db_exec(s, e);
    if (!rc && mr_db_changes(tx) != 1)
        return mr_fail(e, MR_ECONFLICT, "the job is no longer held by this process");
    return rc;
}

static int insert(struct mr_tx *tx, struct mr_id job, const struct mr_job_done *d,
                  struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO job_results (job_id, idx, attempts, error_code, took_us, "
                           "error, output) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, job);
    mr_db_bind_i64(s, 2, d->index);
    mr_db_bind_i64(s, 3, d->attempts);
    mr_db_bind_i64(s, 4, d->code);
    mr_db_bind_i64(s, 5, d->took_us);
    mr_db_bind_str(s, 6, d->code ? mr_strn(d->text, d->n_error) : mr_strn(NULL, 0));
    mr_db_bind_str(s, 7, d->code ? mr_strn(NULL, 0) : mr_strn(d->text, d->n_output));
    rc = mr_db_exec(s, e);
    return rc || d->attempts < 2 ? rc : mr_job_attempt_drop_in(tx, job, d->index, e);
}

static int log_failure(struct mr_tx *tx, struct mr_id job, const struct mr_job_done *d,
                       int64_t failed, struct mr_err *e) {
    if (failed > FAILURE_LOGS)
        return 0;
    int rc =
        mr_job_logf_in(tx, job, MR_JOB_WARNING, e, "Item %lld failed: %.*s", (long long)d->index,
                       (int)(d->n_error > 500 ? 500 : d->n_error), d->text);
    if (!rc && failed == FAILURE_LOGS)
        rc = mr_job_log_in(tx, job, MR_JOB_WARNING,
                           MR_LIT("Further failed items are only found in the results"), e);
    return rc;
}

struct sums {
    int64_t done, failed, total;
};

static int read_sums(struct mr_tx *tx, struct mr_id id, struct sums *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT done, failed, total FROM jobs WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc < 0 ? rc : mr_fail(e, MR_EINTERNAL, "a job's row is gone");
    *ret = (struct sums){mr_db_i64(s, 0), mr_db_i64(s, 1), mr_db_i64(s, 2)};
    mr_db_done(s);
    return 0;
}

static int commit_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_job_active *a = arg;
    struct sums sum;
    a->ended = false;
    int rc = advance(a, tx, e);
    if (!rc)
        rc = read_sums(tx, a->id, &sum, e);
    int64_t failed = rc ? 0 : sum.failed - a->n_batch_failed;
    for (const struct mr_job_done *d = a->batch; d && !rc; d = d->next) {
        rc = insert(tx, a->id, d, e);
        if (!rc && d->code)
            rc = log_failure(tx, a->id, d, ++failed, e);
    }
    mr_crash_point("job-results-written");
    if (rc)
        return rc;
    if (a->end && a->fatal.code) {
        a->ended = true;
        return mr_job_end_in(a->j, tx, a->id, a->fence, mr_str(a->fatal.msg), e);
    }
    if (sum.total && sum.done == sum.total) {
        a->ended = true;
        struct mr_str why =
            sum.failed == sum.total ? MR_LIT("every item failed") : mr_strn(NULL, 0);
        return mr_job_end_in(a->j, tx, a->id, a->fence, why, e);
    }
    return a->end ? mr_fail(e, MR_EINTERNAL, "a job has more results than it counted") : 0;
}

/* What was not stored waits again, before what ended since. */
static void put_back(struct mr_job_active *a) {
    if (a->batch) {
        struct mr_job_done *last = a->batch;
        while (last->next)
            last = last->next;
        last->next = a->waiting;
        if (!a->waiting)
            a->waiting_end = &last->next;
        a->waiting = a->batch;
        a->n_waiting += (size_t)a->n_batch;
    }
    a->batch = NULL;
    a->n_batch = a->n_batch_failed = 0;
}

static void stored(struct mr_job_active *a) {
    struct mr_jobs *j = a->j;
    a->stored += a->n_batch;
    atomic_fetch_sub(&j->service[a->service].ahead, a->n_batch);
    atomic_fetch_add(&j->items_ok, (uint64_t)(a->n_batch - a->n_batch_failed));
    atomic_fetch_add(&j->items_failed, (uint64_t)a->n_batch_failed);
    while (a->batch) {
        struct mr_job_done *d = a->batch;
        a->batch = d->next;
        mr_free(d);
    }
    a->n_batch = a->n_batch_failed = 0;
    if (a->ended) {
        if (a->total > a->stored)
            atomic_fetch_sub(&j->service[a->service].ahead, a->total - a->stored);
        mr_job_active_lose(a);
    }
}

static void committed(void *arg, int rc, const struct mr_err *err) {
    struct mr_job_active *a = arg;
    struct mr_jobs *j = a->j;
    mr_crash_point("job-results-committed");
    pthread_mutex_lock(&j->mu);
    a->committing = false;
    j->n_committing--;
    if (!rc)
        stored(a);
    else {
        put_back(a);
        if (rc == MR_ECONFLICT)
            mr_job_active_lose(a);
        else {
            a->commit_ns = mr_mono_ns() + AGAIN_NS; /* the keeper comes back to it */
            mr_log_msg(j->c.log, MR_LOG_WARN, "jobs", "results are not stored yet: %s", err->msg);
        }
    }
    pthread_cond_broadcast(&j->service[a->service].work); /* there is room again */
    bool more = mr_job_commit_begin(a);
    if (!more) {
        mr_jobs_kick_locked(j);
        mr_job_active_reap(a);
        pthread_cond_broadcast(&j->idle_cond);
    }
    pthread_mutex_unlock(&j->mu);
    if (more)
        mr_job_commit_send(a);
}

bool mr_job_commit_begin(struct mr_job_active *a) {
    bool end = !a->running && ((a->fatal.code && a->stage != MR_JOB_OVER) ||
                               (a->stage == MR_JOB_RUN && a->stored == a->total));
    if (a->committing || a->lost || (!a->waiting && !end) || a->commit_ns > mr_mono_ns())
        return false;
    a->batch = a->waiting;
    a->waiting = NULL;
    a->waiting_end = &a->waiting;
    a->n_batch = (int64_t)a->n_waiting;
    a->n_waiting = 0;
    a->n_batch_failed = 0;
    for (const struct mr_job_done *d = a->batch; d; d = d->next)
        a->n_batch_failed += d->code != 0;
    a->committing = true;
    a->end = end;
    a->j->n_committing++;
    return true;
}

void mr_job_commit_send(struct mr_job_active *a) {
    int rc = mr_db_write_async(a->j->c.db, commit_in, a, committed);
    if (rc) {
        struct mr_err e;
        mr_fail(&e, rc, "the database takes no writes");
        committed(a, rc, &e);
    }
}
