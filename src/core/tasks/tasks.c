#include "core/tasks/tasks.h"

#include "base/alloc.h"
#include "core/tasks/tasks_priv.h"

enum {
    SPARE_MAX = 256,     /* memory of so many tasks is kept for the next ones */
    SPARE_BYTES = 16384, /* unless it is more than that */
};

static const char *const names[] = {"pending", "processing", "completed", "failed"};

const char *mr_task_status_name(enum mr_task_status s) {
    return (unsigned)s < sizeof names / sizeof *names ? names[s] : "?";
}

bool mr_task_status_parse(struct mr_str s, enum mr_task_status *ret) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mr_str_is(s, names[i])) {
            *ret = (enum mr_task_status)i;
            return true;
        }
    return false;
}

int mr_tasks_open(const struct mr_tasks_config *c, struct mr_tasks **ret, struct mr_err *e) {
    struct mr_tasks *t = mr_calloc(1, sizeof *t);
    if (!t)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    t->c = *c;
    if (t->c.max_output_tokens <= 0)
        t->c.max_output_tokens = 4096;
    pthread_mutex_init(&t->mu, NULL);
    pthread_cond_init(&t->idle, NULL);
    int rc = mr_tasks_recover(t, e);
    if (rc) {
        mr_tasks_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

/* --- jobs --------------------------------------------------------------------------------- */

static void one_less(struct mr_tasks *t) { /* mu held */
    if (!--t->jobs)
        pthread_cond_broadcast(&t->idle);
}

void mr_task_job_gone(struct mr_tasks *t) {
    pthread_mutex_lock(&t->mu);
    one_less(t);
    pthread_mutex_unlock(&t->mu);
}

void mr_task_job_free(struct mr_task_job *j) {
    struct mr_tasks *t = j->t;
    struct mr_arena arena = j->arena; /* the job lies in it */
    bool small = arena.used <= SPARE_BYTES, kept = false;
    pthread_mutex_lock(&t->mu);
    if (j->open_id) {
        *(j->open_prev ? &j->open_prev->open_next : &t->open) = j->open_next;
        if (j->open_next)
            j->open_next->open_prev = j->open_prev;
    }
    if (small && t->n_spare < SPARE_MAX) {
        j->next = t->spare;
        t->spare = j;
        t->n_spare++;
        kept = true;
    }
    one_less(t);
    pthread_mutex_unlock(&t->mu);
    if (!kept)
        mr_arena_release(&arena);
}

/* --- what has not ended -------------------------------------------------------------------- */

void mr_task_opened(struct mr_task_job *j) {
    struct mr_tasks *t = j->t;
    pthread_mutex_lock(&t->mu);
    j->open_id = j->task.id;
    j->open_prev = NULL;
    j->open_next = t->open;
    if (t->open)
        t->open->open_prev = j;
    t->open = j;
    pthread_mutex_unlock(&t->mu);
}

int64_t mr_task_first_open(struct mr_tasks *t, struct mr_id account) {
    int64_t first = 0;
    pthread_mutex_lock(&t->mu);
    for (const struct mr_task_job *j = t->open; j; j = j->open_next)
        if (mr_id_eq(j->who.account, account) && (!first || j->open_id < first))
            first = j->open_id;
    pthread_mutex_unlock(&t->mu);
    return first;
}

void mr_task_answer(struct mr_task_job *j, const struct mr_err *e) {
    if (j->answered)
        return;
    j->answered = true;
    j->q.done(j->q.arg, j->task.id ? &j->task : NULL, e);
}

void mr_task_stick(struct mr_task_job *j) {
    struct mr_tasks *t = j->t;
    pthread_mutex_lock(&t->mu);
    j->next = t->stuck;
    t->stuck = j;
    one_less(t);
    pthread_mutex_unlock(&t->mu);
}

static struct mr_task_job *take_stuck(struct mr_tasks *t) {
    pthread_mutex_lock(&t->mu);
    struct mr_task_job *j = t->stuck;
    if (j) {
        t->stuck = j->next;
        t->jobs++;
    }
    pthread_mutex_unlock(&t->mu);
    return j;
}

void mr_task_retry_stuck(struct mr_tasks *t) {
    struct mr_task_job *j = take_stuck(t); /* one for each that went well: it cannot loop */
    if (j)
        mr_task_commit(j);
}

static void wait_idle(struct mr_tasks *t) {
    pthread_mutex_lock(&t->mu);
    while (t->jobs)
        pthread_cond_wait(&t->idle, &t->mu);
    pthread_mutex_unlock(&t->mu);
}

void mr_tasks_free(struct mr_tasks *t) {
    struct mr_task_job *j;
    if (!t)
        return;
    wait_idle(t);
    /* A last try; what still fails is recovered at the next start. */
    while ((j = take_stuck(t))) {
        int rc = mr_db_write(t->c.db, mr_task_commit_in, j, NULL);
        mr_hold_end(t->c.ledger, &j->hold, rc ? 0 : j->task.cost_nano);
        mr_task_job_free(j);
    }
    while ((j = t->spare)) {
        struct mr_arena arena = j->arena;
        t->spare = j->next;
        mr_arena_release(&arena);
    }
    pthread_cond_destroy(&t->idle);
    pthread_mutex_destroy(&t->mu);
    mr_free(t->ids.slot);
    mr_free(t);
}

void mr_tasks_metrics(struct mr_tasks *t, struct mr_tasks_metrics *ret) {
    *ret = (struct mr_tasks_metrics){.created = atomic_load(&t->created),
                                     .completed = atomic_load(&t->completed),
                                     .failed = atomic_load(&t->failed),
                                     .replayed = atomic_load(&t->replayed)};
    pthread_mutex_lock(&t->mu);
    ret->running = t->jobs;
    for (struct mr_task_job *j = t->stuck; j; j = j->next)
        ret->stuck++;
    pthread_mutex_unlock(&t->mu);
}
