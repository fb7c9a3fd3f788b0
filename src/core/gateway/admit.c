/* Places at a provider: at most `concurrency` requests at once, the others wait in order. */
#include "base/clock.h"
#include "core/gateway/internal.h"

static void append(struct target *t, struct chat *c, bool front) {
    if (front) { /* a retry has waited already */
        c->next = t->first;
        t->first = c;
        if (!t->last)
            t->last = c;
    } else {
        c->next = NULL;
        if (t->last)
            t->last->next = c;
        else
            t->first = c;
        t->last = c;
    }
    t->stats.queued++;
}

/* Takes those out whose deadline has passed; returns them as a list. Locked. */
static struct chat *take_late(struct target *t, int64_t now) {
    struct chat *late = NULL, **at = &t->first;
    t->last = NULL;
    while (*at) {
        struct chat *c = *at;
        if (c->deadline_ns <= now) {
            *at = c->next;
            c->next = late;
            late = c;
            t->stats.queued--;
        } else {
            t->last = c;
            at = &c->next;
        }
    }
    return late;
}

static void dispatch(struct target *t);

static void sweep(void *arg) {
    struct target *t = arg;
    pthread_mutex_lock(&t->mu);
    struct chat *late = take_late(t, mr_mono_ns());
    bool more = t->first != NULL;
    t->sweeping = more;
    pthread_mutex_unlock(&t->mu);
    if (more && mr_upstream_after(t->g->c.upstream, GATEWAY_SWEEP_MS, sweep, t, NULL) < 0) {
        pthread_mutex_lock(&t->mu);
        t->sweeping = false; /* the next one that queues tries again */
        pthread_mutex_unlock(&t->mu);
    }
    while (late) {
        struct chat *c = late;
        late = c->next;
        mr_chat_fail(c, MR_ETIMEOUT, "no free connection in time");
        mr_chat_finish(c);
    }
    dispatch(t); /* when a place was given back unused */
}

enum admitted mr_chat_admit(struct chat *c, bool again, int64_t *ret_wait_ms) {
    struct target *t = c->t;
    enum admitted a = ADMIT_GO;
    bool start_sweep = false;
    pthread_mutex_lock(&t->mu);
    t->stats.requests += !again;
    if (t->stats.in_flight < t->p.concurrency && !t->first) {
        if (breaker_allow(&t->breaker, mr_mono_ns(), &c->probe, ret_wait_ms))
            t->stats.in_flight++;
        else
            a = ADMIT_OPEN;
    } else if (t->breaker.open) { /* waiting would be for nothing */
        *ret_wait_ms = BREAKER_OPEN_MS;
        a = ADMIT_OPEN;
    } else if (t->stats.queued >= t->p.queue_max) {
        *ret_wait_ms = GATEWAY_FULL_MS;
        a = ADMIT_FULL;
    } else {
        append(t, c, again);
        start_sweep = !t->sweeping;
        t->sweeping = true;
        a = ADMIT_QUEUED;
    }
    pthread_mutex_unlock(&t->mu);
    if (start_sweep && mr_upstream_after(t->g->c.upstream, GATEWAY_SWEEP_MS, sweep, t, NULL) < 0) {
        pthread_mutex_lock(&t->mu);
        t->sweeping = false;
        pthread_mutex_unlock(&t->mu);
    }
    return a;
}

/* The next that waits, with a place taken for it; NULL: nobody, or no place. */
static struct chat *next(struct target *t, bool *ret_allowed, int64_t *ret_wait_ms) {
    pthread_mutex_lock(&t->mu);
    struct chat *c = t->stats.in_flight < t->p.concurrency ? t->first : NULL;
    if (c) {
        t->first = c->next;
        if (!t->first)
            t->last = NULL;
        t->stats.queued--;
        *ret_allowed = breaker_allow(&t->breaker, mr_mono_ns(), &c->probe, ret_wait_ms);
        t->stats.in_flight += *ret_allowed;
    }
    pthread_mutex_unlock(&t->mu);
    return c;
}

static void dispatch(struct target *t) {
    bool allowed = false;
    int64_t wait_ms = -1;
    struct chat *c;
    while ((c = next(t, &allowed, &wait_ms))) {
        struct mr_err e = {0};
        if (!allowed) {
            mr_chat_refused(c, ADMIT_OPEN, wait_ms);
            mr_chat_give_up(c, true);
            continue;
        }
        bool probe = c->probe;
        if (mr_chat_start(c, &e) < 0) {
            pthread_mutex_lock(&t->mu);
            t->stats.in_flight--;
            breaker_report(&t->breaker, mr_mono_ns(), OUTCOME_NONE, probe);
            pthread_mutex_unlock(&t->mu);
            mr_chat_fail(c, e.code, "%s", e.msg);
            mr_chat_finish(c);
        }
    }
}

void mr_target_release(struct target *t, enum outcome o, bool probe) {
    pthread_mutex_lock(&t->mu);
    t->stats.in_flight--;
    bool was_open = t->breaker.open;
    bool opened = breaker_report(&t->breaker, mr_mono_ns(), o, probe);
    bool closed = was_open && !t->breaker.open;
    bool waiting = t->first != NULL;
    pthread_mutex_unlock(&t->mu);
    if (opened)
        mr_log_msg(t->g->c.log, MR_LOG_WARN, "provider_down", "provider %s fails: requests stop",
                   t->p.name);
    if (closed)
        mr_log_msg(t->g->c.log, MR_LOG_INFO, "provider_up", "provider %s answers again", t->p.name);
    if (waiting)
        dispatch(t);
}

void mr_target_give_back(struct target *t, bool probe) {
    pthread_mutex_lock(&t->mu);
    t->stats.in_flight--;
    breaker_report(&t->breaker, mr_mono_ns(), OUTCOME_NONE, probe);
    pthread_mutex_unlock(&t->mu);
}
