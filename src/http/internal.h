/* Inside the HTTP server only: loops, connections, exchanges (one request and its reply).
 *
 * A connection is small; what a request needs (buffers, arena, parser, header table) is an
 * exchange, taken from its loop's free list with the first byte and given back when the reply is
 * sent and nothing is left to parse. So idle connections are cheap and requests need no malloc. */
#ifndef MR_HTTP_INTERNAL_H
#define MR_HTTP_INTERNAL_H

#include "http/http.h"
#include "http/pace.h"
#include "http/parse.h"
#include "http/router.h"
#include "io/loop.h"
#include "io/pool.h"
#include "io/tls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

#define RX_SIZE      ((size_t)16 * 1024) /* receive buffer of an exchange at first */
#define SCRATCH_SIZE ((size_t)64 * 1024) /* a loop's receive buffer for long bodies */
#define SINK_SIZE    ((size_t)256 * 1024)
#define ARENA_MAX    ((size_t)64 << 20)
#define EXTRA_MAX    ((size_t)16 * 1024) /* reply headers of the application */
#define SMALL_BODY   ((size_t)8 * 1024)  /* copied behind the head: one buffer, one send */
#define NS_MS        ((int64_t)1000000)

struct conn;
struct hloop;
struct stream;

enum step { GO, WAIT, GONE };

enum conn_state {
    C_HANDSHAKE,
    C_READ,   /* waiting for or reading a request; idle while ex == NULL */
    C_BUSY,   /* someone else works: the application (LATER) or a pool thread (sink) */
    C_WRITE,  /* a reply is going out */
    C_STREAM, /* a reply is being made and sent; see stream.c */
    C_LINGER, /* reply sent, discarding what the client still sends before closing */
    C_WEBSOCKET,
    C_CLOSED, /* waiting for a posted task to run before the memory goes */
};

struct exchange {
    struct mr_req r; /* first: the application holds a pointer to it */
    struct conn *c;
    struct exchange *next_free;
    struct mr_arena arena;
    struct mr_hparse parse;
    /* received bytes: rx[msg..pos) parsed, rx[pos..end) not yet */
    char *rx;
    size_t rx_cap, msg, pos, end;
    struct mr_buf body;     /* a body that does not fit into rx in one piece */
    struct mr_buf next;     /* received behind such a body: the next request */
    bool head_done, logged; /* logged: on_log has run, r is dead */
    bool early;             /* answered before the body's end; the rest is discarded */
    bool body_done, body_started, spilled;
    bool send_continue, close; /* close: the connection ends with this reply */
    size_t discarded;
    /* sink */
    char *sink_buf;
    size_t sink_n;
    int sink_rc;
    /* reply */
    bool replied, has_file;
    const char *ctype;
    struct mr_str reply;      /* body */
    struct mr_buf extra;      /* header lines of the application */
    struct mr_buf out;        /* head and small body, ready to send */
    struct mr_buf reply_own;  /* memory behind `reply`, if taken */
    struct mr_buf reply_kept; /* mr_req_out */
    size_t out_at, reply_at;
    int file_fd;
    off_t file_at;
    uint64_t file_left;
    atomic_bool gone;
    struct stream *stream;    /* NULL: the reply is whole */
    struct mr_loop_task task; /* mr_req_finish, sink done */
};

struct conn {
    struct hloop *l;
    struct conn *next, *prev;
    struct mr_loop_io *io;
    struct mr_tls *tls;
    struct exchange *ex;
    struct mr_ws *ws; /* from its upgrade on */
    int fd;
    enum conn_state state;
    bool readable, writable, eof, hup;
    bool fresh;  /* no request yet: the head deadline counts from accept */
    bool doomed; /* close as soon as the owner (C_BUSY) gives it back */
    bool ws_pinged;
    bool queued;  /* `again` is posted */
    bool counted; /* in the per-address table */
    bool peer_loopback, listener_loopback;
    uint16_t local_port, listener;
    unsigned char addr_key[17]; /* family and address or /64 prefix */
    char peer[INET6_ADDRSTRLEN];
    struct mr_timer timer;
    int64_t deadline_ns, since_ns; /* since: accept, idle, write progress, linger start */
    int64_t window_ns;             /* body rate window */
    uint64_t window_bytes;
    int64_t busy_ns; /* when C_BUSY began, to stretch the window; when C_LINGER began */
    size_t lingered;
    struct mr_loop_task again;
};

struct counters { /* written by one loop, read by any thread */
    _Atomic uint64_t open, total, requests, in, out, parse_errors, refused;
    _Atomic uint64_t events, waits; /* of connections; for the pace */
};

struct listener {
    struct mr_http_server *s;
    int fd;
    bool loopback;
    uint16_t port;
};

struct acceptor { /* one listener on one loop */
    struct hloop *l;
    const struct listener *lis;
    struct mr_loop_io *io;
    struct mr_timer retry;
};

#define LISTENERS_MAX 16

struct hloop {
    struct mr_http_server *s;
    struct mr_loop *loop;
    pthread_t thread;
    _Atomic pid_t tid;    /* 0 until it runs */
    int64_t iteration_ns; /* the loop's time at the last connection event */
    bool started, draining;
    struct conn conns; /* list head */
    unsigned n_conns;
    struct exchange *free_ex;
    unsigned n_free;
    char *scratch;
    int64_t date_s;
    char date[40]; /* "Date: …\r\n" */
    uint64_t rng;
    uint64_t id_hi;
    struct counters n;
    struct acceptor acc[LISTENERS_MAX];
    struct mr_loop_task drain_task;
    struct mr_timer drain_timer;
};

struct ip_table;

struct pacer {
    pthread_mutex_t mu; /* held for a step by whichever loop comes first */
    _Atomic int64_t next_ns;
    struct mr_pace pace;
    atomic_bool gentle; /* = pace.batch, for any reader */
};

struct mr_http_server {
    struct mr_http_config cfg;
    struct mr_router *router;
    struct mr_tls_ctx *tls;
    struct mr_pool *pool; /* body sinks */
    struct ip_table *ips;
    unsigned n_loops, n_listeners;
    struct hloop *loops;
    struct listener listeners[LISTENERS_MAX];
    bool running;
    struct pacer pacer;
    atomic_bool draining;
    atomic_uint conns_open;
};

static inline void count(_Atomic uint64_t *c, uint64_t by) { /* single writer: no lock prefix */
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

/* accept.c */
int acceptor_start(struct acceptor *a, struct mr_err *e);
void acceptor_stop(struct acceptor *a);
struct ip_table *ip_table_new(void);
void ip_table_free(struct ip_table *t);
void ip_release(struct ip_table *t, const unsigned char key[17]);

/* conn.c */
struct conn *conn_new(struct hloop *l, int fd);
void conn_run(struct conn *c);   /* drives the connection until it must wait */
void conn_close(struct conn *c); /* logs an unfinished request; waits for an owner (C_BUSY) */
void conn_event(void *arg, uint32_t events);
void conn_timeout(void *arg);
ssize_t conn_recv(struct conn *c, void *p, size_t n); /* MR_TLS_AGAIN, 0 = end, < 0 = failed */
void set_deadline(struct conn *c);

/* pacer.c */
void pacer_init(struct pacer *p);
void pacer_release(struct pacer *p);
void pacer_event(struct hloop *l); /* once for every event of a connection */

/* exchange.c */
struct exchange *ex_take(struct conn *c);
void ex_give(struct exchange *x);
void ex_free(struct exchange *x);
/* After a message: ready for the next one, or gives the exchange back when nothing is left. */
void ex_next(struct conn *c);

/* receive.c */
enum step step_read(struct conn *c);
enum step request_ready(struct conn *c); /* the body is complete */
void log_request(struct exchange *x);

/* head.c */
int fill_request(struct exchange *x); /* mr_req from the parsed head; < 0: refused */
void fill_basics(struct exchange *x);
void render_error(struct exchange *x, int status, const char *detail);
int exchange_on_head(void *ctx);

/* sink.c */
int sink_begin(struct exchange *x);
enum step sink_flush(struct conn *c);

/* write.c */
enum step start_reply(struct conn *c);
enum step step_write(struct conn *c);
enum step linger(struct conn *c); /* the exchange is done; ends in closing */
const char *status_text(int status);
void reply_reset(struct exchange *x);
void send_continue(struct conn *c);

ssize_t conn_send(struct conn *c, struct iovec *iov, int n); /* as conn_recv; MR_EIO */

enum step reply_sent(struct conn *c);

/* stream.c */
enum step step_stream(struct conn *c);
void stream_finish(struct exchange *x); /* any thread */
bool stream_chunked(const struct exchange *x);
bool stream_blocked(const struct conn *c); /* bytes wait for the socket */
/* The client is gone. True: the application still holds the request and brings it back (C_BUSY). */
bool stream_lost(struct conn *c);
void stream_free(struct exchange *x); /* settles r.reply_len; NULL is fine */

/* websocket.c */
enum step ws_begin(struct conn *c, const char *p, size_t n);
enum step step_ws(struct conn *c);
void ws_end(struct conn *c);
bool ws_idle(struct conn *c);

/* date.c */
const char *http_date_line(struct hloop *l, size_t *ret_n);
void http_date(int64_t unix_s, char out[32]);          /* IMF-fixdate, RFC 9110 5.6.7 */
bool http_date_parse(struct mr_str s, int64_t *ret_s); /* IMF-fixdate only */

#endif
