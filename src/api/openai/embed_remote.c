/* Embeddings of a provider: budget and open charge, the gateway, then the charge that its count of
 * tokens makes. */
#include "api/openai/embed.h"
#include "core/gateway/gateway.h"
#include "engine/provider/provider.h"

#include <pthread.h>

static void replied(void *arg, const struct mr_chat_result *r) {
    struct mr_openai_remote *m = arg;
    m->rc = r->rc == MR_ELIMIT ? MR_EPREDICT : r->rc; /* its limits are not the caller's budget */
    m->err = r->err;
    m->err.code = m->rc;
    m->billed = !r->rc || r->billed;
    m->retry_after_ms = r->retry_after_ms;
    m->body = mr_strn("", 0);
    if (!r->rc && !(m->body = mr_arena_keep(m->arena, r->text)).p)
        m->rc = mr_fail(&m->err, MR_ETOOBIG, "the provider's reply does not fit into memory");
    m->done(m->arg);
}

int mr_openai_embed_remote(struct mr_openai_remote *r, const struct mr_text_place *at,
                           struct mr_err *e) {
    const struct mr_provider *p;
    struct mr_buf b;
    int64_t most = mr_embed_most(r->texts->text, r->texts->n);
    int rc = mr_gateway_provider(r->core->gateway, at->provider, &p, e);
    if (!rc)
        rc = mr_bill_add(r->bill, mr_str(p->name), at->model, most, &r->item, e);
    if (rc)
        return rc;
    mr_buf_init(&b, (size_t)64 << 20);
    mr_provider_embed_body(p->dialect,
                           &(struct mr_embed_body){.model = at->model,
                                                   .text = r->texts->text,
                                                   .n = r->texts->n,
                                                   .dimensions = r->texts->dimensions},
                           &b);
    struct mr_chat_request q = {.provider = p,
                                .body = {.model = at->model},
                                .embed_json = mr_buf_view(&b),
                                .done = replied,
                                .arg = r};
    rc = mr_buf_ok(&b) ? mr_gateway_chat(r->core->gateway, &q, e)
                       : mr_fail(e, MR_ETOOBIG, "the texts are too large");
    mr_buf_release(&b);
    return rc;
}

/* What the provider did not count. */
static int64_t estimate(const struct mr_openai_texts *a) {
    int64_t sum = 0;
    for (size_t i = 0; i < a->n; i++)
        sum += mr_provider_estimate_tokens(a->text[i]);
    return sum;
}

int mr_openai_embed_remote_end(struct mr_openai_remote *r, struct mr_buf *b, struct mr_err *e) {
    struct mr_embed_reply v = {.tokens = -1};
    struct mr_err why;
    int rc = r->rc;
    if (!rc && (rc = mr_provider_embeddings(r->body, r->texts->n, r->arena, &v, &why)))
        rc = mr_fail(&r->err, MR_EPREDICT, "%.*s: %.300s", (int)r->item->provider.n,
                     r->item->provider.p, why.msg);
    if (r->billed) {
        r->item->estimated = v.tokens < 0;
        r->item->tokens.input = v.tokens < 0 ? estimate(r->texts) : v.tokens;
    }
    if (rc) {
        if (e)
            *e = r->err;
        return rc;
    }
    mr_openai_put_vectors(b, r->texts, v.v, v.width, v.width, v.model.n ? v.model : r->item->model,
                          r->item->tokens.input);
    return mr_buf_ok(b) ? 0 : mr_fail(e, b->fail, "the reply is too large");
}

/* --- for a thread that waits ---------------------------------------------------------------- */

struct wait {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool over;
};

static void wake(void *arg) {
    struct wait *w = arg;
    pthread_mutex_lock(&w->mu);
    w->over = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mu);
}

int mr_openai_embed_remote_wait(struct mr_core *core, struct mr_bill *bill,
                                const struct mr_openai_texts *texts, const struct mr_text_place *at,
                                struct mr_arena *arena, struct mr_buf *b, struct mr_err *e) {
    struct wait w = {.over = false};
    struct mr_openai_remote r = {
        .core = core, .bill = bill, .texts = texts, .arena = arena, .done = wake, .arg = &w};
    pthread_mutex_init(&w.mu, NULL);
    pthread_cond_init(&w.cond, NULL);
    int rc = mr_openai_embed_remote(&r, at, e);
    if (!rc) {
        pthread_mutex_lock(&w.mu);
        while (!w.over)
            pthread_cond_wait(&w.cond, &w.mu);
        pthread_mutex_unlock(&w.mu);
        rc = mr_openai_embed_remote_end(&r, b, e);
    }
    pthread_cond_destroy(&w.cond);
    pthread_mutex_destroy(&w.mu);
    return rc;
}
