#include "base/alloc.h"
#include "base/clock.h"
#include "core/text/text_priv.h"

#include <math.h>
#include <string.h>

enum { RUN_MAX = 64 << 20, STARTERS = 4, STARTERS_QUEUE = 4096 };

static const char *const families[] = {"aisemble", "openai", "jobs"};

/* A local generation that a stop cut off used nothing that anybody asks money for; a provider may
 * have been asked: its reservation is booked, marked as estimated. */
static int recover_one(struct mr_tx *tx, const struct mr_open_charge *c, void *arg,
                       struct mr_err *e) {
    struct mr_text *t = arg;
    if (mr_str_is(c->provider, "local"))
        return mr_charge_release_in(t->c.ledger, tx, c->charge, e);
    struct mr_settle s = {.provider = c->provider,
                          .model = c->model,
                          .price_version = c->price_version,
                          .estimated = true,
                          .cost_nano = c->reserved_nano};
    return mr_charge_settle_in(t->c.ledger, tx, c->charge, &s, e);
}

static void on_stop(void *arg, enum mr_service s, const struct mr_catalog_model *m) {
    struct mr_text *t = arg;
    if (s != MR_SERVICE_LLM)
        return;
    pthread_mutex_lock(&t->mu);
    for (struct mr_text_run *u = t->live; u; u = u->next) {
        if (!u->local || (m && u->local != m))
            continue;
        u->stopped = true;
        if (u->running)
            mr_llm_cancel(u->use.handle, u->llm_ticket);
    }
    pthread_mutex_unlock(&t->mu);
}

int mr_text_open(const struct mr_text_config *c, struct mr_text **ret, struct mr_err *e) {
    struct mr_text *t = mr_calloc(1, sizeof *t);
    if (!t)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    t->c = *c;
    if (t->c.deadline_ms <= 0)
        t->c.deadline_ms = 600000;
    if (t->c.max_output_tokens <= 0)
        t->c.max_output_tokens = 4096;
    pthread_mutex_init(&t->mu, NULL);
    pthread_cond_init(&t->idle, NULL);
    int rc = mr_pool_new(STARTERS, STARTERS_QUEUE, &t->starters, e);
    for (size_t i = 0; !rc && i < sizeof families / sizeof *families; i++)
        rc = mr_ledger_recover(t->c.ledger, families[i], recover_one, t, e);
    if (!rc)
        rc = mr_residency_hook(t->c.residency,
                               &(struct mr_residency_hooks){.on_stop = on_stop, .arg = t});
    if (rc) {
        mr_text_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

void mr_text_free(struct mr_text *t) {
    if (!t)
        return;
    on_stop(t, MR_SERVICE_LLM, NULL); /* what still runs has nobody left to read it */
    mr_pool_free(t->starters);
    pthread_mutex_lock(&t->mu);
    while (t->live)
        pthread_cond_wait(&t->idle, &t->mu);
    pthread_mutex_unlock(&t->mu);
    while (t->stuck) { /* a last try; what still fails is recovered at the next start */
        struct mr_text_run *u = t->stuck;
        t->stuck = u->next_stuck;
        int rc = mr_db_write(t->c.db, mr_text_commit_in, u, NULL);
        mr_hold_end(t->c.ledger, &u->hold, rc ? 0 : u->settle.cost_nano);
        struct mr_arena arena = u->arena;
        mr_arena_release(&arena);
    }
    pthread_cond_destroy(&t->idle);
    pthread_mutex_destroy(&t->mu);
    mr_free(t);
}

/* --- runs --------------------------------------------------------------------------------- */

static int keep(struct mr_text_run *u, struct mr_str *s, struct mr_err *e) {
    if (!s->p)
        return 0;
    *s = mr_arena_keep(&u->arena, *s);
    return s->p ? 0 : mr_fail(e, MR_ETOOBIG, "the request does not fit into memory");
}

static int copy_request(struct mr_text_run *u, struct mr_err *e) {
    struct mr_text_request *q = &u->q;
    struct mr_str *all[] = {&q->model,          &q->prompt,           &q->messages_json,
                            &q->tools_json,     &q->provider_members, &q->end_user,
                            &q->params.grammar, &q->adapter};
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof all / sizeof *all; i++)
        rc = keep(u, all[i], e);
    for (size_t i = 0; !rc && i < q->params.n_stop; i++)
        rc = keep(u, &q->params.stop[i], e);
    return rc;
}

static int run_new(struct mr_text *t, const struct mr_text_request *q, struct mr_text_run **ret,
                   struct mr_err *e) {
    struct mr_arena arena;
    mr_arena_init(&arena, RUN_MAX);
    struct mr_text_run *u = mr_arena_zalloc(&arena, sizeof *u);
    if (!u) {
        mr_arena_release(&arena);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    u->t = t;
    u->arena = arena;
    u->q = *q;
    u->began_ns = mr_mono_ns();
    pthread_mutex_lock(&t->mu);
    u->ticket = ++t->next_ticket;
    u->next = t->live;
    if (t->live)
        t->live->prev = u;
    t->live = u;
    pthread_mutex_unlock(&t->mu);
    int rc = copy_request(u, e);
    if (rc) {
        mr_text_run_free(u);
        return rc;
    }
    *ret = u;
    return 0;
}

static void unlink_run(struct mr_text_run *u) {
    struct mr_text *t = u->t;
    if (u->prev)
        u->prev->next = u->next;
    else if (t->live == u)
        t->live = u->next;
    if (u->next)
        u->next->prev = u->prev;
    u->next = u->prev = NULL;
    if (!t->live)
        pthread_cond_broadcast(&t->idle);
}

void mr_text_run_free(struct mr_text_run *u) {
    struct mr_text *t = u->t;
    struct mr_arena arena = u->arena;
    mr_use_end(&u->use, true); /* one that did no work is no failure of the model's */
    pthread_mutex_lock(&t->mu);
    unlink_run(u);
    pthread_mutex_unlock(&t->mu);
    mr_arena_release(&arena);
}

static void start_cold(void *arg) {
    struct mr_text_run *u = arg;
    struct mr_err e;
    int rc = mr_text_begin(u, &e);
    if (rc)
        mr_text_refuse(u, rc, &e);
}

int mr_text_generate(struct mr_text *t, const struct mr_text_request *q, uint64_t *ret_ticket,
                     struct mr_err *e) {
    struct mr_text_run *u;
    struct mr_llm_params checked = q->params;
    if (isnan(checked.temperature))
        checked.temperature = 0;
    int rc = mr_llm_params_check(&checked, e);
    if (rc || (rc = run_new(t, q, &u, e)))
        return rc;
    uint64_t ticket = u->ticket;
    rc = mr_text_resolve(u, e);
    if (!rc) {
        bool warm = mr_ledger_warm(t->c.ledger, &u->q.who) &&
                    (!u->local || mr_model_ready(t->c.residency, u->local));
        rc = warm ? mr_text_begin(u, e) : mr_pool_submit(t->starters, start_cold, u);
        if (rc && !warm)
            mr_fail(e, rc, "too many requests wait for models to load: try again");
    }
    if (rc) {
        mr_text_run_free(u);
        return rc;
    }
    if (ret_ticket)
        *ret_ticket = ticket;
    return 0;
}

void mr_text_cancel(struct mr_text *t, uint64_t ticket) {
    pthread_mutex_lock(&t->mu);
    struct mr_text_run *u = t->live;
    while (u && u->ticket != ticket)
        u = u->next;
    if (u) {
        u->cancelled = true;
        if (u->running)
            mr_llm_cancel(u->use.handle, u->llm_ticket);
    }
    pthread_mutex_unlock(&t->mu);
}

/* --- for threads that wait ---------------------------------------------------------------- */

struct waiter {
    int (*on_delta)(void *arg, const struct mr_llm_delta *d); /* the caller's */
    void *arg;
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool over;
    struct mr_arena *arena;
    struct mr_text_result *r;
};

static int pass_on(void *arg, const struct mr_llm_delta *d) {
    struct waiter *w = arg;
    return w->on_delta(w->arg, d);
}

static void wake(void *arg, const struct mr_text_result *r) {
    struct waiter *w = arg;
    struct mr_str *s[] = {&w->r->provider,      &w->r->model,         &w->r->text,
                          &w->r->finish_reason, &w->r->logprobs_json, &w->r->tool_calls_json};
    pthread_mutex_lock(&w->mu);
    *w->r = *r;
    for (size_t i = 0; i < sizeof s / sizeof *s; i++)
        if (s[i]->p && !(*s[i] = mr_arena_keep(w->arena, *s[i])).p && !w->r->rc)
            w->r->rc = mr_fail(&w->r->err, MR_ENOMEM, "the answer does not fit into memory");
    w->over = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mu);
}

int mr_text_generate_wait(struct mr_text *t, const struct mr_text_request *q,
                          struct mr_arena *arena, struct mr_text_result *ret, struct mr_err *e) {
    struct waiter w = {.on_delta = q->on_delta, .arg = q->arg, .arena = arena, .r = ret};
    struct mr_text_request mine = *q;
    pthread_mutex_init(&w.mu, NULL);
    pthread_cond_init(&w.cond, NULL);
    mine.on_delta = q->on_delta ? pass_on : NULL;
    mine.done = wake;
    mine.arg = &w;
    int rc = mr_text_generate(t, &mine, NULL, e);
    if (!rc) {
        pthread_mutex_lock(&w.mu);
        while (!w.over)
            pthread_cond_wait(&w.cond, &w.mu);
        pthread_mutex_unlock(&w.mu);
        rc = ret->rc;
        if (rc && e)
            *e = ret->err;
    }
    pthread_cond_destroy(&w.cond);
    pthread_mutex_destroy(&w.mu);
    return rc;
}
