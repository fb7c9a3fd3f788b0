#include "core/gateway/gateway.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/gateway/internal.h"

#include <math.h>
#include <sys/random.h>

/* ---- memory of requests ---- */

static void discard(struct chat *c) {
    mr_buf_release(&c->messages);
    mr_buf_release(&c->extra);
    mr_buf_release(&c->body);
    mr_buf_release(&c->text);
    mr_arena_release(&c->arena);
    mr_arena_release(&c->scratch);
    mr_free(c);
}

static bool is_small(const struct chat *c) {
    return c->messages.cap + c->extra.cap + c->body.cap + c->text.cap <= GATEWAY_SPARE_BYTES &&
           c->arena.used + c->scratch.used <= GATEWAY_SPARE_BYTES;
}

void mr_chat_free(struct chat *c) {
    if (!c)
        return;
    struct mr_gateway *g = c->g;
    if (c->sse_on)
        mr_sse_release(&c->sse);
    c->sse_on = false;
    mr_free(c->model);
    c->model = NULL;
    bool keep = is_small(c);
    if (keep) {
        pthread_mutex_lock(&g->mu);
        keep = g->n_spare < GATEWAY_SPARE_MAX;
        if (keep) {
            c->next = g->spare;
            g->spare = c;
            g->n_spare++;
        }
        pthread_mutex_unlock(&g->mu);
    }
    if (!keep)
        discard(c);
}

/* An empty one, with the memory of an earlier one where there is one. */
static struct chat *chat_alloc(struct mr_gateway *g) {
    pthread_mutex_lock(&g->mu);
    struct chat *c = g->spare;
    if (c) {
        g->spare = c->next;
        g->n_spare--;
    }
    pthread_mutex_unlock(&g->mu);
    if (c) {
        struct chat was = {.messages = c->messages,
                           .extra = c->extra,
                           .body = c->body,
                           .text = c->text,
                           .arena = c->arena,
                           .scratch = c->scratch};
        *c = was;
        mr_buf_clear(&c->messages);
        mr_buf_clear(&c->extra);
        mr_buf_clear(&c->body);
        mr_buf_clear(&c->text);
        mr_arena_reset(&c->arena);
        mr_arena_reset(&c->scratch);
    } else {
        c = mr_calloc(1, sizeof *c);
        if (!c)
            return NULL;
        mr_buf_init(&c->messages, SIZE_MAX / 4);
        mr_buf_init(&c->extra, SIZE_MAX / 4);
        mr_buf_init(&c->body, SIZE_MAX / 4);
        mr_buf_init(&c->text, g->c.reply_max);
        mr_arena_init(&c->arena, g->c.reply_max * 4 + (1 << 20));
        mr_arena_init(&c->scratch, g->c.reply_max * 4 + (1 << 20));
    }
    c->g = g;
    return c;
}

/* ---- setting up ---- */

static const char *keep(struct mr_gateway *g, const char *s) {
    return s ? mr_arena_str(&g->arena, mr_str(s)) : NULL;
}

static int init_target(struct mr_gateway *g, struct target *t, const struct mr_provider *p,
                       struct mr_err *e) {
    t->g = g;
    t->p = *p;
    t->p.name = keep(g, p->name);
    t->p.base_url = keep(g, p->base_url);
    t->p.key = p->key && p->key[0] ? keep(g, p->key) : NULL;
    t->p.key_variable = keep(g, p->key_variable);
    t->p.model = keep(g, p->model);
    t->p.fallback = keep(g, p->fallback);
    if (!t->p.concurrency)
        t->p.concurrency = 256;
    if (!t->p.queue_max)
        t->p.queue_max = 4096;
    size_t n = strlen(p->base_url);
    while (n && p->base_url[n - 1] == '/')
        n--;
    t->url = mr_arena_fmt(&g->arena, "%.*s/chat/completions", (int)n, p->base_url);
    t->embed_url = mr_arena_fmt(&g->arena, "%.*s/embeddings", (int)n, p->base_url);
    t->auth = t->p.key ? mr_arena_fmt(&g->arena, "Bearer %s", t->p.key) : NULL;
    t->stats.provider = t->p.name;
    if (!t->p.name || !t->url || !t->embed_url || (t->p.key && !t->auth))
        return mr_fail(e, MR_ENOMEM, "no memory for the providers");
    t->headers[t->n_headers++] =
        (struct mr_upstream_header){"content-type", MR_LIT("application/json")};
    if (t->auth)
        t->headers[t->n_headers++] = (struct mr_upstream_header){"authorization", mr_str(t->auth)};
    return 0;
}

static struct target *find(const struct mr_gateway *g, struct mr_str name) {
    for (size_t i = 0; i < g->n; i++)
        if (mr_str_is(name, g->targets[i].p.name))
            return &g->targets[i];
    return NULL;
}

static int link_fallbacks(struct mr_gateway *g, struct mr_err *e) {
    for (size_t i = 0; i < g->n; i++) {
        struct target *t = &g->targets[i];
        if (t->p.fallback && t->p.fallback[0]) {
            t->fallback = find(g, mr_str(t->p.fallback));
            if (!t->fallback || t->fallback == t)
                return mr_fail_field(e, MR_EFIELD, "fallback",
                                     "the fallback of provider %s is not another provider: %s",
                                     t->p.name, t->p.fallback);
        }
        g->listing[i] = t->p;
        t->listed = &g->listing[i];
    }
    return 0;
}

int mr_gateway_new(const struct mr_gateway_config *c, struct mr_gateway **ret, struct mr_err *e) {
    struct mr_gateway *g = mr_calloc(1, sizeof *g);
    if (!g)
        return mr_fail(e, MR_ENOMEM, "no memory for the gateway");
    mr_arena_init(&g->arena, 16 << 20);
    pthread_mutex_init(&g->mu, NULL);
    g->c = *c;
    g->c.deadline_ms = c->deadline_ms > 0 ? c->deadline_ms : 30000;
    g->c.retries = c->retries < 0 ? 2 : c->retries;
    g->c.reply_max = c->reply_max ? c->reply_max : (size_t)8 << 20;
    g->c.providers = NULL;
    g->targets = mr_calloc(c->n_providers + 1, sizeof *g->targets);
    g->listing = mr_calloc(c->n_providers + 1, sizeof *g->listing);
    int rc = g->targets && g->listing ? 0 : mr_fail(e, MR_ENOMEM, "no memory for the gateway");
    for (size_t i = 0; rc == 0 && i < c->n_providers; i++) {
        struct target *t = &g->targets[g->n];
        if (find(g, mr_str(c->providers[i].name))) {
            rc = mr_fail_field(e, MR_EFIELD, "provider", "provider %s is configured twice",
                               c->providers[i].name);
            break;
        }
        pthread_mutex_init(&t->mu, NULL);
        g->n++;
        rc = init_target(g, t, &c->providers[i], e);
    }
    if (rc == 0)
        rc = link_fallbacks(g, e);
    if (getrandom(&g->random, sizeof g->random, 0) != sizeof g->random || !g->random)
        g->random = (uint64_t)mr_mono_ns() | 1;
    if (rc < 0) {
        mr_gateway_free(g);
        return rc;
    }
    *ret = g;
    return 0;
}

void mr_gateway_free(struct mr_gateway *g) {
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++)
        pthread_mutex_destroy(&g->targets[i].mu);
    while (g->spare) {
        struct chat *c = g->spare;
        g->spare = c->next;
        discard(c);
    }
    pthread_mutex_destroy(&g->mu);
    mr_free(g->targets);
    mr_free(g->listing);
    mr_arena_release(&g->arena);
    mr_free(g);
}

/* ---- looking up ---- */

static void names(const struct mr_gateway *g, struct mr_buf *b) {
    for (size_t i = 0; i < g->n; i++) {
        if (i)
            mr_buf_cstr(b, i + 1 == g->n ? " or " : ", ");
        mr_buf_cstr(b, g->targets[i].p.name);
    }
}

static bool lacks_key(const struct mr_provider *p) {
    return p->key_needed && !p->key;
}

int mr_gateway_provider(struct mr_gateway *g, struct mr_str name, const struct mr_provider **ret,
                        struct mr_err *e) {
    const struct target *t = find(g, name);
    if (!t) {
        struct mr_buf b;
        mr_buf_init(&b, 400);
        names(g, &b);
        int rc = mr_fail_field(e, MR_EFIELD, "provider", "provider must be %s",
                               b.n ? b.p : "configured first");
        mr_buf_release(&b);
        return rc;
    }
    if (lacks_key(&t->p))
        return mr_fail(e, MR_EUNAVAIL, "provider %s has no key: set %s", t->p.name,
                       t->p.key_variable ? t->p.key_variable : "its key");
    *ret = t->listed;
    return 0;
}

const struct mr_provider *mr_gateway_providers(const struct mr_gateway *g, size_t *ret_n) {
    *ret_n = g->n;
    return g->listing;
}

size_t mr_gateway_stats(struct mr_gateway *g, struct mr_gateway_stats *out, size_t cap) {
    size_t n = g->n < cap ? g->n : cap;
    for (size_t i = 0; i < n; i++) {
        struct target *t = &g->targets[i];
        pthread_mutex_lock(&t->mu);
        out[i] = t->stats;
        out[i].breaker_open = t->breaker.open;
        out[i].breaker_opened = t->breaker.opened;
        pthread_mutex_unlock(&t->mu);
    }
    return n;
}

/* ---- one request ---- */

int mr_chat_render(struct chat *c, struct mr_err *e) {
    if (c->embed)
        return 0;
    struct mr_chat_body b = {.model = mr_str(c->model ? c->model : c->t->p.model),
                             .messages_json = mr_buf_view(&c->messages),
                             .max_tokens = c->max_tokens,
                             .temperature = c->temperature,
                             .stream = c->stream,
                             .extra_json = mr_buf_view(&c->extra)};
    mr_buf_clear(&c->body);
    mr_provider_chat_body(c->t->p.dialect, &b, &c->body);
    return mr_buf_ok(&c->body) ? 0 : mr_fail(e, MR_ENOMEM, "no memory for a request");
}

void mr_chat_finish(struct chat *c) {
    struct target *t = c->t;
    c->result.provider = t->listed;
    if (c->result.rc < 0) {
        pthread_mutex_lock(&t->mu);
        t->stats.failures++;
        pthread_mutex_unlock(&t->mu);
    }
    c->done(c->arg, &c->result);
    mr_chat_free(c);
}

static void keep_messages(struct chat *c, const struct mr_chat_body *b) {
    if (b->messages_json.p) {
        mr_buf_str(&c->messages, b->messages_json);
        return;
    }
    mr_buf_cstr(&c->messages, "[{\"role\":\"user\",\"content\":");
    mr_buf_json(&c->messages, b->prompt);
    mr_buf_cstr(&c->messages, "}]");
}

static struct chat *chat_new(struct mr_gateway *g, const struct mr_chat_request *q) {
    struct chat *c = chat_alloc(g);
    if (!c)
        return NULL;
    c->t = find(g, mr_str(q->provider->name));
    c->max_tokens = q->body.max_tokens;
    c->temperature = q->body.temperature;
    c->stream = q->body.stream;
    c->may_fall_back = q->may_fall_back;
    c->on_delta = q->on_delta;
    c->on_event = q->on_event;
    c->done = q->done;
    c->arg = q->arg;
    c->deadline_ns = mr_mono_ns() + (int64_t)g->c.deadline_ms * 1000000;
    c->result.retry_after_ms = -1;
    c->embed = q->embed_json.p != NULL;
    if (c->embed) {
        mr_buf_str(&c->body, q->embed_json);
    } else {
        keep_messages(c, &q->body);
        mr_buf_str(&c->extra, q->body.extra_json);
    }
    if (q->body.model.p)
        c->model = mr_strndup(q->body.model.p, q->body.model.n);
    if (!c->t || !mr_buf_ok(&c->messages) || !mr_buf_ok(&c->extra) || !mr_buf_ok(&c->body) ||
        (q->body.model.p && !c->model)) {
        mr_chat_free(c);
        return NULL;
    }
    return c;
}

static void give_up_later(void *arg) {
    mr_chat_give_up(arg, true);
}

int mr_gateway_chat(struct mr_gateway *g, const struct mr_chat_request *q, struct mr_err *e) {
    struct chat *c = chat_new(g, q);
    if (!c)
        return mr_fail(e, MR_ENOMEM, "no memory for a request");
    int rc = mr_chat_render(c, e);
    int64_t wait_ms = -1;
    if (rc < 0) {
        mr_chat_free(c);
        return rc;
    }
    struct target *t = c->t;
    enum admitted a = mr_chat_admit(c, false, &wait_ms);
    if (a == ADMIT_QUEUED) /* c is no longer ours */
        return 0;
    if (a == ADMIT_GO) {
        bool probe = c->probe;
        rc = mr_chat_start(c, e);
        if (rc < 0) {
            mr_target_give_back(t, probe);
            mr_chat_free(c);
        }
        return rc;
    }
    mr_chat_refused(c, a, wait_ms);
    rc = mr_upstream_after(g->c.upstream, 0, give_up_later, c, e);
    if (rc < 0)
        mr_chat_free(c);
    return rc;
}
