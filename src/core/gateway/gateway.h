/* The provider gateway: one chat request to one of the configured upstreams, with bounded
 * concurrency and a queue, at most two retries with jitter inside one deadline, a circuit breaker
 * an upstream, and configured fallbacks. No database, no money: core/tasks adds those.
 * Thread-safe; callbacks run on the upstream's thread and must not block. */
#ifndef MR_CORE_GATEWAY_GATEWAY_H
#define MR_CORE_GATEWAY_GATEWAY_H

#include "base/err.h"
#include "base/log.h"
#include "engine/provider/provider.h"
#include "http/upstream.h"

struct mr_provider {
    const char *name; /* "openai" */
    enum mr_dialect dialect;
    const char *base_url; /* includes /v1 */
    const char *key;      /* NULL: none needed, or missing: see key_needed */
    bool key_needed;
    const char *key_variable; /* for the message: "OPENAI_API_KEY" */
    const char *model;        /* default */
    const char *fallback;     /* another provider's name, or NULL */
    unsigned concurrency;     /* 0 = 256 */
    unsigned queue_max;       /* 0 = 4096; beyond: MR_EUNAVAIL with Retry-After */
};
struct mr_gateway_config {
    struct mr_upstream *upstream;        /* borrowed */
    const struct mr_provider *providers; /* copied */
    size_t n_providers;
    int deadline_ms;  /* whole request with retries; 0 = 30,000 */
    int retries;      /* -1 = 2 */
    size_t reply_max; /* 0 = 8 MiB */
    const struct mr_log *log;
};
struct mr_gateway;
int mr_gateway_new(const struct mr_gateway_config *c, struct mr_gateway **ret, struct mr_err *e);
/* After mr_upstream_free, which ends all requests. */
void mr_gateway_free(struct mr_gateway *g);

/* MR_EFIELD naming "provider" and the known ones; MR_EUNAVAIL naming the variable when its key is
 * missing. The pointer lives as long as the gateway. */
int mr_gateway_provider(struct mr_gateway *g, struct mr_str name, const struct mr_provider **ret,
                        struct mr_err *e);
/* All of them, for listings. */
const struct mr_provider *mr_gateway_providers(const struct mr_gateway *g, size_t *ret_n);

struct mr_chat_result;
struct mr_chat_request {
    const struct mr_provider *provider;
    struct mr_chat_body body; /* model p == NULL: the provider's default; copied */
    /* p != NULL: not a chat but POST …/embeddings with this body (mr_provider_embed_body); the
     * result's text is the reply's body as it came. No fallback: vectors of another model would
     * mean something else. */
    struct mr_str embed_json;
    /* Whether a fallback to `p` with its default model may run (its price is known, the budget
     * suffices): called on the upstream's thread. NULL: no fallback. */
    bool (*may_fall_back)(void *arg, const struct mr_provider *p);
    /* Streaming: text as it comes. Returning non-zero means that the client is gone: the stream is
     * then read on, without calls, to its usage (bounded by the deadline), because that is what
     * the provider bills. */
    int (*on_delta)(void *arg, struct mr_str text);
    /* In its place, for who also wants what is not text: events with text, tool calls or logprobs.
     */
    int (*on_event)(void *arg, const struct mr_chat_event *ev);
    void (*done)(void *arg, const struct mr_chat_result *r);
    void *arg;
};
struct mr_chat_result {
    int rc; /* 0; MR_EUNAVAIL (queue, breaker), MR_ETIMEOUT, MR_EPREDICT (upstream failed),
             * MR_EINVAL (the provider refused the request), MR_ELIMIT (its rate limit or quota) */
    struct mr_err err;                            /* the provider's own reason, its name in front */
    const struct mr_provider *provider;           /* who answered, or failed last */
    struct mr_str text, model, finish_reason;     /* valid during the call */
    struct mr_str tool_calls_json, logprobs_json; /* of whole replies; "" = none */
    struct mr_chat_usage usage; /* present false: nothing was billed for sure, see `billed` */
    bool billed;                /* tokens were or may have been used: settle, do not release */
    int attempts;
    int64_t retry_after_ms; /* for the client; -1 = none */
    int64_t first_byte_ns;
};
/* Any thread; does not block. After 0, done runs exactly once. */
int mr_gateway_chat(struct mr_gateway *g, const struct mr_chat_request *q, struct mr_err *e);

struct mr_gateway_stats {
    const char *provider;
    uint64_t requests, failures, retries, in_flight, queued;
    uint64_t breaker_open;   /* 1: not asked for now */
    uint64_t breaker_opened; /* how often that began */
};
size_t mr_gateway_stats(struct mr_gateway *g, struct mr_gateway_stats *out, size_t cap);

#endif
