/* Events and webhooks: an outbox written in the caller's transaction, delivered at least once by a
 * background thread with Standard Webhooks signatures, retries, a dead letter and replay.
 * Thread-safe. Functions that read or write the database are not for loop threads.
 *
 * Request: POST {"event":…,"timestamp":…,"data":…}; headers webhook-id (the same on every try and
 * replay), webhook-timestamp and webhook-signature as in Standard Webhooks 1.0.0 ("v1," and Base64
 * of HMAC-SHA256 over id.timestamp.body), X-ServeML-Signature ("sha256=" and hex of HMAC-SHA256
 * over the body) and X-ServeML-Event. A secret "whsec_<Base64>" is decoded, any other non-empty one
 * is the key as it is. 2xx is success; 410 disables the webhook; everything else is tried again
 * after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h (each up to 10 % later, and not
 * before Retry-After on 429 and 503), then the delivery is dead. Targets: http/outbound.h. */
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
    const char *allow_targets; /* struct mr_outbound_policy.allow; NULL = none; borrowed */
    unsigned workers;          /* delivery threads, one delivery at a time a webhook; 0 = 4 */
    int timeout_ms;            /* one attempt; 0 = 15,000 */
    int keep_days;             /* finished deliveries; 0 = 30 */
};
/* Starts the delivery threads. What an earlier process left unfinished is tried again. */
int mr_events_open(const struct mr_events_config *c, struct mr_events **ret, struct mr_err *e);
/* Finishes the attempts under way, then ends. */
void mr_events_free(struct mr_events *ev);
/* The event names known to this build, NULL-terminated. */
extern const char *const mr_event_names[]; /* events_table.c */
bool mr_event_known(struct mr_str name);

/* Writes the event and one delivery a subscribed webhook inside tx; delivery starts after the
 * commit. `data_json`: the payload's "data" object. Nothing is written when no webhook wants it.
 * MR_EINTERNAL for an unknown event. */
int mr_event_emit(struct mr_events *ev, struct mr_tx *tx, struct mr_id account, const char *event,
                  struct mr_str data_json, struct mr_err *e);

/* The same for every account that has a webhook for it. */
int mr_event_emit_all(struct mr_events *ev, struct mr_tx *tx, const char *event,
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
    struct mr_str disabled_reason; /* "" while active */
};
enum { MR_WEBHOOKS_MAX = 100 }; /* an account; beyond: MR_ELIMIT */
/* Checks the URL (scheme, host, SSRF rules) and event names: MR_EFIELD. An absent secret makes one:
 * ret_secret (in the arena) is "whsec_…", shown once; p == NULL when the caller gave its own. The
 * event name "*" means all. */
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
/* Queues an event "webhook.test" for this webhook only. MR_ECONFLICT when it is disabled. */
int mr_webhook_test(struct mr_events *ev, struct mr_id account, struct mr_id id,
                    struct mr_id *ret_delivery, struct mr_err *e);

struct mr_delivery {
    struct mr_id id;
    struct mr_str event, status; /* pending, delivered, dead */
    struct mr_str attempts;      /* JSON array: {attempt, at, status_code, duration_ms, error,
                                  * response} */
    int64_t created_us, next_us;
};
/* Newest first; limit 1..100. */
int mr_webhook_deliveries(struct mr_events *ev, struct mr_id account, struct mr_id webhook,
                          int64_t limit, int64_t offset, struct mr_arena *arena,
                          struct mr_delivery **ret, size_t *ret_n, int64_t *ret_total,
                          struct mr_err *e);
/* Queues the same payload once more, now; also a dead one. */
int mr_webhook_replay(struct mr_events *ev, struct mr_id account, struct mr_id webhook,
                      struct mr_id delivery, struct mr_id *ret_delivery, struct mr_err *e);

/* What the signature headers say. MR_EFIELD naming `secret` when it is empty or not Base64 after
 * "whsec_". */
struct mr_webhook_signature {
    char standard[64]; /* "v1,…" */
    char serveml[80];  /* "sha256=…" */
};
int mr_webhook_sign(struct mr_str secret, struct mr_str id, int64_t timestamp_s, struct mr_str body,
                    struct mr_webhook_signature *ret, struct mr_err *e);

#endif
