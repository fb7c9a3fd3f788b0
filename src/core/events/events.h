/* Events and webhooks: an outbox written in the caller's transaction, delivered at least once by a
 * background thread with Standard Webhooks signatures, retries, a dead letter and replay.
 * Thread-safe. */
#ifndef MR_CORE_EVENTS_EVENTS_H
#define MR_CORE_EVENTS_EVENTS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "store/db.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_events;

struct mr_events_config {
    struct mr_db *db;
    const struct mr_log *log;   /* may be NULL */
    bool allow_loopback;        /* targets on this machine: only while the server listens there */
    const int64_t *schedule_ms; /* delays before attempts 1, 2, …; NULL = the product's */
    size_t n_schedule;
};
/* Starts the delivery thread. */
int mr_events_open(const struct mr_events_config *c, struct mr_events **ret, struct mr_err *e);
/* Finishes the attempt under way, then ends. */
void mr_events_free(struct mr_events *ev);
/* The event names known to this build, NULL-terminated. */
extern const char *const mr_event_names[];

/* Writes the event and one delivery a subscribed webhook inside tx; delivery starts after the
 * commit. `data_json`: the payload's "data" object. */
int mr_event_emit(struct mr_events *ev, struct mr_tx *tx, struct mr_id account, const char *event,
                  struct mr_str data_json, struct mr_err *e);

#define MR_WEBHOOK_PREFIX  "wh-"
#define MR_DELIVERY_PREFIX "dlv-"

struct mr_webhook {
    struct mr_id id;
    struct mr_str url;
    const struct mr_str *events; /* n_events */
    size_t n_events;
    bool active;
    int64_t created_us;
};
/* Checks the URL (scheme, host, SSRF rules) and event names: MR_EFIELD. An absent secret makes one:
 * ret_secret (in the arena) is "whsec_…", shown once; p == NULL when the caller gave its own. */
int mr_webhook_create(struct mr_events *ev, struct mr_id account, struct mr_str url,
                      const struct mr_str *events, size_t n_events, struct mr_str secret,
                      struct mr_arena *arena, struct mr_webhook *ret, struct mr_str *ret_secret,
                      struct mr_err *e);
int mr_webhook_list(struct mr_events *ev, struct mr_id account, struct mr_arena *arena,
                    struct mr_webhook **ret, size_t *ret_n, struct mr_err *e);
int mr_webhook_get(struct mr_events *ev, struct mr_id account, struct mr_id id,
                   struct mr_arena *arena, struct mr_webhook *ret, struct mr_err *e);
int mr_webhook_delete(struct mr_events *ev, struct mr_id account, struct mr_id id,
                      struct mr_err *e);
/* Queues an event "webhook.test" for this webhook only. */
int mr_webhook_test(struct mr_events *ev, struct mr_id account, struct mr_id id,
                    struct mr_id *ret_delivery, struct mr_err *e);

struct mr_delivery {
    struct mr_id id;
    struct mr_str event, status; /* pending, delivered, dead */
    struct mr_str attempts;      /* JSON array: {attempt, at, status_code, duration_ms, error,
                                  * response} */
    int64_t created_us, next_us;
};
int mr_webhook_deliveries(struct mr_events *ev, struct mr_id account, struct mr_id webhook,
                          int64_t limit, int64_t offset, struct mr_arena *arena,
                          struct mr_delivery **ret, size_t *ret_n, int64_t *ret_total,
                          struct mr_err *e);
/* Queues the same payload once more, now; also a dead one. */
int mr_webhook_replay(struct mr_events *ev, struct mr_id account, struct mr_id webhook,
                      struct mr_id delivery, struct mr_id *ret_delivery, struct mr_err *e);

#endif
