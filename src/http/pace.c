#include "http/pace.h"

#define RATE_MIN  10000.0 /* events a second: below, two switches a request do not matter */
#define FEW       8       /* events a wait: above, there is nothing to gain */
#define CONNS_MIN 4       /* a client that waits for each answer cannot be batched */
#define TRIAL_NS  (5 * MR_PACE_WINDOW_NS)
#define PAUSE_NS  ((int64_t)1000 * 1000 * 1000)

static bool leave(struct mr_pace *p, int64_t now_ns) {
    p->batch = false;
    if (now_ns - p->entered_ns <= TRIAL_NS) /* it hurt; else the load has changed */
        p->not_before_ns = now_ns + PAUSE_NS;
    return true;
}

bool mr_pace_step(struct mr_pace *p, int64_t now_ns, uint64_t events, uint64_t waits,
                  uint64_t conns) {
    int64_t span = now_ns - p->since_ns;
    uint64_t n = events - p->events, w = waits - p->waits;
    p->since_ns = now_ns;
    p->events = events;
    p->waits = waits;
    if (span <= 0)
        return false;
    double rate = (double)n * 1e9 / (double)span;
    if (p->batch)
        return rate < p->before / 2 && leave(p, now_ns);
    if (rate < RATE_MIN || n >= w * FEW || conns < CONNS_MIN || now_ns < p->not_before_ns)
        return false;
    p->batch = true;
    p->before = rate;
    p->entered_ns = now_ns;
    return true;
}
