/* Taking jobs from the queue. A service holds one job of each account and priority that has any, so
 * that accounts can take turns item by item, and more of them while its workers lack items. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/jobs/jobs_priv.h"

#define AT_ONCE    16         /* jobs a transaction */
#define ACTIVE_MEM (4u << 20) /* strings of one */
#define AHEAD      2          /* items held ready, a worker */

struct claim {
    struct mr_jobs *j;
    unsigned service;
    int64_t want[MR_JOB_PRIORITIES];    /* items of it or above that the workers lack */
    unsigned held[MR_JOB_PRIORITIES];   /* jobs that are held */
    struct mr_job_active *list, *first; /* claimed; in the end the list goes to j->active */
    unsigned n;
    bool left[MR_JOB_PRIORITIES]; /* the queue may hold more */
};

/* --- one job ------------------------------------------------------------------------------ */

static int keep(struct mr_arena *a, struct mr_stmt *s, int col, struct mr_str *ret,
                struct mr_err *e) {
    struct mr_str v = mr_db_str(s, col);
    *ret = mr_arena_keep(a, v);
    return v.p && !ret->p ? mr_fail(e, MR_ENOMEM, "out of memory") : 0;
}

static bool blob_of(struct mr_stmt *s, int col, struct mr_blob_name *ret) {
    struct mr_str v = mr_db_blob(s, col);
    if (v.n != MR_SHA256_LEN)
        return false;
    memcpy(ret->sha, v.p, MR_SHA256_LEN);
    return true;
}

static struct mr_job_active *active_new(struct mr_jobs *j) {
    struct mr_arena arena;
    mr_arena_init(&arena, ACTIVE_MEM);
    struct mr_job_active *a = mr_arena_zalloc(&arena, sizeof *a);
    if (!a) {
        mr_arena_release(&arena);
        return NULL;
    }
    a->arena = arena;
    a->j = j;
    a->in.fd = -1;
    a->waiting_end = &a->waiting;
    return a;
}

static void active_free(struct mr_job_active *a) {
    struct mr_arena arena = a->arena;
    mr_arena_release(&arena);
}

static int load_row(struct mr_job_active *a, struct mr_stmt *s, int *ret_stalls, struct mr_err *e) {
    if (!mr_db_id(s, 0, &a->id) || !mr_db_id(s, 1, &a->account))
        return mr_fail(e, MR_EIO, "a job's row is damaged");
    mr_db_id(s, 2, &a->user);
    mr_db_id(s, 3, &a->key);
    a->retries = (int)mr_db_i64(s, 4);
    a->attempt = (int)mr_db_i64(s, 5) + 1;
    *ret_stalls = (int)mr_db_i64(s, 6);
    a->fence = mr_db_i64(s, 7) + 1;
    a->queued_us = mr_db_i64(s, 8);
    a->stored = mr_db_i64(s, 9);
    a->total = mr_db_i64(s, 10);
    a->source = (enum mr_job_source)mr_db_i64(s, 11);
    a->form = (enum mr_job_form)mr_db_i64(s, 12);
    a->has_input = blob_of(s, 13, &a->input_blob);
    a->has_source = blob_of(s, 14, &a->source_blob);
    int rc = keep(&a->arena, s, 15, &a->source_name, e);
    return rc ? rc : keep(&a->arena, s, 16, &a->parameters, e);
}

static int oldest(struct mr_tx *tx, const char *service, int priority, struct mr_id account,
                  struct mr_job_active *a, int *ret_stalls, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT id, account_id, user_id, key_id, retries, attempt, stalls, "
                           "fence, queued_at, done, total, source, source_format, input_blob, "
                           "source_blob, source_name, parameters FROM jobs WHERE status = 1 AND "
                           "service = ?1 AND priority = ?2 AND account_id = ?3 "
                           "ORDER BY queued_at, id LIMIT 1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, mr_str(service));
    mr_db_bind_i64(s, 2, priority);
    mr_db_bind_id(s, 3, account);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc < 0 ? rc : mr_fail(e, MR_ENOTFOUND, "no job");
    rc = load_row(a, s, ret_stalls, e);
    mr_db_done(s);
    return rc;
}

static int hold(struct mr_tx *tx, const struct mr_job_active *a, struct mr_err *e) {
    int64_t now = mr_now_us();
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE jobs SET status = 2, fence = ?2, attempt = ?3, "
                           "lease_until = ?4, started_at = CASE WHEN started_at = 0 THEN ?5 ELSE "
                           "started_at END, moved_at = CASE WHEN stalls = 0 THEN ?5 ELSE "
                           "moved_at END WHERE id = ?1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, a->id);
    mr_db_bind_i64(s, 2, a->fence);
    mr_db_bind_i64(s, 3, a->attempt);
    mr_db_bind_i64(s, 4, now + mr_job_lease_us(a->j));
    mr_db_bind_i64(s, 5, now);
    rc = mr_db_exec(s, e);
    if (rc)
        return rc;
    if (a->attempt == 1)
        return mr_job_log_in(tx, a->id, MR_JOB_INFO, MR_LIT("Processing started"), e);
    return mr_job_logf_in(tx, a->id, MR_JOB_INFO, e,
                          "Processing goes on: attempt %d, %lld of %lld items are done", a->attempt,
                          (long long)a->stored, (long long)a->total);
}

static int claim_one(struct claim *c, struct mr_tx *tx, int priority, struct mr_id account,
                     struct mr_err *e) {
    struct mr_job_active *a = active_new(c->j);
    int stalls = 0;
    if (!a)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    a->service = c->service;
    a->priority = (enum mr_job_priority)priority;
    int rc = oldest(tx, c->j->service[c->service].r.service, priority, account, a, &stalls, e);
    if (!rc)
        rc = hold(tx, a, e);
    if (rc) {
        active_free(a);
        return rc;
    }
    a->next = c->list;
    c->list = a;
    c->n++;
    c->held[priority]++;
    for (int p = MR_JOB_LOW; p <= priority; p++) /* not counted: wait and see */
        c->want[p] -= a->total > a->stored ? a->total - a->stored : c->want[p];
    return 0;
}

/* --- whose ---------------------------------------------------------------------------------- */

static bool is_held(struct claim *c, int priority, struct mr_id account) {
    bool found = false;
    for (const struct mr_job_active *a = c->list; a && !found; a = a->next)
        found = (int)a->priority == priority && mr_id_eq(a->account, account);
    pthread_mutex_lock(&c->j->mu);
    for (const struct mr_job_active *a = c->j->active; a && !found; a = a->next)
        found = a->service == c->service && (int)a->priority == priority && !a->lost &&
                mr_id_eq(a->account, account);
    pthread_mutex_unlock(&c->j->mu);
    return found;
}

/* The first account behind `after` that has a queued job. 1, 0 or an error. */
static int next_account(struct claim *c, struct mr_tx *tx, int priority, struct mr_id after,
                        struct mr_id *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT account_id FROM jobs WHERE status = 1 AND service = ?1 AND "
                           "priority = ?2 AND account_id > ?3 ORDER BY account_id LIMIT 1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, mr_str(c->j->service[c->service].r.service));
    mr_db_bind_i64(s, 2, priority);
    mr_db_bind_id(s, 3, after);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    mr_db_id(s, 0, ret);
    mr_db_done(s);
    return 1;
}

/* One round over the accounts of a priority, from behind the one that was served last. */
static int round_of(struct claim *c, struct mr_tx *tx, int priority, struct mr_err *e) {
    struct mr_id *last = &c->j->service[c->service].last_claim[priority]; /* the writer's alone */
    const struct mr_id start = *last, zero = {0};
    struct mr_id at = start;
    bool wrapped = mr_id_eq(start, zero);
    for (;;) {
        struct mr_id account;
        int rc = next_account(c, tx, priority, at, &account, e);
        if (rc < 0)
            return rc;
        bool past = wrapped && memcmp(account.b, start.b, 16) > 0 && !mr_id_eq(start, zero);
        if (rc && !past) {
            if (c->n >= AT_ONCE || c->held[priority] >= MR_JOB_ACTIVE_MAX) {
                c->left[priority] = true;
                return 0;
            }
            at = account;
            c->left[priority] = true;
            if (c->want[priority] <= 0 && is_held(c, priority, account))
                continue;
            rc = claim_one(c, tx, priority, account, e);
            if (rc)
                return rc;
            *last = account;
            continue;
        }
        if (wrapped)
            return 0;
        wrapped = true;
        at = zero;
    }
}

static int claim_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct claim *c = arg;
    int rc = 0;
    for (int p = MR_JOB_CRITICAL; p >= MR_JOB_LOW && !rc; p--) {
        unsigned before;
        do {
            before = c->n;
            rc = round_of(c, tx, p, e);
        } while (!rc && c->want[p] > 0 && c->n > before && c->n < AT_ONCE);
    }
    mr_crash_point("job-claimed");
    return rc;
}

int mr_job_claim(struct mr_jobs *j, unsigned service, bool *ret_more, struct mr_err *e) {
    struct mr_job_service *s = &j->service[service];
    struct claim c = {.j = j, .service = service};
    int64_t enough = (int64_t)s->r.at_once * AHEAD;
    pthread_mutex_lock(&j->mu);
    for (int p = 0; p < MR_JOB_PRIORITIES; p++)
        c.want[p] = enough - mr_job_ready(j, service, p, enough);
    unsigned seq = s->queued_seq;
    for (const struct mr_job_active *a = j->active; a; a = a->next)
        if (a->service == service && !a->lost)
            c.held[a->priority]++;
    pthread_mutex_unlock(&j->mu);
    int rc = mr_db_write(j->c.db, claim_in, &c, e);
    mr_crash_point("job-claim-committed");
    pthread_mutex_lock(&j->mu);
    for (int p = 0; p < MR_JOB_PRIORITIES; p++)
        s->maybe_queued[p] = c.left[p] || rc || (s->maybe_queued[p] && seq != s->queued_seq);
    for (struct mr_job_active *a = c.list; a;) {
        struct mr_job_active *next = a->next;
        if (rc)
            active_free(a);
        else {
            a->next = j->active;
            j->active = a;
        }
        a = next;
    }
    pthread_cond_broadcast(&s->work); /* also for what waited for the answer that there is none */
    pthread_mutex_unlock(&j->mu);
    if (!rc)
        *ret_more = c.n == AT_ONCE;
    return rc;
}

/* --- given up by others ------------------------------------------------------------------- */

struct recovery {
    struct mr_jobs *j;
    bool all;
    unsigned n;
    struct mr_id id[AT_ONCE];
    int stalls[AT_ONCE], attempt[AT_ONCE];
    int64_t moved_us[AT_ONCE];
};

static int find_left(struct recovery *r, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT id, stalls, attempt, moved_at FROM jobs WHERE status = 2 AND "
                           "lease_until < ?1 LIMIT ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, r->all ? INT64_MAX : mr_now_us());
    mr_db_bind_i64(s, 2, AT_ONCE);
    for (r->n = 0; r->n < AT_ONCE && (rc = mr_db_step(s, e)) > 0; r->n++) {
        mr_db_id(s, 0, &r->id[r->n]);
        r->stalls[r->n] = (int)mr_db_i64(s, 1) + 1;
        r->attempt[r->n] = (int)mr_db_i64(s, 2);
        r->moved_us[r->n] = mr_db_i64(s, 3);
    }
    if (r->n == AT_ONCE)
        mr_db_done(s);
    return rc < 0 ? rc : 0;
}

static int give_back(struct recovery *r, struct mr_tx *tx, unsigned i, struct mr_err *e) {
    struct mr_stmt *s;
    if (r->stalls[i] >= MR_JOB_STALLS_MAX && mr_now_us() - r->moved_us[i] >= MR_JOB_STALL_US) {
        char why[160];
        int n = snprintf(why, sizeof why,
                         "%d attempts in a row ended with their process before an item was done",
                         r->stalls[i]);
        return mr_job_end_in(r->j, tx, r->id[i], -1, mr_strn(why, (size_t)n), e);
    }
    int rc = mr_db_prepare(tx,
                           "UPDATE jobs SET status = 1, lease_until = 0, fence = fence + 1, "
                           "stalls = ?2 WHERE id = ?1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, r->id[i]);
    mr_db_bind_i64(s, 2, r->stalls[i]);
    rc = mr_db_exec(s, e);
    return rc ? rc
              : mr_job_logf_in(tx, r->id[i], MR_JOB_WARNING, e, "Attempt %d ended with its process",
                               r->attempt[i]);
}

static int recover_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct recovery *r = arg;
    int rc = find_left(r, tx, e);
    for (unsigned i = 0; i < r->n && !rc; i++)
        rc = give_back(r, tx, i, e);
    return rc;
}

int mr_job_recover(struct mr_jobs *j, bool all, struct mr_err *e) {
    struct recovery r = {.j = j, .all = all, .n = AT_ONCE};
    bool any = false;
    int rc = 0;
    while (!rc && r.n == AT_ONCE) {
        rc = mr_db_write(j->c.db, recover_in, &r, e);
        any |= r.n > 0;
    }
    pthread_mutex_lock(&j->mu);
    for (unsigned i = 0; i < j->n_service && any; i++)
        mr_job_maybe_queued(j, i, -1);
    pthread_mutex_unlock(&j->mu);
    return rc;
}
