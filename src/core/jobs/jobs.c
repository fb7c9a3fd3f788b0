#include "core/jobs/jobs.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/jobs/jobs_priv.h"

static const char *const statuses[] = {"scheduled", "queued", "running",
                                       "completed", "failed", "cancelled"};
static const char *const priorities[] = {"low", "normal", "high", "critical"};

static bool find_name(const char *const *name, size_t n, struct mr_str s, size_t *ret) {
    for (size_t i = 0; i < n; i++)
        if (mr_str_is(s, name[i])) {
            *ret = i;
            return true;
        }
    return false;
}

const char *mr_job_status_name(enum mr_job_status s) {
    return (unsigned)s < 6 ? statuses[s] : "?";
}

bool mr_job_status_parse(struct mr_str s, enum mr_job_status *ret) {
    size_t i;
    bool ok = find_name(statuses, 6, s, &i);
    if (ok)
        *ret = (enum mr_job_status)i;
    return ok;
}

const char *mr_job_priority_name(enum mr_job_priority p) {
    return (unsigned)p < MR_JOB_PRIORITIES ? priorities[p] : "?";
}

bool mr_job_priority_parse(struct mr_str s, enum mr_job_priority *ret) {
    size_t i;
    bool ok = find_name(priorities, MR_JOB_PRIORITIES, s, &i);
    if (ok)
        *ret = (enum mr_job_priority)i;
    return ok;
}

int64_t mr_job_lease_us(const struct mr_jobs *j) {
    return j->c.lease_ms * 1000;
}

void mr_jobs_kick_locked(struct mr_jobs *j) {
    j->kicked = true;
    pthread_cond_signal(&j->keeper_cond);
}

void mr_jobs_kick(struct mr_jobs *j) {
    pthread_mutex_lock(&j->mu);
    mr_jobs_kick_locked(j);
    pthread_mutex_unlock(&j->mu);
}

int mr_jobs_service(const struct mr_jobs *j, struct mr_str name) {
    for (unsigned i = 0; i < j->n_service; i++)
        if (mr_str_is(name, j->service[i].r.service))
            return (int)i;
    return -1;
}

/* --- opening ------------------------------------------------------------------------------ */

/* What is left to do, and how long an item took lately. */
static int load_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_jobs *j = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT service, SUM(total - done) FROM jobs WHERE status IN (1, 2) "
                           "GROUP BY service",
                           &s, e);
    if (rc)
        return rc;
    while ((rc = mr_db_step(s, e)) > 0) {
        int i = mr_jobs_service(j, mr_db_str(s, 0));
        if (i >= 0)
            atomic_store(&j->service[i].ahead, mr_db_i64(s, 1));
    }
    if (!rc)
        rc = mr_db_prepare(tx,
                           "SELECT service, SUM(ended_at - started_at), SUM(done) FROM (SELECT "
                           "service, ended_at, started_at, done FROM jobs WHERE status = 3 ORDER "
                           "BY ended_at DESC LIMIT 100) AS lately GROUP BY service",
                           &s, e);
    if (rc)
        return rc;
    while ((rc = mr_db_step(s, e)) > 0) {
        int i = mr_jobs_service(j, mr_db_str(s, 0));
        int64_t us = mr_db_i64(s, 1), items = mr_db_i64(s, 2);
        if (i >= 0 && items > 0)
            j->service[i].item_s = (double)us / 1e6 / (double)items;
    }
    return rc;
}

static void init_sync(struct mr_jobs *j) {
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&j->mu, NULL);
    pthread_cond_init(&j->keeper_cond, &mono);
    pthread_cond_init(&j->idle_cond, &mono);
    for (unsigned i = 0; i < j->n_service; i++)
        pthread_cond_init(&j->service[i].work, &mono);
    pthread_condattr_destroy(&mono);
}

static void destroy(struct mr_jobs *j) {
    for (unsigned i = 0; i < j->n_service; i++) {
        mr_free(j->service[i].threads);
        pthread_cond_destroy(&j->service[i].work);
    }
    pthread_cond_destroy(&j->idle_cond);
    pthread_cond_destroy(&j->keeper_cond);
    pthread_mutex_destroy(&j->mu);
    mr_free((char *)(uintptr_t)j->c.inputs_dir);
    mr_free(j->service);
    mr_free(j);
}

static void defaults(struct mr_jobs_config *c) {
    if (c->lease_ms <= 0)
        c->lease_ms = 30000;
    if (c->retry_ms <= 0)
        c->retry_ms = 1000;
    if (c->keep_days <= 0)
        c->keep_days = 30;
    if (!c->input_max)
        c->input_max = 8ull << 30;
    if (!c->file_max)
        c->file_max = 2ull << 30;
    if (!c->files_max)
        c->files_max = 20ull << 30;
}

static int start(struct mr_jobs *j, struct mr_err *e) {
    int rc = mr_db_read(j->c.db, load_in, j, e);
    if (!rc)
        rc = mr_job_recover(j, j->c.sole, e);
    if (!rc)
        rc = mr_job_workers_start(j, e);
    if (!rc && pthread_create(&j->keeper, NULL, mr_job_keeper, j))
        rc = mr_fail(e, MR_ENOMEM, "no thread for jobs");
    j->keeper_on = !rc;
    return rc;
}

int mr_jobs_open(const struct mr_jobs_config *c, struct mr_jobs **ret, struct mr_err *e) {
    struct mr_jobs *j = mr_calloc(1, sizeof *j);
    if (!j)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    j->c = *c;
    j->c.runner = NULL; /* copied below */
    defaults(&j->c);
    if (c->inputs_dir && !(j->c.inputs_dir = mr_strdup(c->inputs_dir))) {
        mr_free(j);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    j->service = mr_calloc(c->n_runner ? c->n_runner : 1, sizeof *j->service);
    if (!j->service) {
        mr_free((char *)(uintptr_t)j->c.inputs_dir);
        mr_free(j);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    j->n_service = (unsigned)c->n_runner;
    for (unsigned i = 0; i < j->n_service; i++) {
        j->service[i].r = c->runner[i];
        mr_job_maybe_queued(j, i, -1);
    }
    init_sync(j);
    int rc = start(j, e);
    if (rc)
        mr_jobs_free(j, 0);
    else
        *ret = j;
    return rc;
}

/* --- closing ------------------------------------------------------------------------------ */

/* Waits until nothing runs (with `commits`: nothing is being stored either), at most until. */
static bool wait_idle(struct mr_jobs *j, bool commits, int64_t until_ns) {
    struct timespec at = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    for (;;) {
        bool busy = commits && j->n_committing;
        for (const struct mr_job_active *a = j->active; a && !busy; a = a->next)
            busy = a->running || a->stage == MR_JOB_PREPARING;
        if (!busy)
            return true;
        if (until_ns == INT64_MAX)
            pthread_cond_wait(&j->idle_cond, &j->mu);
        else if (mr_mono_ns() >= until_ns)
            return false;
        else
            pthread_cond_timedwait(&j->idle_cond, &j->mu, &at);
    }
}

static int release_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_jobs *j = arg; /* no other thread is left */
    for (const struct mr_job_active *a = j->active; a; a = a->next) {
        struct mr_stmt *s;
        if (a->lost)
            continue;
        int rc = mr_db_prepare(tx,
                               "UPDATE jobs SET status = 1, lease_until = 0, fence = fence + 1 "
                               "WHERE id = ?1 AND fence = ?2 AND status = 2",
                               &s, e);
        if (rc)
            return rc;
        mr_db_bind_id(s, 1, a->id);
        mr_db_bind_i64(s, 2, a->fence);
        rc = mr_db_exec(s, e);
        if (!rc && mr_db_changes(tx) == 1)
            rc = mr_job_log_in(tx, a->id, MR_JOB_INFO,
                               MR_LIT("The server stops: the job goes on after its next start"), e);
        if (rc)
            return rc;
    }
    return 0;
}

static void stop_threads(struct mr_jobs *j) {
    pthread_mutex_lock(&j->mu);
    j->stopping = true;
    for (unsigned i = 0; i < j->n_service; i++)
        pthread_cond_broadcast(&j->service[i].work);
    pthread_mutex_unlock(&j->mu);
    for (unsigned i = 0; i < j->n_service; i++)
        for (unsigned k = 0; k < j->service[i].n_threads; k++)
            pthread_join(j->service[i].threads[k], NULL);
}

static void drop_active(struct mr_jobs *j) {
    pthread_mutex_lock(&j->mu);
    while (j->active) {
        mr_job_active_lose(j->active);
        mr_job_active_reap(j->active);
    }
    pthread_mutex_unlock(&j->mu);
}

void mr_jobs_free(struct mr_jobs *j, int grace_ms) {
    if (!j)
        return;
    pthread_mutex_lock(&j->mu);
    j->closed = j->stopping = true; /* workers end behind the item that they are at */
    pthread_cond_signal(&j->keeper_cond);
    for (unsigned i = 0; i < j->n_service; i++)
        pthread_cond_broadcast(&j->service[i].work);
    bool idle = wait_idle(j, false, mr_mono_ns() + grace_ms * 1000000ll);
    for (struct mr_job_active *a = j->active; a && !idle; a = a->next)
        atomic_store(&a->stop, true); /* runners that look may end early */
    pthread_mutex_unlock(&j->mu);
    stop_threads(j);
    if (j->keeper_on)
        pthread_join(j->keeper, NULL);
    pthread_mutex_lock(&j->mu);
    wait_idle(j, true, INT64_MAX);
    pthread_mutex_unlock(&j->mu);
    if (j->active) /* a failure is made good by the next start */
        (void)mr_db_write(j->c.db, release_in, j, NULL);
    drop_active(j);
    destroy(j);
}

/* --- figures ------------------------------------------------------------------------------ */

struct counts {
    struct mr_jobs_metrics *m;
    int64_t since;
};

static int count_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct counts *c = arg;
    uint64_t *const to[] = {&c->m->scheduled, &c->m->queued, &c->m->active};
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT status, COUNT(*) FROM jobs WHERE status IN (0, 1, 2) GROUP BY status", &s, e);
    if (rc)
        return rc;
    while ((rc = mr_db_step(s, e)) > 0) {
        int64_t i = mr_db_i64(s, 0);
        if (i >= 0 && i < 3)
            *to[i] = (uint64_t)mr_db_i64(s, 1);
    }
    if (!rc)
        rc = mr_db_prepare(tx, "SELECT COUNT(*) FROM jobs WHERE status = 4 AND ended_at >= ?1", &s,
                           e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, c->since);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        c->m->failed_24h = (uint64_t)mr_db_i64(s, 0);
        mr_db_done(s);
    }
    return rc < 0 ? rc : 0;
}

void mr_jobs_metrics(struct mr_jobs *j, struct mr_jobs_metrics *ret) {
    *ret = (struct mr_jobs_metrics){.items_ok = atomic_load(&j->items_ok),
                                    .items_failed = atomic_load(&j->items_failed)};
    struct counts c = {ret, mr_now_us() - 86400000000ll};
    (void)mr_db_read(j->c.db, count_in, &c, NULL);
}
