/* A circuit breaker: a pure state machine, the caller locks and tells the time.
 *
 * Closed: everything passes; when of the last 20 outcomes at least 5 and at least half are faults
 * it opens. Open: nothing passes until its time is over (1 s, doubled by each probe that fails, at
 * most 30 s). Half-open: one request is the probe; its fault opens again, anything else closes. */
#ifndef MR_CORE_GATEWAY_BREAKER_H
#define MR_CORE_GATEWAY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BREAKER_OUTCOMES = 20,
    BREAKER_FAULTS_MIN = 5,
    BREAKER_OPEN_MS = 1000,
    BREAKER_OPEN_MAX_MS = 30000
};

struct breaker {
    uint32_t faults; /* the latest outcomes, a bit each, newest lowest */
    unsigned n;      /* how many of them count */
    bool open, probing;
    int64_t open_ms; /* how long it opens next */
    int64_t until_ns;
    uint64_t opened; /* times */
};

enum outcome {
    OUTCOME_GOOD,  /* the upstream answered: also a refusal that is the client's fault */
    OUTCOME_FAULT, /* 5xx, reset, time-out, rubbish */
    OUTCOME_NONE,  /* says nothing about the upstream (shutdown, our own lack of memory) */
};
/* Whether a request may go now; *ret_probe: it is the probe, to be told to breaker_report. When
 * not, *ret_wait_ms is when to come again. */
bool breaker_allow(struct breaker *b, int64_t now_ns, bool *ret_probe, int64_t *ret_wait_ms);
/* True when this outcome opened it. */
bool breaker_report(struct breaker *b, int64_t now_ns, enum outcome o, bool probe);

#endif
