/* The OpenAI family: /v1 as OpenAI's SDKs speak it, over local models and the gateway's providers.
 * Sources: OpenAI API reference (chat, completions, embeddings, files, batches, models, errors). */
#ifndef MR_API_OPENAI_OPENAI_H
#define MR_API_OPENAI_OPENAI_H

#include "api/api.h"
#include "core/text/text.h"

extern const struct mr_family mr_family_openai;

void mr_openai_render_error(struct mr_api *api, struct mr_req *r, int status,
                            const struct mr_err *e);
/* {"error":{"message","type","param","code"}}; limited: the caller's rate limit, not a budget. */
void mr_openai_put_error(struct mr_buf *b, const struct mr_err *e, const char *message, int status,
                         bool limited);
/* The status of an error code. */
int mr_openai_status(const struct mr_err *e);
/* x-ratelimit-*, openai-processing-ms; before the reply or stream begins. */
void mr_openai_headers(struct mr_call *c);
/* x-millrace-response-cost, -call-id, -model-id, -provider. */
struct mr_openai_sum;
void mr_openai_cost_headers(struct mr_call *c, const struct mr_openai_sum *s, struct mr_str model);
/* A reply, with those headers. */
int mr_openai_json(struct mr_call *c, int status, struct mr_buf *b, struct mr_err *e);

/* --- members of a body: absent and null leave *ret as it is; MR_EFIELD names the member ------- */
int mr_openai_bool(yyjson_val *o, const char *key, bool *ret, struct mr_err *e);
int mr_openai_int(yyjson_val *o, const char *key, int64_t lo, int64_t hi, int64_t *ret,
                  struct mr_err *e);
int mr_openai_num(yyjson_val *o, const char *key, double lo, double hi, double *ret,
                  struct mr_err *e);
int mr_openai_str(yyjson_val *o, const char *key, size_t max, struct mr_str *ret, struct mr_err *e);

/* --- text: a body read, and what it came to --------------------------------------------------- */
#define MR_OPENAI_CHOICES_MAX 128

/* What a chat or completion asks for. All strings are in the body's document or the arena. */
struct mr_openai_ask {
    bool chat, local;
    bool stream, include_usage;
    bool echo;
    bool tools;    /* calls may come back */
    bool one_call; /* parallel_tool_calls is false: of a local model's calls the first */
    bool logprobs;
    struct mr_str model;   /* what really runs */
    int64_t n;             /* choices a prompt */
    struct mr_str *prompt; /* completions; chat: one that is absent */
    size_t n_prompt;
    struct mr_text_request q; /* all but prompt, on_delta, done, arg */
};
int mr_openai_read_chat(struct mr_core *core, const struct mr_principal *who, yyjson_val *body,
                        struct mr_arena *arena, struct mr_openai_ask *ret, struct mr_err *e);
int mr_openai_read_completion(struct mr_core *core, const struct mr_principal *who,
                              yyjson_val *body, struct mr_arena *arena, struct mr_openai_ask *ret,
                              struct mr_err *e);
/* messages.c: the conversation as local models take it (roles system, user, assistant, texts), and
 * whether it is one at all. */
int mr_openai_messages(yyjson_val *messages, bool local, struct mr_arena *arena,
                       struct mr_str *ret_json, struct mr_err *e);

struct mr_openai_choice {
    struct mr_str text, finish_reason, logprobs_json, model;
    struct mr_str tool_calls_json; /* an array; "" = none */
};
struct mr_openai_sum {
    struct mr_usage_tokens tokens;
    int64_t cost_nano, charge;
    struct mr_str provider; /* "local", or who answered last */
    struct mr_str model;    /* embeddings */
};
/* The outcome of one run as a choice, strings kept in the arena: tool calls of local models are
 * found in their text. */
int mr_openai_choice(const struct mr_openai_ask *a, const struct mr_text_result *r,
                     struct mr_arena *arena, struct mr_openai_choice *ret, struct mr_err *e);
void mr_openai_add(struct mr_openai_sum *s, const struct mr_text_result *r);
/* The whole reply. id: "chatcmpl-…" is made of it. */
void mr_openai_put_reply(struct mr_buf *b, const struct mr_openai_ask *a, const char *id,
                         int64_t created, const struct mr_openai_choice *v, size_t n,
                         const struct mr_openai_sum *sum);
void mr_openai_put_usage(struct mr_buf *b, const char *key, const struct mr_usage_tokens *t);
/* "logprobs" of a choice, in the form of the endpoint. `from`: characters of text before it. */
void mr_openai_put_logprobs(struct mr_buf *b, const struct mr_openai_ask *a, struct mr_str items,
                            size_t from);
/* Runs a read request on the caller's thread and writes its reply. */
int mr_openai_run(struct mr_core *core, const struct mr_openai_ask *a, const char *id,
                  struct mr_arena *arena, struct mr_buf *b, struct mr_err *e);

/* embeddings.c: the reply to a body. Blocks. */
int mr_openai_embed(struct mr_core *core, const struct mr_principal *who, yyjson_val *body,
                    struct mr_arena *arena, struct mr_buf *b, struct mr_err *e);

/* --- batches ---------------------------------------------------------------------------------- */
#define MR_OPENAI_SERVICE "openai"
struct mr_job_runner;
/* For the jobs' configuration: runs one line of a batch. arg: struct mr_core. */
void mr_openai_runner(struct mr_core *core, struct mr_job_runner *ret);

#endif
