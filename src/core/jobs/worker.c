/* The threads that run items. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/jobs/jobs_priv.h"

#define WHO_NS        10000000000ll /* a creator's rights are looked up so often */
#define ARENA_MAX     (512u << 20)
#define INPUT_KEEP    (1u << 20) /* a worker's buffer beyond this is not kept */
#define PREPARE_TRIES 3
#define PREPARE_NS    2000000000ll
#define BACKOFF_MAX_S 300

struct worker {
    struct mr_jobs *j;
    unsigned service;
    struct mr_arena arena;
    struct mr_buf input;
};

bool mr_job_cancelled(const struct mr_job_item *item) {
    const struct mr_job_work *w = (const struct mr_job_work *)(const void *)item;
    return atomic_load_explicit(&w->a->stop, memory_order_relaxed);
}

static bool passing(int code) {
    return code == MR_EUNAVAIL || code == MR_ETIMEOUT || code == MR_EIO;
}

/* --- one item ----------------------------------------------------------------------------- */

/* The creator, not older than WHO_NS. */
static int find_who(struct mr_job_active *a, struct mr_principal *ret, struct mr_err *e) {
    struct mr_jobs *j = a->j;
    int64_t now = mr_mono_ns();
    pthread_mutex_lock(&j->mu);
    bool fresh = a->who_until_ns > now;
    *ret = a->who;
    pthread_mutex_unlock(&j->mu);
    if (fresh)
        return 0;
    int rc = j->c.principal(j->c.arg, a->account, a->user, a->key, ret, e);
    if (rc)
        return rc;
    pthread_mutex_lock(&j->mu);
    a->who = *ret;
    a->who_until_ns = now + WHO_NS;
    pthread_mutex_unlock(&j->mu);
    return 0;
}

/* 0, or the item's error. *ret_fatal: no other item would fare better. */
static int run_item(struct worker *w, struct mr_job_active *a, int64_t index, int attempt,
                    struct mr_str *ret, bool *ret_fatal, struct mr_err *e) {
    struct mr_job_work work = {.a = a};
    struct mr_job_input_item in;
    int rc = find_who(a, &work.item.who, e);
    *ret_fatal = rc && !passing(rc);
    if (!rc) {
        rc = mr_job_input_read(&a->in, (uint64_t)index, false, &w->input, &in, e);
        *ret_fatal = rc != 0;
    }
    if (rc)
        return rc;
    work.item.job = a->id;
    work.item.index = index;
    work.item.parameters = a->parameters;
    work.item.file = in.file;
    work.item.input = in.file ? in.name : in.body;
    work.item.bytes = in.file ? in.body : mr_strn(NULL, 0);
    work.item.attempt = attempt;
    work.item.jobs = a->j;
    const struct mr_job_runner *r = &a->j->service[a->service].r;
    rc = r->run(r->arg, &work.item, &w->arena, ret, e);
    if (!rc && (!ret->p || ret->n > MR_JOB_OUTPUT_MAX))
        rc = mr_fail(e, ret->p ? MR_ETOOBIG : MR_EINTERNAL,
                     ret->p ? "the item's output is larger than %u MB" : "the item has no output",
                     MR_JOB_OUTPUT_MAX >> 20);
    return rc;
}

static struct mr_job_done *done_new(int64_t index, int attempt, int64_t took_us, int rc,
                                    struct mr_str output, const struct mr_err *e) {
    struct mr_str text = rc ? mr_str(e->msg) : output;
    struct mr_job_done *d = mr_malloc(sizeof *d + text.n);
    if (!d)
        return NULL;
    *d = (struct mr_job_done){.index = index, .attempts = attempt, .took_us = took_us, .code = rc};
    *(rc ? &d->n_error : &d->n_output) = text.n;
    if (text.n)
        memcpy(d->text, text.p, text.n);
    return d;
}

bool mr_job_put_again(struct mr_job_active *a, int64_t index, int attempt, int64_t due_ns) {
    if (a->n_again == a->cap_again) {
        size_t cap = a->cap_again ? a->cap_again * 2 : 16;
        struct mr_job_again *p = mr_reallocarray(a->again, cap, sizeof *p);
        if (!p)
            return false;
        a->again = p;
        a->cap_again = cap;
    }
    a->again[a->n_again++] =
        (struct mr_job_again){.index = index, .attempt = attempt, .due_ns = due_ns};
    return true;
}

/* Puts the item back to be tried after a pause; false: no memory. */
static bool again(struct mr_job_active *a, int64_t index, int attempt) {
    int64_t ms = a->j->c.retry_ms << (attempt > 1 ? attempt - 2 : 0);
    if (ms > BACKOFF_MAX_S * 1000ll)
        ms = BACKOFF_MAX_S * 1000ll;
    return mr_job_put_again(a, index, attempt, mr_mono_ns() + ms * 1000000);
}

static void measure(struct mr_job_service *s, struct mr_job_active *a, int64_t took_us) {
    unsigned side = a->running ? a->running : 1; /* of this job: what the item had to share with */
    double each = (double)took_us / 1e6 / side;
    s->item_s = s->item_s > 0 ? s->item_s + (each - s->item_s) / 16 : each;
}

static void run_one(struct worker *w, struct mr_job_active *a, int64_t index, int attempt) {
    struct mr_jobs *j = w->j;
    struct mr_str output = {0};
    struct mr_err e = {0};
    bool fatal = false;
    int64_t began = mr_mono_ns();
    int rc = run_item(w, a, index, attempt, &output, &fatal, &e);
    int64_t took_us = (mr_mono_ns() - began) / 1000;
    mr_crash_point("job-item-done");
    bool retry = rc && !fatal && passing(rc) && attempt <= a->retries;
    if (retry && !atomic_load(&a->stop))
        mr_job_attempt_note(a, index, attempt);
    struct mr_job_done *d =
        retry || fatal ? NULL : done_new(index, attempt, took_us, rc, output, &e);
    if (!retry && !fatal && !d) {
        retry = true; /* no memory for its result: the work is done again */
        attempt--;
    }
    pthread_mutex_lock(&j->mu);
    measure(&j->service[w->service], a, took_us);
    a->running--;
    if (atomic_load(&a->stop) && (rc || a->lost)) {
        mr_free(d); /* what was broken off is no outcome: it runs again where the job goes on */
        d = NULL;
    } else if (fatal || (retry && !again(a, index, attempt + 1))) {
        if (!a->fatal.code)
            a->fatal = e;
    } else if (d) {
        *a->waiting_end = d;
        a->waiting_end = &d->next;
        a->n_waiting++;
    }
    bool send = mr_job_commit_begin(a);
    if (!send)
        mr_job_active_reap(a);
    if (!mr_job_ready(j, w->service, MR_JOB_LOW, 1) && mr_job_any_queued(j, w->service))
        mr_jobs_kick_locked(j);
    pthread_cond_broadcast(&j->idle_cond);
    pthread_mutex_unlock(&j->mu);
    if (send)
        mr_job_commit_send(a);
    mr_arena_reset(&w->arena);
    if (w->input.cap > INPUT_KEEP)
        mr_buf_release(&w->input);
}

/* --- preparing ---------------------------------------------------------------------------- */

static void prepare(struct worker *w, struct mr_job_active *a) {
    struct mr_jobs *j = w->j;
    struct mr_err e = {0};
    int rc = mr_job_prepare(a, &e);
    pthread_mutex_lock(&j->mu);
    if (a->lost || rc == MR_ECONFLICT) {
        a->stage = MR_JOB_PREPARE;
        mr_job_active_lose(a);
    } else if (!rc) {
        a->stage = MR_JOB_RUN;
        a->begun_ns = mr_mono_ns();
        a->begun_stored = a->stored;
        pthread_cond_broadcast(&j->service[a->service].work);
    } else {
        bool once_more = passing(rc) || rc == MR_ENOSPC || rc == MR_ENOMEM || rc == MR_ECANCELLED;
        a->stage = MR_JOB_PREPARE;
        a->prepare_ns = mr_mono_ns() + PREPARE_NS;
        if (rc != MR_ECANCELLED && (!once_more || ++a->prepare_tries >= PREPARE_TRIES))
            a->fatal = e;
    }
    bool send = mr_job_commit_begin(a);
    if (!send)
        mr_job_active_reap(a);
    pthread_cond_broadcast(&j->idle_cond);
    pthread_mutex_unlock(&j->mu);
    if (send)
        mr_job_commit_send(a);
}

/* --- threads ------------------------------------------------------------------------------ */

/* Waits until woken or `due_ns`; under mu. */
static void wait_until(struct mr_jobs *j, struct mr_job_service *s, int64_t due_ns) {
    if (due_ns == INT64_MAX) {
        pthread_cond_wait(&s->work, &j->mu);
        return;
    }
    struct timespec at = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
    pthread_cond_timedwait(&s->work, &j->mu, &at);
}

static void *worker_main(void *arg) {
    struct worker w = *(struct worker *)arg;
    struct mr_jobs *j = w.j;
    mr_free(arg);
    mr_arena_init(&w.arena, ARENA_MAX);
    mr_buf_init(&w.input, MR_JOB_ITEM_MAX + MR_JOB_ITEM_NAME_MAX + 16);
    pthread_mutex_lock(&j->mu);
    while (!j->stopping) {
        struct mr_job_active *a = NULL;
        int64_t index = 0, due = INT64_MAX;
        int attempt = 1;
        if (!mr_job_next(j, w.service, &a, &index, &attempt, &due)) {
            wait_until(j, &j->service[w.service], due);
            continue;
        }
        pthread_mutex_unlock(&j->mu);
        if (index < 0)
            prepare(&w, a);
        else
            run_one(&w, a, index, attempt);
        pthread_mutex_lock(&j->mu);
    }
    pthread_mutex_unlock(&j->mu);
    mr_arena_release(&w.arena);
    mr_buf_release(&w.input);
    return NULL;
}

static int start_one(struct mr_jobs *j, unsigned service, struct mr_err *e) {
    struct mr_job_service *s = &j->service[service];
    struct worker *w = mr_malloc(sizeof *w);
    if (!w)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *w = (struct worker){.j = j, .service = service};
    if (pthread_create(&s->threads[s->n_threads], NULL, worker_main, w)) {
        mr_free(w);
        return mr_fail(e, MR_ENOMEM, "no thread for jobs");
    }
    s->n_threads++;
    return 0;
}

int mr_job_workers_start(struct mr_jobs *j, struct mr_err *e) {
    for (unsigned i = 0; i < j->n_service; i++) {
        struct mr_job_service *s = &j->service[i];
        unsigned n = s->r.at_once ? s->r.at_once : 1;
        s->threads = mr_calloc(n, sizeof *s->threads);
        if (!s->threads)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        while (s->n_threads < n) {
            int rc = start_one(j, i, e);
            if (rc)
                return rc;
        }
    }
    return 0;
}
