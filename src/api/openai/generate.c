/* POST /v1/chat/completions and /v1/completions: one generation a choice, side by side, whole or as
 * a stream of server-sent events. No thread waits. */
#include "api/openai/generate.h"
#include "api/openai/gen_openai.h"
#include "base/clock.h"

/* --- the end -------------------------------------------------------------------------------- */

static void cost_headers(struct gen *g) {
    mr_openai_cost_headers(g->c, &g->sum,
                           g->choice[0].out.model.n ? g->choice[0].out.model : g->ask.model);
}

static int whole_reply(struct gen *g, struct mr_err *e) {
    struct mr_buf b;
    struct mr_openai_choice *v = mr_arena_array(g->c->req->arena, g->n, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < g->n; i++)
        v[i] = g->choice[i].out;
    mr_call_buf(g->c, &b);
    mr_openai_put_reply(&b, &g->ask, g->id, g->created, v, g->n, &g->sum);
    cost_headers(g);
    return mr_openai_json(g->c, 200, &b, e);
}

/* The last one is in: the reply, or the stream's last events. */
static void finish(struct gen *g) {
    struct mr_call *c = g->c;
    struct mr_err e = g->err;
    int rc = g->failed ? e.code : 0;
    bool streaming = mr_req_streaming(c->req);
    if (g->ask.stream && (streaming || !rc)) {
        mr_openai_stream_end(g, rc ? &e : NULL);
        if (!mr_req_streaming(c->req) && !rc)
            rc = mr_fail(&e, MR_ENOMEM, "out of memory");
        else if (mr_req_streaming(c->req))
            rc = 0; /* said in the stream */
    } else if (!rc)
        rc = whole_reply(g, &e);
    mr_buf_release(&g->sent);
    for (size_t i = 0; i < g->n; i++)
        mr_buf_release(&g->choice[i].held);
    pthread_mutex_destroy(&g->lock);
    mr_call_finish(c, rc ? &e : NULL);
}

/* One run is over, or was never begun. True: it was the last. */
static bool leave(struct gen *g) {
    return --g->left == 0;
}

static void cancel_others(struct gen *g) {
    uint64_t ticket[MR_OPENAI_CHOICES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        if (!g->choice[i].over && g->choice[i].ticket)
            ticket[n++] = g->choice[i].ticket;
    pthread_mutex_unlock(&g->lock); /* the cancelled may end at once */
    while (n)
        mr_text_cancel(g->c->core->text, ticket[--n]);
    pthread_mutex_lock(&g->lock);
}

static void fail_once(struct gen *g, int rc, const struct mr_err *e, int64_t retry_after_ms) {
    if (g->failed)
        return;
    g->failed = true;
    g->err = *e;
    g->err.code = rc;
    if (retry_after_ms > 0)
        g->c->retry_after_ms = retry_after_ms;
    cancel_others(g);
}

static void done(void *arg, const struct mr_text_result *r) {
    struct choice *k = arg;
    struct gen *g = k->g;
    struct mr_err e = r->err;
    int rc = r->rc;
    pthread_mutex_lock(&g->lock);
    k->over = true;
    mr_openai_add(&g->sum, r);
    if (!rc)
        rc = mr_openai_choice(&g->ask, r, g->c->req->arena, &k->out, &e);
    if (rc)
        fail_once(g, rc, &e, r->retry_after_ms);
    else if (g->ask.stream)
        mr_openai_stream_close(g, k);
    bool last = leave(g);
    pthread_mutex_unlock(&g->lock);
    if (last)
        finish(g);
}

/* --- pieces --------------------------------------------------------------------------------- */

static int on_delta(void *arg, const struct mr_llm_delta *d) {
    struct choice *k = arg;
    struct gen *g = k->g;
    if (mr_req_gone(g->c->req))
        return 1;
    if (!g->ask.stream)
        return 0;
    pthread_mutex_lock(&g->lock);
    if (!g->failed)
        mr_openai_stream_piece(g, k, d);
    int gone = g->lost || g->failed;
    pthread_mutex_unlock(&g->lock);
    return gone;
}

/* --- the beginning -------------------------------------------------------------------------- */

static int start(struct gen *g, size_t i, struct mr_err *e) {
    struct choice *k = &g->choice[i];
    struct mr_text_request q = g->ask.q;
    uint64_t ticket;
    q.prompt = g->ask.prompt[i / (size_t)g->ask.n];
    if (q.params.seed >= 0)
        q.params.seed += (int64_t)(i % (size_t)g->ask.n);
    /* A local model is told when nobody listens any more; asking a provider for a stream only for
     * that would be another request than the caller's. */
    q.on_delta = g->ask.stream || g->ask.local ? on_delta : NULL;
    q.done = done;
    q.arg = k;
    int rc = mr_text_generate(g->c->core->text, &q, &ticket, e);
    if (rc)
        return rc;
    pthread_mutex_lock(&g->lock);
    k->ticket = ticket;
    bool late = g->failed && !k->over;
    pthread_mutex_unlock(&g->lock);
    if (late)
        mr_text_cancel(g->c->core->text, ticket);
    return 0;
}

/* 0: answered from the key; 1: it is new. */
static int take_key(struct gen *g, struct mr_err *e) {
    struct mr_reply r;
    int rc = mr_keyed_begin(g->c, &r, e);
    if (rc)
        return rc;
    mr_openai_headers(g->c);
    mr_keyed_replay(g->c, &r);
    return 0;
}

static int make(struct mr_call *c, struct gen **ret, struct mr_err *e) {
    struct gen *g = mr_arena_zalloc(c->req->arena, sizeof *g);
    if (!g)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    g->c = c;
    g->created = mr_now_us() / 1000000;
    char hex[MR_ID_HEX];
    mr_id_hex(mr_id_new(), hex);
    memcpy(g->id, hex, sizeof g->id - 1);
    *ret = g;
    return 0;
}

static int prepare(struct gen *g, struct mr_err *e) {
    g->n = g->ask.n_prompt * (size_t)g->ask.n;
    g->choice = mr_arena_zalloc(g->c->req->arena, g->n * sizeof *g->choice);
    if (!g->choice)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < g->n; i++) {
        g->choice[i].g = g;
        g->choice[i].index = i;
        mr_buf_init(&g->choice[i].held, (size_t)16 << 20);
    }
    mr_buf_init(&g->sent, MR_REPLY_MAX + 1);
    pthread_mutex_init(&g->lock, NULL);
    g->left = g->n + 1; /* one for us: nobody finishes before all have begun */
    return 0;
}

static int begin(struct gen *g, struct mr_err *e) {
    int rc = take_key(g, e);
    if (rc <= 0)
        return rc;
    rc = prepare(g, e);
    if (rc)
        return rc;
    size_t i = 0;
    struct mr_err why;
    while (i < g->n && !(rc = start(g, i, &why)))
        i++;
    pthread_mutex_lock(&g->lock);
    if (rc)
        fail_once(g, rc, &why, rc == MR_EUNAVAIL ? 1000 : 0);
    g->left -= g->n - i;
    bool last = leave(g);
    pthread_mutex_unlock(&g->lock);
    if (last)
        finish(g);
    return MR_CALL_LATER;
}

int mr_openai_chat(struct mr_call *c, struct mr_err *e) {
    struct gen *g;
    int rc = make(c, &g, e);
    if (!rc)
        rc = mr_openai_read_chat(c->core, &c->who, c->body, c->req->arena, &g->ask, e);
    return rc ? rc : begin(g, e);
}

int mr_openai_completion(struct mr_call *c, struct mr_err *e) {
    struct gen *g;
    int rc = make(c, &g, e);
    if (!rc)
        rc = mr_openai_read_completion(c->core, &c->who, c->body, c->req->arena, &g->ask, e);
    return rc ? rc : begin(g, e);
}
