/* Inside of http/upstream.c: requests, and the libcurl side of them. */
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
    bool configured; /* easy has them */
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

    pthread_mutex_t mu; /* what follows */
    bool closing;
    struct upstream_call *idle[UPSTREAM_BUCKETS];
    size_t n_idle, evict_at;
    struct upstream_call **slots; /* in flight, by the low half of a ticket */
    uint32_t *generations, *free_slots;
    size_t n_free_slots;
};

/* upstream_curl.c; the upstream's thread only. */
void mr_upstream_begin(struct upstream_call *c);
/* Ends it with `rc`, unless it is finished; the call may be gone afterwards. */
void mr_upstream_abort(struct upstream_call *c, int rc, const char *why);
void mr_upstream_on_timer(void *arg); /* a call's timer */
void mr_upstream_close_curl(struct mr_upstream *u);
/* upstream_h2.c */
CURLcode mr_upstream_watch_h2(struct upstream_call *c);
/* upstream.c: back to the idle ones, or freed. */
void mr_upstream_call_free(struct upstream_call *c);
void mr_upstream_recycle(struct upstream_call *c);
/* Leaves the table of tickets. True: a cancellation is on its way and will recycle the call. */
bool mr_upstream_leave(struct upstream_call *c);

#endif
