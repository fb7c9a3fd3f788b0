/* Inside of http/upstream.c: requests, and the two clients that carry them: our own for plain http
 * to addresses (upstream_plain.c), libcurl for the rest (upstream_curl.c). */
#ifndef MR_HTTP_UPSTREAM_IMPL_H
#define MR_HTTP_UPSTREAM_IMPL_H

#include "base/buf.h"
#include "http/upstream.h"
#include "io/loop.h"

#include <curl/curl.h>
#include <pthread.h>

enum {
    UPSTREAM_BUCKETS = 64,         /* idle calls by their URL and headers */
    UPSTREAM_IDLE_MAX = 512,       /* idle calls kept warm */
    UPSTREAM_KEEP_BYTES = 1 << 16, /* buffers larger than that are not kept */
    UPSTREAM_HEAD_MAX = 1 << 16,   /* bytes of a reply's header lines */
    UPSTREAM_ERROR_MAX = 1 << 16,  /* bytes of an error body kept while streaming */
    UPSTREAM_AGE_S = 30,           /* idle connections older than that are not reused */
    UPSTREAM_ROOM = 1 << 16,       /* bytes read at once */
};

/* One request; kept with its easy handle for the next one with the same URL and headers. */
struct upstream_call {
    struct mr_upstream *u;
    struct upstream_call *next; /* in its idle bucket */
    struct mr_loop_task start, cancel;
    struct mr_timer timer; /* the sooner of the deadline and the longest silence */
    CURL *easy;
    struct curl_slist *slist;
    struct mr_buf url, head; /* configuration; head: "name: value\n" a header */
    char method[16];
    uint64_t config; /* hash of these */
    bool configured; /* easy, or host and wire, have them */
    struct mr_buf body, reply;
    char err[CURL_ERROR_SIZE];

    int (*on_data)(void *arg, struct mr_str piece);
    void (*done)(void *arg, const struct mr_upstream_reply *r);
    void *arg;
    int connect_ms, connect_ms_set;
    int64_t begin_ns, first_ns, last_ns, deadline_ns, idle_ns;
    size_t reply_max, received, head_bytes;
    int64_t retry_after_ms;
    char request_id[128];
    int status;
    unsigned tries;             /* connections it was sent on */
    int64_t connection, stream; /* numbers where it is, known for HTTP/2 only; -1, 0 = none */
    bool refused;               /* the server said that it does not process that stream */
    bool too_big, stopped, resent, timed_out;
    bool in_multi, cancel_posted, finished;
    uint32_t slot;

    /* upstream_plain.c */
    struct plain_host *host; /* NULL: libcurl carries it */
    struct plain_conn *conn;
    struct upstream_call *wait_prev, *wait_next; /* while no connection is free */
    struct mr_buf wire;                          /* request line and headers */
    size_t out_at, out_total;                    /* bytes given to the kernel, of how many */
    int64_t connect_by_ns;                       /* 0: not connecting */
    bool waiting;
};

struct upstream_sock; /* a descriptor that libcurl wants watched */

struct upstream_after {
    struct upstream_after *prev, *next;
    struct mr_loop_task task;
    struct mr_timer timer;
    struct mr_upstream *u;
    void (*fn)(void *arg);
    void *arg;
    int64_t at_ns;
};

struct mr_upstream {
    struct mr_upstream_config config;
    struct mr_loop *loop;
    pthread_t thread;
    struct mr_loop_task stop;
    const char *ca_file, *ca_dir; /* from the environment, or NULL */

    /* the upstream's thread only */
    CURLM *multi;
    struct mr_timer curl_timer;
    struct upstream_sock **socks; /* by descriptor */
    size_t n_socks;
    struct upstream_after *afters;
    struct plain_host *hosts;
    char *room; /* UPSTREAM_ROOM bytes for what comes in */

    pthread_mutex_t mu; /* what follows */
    bool closing;
    struct upstream_call *idle[UPSTREAM_BUCKETS];
    size_t n_idle, evict_at;
    struct upstream_call **slots; /* in flight, by the low half of a ticket */
    uint32_t *generations, *free_slots;
    size_t n_free_slots;
};

/* upstream_reply.c; the upstream's thread only. */
/* Ends it, unless it is finished; the call may be gone afterwards. */
void mr_upstream_finish(struct upstream_call *c, int rc, const char *why);
/* Arms the call's timer for the sooner of its deadlines. */
void mr_upstream_arm(struct upstream_call *c);
void mr_upstream_on_timer(void *arg); /* a call's timer */
/* A header line of the reply: name in any case, value trimmed. */
void mr_upstream_header(struct upstream_call *c, struct mr_str name, struct mr_str value);
void mr_upstream_no_headers(struct upstream_call *c); /* what an interim reply brought is void */
/* A piece of the body; c->status is known. Non-zero: the request is over (too_big or stopped). */
int mr_upstream_piece(struct upstream_call *c, struct mr_str piece);
/* upstream_curl.c; the upstream's thread only. */
void mr_upstream_begin_curl(struct upstream_call *c);
bool mr_upstream_leave_curl(struct upstream_call *c); /* true: some of it was sent */
void mr_upstream_close_curl(struct mr_upstream *u);
/* upstream_hosts.c; the upstream's thread only. */
/* Sets c->host and c->wire when the URL is one for the plain client. 0 or MR_ENOMEM. */
int mr_upstream_set_plain(struct upstream_call *c);
void mr_upstream_free_hosts(struct mr_upstream *u); /* after the thread's end */
/* upstream_plain.c; the upstream's thread only. */
void mr_upstream_begin_plain(struct upstream_call *c);
bool mr_upstream_leave_plain(struct upstream_call *c); /* true: some of it was sent */
void mr_upstream_close_plain(struct mr_upstream *u);
/* upstream_h2.c */
CURLcode mr_upstream_watch_h2(struct upstream_call *c);
/* upstream.c: back to the idle ones, or freed. */
void mr_upstream_call_free(struct upstream_call *c);
void mr_upstream_recycle(struct upstream_call *c);
/* Leaves the table of tickets. True: a cancellation is on its way and will recycle the call. */
bool mr_upstream_leave(struct upstream_call *c);

#endif
