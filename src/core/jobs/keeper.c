/* The keeper's thread: queues what is due, claims, keeps leases, comes back to commits that failed,
 * cleans up. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/jobs/jobs_priv.h"

#define CLEAN_NS 3600000000000ll /* between passes */
#define SOON_NS  1000000000ll

/* --- leases ------------------------------------------------------------------------------- */

struct leases {
    struct mr_jobs *j;
    size_t n;
    struct lease {
        struct mr_id id;
        int64_t fence;
        bool lost;
    } * v;
};

static int keep_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct leases *l = arg;
    int64_t until = mr_now_us() + mr_job_lease_us(l->j);
    for (size_t i = 0; i < l->n; i++) {
        struct mr_stmt *s;
        int rc = mr_db_prepare(
            tx, "UPDATE jobs SET lease_until = ?3 WHERE id = ?1 AND fence = ?2 AND status = 2", &s,
            e);
        if (rc)
            return rc;
        mr_db_bind_id(s, 1, l->v[i].id);
        mr_db_bind_i64(s, 2, l->v[i].fence);
        mr_db_bind_i64(s, 3, until);
        rc = mr_db_exec(s, e);
        if (rc)
            return rc;
        l->v[i].lost = mr_db_changes(tx) != 1;
    }
    return 0;
}

static void lose(struct mr_jobs *j, const struct lease *l) {
    struct mr_job_active *a = mr_job_active_find(j, l->id);
    if (!a || a->fence != l->fence || a->lost)
        return;
    mr_log_msg(j->c.log, MR_LOG_WARN, "jobs", "a job's lease was lost: it goes on elsewhere");
    mr_job_active_lose(a);
    mr_job_active_reap(a);
}

static int keep_leases(struct mr_jobs *j, struct mr_err *e) {
    struct leases l = {.j = j};
    size_t max = 0;
    pthread_mutex_lock(&j->mu);
    for (struct mr_job_active *a = j->active; a; a = a->next)
        max++;
    l.v = max ? mr_calloc(max, sizeof *l.v) : NULL;
    for (struct mr_job_active *a = j->active; a && l.v; a = a->next)
        if (!a->lost)
            l.v[l.n++] = (struct lease){a->id, a->fence, false};
    pthread_mutex_unlock(&j->mu);
    if (max && !l.v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = l.n ? mr_db_write(j->c.db, keep_in, &l, e) : 0;
    pthread_mutex_lock(&j->mu);
    for (size_t i = 0; i < l.n && !rc; i++)
        if (l.v[i].lost)
            lose(j, &l.v[i]);
    pthread_mutex_unlock(&j->mu);
    mr_free(l.v);
    return rc;
}

/* --- the loop ----------------------------------------------------------------------------- */

/* Commits that failed and whose pause is over; *due_ns: the next such moment. */
static void commit_again(struct mr_jobs *j, int64_t *due_ns) {
    for (;;) {
        struct mr_job_active *found = NULL;
        pthread_mutex_lock(&j->mu);
        for (struct mr_job_active *a = j->active; a && !found; a = a->next) {
            if (mr_job_commit_begin(a))
                found = a;
            else if (!a->committing && !a->lost && a->commit_ns > mr_mono_ns() &&
                     a->commit_ns < *due_ns)
                *due_ns = a->commit_ns;
        }
        pthread_mutex_unlock(&j->mu);
        if (!found)
            return;
        mr_job_commit_send(found);
    }
}

static int claim_all(struct mr_jobs *j, bool *ret_more, struct mr_err *e) {
    int rc = 0;
    for (unsigned i = 0; i < j->n_service && !rc; i++) {
        pthread_mutex_lock(&j->mu);
        bool try_it = mr_job_any_queued(j, i) && !j->closed;
        pthread_mutex_unlock(&j->mu);
        bool more = false;
        if (try_it)
            rc = mr_job_claim(j, i, &more, e);
        *ret_more |= more;
    }
    return rc;
}

struct turn {
    int64_t lease_ns, clean_ns, next_us; /* when it is time again */
};

/* One look at everything; returns until when nothing is to be done (mono). */
static int64_t look(struct mr_jobs *j, struct turn *t) {
    int64_t now = mr_mono_ns(), wall = mr_now_us(), due = now + mr_job_lease_us(j) * 1000 / 3;
    struct mr_err e = {0};
    bool more = false;
    int rc = 0;
    commit_again(j, &due);
    if (now >= t->lease_ns) {
        rc = keep_leases(j, &e);
        if (!rc && !j->c.sole)
            rc = mr_job_recover(j, false, &e);
        if (!rc)
            t->lease_ns = now + mr_job_lease_us(j) * 1000 / 3;
    }
    pthread_mutex_lock(&j->mu);
    if (j->next_due_us < t->next_us)
        t->next_us = j->next_due_us;
    j->next_due_us = INT64_MAX;
    pthread_mutex_unlock(&j->mu);
    if (!rc && wall >= t->next_us)
        rc = mr_job_schedule(j, wall, &t->next_us, &e);
    if (!rc)
        rc = claim_all(j, &more, &e);
    if (!rc && now >= t->clean_ns) {
        bool left = false;
        rc = mr_jobs_clean(j, wall, &left, &e);
        t->clean_ns = now + (left ? SOON_NS / 20 : CLEAN_NS);
    }
    if (rc) {
        mr_log_msg(j->c.log, MR_LOG_ERROR, "jobs", "%s", e.msg);
        return now + SOON_NS;
    }
    if (more)
        return now;
    int64_t wait_us = t->next_us - wall; /* may be centuries */
    if (wait_us < (due - now) / 1000)
        due = now + wait_us * 1000;
    if (t->lease_ns < due)
        due = t->lease_ns;
    return t->clean_ns < due ? t->clean_ns : due;
}

void *mr_job_keeper(void *jobs) {
    struct mr_jobs *j = jobs;
    struct turn t = {.next_us = 0, .clean_ns = mr_mono_ns() + 10 * SOON_NS};
    pthread_mutex_lock(&j->mu);
    while (!j->closed) {
        j->kicked = false;
        pthread_mutex_unlock(&j->mu);
        int64_t until = look(j, &t);
        struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
        pthread_mutex_lock(&j->mu);
        while (!j->kicked && !j->closed && mr_mono_ns() < until)
            pthread_cond_timedwait(&j->keeper_cond, &j->mu, &at);
    }
    pthread_mutex_unlock(&j->mu);
    return NULL;
}
