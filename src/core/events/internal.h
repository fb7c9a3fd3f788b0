/* Inside of events and webhooks. */
#ifndef MR_CORE_EVENTS_INTERNAL_H
#define MR_CORE_EVENTS_INTERNAL_H

#include "core/events/events.h"
#include "http/outbound.h"

#include <pthread.h>

enum { MR_DLV_PENDING, MR_DLV_DONE, MR_DLV_DEAD };
enum { MR_REPLY_KEEP = 1024 };

struct mr_events {
    struct mr_db *db;
    const struct mr_log *log;
    struct mr_outbound_policy targets;
    const int64_t *schedule_ms;
    size_t n_schedule;
    int timeout_ms, keep_days;

    pthread_t *threads;
    unsigned n_threads;
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool kicked, stopping;
    int64_t next_due_us; /* earliest known retry */
    int64_t pruned_us;
};

/* One delivery under way; strings in the arena. */
struct mr_claim {
    struct mr_arena *arena;
    bool found;
    struct mr_id delivery, webhook, event_id;
    struct mr_str url, secret, event, data;
    int attempt; /* 1 … */
    int64_t event_us, lease_until;
    /* its outcome */
    int64_t started_us, duration_us, next_us;
    int status, state; /* MR_DLV_… */
    bool gone;         /* 410 */
    struct mr_str error, reply;
};

/* queue.c: transactions of the delivery threads. arg: struct mr_claim. */
int mr_events_claim_tx(struct mr_tx *tx, void *arg, struct mr_err *e);
int mr_events_settle_tx(struct mr_tx *tx, void *arg, struct mr_err *e);
int mr_events_recover_tx(struct mr_tx *tx, void *arg, struct mr_err *e);
int mr_events_prune_tx(struct mr_tx *tx, void *arg, struct mr_err *e);    /* int64_t: before */
int mr_events_next_due_tx(struct mr_tx *tx, void *arg, struct mr_err *e); /* int64_t */
/* Adds a pending delivery. */
int mr_events_add_delivery(struct mr_tx *tx, struct mr_id webhook, struct mr_id event,
                           int64_t now_us, int64_t next_us, struct mr_id *ret, struct mr_err *e);
int mr_events_add_event(struct mr_tx *tx, struct mr_id account, const char *event,
                        struct mr_str data, int64_t now_us, struct mr_id *ret, struct mr_err *e);
/* deliver.c: makes the attempt and fills the outcome. */
void mr_events_attempt(struct mr_events *ev, struct mr_claim *c);
/* events.c: wakes a delivery thread. */
void mr_events_kick(struct mr_events *ev);

/* sign.c: the key behind a secret, appended. MR_EFIELD. */
int mr_webhook_key(struct mr_str secret, struct mr_buf *key, struct mr_err *e);

#endif
