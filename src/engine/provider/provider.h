/* The wire of model providers: chat completions of OpenAI and of Mistral, and of whatever speaks
 * OpenAI's. Pure: builds bodies, reads replies, errors and stream events; replies are untrusted.
 * Formats: OpenAI API reference "Chat Completions", Mistral API reference "Chat"; traps in
 * docs/PROVIDERS.md. Thread-safe. */
#ifndef MR_ENGINE_PROVIDER_PROVIDER_H
#define MR_ENGINE_PROVIDER_PROVIDER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum mr_dialect {
    MR_DIALECT_OPENAI,     /* max_completion_tokens, stream_options.include_usage */
    MR_DIALECT_MISTRAL,    /* max_tokens, never stream_options */
    MR_DIALECT_COMPATIBLE, /* OpenAI's form with max_tokens: Ollama, vLLM, Groq … */
};
struct mr_chat_body {
    struct mr_str model;
    struct mr_str prompt;        /* one user message, or */
    struct mr_str messages_json; /* a JSON array, passed as it is */
    int64_t max_tokens;          /* 0 = not sent */
    double temperature;          /* NaN = not sent */
    bool stream;
    /* More members in OpenAI's words, without braces ("\"tools\":[…],\"top_p\":0.9"); "" = none.
     * What Mistral calls otherwise is renamed (seed, a tool_choice of "required"). Valid JSON. */
    struct mr_str extra_json;
};
void mr_provider_chat_body(enum mr_dialect d, const struct mr_chat_body *q, struct mr_buf *out);

struct mr_chat_usage {
    bool present;
    int64_t input, cached, cache_write, output;
};
struct mr_chat_reply {
    struct mr_str text;  /* "" when the model answered nothing; arena; valid UTF-8 */
    struct mr_str model; /* what really ran */
    struct mr_str finish_reason, id;
    struct mr_str tool_calls_json; /* the array as it came; "" = none */
    struct mr_str logprobs_json;   /* items of logprobs.content, comma-separated; "" = none */
    struct mr_chat_usage usage;
};
/* A 2xx body. MR_EINVAL when it is not a chat completion: what is wrong. Counts that are negative,
 * fractional or contradict each other are treated as absent. */
int mr_provider_reply(struct mr_str body, struct mr_arena *arena, struct mr_chat_reply *ret,
                      struct mr_err *e);

enum mr_failure {
    MR_FAIL_RETRY,   /* 408, 429 without quota, 5xx, 409 with x-should-retry … */
    MR_FAIL_QUOTA,   /* insufficient_quota: never retried */
    MR_FAIL_AUTH,    /* 401, 403: our key is wrong */
    MR_FAIL_REQUEST, /* the caller's: too long, bad model … */
};
/* An error status and its body in any of the known shapes, or not JSON at all. *ret_msg (arena) is
 * the provider's own reason, cut to 400 code points, never empty. */
enum mr_failure mr_provider_error(int status, struct mr_str body, struct mr_arena *arena,
                                  struct mr_str *ret_msg);

struct mr_chat_event {
    struct mr_str delta; /* text to pass on; "" = none */
    struct mr_str finish_reason, model;
    struct mr_str tool_calls_json, logprobs_json; /* as in mr_chat_reply, of this event */
    struct mr_chat_usage usage;
    bool done; /* data: [DONE] */
};
/* One SSE data payload of a stream. MR_EINVAL: not an event of this protocol; an error object in
 * the stream is MR_EPREDICT with its message. */
int mr_provider_event(struct mr_str data, struct mr_arena *arena, struct mr_chat_event *ret,
                      struct mr_err *e);
/* --- embeddings --------------------------------------------------------------------------- */
struct mr_embed_body {
    struct mr_str model;
    const struct mr_str *text;
    size_t n;
    int64_t dimensions; /* 0 = not sent */
};
void mr_provider_embed_body(enum mr_dialect d, const struct mr_embed_body *q, struct mr_buf *out);
struct mr_embed_reply {
    float *v; /* n of `width` finite numbers, in the texts' order; arena */
    size_t width;
    struct mr_str model; /* "" = not said */
    int64_t tokens;      /* -1: not said */
};
/* A 2xx body for n texts, numbers or Base64. MR_EINVAL: what is wrong. */
int mr_provider_embeddings(struct mr_str body, size_t n, struct mr_arena *arena,
                           struct mr_embed_reply *ret, struct mr_err *e);

/* When no usage came: tokens estimated from bytes of text (documented as such in
 * docs/PROVIDERS.md), never below 1 for non-empty text. */
int64_t mr_provider_estimate_tokens(struct mr_str text);

#endif
