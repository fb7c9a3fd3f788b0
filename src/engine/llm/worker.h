/* Inside the worker process of a language model. One thread does everything (the library's own
 * threads compute with it): messages are taken between two batches.
 *
 * A slot is one of llama.cpp's sequences. While a request runs, its slot's cells hold what of its
 * tokens has been computed; afterwards they stay as cache until something newer needs the room. A
 * request starts from the slot that shares the longest prefix with it, running or cached: cells
 * are shared, not copied (one unified buffer). */
#ifndef MR_ENGINE_LLM_WORKER_H
#define MR_ENGINE_LLM_WORKER_H

#include "engine/llm/answer.h"
#include "engine/llm/llama_api.h"
#include "engine/llm/sample.h"
#include "engine/llm/wire.h"

#define MR_LLM_SLOTS_MAX (3 * MR_LLM_PARALLEL_MAX)
#define MR_LLM_BATCH     512 /* tokens computed at once while nothing else runs */
#define MR_LLM_CHUNK     128 /* prompt tokens beside running answers: 0.2 s at worst */
#define MR_LLM_SHARE     32  /* tokens worth waiting a batch for, to share them */

struct mr_lw_request;

struct mr_lw_slot {
    int32_t *token; /* of a cached slot; owned */
    size_t n;       /* tokens whose cells are there */
    uint64_t adapter;
    double scale;
    struct mr_lw_request *owner; /* NULL: cached, or free when n is 0 */
    uint64_t used;               /* for eviction: the batch that used it last */
};

struct mr_lw_request {
    struct mr_lw_request *next; /* in the queue, or among the running */
    struct mr_arena arena;      /* texts */
    struct mr_llm_ask ask;
    struct mr_llm_texts texts;
    struct mr_sample_params sample;
    int32_t *token;                  /* prompt and answer; owned */
    size_t n, cap, n_prompt, n_done; /* n_done: computed, their cells are in the slot */
    size_t limit;                    /* tokens of the answer */
    int slot;                        /* -1 = waiting */
    int row;                         /* of its scores in the batch, -1 = none */
    uint32_t cached, output;
    bool matched; /* the cache was asked */
    uint64_t rng;
    struct llama_sampler *grammar;
    struct mr_answer out;
    struct mr_buf logprobs;
    int64_t arrived_ns, started_ns, first_ns;
    int over; /* 0 = runs, 1 = ends well, < 0 = MR_E* with err */
    bool by_length;
    struct mr_err err;
};

struct mr_lw_adapter {
    uint64_t id; /* 0 = free */
    struct llama_adapter_lora *lora;
    struct mr_err err; /* why it could not be loaded */
};

struct mr_lw {
    struct mr_llama api;
    struct llama_model *model;
    const struct llama_vocab *vocab;
    struct llama_context *ctx;
    llama_memory_t memory;
    const char *chat_template; /* NULL = none */
    struct llama_batch batch;
    int32_t n_vocab, longest_piece;
    uint32_t parallel, context, cells, threads;
    int64_t alone_until_ns; /* one thread until then: the cores have other work; 0 = all of them */
    unsigned crowded;       /* batches in a row that got too little of the cores */
    bool shares;            /* prefixes can be shared: not so with recurrent models */
    struct mr_lw_slot slot[MR_LLM_SLOTS_MAX];
    unsigned n_slots;
    struct mr_lw_request *waiting, *running; /* each in the order of arrival */
    unsigned n_running;
    struct mr_lw_adapter adapter[MR_LLM_ADAPTERS];
    uint64_t adapter_set; /* of the context, now */
    double scale_set;
    uint64_t turn; /* batches so far */
    int32_t *eog;  /* tokens that end an answer */
    size_t n_eog;
    struct llama_token_data *data; /* n_vocab */
    uint8_t *seen;                 /* n_vocab zeros */
    float *copy;                   /* n_vocab: scores before penalties */
    struct mr_candidate *room;     /* n_vocab */
    struct mr_buf in, out;         /* of the socket */
    size_t in_at;
};

/* worker_ask.c: from a message to a request ready to run; ends it at once when it cannot. */
void mr_lw_ask(struct mr_lw *w, struct mr_reader *r);
/* Text of a token; n <= cap. */
int mr_lw_piece(struct mr_lw *w, int32_t token, char *p, int cap);
/* Sends the end and frees it; not in a list any more. */
void mr_lw_finish(struct mr_lw *w, struct mr_lw_request *q);

/* worker_cache.c */
/* A slot for the request, with what is known of its prompt; false: all slots are in use. */
bool mr_lw_take_slot(struct mr_lw *w, struct mr_lw_request *q);
/* Looks for the longest known prefix and takes its cells. */
void mr_lw_match(struct mr_lw *w, struct mr_lw_request *q);
/* The slot becomes cache. */
void mr_lw_leave_slot(struct mr_lw *w, struct mr_lw_request *q);
/* Drops the oldest cached slot; false: none is cached. */
bool mr_lw_evict(struct mr_lw *w);
/* Drops what an adapter computed. */
void mr_lw_forget_adapter(struct mr_lw *w, uint64_t adapter);

/* worker_step.c: takes from the queue what fits, computes one batch, and sends what came of it. */
void mr_lw_step(struct mr_lw *w);
/* Ends a request with MR_ECANCELLED; nothing when it is over. */
void mr_lw_cancel(struct mr_lw *w, uint64_t id);

/* worker_token.c: the next token of a request from its scores. */
void mr_lw_next_token(struct mr_lw *w, struct mr_lw_request *q);

#endif
