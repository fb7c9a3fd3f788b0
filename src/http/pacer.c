/* Counts the loops' events and gives their threads the scheduling policy that pace.h decides. */
#include "http/internal.h"

#include <sched.h>

void pacer_init(struct pacer *p) {
    pthread_mutex_init(&p->mu, NULL);
    atomic_init(&p->next_ns, 0);
    atomic_init(&p->gentle, false);
}

void pacer_release(struct pacer *p) {
    pthread_mutex_destroy(&p->mu);
}

/* Either policy needs no privilege. Where a sandbox forbids the call, the threads stay as they are
 * and the next trial asks again. Threads and processes that a loop starts begin as usual. */
static void set_policy(struct mr_http_server *s, bool batch) {
    int policy = (batch ? SCHED_BATCH : SCHED_OTHER) | SCHED_RESET_ON_FORK;
    struct sched_param none = {0};
    for (unsigned i = 0; i < s->n_loops; i++) {
        pid_t tid = atomic_load_explicit(&s->loops[i].tid, memory_order_relaxed);
        if (tid)
            (void)sched_setscheduler(tid, policy, &none);
    }
}

static void step(struct mr_http_server *s, int64_t now_ns) {
    uint64_t events = 0, waits = 0, open = 0;
    for (unsigned i = 0; i < s->n_loops; i++) {
        const struct counters *n = &s->loops[i].n;
        events += atomic_load_explicit(&n->events, memory_order_relaxed);
        waits += atomic_load_explicit(&n->waits, memory_order_relaxed);
        open += atomic_load_explicit(&n->open, memory_order_relaxed);
    }
    if (!mr_pace_step(&s->pacer.pace, now_ns, events, waits, open))
        return;
    atomic_store_explicit(&s->pacer.gentle, s->pacer.pace.batch, memory_order_relaxed);
    set_policy(s, s->pacer.pace.batch);
}

void pacer_event(struct hloop *l) {
    struct pacer *p = &l->s->pacer;
    int64_t now = mr_loop_now_ns(l->loop);
    count(&l->n.events, 1);
    if (now == l->iteration_ns)
        return;
    l->iteration_ns = now;
    count(&l->n.waits, 1);
    if (now < atomic_load_explicit(&p->next_ns, memory_order_relaxed) ||
        pthread_mutex_trylock(&p->mu) != 0)
        return;
    atomic_store_explicit(&p->next_ns, now + MR_PACE_WINDOW_NS, memory_order_relaxed);
    step(l->s, now);
    pthread_mutex_unlock(&p->mu);
}
