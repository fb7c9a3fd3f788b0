/* Asynchronous HTTP requests to addresses that the operator configured (model providers, Stripe),
 * in one event-loop thread of its own: connections are kept and reused, no redirects, no proxies,
 * no other protocols. Users' addresses never come here (http/outbound.h guards those).
 * http:// with an IP address or `localhost` goes over a small HTTP/1.1 client of our own; https://
 * and names over libcurl's multi interface: HTTP/2 where the server offers it, certificates
 * verified against the system's, or SSL_CERT_FILE / SSL_CERT_DIR when set; libcurl is loaded by
 * the first such request. Neither sends a request twice. */
#ifndef MR_HTTP_UPSTREAM_H
#define MR_HTTP_UPSTREAM_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct mr_upstream;
struct mr_upstream_config {
    unsigned conns_per_host; /* a bound against mistakes; callers bound what they ask. 0 = 4,096 */
    unsigned in_flight_max;  /* 0 = 10,000; beyond: MR_EUNAVAIL */
    bool only_curl;          /* also for what our own client could carry (tests, comparisons) */
};
int mr_upstream_new(const struct mr_upstream_config *c, struct mr_upstream **ret, struct mr_err *e);
/* Requests under way end with MR_ECANCELLED. */
void mr_upstream_free(struct mr_upstream *u);

struct mr_upstream_header {
    const char *name; /* lower case in replies */
    struct mr_str value;
};
struct mr_upstream_reply {
    int rc;             /* 0: an HTTP status came back whole. MR_ETIMEOUT, MR_EIO, MR_ETOOBIG,
                         * MR_ECANCELLED */
    int status;         /* 0 when none came */
    bool sent;          /* the request may have reached the server: a retry may run it twice */
    struct mr_str body; /* what was collected; with on_data: empty on success, the error body (at
                         * most 64 KiB) when status >= 400 */
    int64_t retry_after_ms;          /* Retry-After or retry-after-ms; -1 = none */
    char request_id[128];            /* the upstream's x-request-id, or "" */
    char err[256];                   /* what failed, for the log; no secrets */
    int64_t total_ns, first_byte_ns; /* since the request began; 0 = none */
};
struct mr_upstream_request {
    const char *method;
    struct mr_str url;
    const struct mr_upstream_header *headers; /* copied */
    size_t n_headers;
    struct mr_str body; /* copied */
    int connect_ms;     /* 0 = 5,000 */
    int total_ms;       /* whole request */
    int idle_ms;        /* longest silence while streaming; 0 = only total_ms */
    size_t reply_max;   /* bytes; beyond: MR_ETOOBIG */
    /* Streaming: pieces of a 2xx body as they come, on the upstream's thread. Non-zero ends the
     * request with MR_ECANCELLED. NULL: the body is collected. */
    int (*on_data)(void *arg, struct mr_str piece);
    /* Exactly once for each request that mr_upstream_start took, on the upstream's thread. */
    void (*done)(void *arg, const struct mr_upstream_reply *r);
    void *arg;
};
/* Any thread; does not block. *ret_ticket (may be NULL) cancels it. */
int mr_upstream_start(struct mr_upstream *u, const struct mr_upstream_request *q,
                      uint64_t *ret_ticket, struct mr_err *e);
/* Any thread, also after it is done (then nothing happens). */
void mr_upstream_cancel(struct mr_upstream *u, uint64_t ticket);
/* Runs fn(arg) on the upstream's thread after `ms` (retries), or when it is freed before that. */
int mr_upstream_after(struct mr_upstream *u, int ms, void (*fn)(void *arg), void *arg,
                      struct mr_err *e);

#endif
