/* Looking at jobs: one, a page of them, their log; and cancelling. */
#include "base/clock.h"
#include "core/jobs/jobs_priv.h"

#define ITEM_S_UNKNOWN 1.0 /* before anything was measured */
#define YEAR_S         31557600.0

/* --- when it will have ended -------------------------------------------------------------- */

/* Seconds from its start, from the speed of this job, else of its service. */
static double seconds_left(struct mr_jobs *j, const struct mr_job *k, int service) {
    double items = (double)(k->total > k->done ? k->total - k->done : 1), item_s = 0;
    struct mr_job_active *a = mr_job_active_find(j, k->id);
    if (a && a->begun_ns && a->stored > a->begun_stored)
        item_s = (double)(mr_mono_ns() - a->begun_ns) / 1e9 / (double)(a->stored - a->begun_stored);
    if (service >= 0 && item_s <= 0)
        item_s = j->service[service].item_s;
    if (item_s <= 0)
        item_s = ITEM_S_UNKNOWN;
    if (service >= 0 && k->status == MR_JOB_QUEUED) {
        double ahead = (double)atomic_load(&j->service[service].ahead);
        if (ahead > items)
            items = ahead;
    }
    double s = items * item_s;
    return s < 1 ? 1 : s < YEAR_S ? s : YEAR_S;
}

void mr_job_estimate(struct mr_jobs *j, struct mr_job *job) {
    int64_t now = mr_now_us(), from = now;
    if (job->ended_us) {
        job->estimated_us = job->ended_us;
        return;
    }
    if (job->status == MR_JOB_SCHEDULED && job->scheduled_us > now)
        from = job->scheduled_us;
    int service = mr_jobs_service(j, job->service);
    pthread_mutex_lock(&j->mu);
    double s = seconds_left(j, job, service);
    pthread_mutex_unlock(&j->mu);
    job->estimated_us = from + (int64_t)(s * 1e6);
}

/* --- one ---------------------------------------------------------------------------------- */

struct get {
    struct mr_id account, id;
    struct mr_arena *arena;
    struct mr_job job;
    int64_t ahead; /* cancelled: items that nobody does any more */
};

static int get_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct get *g = arg;
    return mr_job_read_in(tx, g->account, g->id, g->arena, &g->job, e);
}

int mr_job_get(struct mr_jobs *j, struct mr_id account, struct mr_id id, struct mr_arena *arena,
               struct mr_job *ret, struct mr_err *e) {
    struct get g = {.account = account, .id = id, .arena = arena};
    int rc = mr_db_read(j->c.db, get_in, &g, e);
    if (rc)
        return rc;
    mr_job_estimate(j, &g.job);
    *ret = g.job;
    return 0;
}

static int cancel_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct get *g = arg;
    struct mr_stmt *s;
    int rc = mr_job_read_in(tx, g->account, g->id, g->arena, &g->job, e);
    if (rc)
        return rc;
    if (g->job.status > MR_JOB_RUNNING)
        return mr_fail(e, MR_ECONFLICT, "the job has ended: it is %s",
                       mr_job_status_name(g->job.status));
    rc = mr_db_prepare(tx,
                       "UPDATE jobs SET status = 5, ended_at = ?2, lease_until = 0, "
                       "fence = fence + 1 WHERE id = ?1",
                       &s, e);
    if (rc)
        return rc;
    if (g->job.status != MR_JOB_SCHEDULED)
        g->ahead = g->job.total - g->job.done;
    g->job.status = MR_JOB_CANCELLED;
    g->job.ended_us = mr_now_us();
    mr_db_bind_id(s, 1, g->id);
    mr_db_bind_i64(s, 2, g->job.ended_us);
    rc = mr_db_exec(s, e);
    return rc ? rc
              : mr_job_logf_in(tx, g->id, MR_JOB_INFO, e, "Job cancelled: %lld items were done",
                               (long long)g->job.done);
}

int mr_job_cancel(struct mr_jobs *j, struct mr_id account, struct mr_id id, struct mr_arena *arena,
                  struct mr_job *ret, struct mr_err *e) {
    struct get g = {.account = account, .id = id, .arena = arena};
    int rc = mr_db_write(j->c.db, cancel_in, &g, e);
    if (rc)
        return rc;
    int service = mr_jobs_service(j, g.job.service);
    pthread_mutex_lock(&j->mu);
    if (service >= 0)
        atomic_fetch_sub(&j->service[service].ahead, g.ahead);
    struct mr_job_active *a = mr_job_active_find(j, id);
    if (a) {
        mr_job_active_lose(a);
        mr_job_active_reap(a);
    }
    mr_jobs_kick_locked(j);
    pthread_mutex_unlock(&j->mu);
    mr_job_estimate(j, &g.job);
    *ret = g.job;
    return 0;
}

/* --- pages -------------------------------------------------------------------------------- */

struct list {
    const struct mr_job_query *q;
    struct mr_arena *arena;
    struct mr_job *v;
    size_t n;
    int64_t total;
};

#define FROM       " FROM jobs WHERE account_id = ?1"
#define OF_STATUS  " AND status = ?4"
#define OF_SERVICE " AND service = ?5"
#define PAGE       " ORDER BY id DESC LIMIT ?2 OFFSET ?3"

/* One text a combination, so that each is served by its index. */
static const char *page_sql(bool status, bool service) {
    if (status)
        return service ? "SELECT " MR_JOB_COLUMNS FROM OF_STATUS OF_SERVICE PAGE
                       : "SELECT " MR_JOB_COLUMNS FROM OF_STATUS PAGE;
    return service ? "SELECT " MR_JOB_COLUMNS FROM OF_SERVICE PAGE
                   : "SELECT " MR_JOB_COLUMNS FROM PAGE;
}

static const char *count_sql(bool status, bool service) {
    if (status)
        return service ? "SELECT COUNT(*)" FROM OF_STATUS OF_SERVICE
                       : "SELECT COUNT(*)" FROM OF_STATUS;
    return service ? "SELECT COUNT(*)" FROM OF_SERVICE : "SELECT COUNT(*)" FROM;
}

static int prepare(struct list *l, struct mr_tx *tx, bool page, struct mr_stmt **ret,
                   struct mr_err *e) {
    bool status = l->q->status >= 0, service = l->q->service.p != NULL;
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx, page ? page_sql(status, service) : count_sql(status, service), &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, l->q->account);
    if (page) {
        mr_db_bind_i64(s, 2, l->q->limit);
        mr_db_bind_i64(s, 3, l->q->offset);
    }
    if (status)
        mr_db_bind_i64(s, 4, l->q->status);
    if (service)
        mr_db_bind_str(s, 5, l->q->service);
    *ret = s;
    return 0;
}

static int list_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct list *l = arg;
    struct mr_stmt *s;
    int rc = prepare(l, tx, true, &s, e);
    if (rc)
        return rc;
    while ((rc = mr_db_step(s, e)) > 0) {
        rc = mr_job_row(s, false, l->arena, &l->v[l->n++], e);
        if (rc) {
            mr_db_done(s);
            return rc;
        }
    }
    if (!rc)
        rc = prepare(l, tx, false, &s, e);
    if (rc)
        return rc;
    rc = mr_db_step(s, e);
    if (rc > 0) {
        l->total = mr_db_i64(s, 0);
        mr_db_done(s);
    }
    return rc < 0 ? rc : 0;
}

int mr_job_list(struct mr_jobs *j, const struct mr_job_query *q, struct mr_arena *arena,
                struct mr_job **ret, size_t *ret_n, int64_t *ret_total, struct mr_err *e) {
    struct list l = {.q = q, .arena = arena};
    if (q->limit < 0 || q->offset < 0)
        return mr_fail_field(e, MR_EFIELD, q->limit < 0 ? "limit" : "offset",
                             "limit and offset must not be negative");
    l.v = mr_arena_array(arena, (size_t)(q->limit > 0 ? q->limit : 1), sizeof *l.v);
    if (!l.v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = mr_db_read(j->c.db, list_in, &l, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < l.n; i++)
        mr_job_estimate(j, &l.v[i]);
    *ret = l.v;
    *ret_n = l.n;
    *ret_total = l.total;
    return 0;
}

/* --- log lines ---------------------------------------------------------------------------- */

struct logs {
    struct mr_id account, id;
    int64_t limit;
    struct mr_arena *arena;
    struct mr_job_log *v;
    size_t n;
};

static int exists(struct mr_tx *tx, struct mr_id account, struct mr_id id, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT 1 FROM jobs WHERE id = ?1 AND account_id = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_id(s, 2, account);
    rc = mr_db_step(s, e);
    if (rc > 0)
        mr_db_done(s);
    return rc > 0 ? 0 : rc < 0 ? rc : mr_fail(e, MR_ENOTFOUND, "job not found");
}

static int logs_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    static const char *const levels[] = {"INFO", "WARNING", "ERROR"};
    struct logs *l = arg;
    struct mr_stmt *s;
    int rc = exists(tx, l->account, l->id, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "SELECT at, level, message FROM (SELECT seq, at, level, message FROM "
                           "job_logs WHERE job_id = ?1 ORDER BY seq DESC LIMIT ?2) AS newest "
                           "ORDER BY seq",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, l->id);
    mr_db_bind_i64(s, 2, l->limit);
    while ((rc = mr_db_step(s, e)) > 0) {
        struct mr_job_log *k = &l->v[l->n++];
        int64_t level = mr_db_i64(s, 1);
        *k = (struct mr_job_log){.at_us = mr_db_i64(s, 0),
                                 .level = levels[level >= 0 && level < 3 ? level : 2],
                                 .message = mr_arena_keep(l->arena, mr_db_str(s, 2))};
        if (!k->message.p) {
            mr_db_done(s);
            return mr_fail(e, MR_ENOMEM, "out of memory");
        }
    }
    return rc;
}

int mr_job_logs(struct mr_jobs *j, struct mr_id account, struct mr_id id, int64_t limit,
                struct mr_arena *arena, struct mr_job_log **ret, size_t *ret_n, struct mr_err *e) {
    if (limit < 1 || limit > MR_JOB_LOGS_MAX)
        limit = MR_JOB_LOGS_MAX;
    struct logs l = {account, id, limit, arena, NULL, 0};
    l.v = mr_arena_array(arena, (size_t)limit, sizeof *l.v);
    if (!l.v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = mr_db_read(j->c.db, logs_in, &l, e);
    if (rc)
        return rc;
    *ret = l.v;
    *ret_n = l.n;
    return 0;
}
