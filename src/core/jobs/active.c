/* The jobs that this process holds, and whose item is next. Everything here runs under mu. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/jobs/jobs_priv.h"

struct mr_job_active *mr_job_active_find(struct mr_jobs *j, struct mr_id id) {
    for (struct mr_job_active *a = j->active; a; a = a->next)
        if (mr_id_eq(a->id, id))
            return a;
    return NULL;
}

static void free_list(struct mr_job_done *d) {
    while (d) {
        struct mr_job_done *next = d->next;
        mr_free(d);
        d = next;
    }
}

static void drop_waiting(struct mr_job_active *a) {
    free_list(a->waiting);
    a->waiting = NULL;
    a->waiting_end = &a->waiting;
    a->n_waiting = 0;
}

void mr_job_active_reap(struct mr_job_active *a) {
    struct mr_jobs *j = a->j;
    if (a->lost)
        drop_waiting(a);
    if (a->stage != MR_JOB_OVER || a->running || a->committing || a->waiting)
        return;
    struct mr_job_active **at = &j->active;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    mr_job_input_close(&a->in);
    mr_free(a->taken);
    mr_free(a->again);
    struct mr_arena arena = a->arena; /* it lies in its own arena */
    mr_arena_release(&arena);
    mr_jobs_kick_locked(j);
    pthread_cond_broadcast(&j->idle_cond);
}

void mr_job_active_lose(struct mr_job_active *a) {
    atomic_store(&a->stop, true);
    a->lost = true;
    if (a->stage != MR_JOB_PREPARING) /* its worker ends that */
        a->stage = MR_JOB_OVER;
}

/* --- whose turn it is --------------------------------------------------------------------- */

/* The place of an account behind the one that was served last: smaller comes sooner. */
static int behind(const struct mr_id *last, const struct mr_id *x, const struct mr_id *y) {
    bool xl = memcmp(x->b, last->b, 16) <= 0, yl = memcmp(y->b, last->b, 16) <= 0;
    return xl != yl ? (int)xl - (int)yl : memcmp(x->b, y->b, 16);
}

static int older(const struct mr_job_active *x, const struct mr_job_active *y) {
    if (x->queued_us != y->queued_us)
        return x->queued_us < y->queued_us ? -1 : 1;
    return memcmp(x->id.b, y->id.b, 16);
}

/* Index of a retry that is due; -1 none, *due_ns the first that will be. */
static int due_again(const struct mr_job_active *a, int64_t now, int64_t *due_ns) {
    for (size_t i = 0; i < a->n_again; i++) {
        if (a->again[i].due_ns <= now)
            return (int)i;
        if (a->again[i].due_ns < *due_ns)
            *due_ns = a->again[i].due_ns;
    }
    return -1;
}

static bool has_work(const struct mr_job_active *a, int64_t now, int64_t *due_ns) {
    if (atomic_load(&a->stop) || a->fatal.code)
        return false;
    if (a->stage == MR_JOB_PREPARE) {
        if (a->prepare_ns > now && a->prepare_ns < *due_ns)
            *due_ns = a->prepare_ns;
        return a->prepare_ns <= now;
    }
    if (a->stage != MR_JOB_RUN || a->n_waiting + (size_t)a->n_batch >= MR_JOB_BACKLOG_MAX ||
        a->commit_ns > now)
        return false;
    return a->taken_n < a->total || due_again(a, now, due_ns) >= 0;
}

static bool comes_before(const struct mr_jobs *j, const struct mr_job_active *x,
                         const struct mr_job_active *y) {
    if (x->priority != y->priority)
        return x->priority > y->priority;
    int c = behind(&j->service[x->service].last[x->priority], &x->account, &y->account);
    return c ? c < 0 : older(x, y) < 0;
}

static int64_t take(struct mr_job_active *a, int64_t now, int *ret_attempt) {
    int64_t never = INT64_MAX;
    int i = due_again(a, now, &never);
    if (i >= 0) {
        struct mr_job_again g = a->again[i];
        a->again[i] = a->again[--a->n_again];
        *ret_attempt = g.attempt;
        return g.index;
    }
    while (a->taken[a->cursor / 8] >> (a->cursor % 8) & 1)
        a->cursor++;
    a->taken[a->cursor / 8] |= (uint8_t)(1u << (a->cursor % 8));
    a->taken_n++;
    *ret_attempt = 1;
    return a->cursor++;
}

int mr_job_next(struct mr_jobs *j, unsigned service, struct mr_job_active **ret, int64_t *ret_index,
                int *ret_attempt, int64_t *ret_due_ns) {
    int64_t now = mr_mono_ns(), due = INT64_MAX;
    struct mr_job_active *best = NULL;
    for (struct mr_job_active *a = j->active; a; a = a->next)
        if (a->service == service && has_work(a, now, &due) && (!best || comes_before(j, a, best)))
            best = a;
    if (!best) {
        *ret_due_ns = due;
        return 0;
    }
    for (int p = best->priority + 1; p < MR_JOB_PRIORITIES; p++)
        if (j->service[service].maybe_queued[p]) { /* they come first: the keeper claims them */
            mr_jobs_kick_locked(j);
            *ret_due_ns = INT64_MAX;
            return 0;
        }
    *ret = best;
    j->service[service].last[best->priority] = best->account;
    if (best->stage == MR_JOB_PREPARE) {
        best->stage = MR_JOB_PREPARING;
        *ret_index = -1;
        return 1;
    }
    *ret_index = take(best, now, ret_attempt);
    best->running++;
    return 1;
}

int64_t mr_job_ready(const struct mr_jobs *j, unsigned service, int priority, int64_t enough) {
    int64_t n = 0;
    for (const struct mr_job_active *a = j->active; a && n < enough; a = a->next) {
        if (a->service != service || (int)a->priority < priority || atomic_load(&a->stop) ||
            a->fatal.code)
            continue;
        if (a->stage == MR_JOB_RUN)
            n += a->total - a->taken_n;
        else if (a->stage != MR_JOB_OVER)
            n += a->total ? a->total - a->stored : enough; /* not counted: wait and see */
    }
    return n < enough ? n : enough;
}

void mr_job_maybe_queued(struct mr_jobs *j, unsigned service, int priority) {
    j->service[service].queued_seq++;
    for (int p = 0; p < MR_JOB_PRIORITIES; p++)
        if (priority < 0 || p == priority)
            j->service[service].maybe_queued[p] = true;
}

bool mr_job_any_queued(const struct mr_jobs *j, unsigned service) {
    const bool *q = j->service[service].maybe_queued;
    return q[MR_JOB_LOW] || q[MR_JOB_NORMAL] || q[MR_JOB_HIGH] || q[MR_JOB_CRITICAL];
}
