/* Language models on the default model, which scripts/setup installs: without it this fails. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/llm/llm.h"
#include "mr_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

static char model_path[4096];

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
    int rc, deltas, cancel_after; /* cancel_after: on_delta says so at this piece */
    struct mr_err err;
    char text[65536], pieces[65536], logprobs[262144], stopped_by[64], finish[16];
    struct mr_llm_result r;
};

static int on_delta(void *arg, const struct mr_llm_delta *d) {
    struct answer *a = arg;
    CHECK(mr_utf8_valid(d->text));
    strncat(a->pieces, d->text.p, d->text.n);
    return ++a->deltas == a->cancel_after;
}

static void done(void *arg, const struct mr_llm_result *r) {
    struct answer *a = arg;
    pthread_mutex_lock(&a->lock);
    CHECK(!a->over); /* exactly once */
    a->r = *r;
    a->rc = r->rc;
    a->err = r->err;
    snprintf(a->text, sizeof a->text, "%.*s", (int)r->text.n, r->text.p);
    snprintf(a->logprobs, sizeof a->logprobs, "[%.*s]", (int)r->logprobs_json.n,
             r->logprobs_json.p);
    snprintf(a->stopped_by, sizeof a->stopped_by, "%.*s", (int)r->stopped_by.n, r->stopped_by.p);
    snprintf(a->finish, sizeof a->finish, "%s", r->finish_reason ? r->finish_reason : "");
    a->over = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

static void answer_init(struct answer *a) {
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
}

static void answer_wait(struct answer *a) {
    pthread_mutex_lock(&a->lock);
    while (!a->over)
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

static struct mr_llm *open_model(unsigned parallel, uint32_t context) {
    struct mr_llm_config c = {.path = model_path, .parallel = parallel, .context = context};
    struct mr_llm *m = NULL;
    struct mr_err e = {0};
    if (mr_llm_open(&c, &m, &e)) {
        fprintf(stderr, "%s: %s\n", model_path, e.msg);
        exit(1);
    }
    return m;
}

/* A greedy request. */
static struct mr_llm_request greedy(const char *messages, const char *prompt, int64_t max,
                                    struct answer *a) {
    struct mr_llm_request q = {.messages_json = mr_str(messages),
                               .prompt = mr_str(prompt),
                               .on_delta = on_delta,
                               .done = done,
                               .arg = a};
    mr_llm_params_default(&q.params);
    q.params.temperature = 0;
    q.params.max_tokens = max;
    return q;
}

static void ask(struct mr_llm *m, const struct mr_llm_request *q) {
    struct answer *a = q->arg;
    struct mr_err e = {0};
    if (mr_llm_generate(m, q, NULL, &e)) {
        fprintf(stderr, "%s: %s\n", e.field, e.msg);
        CHECK(0);
        return;
    }
    answer_wait(a);
}

static struct answer a;
static struct mr_llm *m; /* opened by the first case that needs it */

MR_TEST(the_capital_of_france) {
    answer_init(&a);
    struct mr_llm_request q = greedy(
        "[{\"role\":\"user\",\"content\":\"What is the capital of France?\"}]", NULL, 24, &a);
    ask(m, &q);
    CHECK_INT(a.rc, 0);
    CHECK(strstr(a.text, "Paris"));
    CHECK_STR(a.pieces, a.text);
    CHECK(a.r.prompt_tokens > 10 && a.r.output_tokens > 3);
    answer_init(&a);
    q = greedy(NULL, "The capital of France is", 8, &a);
    ask(m, &q);
    CHECK_INT(a.rc, 0);
    CHECK(strstr(a.text, "Paris"));
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(the_capital_of_france))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__llm-worker"))
        return mr_llm_worker_main(argc > 2 ? argv[2] : NULL);
    const char *cache = getenv("MILLRACE_CACHE"), *home = getenv("HOME");
    snprintf(model_path, sizeof model_path, "%s%s/models/smollm2-135m-instruct/model.gguf",
             cache && *cache ? cache : home, cache && *cache ? "" : "/.cache/millrace");
    m = open_model(8, 0);
    int r = test_main(argc, argv);
    mr_llm_free(m);
    return r;
}
