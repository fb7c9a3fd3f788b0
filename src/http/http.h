/* The HTTP server: connections, limits, routing over a table, streaming bodies, replies. It knows
 * no domain word; an application plugs in through `struct mr_http_app`.
 *
 * HTTP/1.1 and 1.0 (RFC 9110, 9112) on llhttp, TLS by OpenSSL. One loop a thread; a new connection
 * goes to the loop with the fewest.
 *
 * Life of a request: head parsed -> route found -> app->on_head (may answer at once, else says what
 * to do with the body) -> body buffered in memory or streamed into a sink -> app->on_request
 * (answers, or returns MR_HTTP_LATER and answers from any thread with mr_req_finish) -> reply sent
 * -> app->on_log, exactly once for every request whose head was parsed, whatever the outcome.
 *
 * Threads: a request belongs to its loop's thread, except between MR_HTTP_LATER and mr_req_finish,
 * when it belongs to whoever answers it. The request object stays valid until on_log returns, also
 * when the client hangs up (mr_req_gone tells).
 */
#ifndef MR_HTTP_HTTP_H
#define MR_HTTP_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum mr_method {
    MR_GET,
    MR_HEAD,
    MR_POST,
    MR_PUT,
    MR_PATCH,
    MR_DELETE,
    MR_OPTIONS,
    MR_METHOD_OTHER,
};

/* "GET" …; "?" for MR_METHOD_OTHER. */
const char *mr_method_name(enum mr_method m);

struct mr_req;
struct mr_http_server;

/* A route: fixed segments and {params}; fixed words beat params. HEAD is served by GET rows. */
struct mr_http_route {
    enum mr_method method;
    const char *pattern; /* "/api/v1/predict/{deployment_id}" */
    const void *row;     /* the application's own row (generated table), opaque here */
};

enum mr_http_step {
    MR_HTTP_NEXT = 0,  /* on_head: read the body, then on_request */
    MR_HTTP_DONE = 1,  /* a reply is set */
    MR_HTTP_LATER = 2, /* on_request: mr_req_finish comes later, from any thread */
};

/* Where body bytes go when they are not buffered. Runs off the loop thread, one call at a time for
 * one request, in order; reading from the socket pauses meanwhile, so memory stays flat. */
struct mr_body_sink {
    /* Return 0, or a negative code to stop: the rest is not read and on_request sees body_err. */
    int (*write)(void *ctx, const char *p, size_t n, struct mr_err *e);
    void *ctx;
};

struct mr_http_app {
    void *ctx;
    enum mr_http_step (*on_head)(void *ctx, struct mr_req *r);
    enum mr_http_step (*on_request)(void *ctx, struct mr_req *r);
    void (*on_log)(void *ctx, struct mr_req *r);
    /* Renders an error the server itself found: 400, 404, 405, 408, 413, 414, 431, 503 … `r` may
     * lack a route. Sets the reply with mr_req_reply. `detail` is a sentence for the user. */
    void (*render_error)(void *ctx, struct mr_req *r, int status, const char *detail);
};

/* What the application sees. Fields are read-only unless said. */
struct mr_req {
    struct mr_arena *arena; /* lives until after on_log */
    enum mr_method method;
    struct mr_str target;              /* raw path and query as sent */
    struct mr_str path;                /* raw path, double slashes collapsed, not decoded */
    struct mr_str query;               /* raw, without '?' */
    const struct mr_http_route *route; /* NULL: none */
    uint32_t allow; /* of an unserved method (405): a bit per enum mr_method that the path has */
    uint32_t n_param;
    struct mr_str param_name[8], param[8]; /* decoded */
    struct mr_str body;                    /* buffered body */
    uint64_t body_len;                     /* bytes received, also when streamed */
    int64_t content_length;                /* -1 when chunked or absent */
    struct mr_err body_err;                /* sink failure */
    char id[64]; /* X-Request-Id: taken from the client when well-formed, else "req-…" */
    char peer[INET6_ADDRSTRLEN];
    bool peer_loopback, listener_loopback, tls;
    uint16_t local_port;
    uint16_t listener; /* which mr_http_listen call, from 0 */
    int64_t start_ns;  /* monotonic, first byte of the head */
    /* set by on_head */
    size_t body_max;          /* bytes; default from the server's config */
    struct mr_body_sink sink; /* write != NULL: stream instead of buffering */
    void *app;                /* the application's own state, e.g. account and parsed fields */
    bool via_proxy;           /* `peer` is the word of a proxy that the application trusts */
    /* the reply, set through the functions below; readable in on_log */
    int status;
    uint64_t reply_len; /* body bytes */
    int64_t handled_ns; /* monotonic, when the reply was set */
    int64_t sent_ns;    /* monotonic, last byte handed to the kernel; 0 = never */
    bool client_gone;
};

/* Header by lower-case name; p == NULL when absent. The first one when repeated. */
struct mr_str mr_req_header(const struct mr_req *r, const char *lower_name);
/* All headers in order: start with *at = 0; false at the end. Names in lower case. */
bool mr_req_header_next(const struct mr_req *r, uint32_t *at, struct mr_str *ret_name,
                        struct mr_str *ret_value);
/* Query parameter, decoded into the arena; p == NULL when absent, p == "" when empty. */
struct mr_str mr_req_query(struct mr_req *r, const char *name);
struct mr_str mr_req_param(const struct mr_req *r, const char *name);
bool mr_req_gone(const struct mr_req *r); /* any thread */

/* Adds a reply header (copied). Not for Content-Length, Connection, Date. */
void mr_req_set_header(struct mr_req *r, const char *name, struct mr_str value);
/* Sets status, content type and body. `body` is copied unless it lives in r->arena or is static
 * (`keep` true). Calling it again replaces the reply. */
void mr_req_reply(struct mr_req *r, int status, const char *content_type, struct mr_str body,
                  bool keep);
/* An empty buffer kept with the request object, so that its memory is reused: write the body into
 * it, then mr_req_reply(…, mr_buf_view(b), true). */
struct mr_buf *mr_req_out(struct mr_req *r);
/* Takes the buffer's memory (b is left empty). */
void mr_req_reply_buf(struct mr_req *r, int status, const char *content_type, struct mr_buf *b);
/* Answers a MR_HTTP_LATER request, or ends its stream, from any thread, exactly once. */
void mr_req_finish(struct mr_req *r);

/* --- streamed replies ---
 * After MR_HTTP_LATER, from any thread: start once, write as often as there is something to say,
 * mr_req_finish once. Chunked on HTTP/1.1; on 1.0 the end of the connection ends the reply. Every
 * burst of writes is sent at once, as one chunk. All headers are set before the start; afterwards
 * mr_req_reply is ignored. Writes may come from several threads; start, abort and finish are one
 * thread's at a time, and nobody touches the request after finish.
 *
 * A client that hangs up, that takes nothing for limits.write_ms, or that is still reading when
 * limits.drain_ms is over, ends the stream: mr_req_gone turns true without any write, writes and
 * waits return MR_ECANCELLED, and the producer still calls mr_req_finish. (A client that shuts down
 * only its sending side counts as gone.) Endless streams watch mr_http_draining. r->reply_len
 * counts what was accepted while the stream runs, and in on_log what went to the kernel. */
#define MR_STREAM_HIGH      ((size_t)256 * 1024) /* queued bytes from which writes are refused */
#define MR_STREAM_LOW       ((size_t)64 * 1024)  /* a good `below` for mr_req_stream_wait */
#define MR_STREAM_WRITE_MAX ((size_t)1 << 20)
/* Sends the head. `content_type` as in mr_req_reply. MR_ENOMEM: nothing was sent, answer
 * otherwise. */
int mr_req_stream_start(struct mr_req *r, int status, const char *content_type);
/* Copies all of s, or nothing. Bytes now queued (>= 0, below MR_STREAM_HIGH + MR_STREAM_WRITE_MAX),
 * or MR_EUNAVAIL: MR_STREAM_HIGH bytes are waiting already, wait or drop; MR_ECANCELLED: the client
 * is gone; MR_ETOOBIG: more than MR_STREAM_WRITE_MAX; MR_ENOMEM. Never blocks. To HEAD nothing is
 * queued. */
ptrdiff_t mr_req_stream_write(struct mr_req *r, struct mr_str s);
/* Blocks until at most `below` bytes are queued: 0, MR_ECANCELLED or MR_ETIMEOUT. Not on loop
 * threads. */
int mr_req_stream_wait(struct mr_req *r, size_t below, int64_t timeout_ms);
/* The reply will end unfinished: what is queued is sent, then the connection closes without the
 * last chunk, so that the client sees that something is missing. mr_req_finish follows. */
void mr_req_stream_abort(struct mr_req *r);
bool mr_req_streaming(const struct mr_req *r); /* owner only: start has succeeded */

/* Static file below dir with ETag, Last-Modified, Range, If-None-Match; 404 through render_error.
 */
enum mr_http_step mr_req_send_file(struct mr_req *r, const char *dir, struct mr_str rel_path,
                                   const char *content_type_or_null);
/* Bytes that outlive the request (a page in the program) with ETag, Range and If-None-Match. */
void mr_req_send_bytes(struct mr_req *r, struct mr_str bytes, const char *type);

struct mr_http_limits {
    size_t head_max;        /* request line and headers; default 32 KiB */
    size_t body_max;        /* default buffered body cap; 16 MiB */
    unsigned conns_max;     /* whole server; 10,000 */
    unsigned conns_per_ip;  /* an IPv4 address or IPv6 /64; 0 = no cap; 1,000 */
    int64_t head_ms;        /* absolute deadline from first byte (and TLS handshake); 10,000 */
    int64_t idle_ms;        /* keep-alive; 75,000 */
    int64_t write_ms;       /* no progress while writing; 30,000 */
    unsigned body_min_rate; /* bytes a second in every window of body_window_ms; 1,024 */
    int64_t body_window_ms; /* 5,000; time that the server itself paused does not count */
    /* After an early answer the rest of the body is read and thrown away, because clients that
     * write everything before they read would lose the answer to a reset: */
    size_t discard_max;             /* a rest up to this keeps the connection; 256 KiB */
    size_t linger_max;              /* else it closes, after taking at most this; 256 MiB */
    int64_t linger_ms;              /* and at most this long, or 2 s without a byte; 10,000 */
    size_t target_max;              /* request target, else 414; 8 KiB */
    unsigned conns_per_ip_loopback; /* the same cap for loopback peers; 0 = none */
    int64_t drain_ms;               /* SIGTERM: in-flight requests get this long; 30,000 */
};
struct mr_http_limits mr_http_default_limits(void);

struct mr_http_config {
    unsigned threads; /* 0 = number of CPUs */
    struct mr_http_limits limits;
    struct mr_http_app app;
    const struct mr_http_route *routes; /* borrowed for the server's life */
    size_t n_routes;
    const char *tls_cert, *tls_key; /* PEM paths, both or none */
    const struct mr_log *log;
};

int mr_http_new(const struct mr_http_config *c, struct mr_http_server **ret, struct mr_err *e);
/* "127.0.0.1:8080", "[::1]:0"; before start. Port 0 picks one; ret_port may be NULL. */
int mr_http_listen(struct mr_http_server *s, const char *addr, uint16_t *ret_port,
                   struct mr_err *e);
/* Starts the loop threads and returns. */
int mr_http_start(struct mr_http_server *s, struct mr_err *e);
/* Stops accepting, lets in-flight requests finish (limits.drain_ms), closes, joins. */
void mr_http_drain(struct mr_http_server *s);
bool mr_http_draining(const struct mr_http_server *s);
void mr_http_free(struct mr_http_server *s);

struct mr_http_stats {
    uint64_t conns_open, conns_total, requests_total, bytes_in, bytes_out, parse_errors;
    uint64_t conns_refused;
    bool gentle; /* the loops run under SCHED_BATCH, because of the load (pace.h) */
};
void mr_http_stats(const struct mr_http_server *s, struct mr_http_stats *ret); /* any thread */

#endif
