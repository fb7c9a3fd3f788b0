/* A gateway over the stand-in upstream, requests to it, and waiting for their answers. */
#ifndef MR_TEST_GATEWAY_FIXTURE_H
#define MR_TEST_GATEWAY_FIXTURE_H

#include "base/buf.h"
#include "base/clock.h"
#include "core/gateway/breaker.h"
#include "core/gateway/gateway.h"
#include "mr_test.h"
#include "standin.h"

#include <pthread.h>

static struct standin_child up;

/* ---- one request, and waiting for it ---- */

struct answer {
    pthread_mutex_t mu;
    pthread_cond_t cv;
    int done; /* calls */
    int rc, attempts;
    bool billed;
    struct mr_chat_usage usage;
    int64_t retry_after_ms;
    char provider[32], text[4096], model[64], finish[32], msg[512];
    size_t text_n;
    /* streaming */
    char seen[4096];
    int deltas, leave_after; /* on_delta says that the client is gone from that one on; 0 = never */
    bool fallback_ok;
    char asked[32]; /* for which provider may_fall_back was asked */
};

static inline void copy(char *out, size_t cap, struct mr_str s) {
    snprintf(out, cap, "%.*s", (int)s.n, s.p ? s.p : "");
}

static inline void on_done(void *arg, const struct mr_chat_result *r) {
    struct answer *a = arg;
    pthread_mutex_lock(&a->mu);
    a->rc = r->rc;
    a->attempts = r->attempts;
    a->billed = r->billed;
    a->usage = r->usage;
    a->retry_after_ms = r->retry_after_ms;
    copy(a->provider, sizeof a->provider, mr_str(r->provider->name));
    copy(a->text, sizeof a->text, r->text);
    a->text_n = r->text.n;
    copy(a->model, sizeof a->model, r->model);
    copy(a->finish, sizeof a->finish, r->finish_reason);
    copy(a->msg, sizeof a->msg, mr_str(r->rc ? r->err.msg : ""));
    a->done++;
    pthread_cond_broadcast(&a->cv);
    pthread_mutex_unlock(&a->mu);
}

static inline int on_delta(void *arg, struct mr_str text) {
    struct answer *a = arg;
    size_t n = strlen(a->seen);
    copy(a->seen + n, sizeof a->seen - n, text);
    a->deltas++;
    return a->leave_after && a->deltas >= a->leave_after;
}

static inline bool may_fall_back(void *arg, const struct mr_provider *p) {
    struct answer *a = arg;
    copy(a->asked, sizeof a->asked, mr_str(p->name));
    return a->fallback_ok;
}

static inline struct answer *answer_new(void) {
    struct answer *a = calloc(1, sizeof *a);
    pthread_mutex_init(&a->mu, NULL);
    pthread_cond_init(&a->cv, NULL);
    return a;
}

static inline void answer_free(struct answer *a) {
    pthread_mutex_destroy(&a->mu);
    pthread_cond_destroy(&a->cv);
    free(a);
}

static inline void wait_for(struct answer *a) {
    pthread_mutex_lock(&a->mu);
    while (!a->done)
        pthread_cond_wait(&a->cv, &a->mu);
    pthread_mutex_unlock(&a->mu);
}

struct rig {
    struct mr_upstream *u;
    struct mr_gateway *g;
};
struct rig_options {
    int deadline_ms, retries;
    unsigned concurrency, queue_max;
    size_t reply_max;
    const char *openai_url, *fallback;
};

static inline void stop_upstream(void) {
    standin_stop(&up);
}

static inline struct rig rig_new(struct rig_options o) {
    struct rig r;
    if (!up.pid) {
        standin_start(&up);
        atexit(stop_upstream);
    }
    struct mr_err e;
    struct mr_provider p[] = {
        {.name = "openai",
         .dialect = MR_DIALECT_OPENAI,
         .base_url = o.openai_url ? o.openai_url : up.openai,
         .key = "sk-test",
         .key_needed = true,
         .key_variable = "OPENAI_API_KEY",
         .model = "gpt-4o-mini",
         .fallback = o.fallback,
         .concurrency = o.concurrency,
         .queue_max = o.queue_max},
        {.name = "mistral",
         .dialect = MR_DIALECT_MISTRAL,
         .base_url = up.mistral,
         .key = "ms-test",
         .key_needed = true,
         .key_variable = "MISTRAL_API_KEY",
         .model = "mistral-small-latest"},
        {.name = "keyless",
         .base_url = up.openai,
         .key_needed = true,
         .key_variable = "KEYLESS_API_KEY",
         .model = "m"},
        {.name = "local", .dialect = MR_DIALECT_COMPATIBLE, .base_url = up.openai, .model = "m"},
    };
    if (mr_upstream_new(NULL, &r.u, &e) < 0)
        abort();
    struct mr_gateway_config c = {.upstream = r.u,
                                  .providers = p,
                                  .n_providers = 4,
                                  .deadline_ms = o.deadline_ms,
                                  .retries = o.retries,
                                  .reply_max = o.reply_max};
    if (mr_gateway_new(&c, &r.g, &e) < 0)
        abort();
    standin_ask(&up, "/control/reset", "{}");
    return r;
}

static inline void rig_free(struct rig *r) {
    mr_upstream_free(r->u);
    mr_gateway_free(r->g);
}

static inline const struct mr_provider *provider(struct rig *r, const char *name) {
    const struct mr_provider *p = NULL;
    struct mr_err e;
    if (mr_gateway_provider(r->g, mr_str(name), &p, &e) < 0)
        abort();
    return p;
}

static inline int submit(struct rig *r, const char *name, const char *prompt, bool stream,
                         struct answer *a, struct mr_err *e) {
    struct mr_chat_request q = {
        .provider = provider(r, name),
        .body = {.prompt = mr_str(prompt), .temperature = (double)NAN, .stream = stream},
        .may_fall_back = may_fall_back,
        .on_delta = stream ? on_delta : NULL,
        .done = on_done,
        .arg = a};
    return mr_gateway_chat(r->g, &q, e);
}

static inline struct answer *ask_with(struct rig *r, const char *name, const char *prompt,
                                      bool stream, bool fallback_ok, int leave_after) {
    struct answer *a = answer_new();
    struct mr_err e;
    a->fallback_ok = fallback_ok;
    a->leave_after = leave_after;
    int rc = submit(r, name, prompt, stream, a, &e);
    CHECK_INT(rc, 0);
    if (rc == 0)
        wait_for(a);
    return a;
}

static inline struct answer *ask(struct rig *r, const char *name, const char *prompt) {
    return ask_with(r, name, prompt, false, false, 0);
}

static inline struct mr_gateway_stats stats_of(struct rig *r, size_t i) {
    struct mr_gateway_stats s[4];
    CHECK_INT(mr_gateway_stats(r->g, s, 4), 4);
    return s[i];
}

#endif
