/* Inside api/openai: a generation under way. */
#ifndef MR_API_OPENAI_GENERATE_H
#define MR_API_OPENAI_GENERATE_H

#include "api/keyed.h"
#include "api/openai/openai.h"
#include "core/money/money.h"

#include <pthread.h>

struct gen;
struct choice {
    struct gen *g;
    size_t index;
    uint64_t ticket;
    bool over;
    struct mr_openai_choice out;
    /* streams: */
    bool begun;         /* the role, or the prompt's echo, was sent */
    bool holding;       /* `held` begins with a tool call */
    struct mr_buf held; /* text that may be, or is, a tool call */
    size_t characters;  /* of text sent, for the offsets of legacy logprobs */
};
/* In the request's arena. `lock` covers it, the arena and the stream from the first start on. */
struct gen {
    struct mr_call *c;
    struct mr_openai_ask ask;
    pthread_mutex_t lock;
    struct choice *choice;
    size_t n, left;
    bool failed, lost; /* lost: the client gets no more of the stream */
    bool named;        /* the stream's model is the one that answers */
    struct mr_err err;
    struct mr_openai_sum sum;
    int64_t created;
    char id[25];
    struct mr_buf sent; /* a keyed stream, as it went out */
};

/* stream.c; under the lock */
void mr_openai_stream_piece(struct gen *g, struct choice *k, const struct mr_llm_delta *d);
/* A choice is complete: what was held back, its calls, its finish_reason. */
void mr_openai_stream_close(struct gen *g, struct choice *k);
/* All are: usage and [DONE], or the error. */
void mr_openai_stream_end(struct gen *g, const struct mr_err *e);

#endif
