/* The server's side of a language model's worker. One thread a model reads, writes, keeps the
 * deadlines and restarts; callers only append to `out` and wake it. */
#ifndef MR_ENGINE_LLM_CLIENT_H
#define MR_ENGINE_LLM_CLIENT_H

#include "base/buf.h"
#include "engine/llm/wire.h"
#include "io/child.h"
#include "wire/gguf.h"

#include <pthread.h>

enum mr_llm_state {
    MR_LLM_DEAD,     /* no worker; the next request wants one */
    MR_LLM_WANTED,   /* the thread is to start one */
    MR_LLM_STARTING, /* it has not said that it is ready */
    MR_LLM_READY
};

struct mr_llm_job {
    struct mr_llm_job *next;
    uint64_t id;
    struct mr_llm_request q; /* callbacks and deadline; its texts are not kept */
    struct mr_str stop[MR_LLM_STOPS_MAX];
    size_t n_stop;
    char *stops; /* what stop points into; owned */
    struct mr_buf text, logprobs;
    uint32_t tokens;
    int64_t asked_ns;
    bool gone;        /* the client is: cancelled already */
    uint64_t adapter; /* 0 = none */
};

struct mr_llm_lora {
    uint64_t id, used; /* id 0 = free */
    uint64_t dev, ino, size;
    int64_t mtime_ns;
    unsigned jobs; /* that use it: not to be dropped */
};

struct mr_llm {
    struct mr_llm_config c;
    char *folder; /* of libllama.so */
    int model_fd;
    struct mr_arena keep;
    struct mr_gguf file; /* texts in keep */
    uint64_t file_bytes;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    enum mr_llm_state state;
    bool closing;
    struct mr_err why; /* the last start failed; code 0: it did not */
    struct mr_child worker;
    int sock, files, wake;
    struct mr_buf out;
    struct mr_llm_job *jobs;
    uint64_t n_jobs, next_id;
    struct mr_llm_lora lora[MR_LLM_ADAPTERS];
    uint32_t context, context_train, embedding;
    uint64_t parameters;
    bool has_template, was_ready;
    uint64_t prompt_tokens, cached_tokens, output_tokens, restarts;
    int64_t start_deadline_ns;

    struct mr_buf in; /* the thread's own */
};

/* client_thread.c */
void *mr_llm_thread(void *model);
/* With the lock held. */
void mr_llm_wake(struct mr_llm *m);

/* client_lora.c; with the lock held. The worker's number of the adapter at `path`, handed over when
 * it does not have it yet. MR_EFIELD "lora". */
int mr_llm_lora(struct mr_llm *m, struct mr_str path, uint64_t *ret, struct mr_err *e);
void mr_llm_lora_done(struct mr_llm *m, uint64_t id);

#endif
