/* Outgoing requests of the tests: one result each, the stand-in upstream, the upstream under test.
 */
#ifndef MR_TEST_UPSTREAM_FIXTURE_H
#define MR_TEST_UPSTREAM_FIXTURE_H

#include "http_test.h"

#include "http/upstream.h"
#include "standin.h"

static struct standin_child up;
static struct mr_upstream *u;
static bool only_curl; /* else our own client carries what it can */

struct result {
    pthread_mutex_t mu;
    pthread_cond_t cv;
    int done, rc, status, pieces, stop_after;
    bool sent;
    size_t body_n, streamed;
    int64_t retry_after_ms, first_ns, total_ns;
    char body[512], request_id[128], err[256];
};

static void on_done(void *arg, const struct mr_upstream_reply *r) {
    struct result *s = arg;
    pthread_mutex_lock(&s->mu);
    s->rc = r->rc;
    s->status = r->status;
    s->sent = r->sent;
    s->body_n = r->body.n;
    s->retry_after_ms = r->retry_after_ms;
    s->first_ns = r->first_byte_ns;
    s->total_ns = r->total_ns;
    snprintf(s->body, sizeof s->body, "%.*s", (int)r->body.n, r->body.p);
    memcpy(s->request_id, r->request_id, sizeof s->request_id);
    memcpy(s->err, r->err, sizeof s->err);
    s->done++;
    pthread_cond_broadcast(&s->cv);
    pthread_mutex_unlock(&s->mu);
}

static PART_UNUSED int on_piece(void *arg, struct mr_str piece) {
    struct result *s = arg;
    s->streamed += piece.n;
    s->pieces++;
    return s->stop_after && s->pieces >= s->stop_after;
}

static struct result *result_new(void) {
    struct result *s = calloc(1, sizeof *s);
    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->cv, NULL);
    return s;
}

static void result_wait(struct result *s) {
    pthread_mutex_lock(&s->mu);
    while (!s->done)
        pthread_cond_wait(&s->cv, &s->mu);
    pthread_mutex_unlock(&s->mu);
}

static void result_free(struct result *s) {
    pthread_mutex_destroy(&s->mu);
    pthread_cond_destroy(&s->cv);
    free(s);
}

static struct mr_upstream_header headers[] = {{"content-type", MR_LIT("application/json")},
                                              {"authorization", MR_LIT("Bearer k")}};

static struct mr_upstream_request request(const char *url, const char *body, struct result *s) {
    return (struct mr_upstream_request){.method = "POST",
                                        .url = mr_str(url),
                                        .headers = headers,
                                        .n_headers = 2,
                                        .body = mr_str(body),
                                        .total_ms = 30000,
                                        .reply_max = 1 << 20,
                                        .done = on_done,
                                        .arg = s};
}

static PART_UNUSED void begin(void) {
    if (!up.pid)
        standin_start(&up);
    struct mr_err e;
    struct mr_upstream_config c = {.only_curl = only_curl};
    CHECK_INT(mr_upstream_new(&c, &u, &e), 0);
}

static PART_UNUSED void end(void) {
    mr_upstream_free(u);
    u = NULL;
}

static struct result *run(const struct mr_upstream_request *q) {
    struct mr_err e;
    CHECK_INT(mr_upstream_start(u, q, NULL, &e), 0);
    result_wait(q->arg);
    return q->arg;
}

static char chat_url[128];
static PART_UNUSED const char *chat(const char *marker) {
    static char body[256];
    snprintf(chat_url, sizeof chat_url, "%s/chat/completions", up.openai);
    snprintf(body, sizeof body,
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"[standin %s]\"}]}",
             marker);
    return body;
}

#endif
