/* Language models: llama.cpp in one sandboxed worker process a model (ggml aborts on errors, so a
 * crash must cost its requests one error each, not the server). Continuous batching over
 * `parallel` sequences, a prompt-prefix cache shared between requests, streaming. Thread-safe. */
#ifndef MR_ENGINE_LLM_LLM_H
#define MR_ENGINE_LLM_LLM_H

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_llm; /* one loaded model and its worker */

#define MR_LLM_STOPS_MAX    16
#define MR_LLM_LOGPROBS_MAX 20

struct mr_llm_config {
    const char *path;         /* GGUF */
    unsigned parallel;        /* sequences at once; 0 = 8 */
    unsigned threads;         /* 0 = the machine's cores, at most 16 */
    unsigned queue_max;       /* waiting requests; 0 = 256; beyond: MR_EUNAVAIL with retry_after */
    uint32_t context;         /* tokens a sequence; 0 = the model's, at most 8,192 */
    uint64_t memory_max;      /* bytes of the worker; 0 = none */
    const struct mr_log *log; /* may be NULL: worker deaths and restarts */
};
/* Starts the worker and waits until it has loaded the file (a damaged or foreign one: MR_EREFUSED
 * or MR_EUNSUPPORTED with what is wrong; the library is missing: MR_EUNAVAIL with what to do). A
 * worker that dies later fails its requests with MR_EPREDICT once and is started again by the next
 * one. Blocks: not for loop threads. */
int mr_llm_open(const struct mr_llm_config *c, struct mr_llm **ret, struct mr_err *e);
/* Requests under way end with MR_ECANCELLED. NULL is fine. */
void mr_llm_free(struct mr_llm *m);

struct mr_llm_info {
    struct mr_str architecture, name,
        quantization; /* as the file says; live as long as the model */
    bool has_chat_template;
    uint32_t context;                        /* tokens of one sequence */
    uint32_t context_train;                  /* what the model was trained for */
    uint64_t parameters, file_bytes, memory; /* memory: resident bytes of the worker, now */
    uint32_t embedding_length;
    unsigned parallel;
    double cpu_seconds; /* of the worker */
    uint64_t queued, running;
    uint64_t prompt_tokens, cached_tokens, output_tokens; /* since it was opened */
    uint64_t restarts;
};
void mr_llm_info(struct mr_llm *m, struct mr_llm_info *ret);

/* Zero is not the default: start from mr_llm_params_default. */
struct mr_llm_params {
    double temperature; /* 0 = greedy */
    double top_p, min_p;
    int32_t top_k; /* 0 = off */
    double frequency_penalty, presence_penalty, repeat_penalty;
    int64_t seed;       /* -1 = random */
    int64_t max_tokens; /* 0 = as many as fit into the context */
    struct mr_str stop[MR_LLM_STOPS_MAX];
    size_t n_stop;
    int logprobs;          /* -1 = none, else this many alternatives a token (0..20) */
    struct mr_str grammar; /* GBNF, see grammar.h; p NULL = none */
    bool ignore_eos;       /* benchmarks */
};
void mr_llm_params_default(struct mr_llm_params *p); /* 0.8, top_k 40, top_p 0.95, min_p 0.05 … */
/* Ranges: MR_EFIELD naming the field as OpenAI does ("temperature", "stop" …). */
int mr_llm_params_check(const struct mr_llm_params *p, struct mr_err *e);

struct mr_llm_delta {
    struct mr_str text;          /* whole UTF-8 characters */
    uint32_t tokens;             /* of the output so far */
    struct mr_str logprobs_json; /* items of OpenAI's logprobs.content for the tokens of this piece,
                                  * comma-separated; "" = none asked for */
    /* Providers' (core/text), "" of local ones: OpenAI's delta.tool_calls, who speaks. */
    struct mr_str tool_calls_json, provider, model;
};
struct mr_llm_result {
    int rc; /* 0; MR_EFIELD (context overflow: says both figures; bad grammar; template),
             * MR_EPREDICT (worker died), MR_EUNAVAIL (queue), MR_ECANCELLED, MR_ETIMEOUT */
    struct mr_err err;
    struct mr_str text;          /* all of it, also what came before a failure; valid in the call */
    struct mr_str logprobs_json; /* items, comma-separated */
    const char *finish_reason;   /* "stop", "length" */
    struct mr_str stopped_by;    /* the stop string that ended it, or "" */
    uint32_t prompt_tokens, cached_tokens, output_tokens;
    int64_t queue_ns, prompt_ns, total_ns; /* total from the call of mr_llm_generate */
    int64_t retry_after_ms;                /* -1 = none */
};
struct mr_llm_request {
    /* Either raw text, or a JSON array of {"role","content"} (content: text, or OpenAI's parts of
     * type "text") put through the model's own chat template with the assistant's turn opened.
     * tools_json: OpenAI's array, described to the model in the way its template family expects;
     * tool calls in the answer are the caller's to find (tools.h). */
    struct mr_str prompt, messages_json, tools_json;
    struct mr_llm_params params;
    struct mr_str lora_path; /* GGUF adapter for this request; p NULL = none */
    double lora_scale;
    int64_t deadline_ns; /* monotonic; 0 = none */
    /* Both on the model's reader thread; must not block. on_delta non-zero: the client is gone, the
     * request is cancelled. NULL: no streaming. done: exactly once after mr_llm_generate gave 0. */
    int (*on_delta)(void *arg, const struct mr_llm_delta *d);
    void (*done)(void *arg, const struct mr_llm_result *r);
    void *arg;
};
/* Any thread; copies what it needs; does not block while the worker lives. *ret_ticket (may be
 * NULL) cancels it. MR_EUNAVAIL: the queue is full. */
int mr_llm_generate(struct mr_llm *m, const struct mr_llm_request *q, uint64_t *ret_ticket,
                    struct mr_err *e);
/* Ends a request soon with MR_ECANCELLED; nothing when it is over. */
void mr_llm_cancel(struct mr_llm *m, uint64_t ticket);

/* How many tokens a text or a rendered conversation is. Blocks for the worker's answer. */
int mr_llm_count(struct mr_llm *m, struct mr_str prompt, struct mr_str messages_json, uint32_t *ret,
                 struct mr_err *e);

/* Where libllama.so is: MILLRACE_LLAMA, else next to the program, else the set-up cache /llama/lib.
 * Entry of the worker: main() calls it for argv[1] == "__llm-worker", argv[2] = that folder. */
int mr_llm_worker_main(const char *folder);

#endif
