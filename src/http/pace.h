/* Whether the loops' threads should wake gently.
 *
 * A thread that wakes up preempts what runs on its CPU. When that is a client on the same machine,
 * or whatever else feeds the loops, each request it sends costs it the CPU at once: the loop finds
 * one event, answers it, sleeps again, and two context switches are paid a request. A thread under
 * SCHED_BATCH waits until the running one blocks or its slice (1-3 ms) ends, and then finds many.
 *
 * That is worth it under load only: beside a thread that computes without pause, a lone request
 * would wait for that slice. So the server begins and rests under SCHED_OTHER, tries SCHED_BATCH
 * when events are many and come in small batches, and keeps it as long as the rate of events does
 * not fall by half: a trial that hurts costs one window a second.
 *
 * Pure arithmetic; the caller counts, and sets the policy. */
#ifndef MR_HTTP_PACE_H
#define MR_HTTP_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define MR_PACE_WINDOW_NS ((int64_t)20 * 1000 * 1000)

struct mr_pace { /* zero to begin with */
    bool batch;
    int64_t since_ns;       /* the window's begin */
    uint64_t events, waits; /* totals at its begin */
    double before;          /* events a second in the last window before `batch` */
    int64_t entered_ns, not_before_ns;
};

/* To be called at most every MR_PACE_WINDOW_NS, with the totals of all loops: events handled, and
 * waits that returned some. `conns`: open connections. True when p->batch has changed. */
bool mr_pace_step(struct mr_pace *p, int64_t now_ns, uint64_t events, uint64_t waits,
                  uint64_t conns);

#endif
