/* Inside api/openai: a request for embeddings, and one that a provider answers. */
#ifndef MR_API_OPENAI_EMBED_H
#define MR_API_OPENAI_EMBED_H

#include "api/openai/openai.h"
#include "core/bill/bill.h"

struct mr_openai_texts {
    struct mr_str model;
    struct mr_str *text;
    size_t n;
    bool base64;
    int64_t dimensions; /* 0 = all */
};
int mr_openai_read_texts(yyjson_val *body, struct mr_arena *arena, struct mr_openai_texts *a,
                         struct mr_err *e);
/* The reply: of each vector, `stride` apart, the first `width` numbers. */
void mr_openai_put_vectors(struct mr_buf *b, const struct mr_openai_texts *a, const float *v,
                           size_t stride, size_t width, struct mr_str model, int64_t tokens);

/* One that a provider answers; the caller closes the bill. */
struct mr_openai_remote {
    struct mr_core *core;
    struct mr_bill *bill;
    const struct mr_openai_texts *texts;
    struct mr_arena *arena;  /* the requester's; nobody else uses it meanwhile */
    void (*done)(void *arg); /* on the provider's thread: must not block */
    void *arg;
    /* what came */
    struct mr_bill_item *item;
    struct mr_str body;
    bool billed;
    int rc;
    struct mr_err err;
    int64_t retry_after_ms;
};
/* Admits and asks. After 0 `done` comes once; then mr_openai_embed_remote_end writes the reply or
 * says what went wrong. */
int mr_openai_embed_remote(struct mr_openai_remote *r, const struct mr_text_place *at,
                           struct mr_err *e);
int mr_openai_embed_remote_end(struct mr_openai_remote *r, struct mr_buf *b, struct mr_err *e);
/* The whole of it, for a thread that waits. */
int mr_openai_embed_remote_wait(struct mr_core *core, struct mr_bill *bill,
                                const struct mr_openai_texts *texts, const struct mr_text_place *at,
                                struct mr_arena *arena, struct mr_buf *b, struct mr_err *e);

#endif
