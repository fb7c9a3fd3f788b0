/* Events and webhooks: an event is written to the outbox inside the transaction that causes it, one
 * delivery for each webhook that wants it; worker threads deliver at least once, with the same id
 * on every try.
 *
 * Request: POST, body {"event":…,"timestamp":…,"data":…}, signed as Standard Webhooks 1.0.0
 * (webhook-id, webhook-timestamp, webhook-signature "v1,<base64 HMAC-SHA256 of id.timestamp.body>")
 * and by X-ServeML-Signature "sha256=<hex HMAC-SHA256 of the body>"; X-ServeML-Event names the
 * event. A secret "whsec_<base64>" is decoded, any other non-empty secret is used as it is.
 * 2xx is success. 410 disables the webhook. Everything else is tried again after 5 s, 5 min,
 * 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h (each up to 10 % later, at least Retry-After on 429 and
 * 503), then the delivery is dead until it is replayed.
 * Targets are checked by http/outbound.h against requests into our own network.
 */
#ifndef MR_CORE_EVENTS_H
#define MR_CORE_EVENTS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "http/outbound.h"
#include "store/db.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_events;

struct mr_events_config {
    struct mr_db *db;                  /* borrowed */
    struct mr_outbound_policy targets; /* strings borrowed */
    unsigned workers;                  /* default 4; one delivery at a time for each webhook */
    int timeout_ms;                    /* one try; default 15,000 */
    int poll_ms;                       /* look for due deliveries at least so often; 1000 */
    const int64_t *retry_us;           /* waits after the 1st, 2nd … failure; default as above */
    size_t n_retry;
    int keep_days; /* finished deliveries; default 30 */
};

int mr_events_open(const struct mr_events_config *c, struct mr_events **ret, struct mr_err *e);
/* Lets running tries end (at most timeout_ms), stops. */
void mr_events_close(struct mr_events *ev);
/* Deliver soon: call after the commit of a transaction that emitted. Any thread, cheap. */
void mr_events_kick(struct mr_events *ev);

/* The table of known events; families add their rows in events_table.c. */
struct mr_event_type {
    const char *name, *summary;
};
extern const struct mr_event_type mr_event_types[];
extern const size_t mr_n_event_types;
bool mr_event_known(struct mr_str name);

/* Inside a write function. `data_json` is the JSON object of the payload's `data` (copied).
 * MR_EINTERNAL for an unknown event. Without a webhook that wants it nothing is written. */
int mr_event_emit(struct mr_tx *tx, struct mr_id account, const char *event,
                  struct mr_str data_json, struct mr_err *e);

/* --- webhooks: each call is one transaction; not on a loop thread -------------------------- */
enum { MR_WEBHOOK_EVENTS_MAX = 64, MR_WEBHOOKS_MAX = 100 /* an account */ };

struct mr_webhook_new {
    struct mr_str url;
    const struct mr_str *events; /* at least one; each known; "*" means all */
    size_t n_events;
    struct mr_str secret; /* absent: one is made (whsec_…); empty: MR_EFIELD */
};

struct mr_webhook {
    struct mr_id id; /* printed "wh-…" by the API */
    struct mr_str url;
    struct mr_str *events;
    size_t n_events;
    bool active;
    struct mr_str disabled_reason; /* "" while active */
    int64_t created_us, updated_us;
};

/* Strings of results live in the arena. *ret_secret is what to show once: the generated secret, or
 * absent (p == NULL) when the caller gave one. Errors: MR_EFIELD naming url, events or secret;
 * MR_ELIMIT. */
int mr_webhook_create(struct mr_events *ev, struct mr_id account, const struct mr_webhook_new *in,
                      struct mr_arena *a, struct mr_webhook *ret, struct mr_str *ret_secret,
                      struct mr_err *e);
/* Oldest first. */
int mr_webhook_list(struct mr_events *ev, struct mr_id account, struct mr_arena *a,
                    struct mr_webhook **ret, size_t *ret_n, struct mr_err *e);
int mr_webhook_get(struct mr_events *ev, struct mr_id account, struct mr_id id, struct mr_arena *a,
                   struct mr_webhook *ret, struct mr_err *e);
/* With its deliveries. */
int mr_webhook_delete(struct mr_events *ev, struct mr_id account, struct mr_id id,
                      struct mr_err *e);
/* Active again after a 410 or by hand, or switched off; what is pending stays pending. */
int mr_webhook_set_active(struct mr_events *ev, struct mr_id account, struct mr_id id, bool active,
                          struct mr_err *e);
/* Queues a `webhook.test` event for this webhook alone, whatever its events are. MR_ECONFLICT when
 * it is not active. */
int mr_webhook_test(struct mr_events *ev, struct mr_id account, struct mr_id id,
                    struct mr_id *ret_delivery, struct mr_err *e);

/* --- the delivery log ---------------------------------------------------------------------- */
enum mr_delivery_state { MR_DELIVERY_PENDING, MR_DELIVERY_DONE, MR_DELIVERY_DEAD };
const char *mr_delivery_state_name(enum mr_delivery_state s); /* "pending", "delivered", "dead" */

struct mr_delivery_attempt {
    int attempt; /* 1 … */
    int64_t started_us, duration_us;
    int status;          /* HTTP status, 0 without an answer */
    struct mr_str error; /* "" on success */
    struct mr_str reply; /* first 1 KiB */
};

struct mr_delivery {
    struct mr_id id, webhook; /* id printed "msg_…" is the webhook-id header */
    struct mr_str event, data;
    enum mr_delivery_state state;
    int attempts;
    int64_t created_us, next_us; /* next_us: 0 unless pending */
    struct mr_delivery_attempt *log;
    size_t n_log;
};

/* Newest first, at most `limit` (1..100), starting after `offset`, each with its attempts. */
int mr_delivery_list(struct mr_events *ev, struct mr_id account, struct mr_id webhook, int limit,
                     int offset, struct mr_arena *a, struct mr_delivery **ret, size_t *ret_n,
                     struct mr_err *e);
/* Tries a finished or waiting delivery again now, with the same id, on a fresh schedule. */
int mr_delivery_replay(struct mr_events *ev, struct mr_id account, struct mr_id webhook,
                       struct mr_id delivery, struct mr_err *e);

/* The three signature headers' values; for tests and SDK examples. */
struct mr_webhook_signature {
    char standard[48]; /* "v1,…" */
    char serveml[72];  /* "sha256=…" */
};
int mr_webhook_sign(struct mr_str secret, struct mr_str id, int64_t timestamp_s, struct mr_str body,
                    struct mr_webhook_signature *ret, struct mr_err *e);

#endif
