/* Inside of core/gateway. Locks: a target's mutex covers its counters, queue and breaker and is
 * never held while anything else is called. A chat belongs to the thread that admits it, then to
 * the upstream's thread. */
#ifndef MR_CORE_GATEWAY_INTERNAL_H
#define MR_CORE_GATEWAY_INTERNAL_H

#include "base/arena.h"
#include "core/gateway/breaker.h"
#include "core/gateway/gateway.h"
#include "wire/sse.h"

#include <pthread.h>

enum {
    GATEWAY_BACKOFF_MS = 500, /* the first retry waits up to that, each later one twice as long */
    GATEWAY_BACKOFF_MAX_MS = 8000,
    GATEWAY_LAST_MS = 100,        /* a retry needs at least that much of the deadline */
    GATEWAY_SWEEP_MS = 50,        /* how often the queue is looked through for passed deadlines */
    GATEWAY_HOPS_MAX = 3,         /* fallbacks of one request */
    GATEWAY_FULL_MS = 1000,       /* Retry-After when the queue is full */
    GATEWAY_SPARE_MAX = 256,      /* chats kept for the next requests */
    GATEWAY_EMBED_MAX = 64 << 20, /* bytes of a reply with embeddings */
    GATEWAY_SPARE_BYTES = 1 << 16 /* of each of their buffers, at most */
};

struct chat;
struct target { /* a provider and what is known about it */
    struct mr_gateway *g;
    struct mr_provider p;
    const struct mr_provider *listed; /* the same, as callers see it */
    struct target *fallback;
    char *url, *embed_url, *auth;
    struct mr_upstream_header headers[2];
    size_t n_headers;
    pthread_mutex_t mu;
    struct breaker breaker;
    struct chat *first, *last; /* the queue */
    bool sweeping;
    struct mr_gateway_stats stats;
};

struct mr_gateway {
    struct mr_gateway_config c;
    struct target *targets;
    struct mr_provider *listing;
    size_t n;
    uint64_t random;       /* the upstream's thread only */
    struct mr_arena arena; /* the strings */
    pthread_mutex_t mu;    /* what follows */
    struct chat *spare;
    size_t n_spare;
};

struct chat {
    struct mr_gateway *g;
    struct target *t;
    struct chat *next; /* in the queue */
    struct mr_buf messages, extra, body;
    char *model; /* NULL: the provider's default */
    int64_t max_tokens;
    double temperature;
    bool stream, probe;
    bool embed; /* the body is the request's own */
    bool (*may_fall_back)(void *arg, const struct mr_provider *p);
    int (*on_delta)(void *arg, struct mr_str text);
    int (*on_event)(void *arg, const struct mr_chat_event *ev);
    void (*done)(void *arg, const struct mr_chat_result *r);
    void *arg;
    int64_t deadline_ns;
    int64_t begun_ns; /* this attempt */
    int tries, hops;  /* at this provider; fallbacks so far */
    struct mr_chat_result result;
    struct mr_arena arena;
    /* streaming */
    struct mr_sse_parser sse;
    struct mr_arena scratch;
    struct mr_buf text;
    struct mr_err stream_err;
    bool sse_on, gone, passed, ended, finished;
};

/* What one attempt came to. */
struct verdict {
    enum outcome outcome;
    bool retry, fall_back;
};

/* gateway.c */
void mr_chat_free(struct chat *c);
/* Body for the present target. 0 or MR_ENOMEM. */
int mr_chat_render(struct chat *c, struct mr_err *e);
/* Calls done and frees. The upstream's thread. */
void mr_chat_finish(struct chat *c);
/* admit.c */
enum admitted { ADMIT_GO, ADMIT_QUEUED, ADMIT_OPEN, ADMIT_FULL };
enum admitted mr_chat_admit(struct chat *c, bool again, int64_t *ret_wait_ms);
/* The attempt is over: gives its place to the next in the queue. The upstream's thread. */
void mr_target_release(struct target *t, enum outcome o, bool probe);
/* A place that was taken but not used. */
void mr_target_give_back(struct target *t, bool probe);
/* run.c */
int mr_chat_start(struct chat *c, struct mr_err *e); /* admitted: one attempt */
/* After a failure that result describes: another provider, or the end. */
void mr_chat_give_up(struct chat *c, bool fall_back);
void mr_chat_refused(struct chat *c, enum admitted why, int64_t wait_ms);
int mr_chat_fail(struct chat *c, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* reply.c */
struct verdict mr_chat_judge(struct chat *c, const struct mr_upstream_reply *r);
int mr_chat_on_piece(void *arg, struct mr_str piece);
void mr_chat_reset(struct chat *c); /* before an attempt */

#endif
