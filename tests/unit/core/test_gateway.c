/* The provider gateway against the stand-in upstream: each fault, retries, breaker, fallback,
 * queue, streams whose client leaves. */
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

static void copy(char *out, size_t cap, struct mr_str s) {
    snprintf(out, cap, "%.*s", (int)s.n, s.p ? s.p : "");
}

static void on_done(void *arg, const struct mr_chat_result *r) {
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

static int on_delta(void *arg, struct mr_str text) {
    struct answer *a = arg;
    size_t n = strlen(a->seen);
    copy(a->seen + n, sizeof a->seen - n, text);
    a->deltas++;
    return a->leave_after && a->deltas >= a->leave_after;
}

static bool may_fall_back(void *arg, const struct mr_provider *p) {
    struct answer *a = arg;
    copy(a->asked, sizeof a->asked, mr_str(p->name));
    return a->fallback_ok;
}

static struct answer *answer_new(void) {
    struct answer *a = calloc(1, sizeof *a);
    pthread_mutex_init(&a->mu, NULL);
    pthread_cond_init(&a->cv, NULL);
    return a;
}

static void answer_free(struct answer *a) {
    pthread_mutex_destroy(&a->mu);
    pthread_cond_destroy(&a->cv);
    free(a);
}

static void wait_for(struct answer *a) {
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

static void stop_upstream(void) {
    standin_stop(&up);
}

static struct rig rig_new(struct rig_options o) {
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

static void rig_free(struct rig *r) {
    mr_upstream_free(r->u);
    mr_gateway_free(r->g);
}

static const struct mr_provider *provider(struct rig *r, const char *name) {
    const struct mr_provider *p = NULL;
    struct mr_err e;
    if (mr_gateway_provider(r->g, mr_str(name), &p, &e) < 0)
        abort();
    return p;
}

static int submit(struct rig *r, const char *name, const char *prompt, bool stream,
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

static struct answer *ask_with(struct rig *r, const char *name, const char *prompt, bool stream,
                               bool fallback_ok, int leave_after) {
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

static struct answer *ask(struct rig *r, const char *name, const char *prompt) {
    return ask_with(r, name, prompt, false, false, 0);
}

static struct mr_gateway_stats stats_of(struct rig *r, size_t i) {
    struct mr_gateway_stats s[4];
    CHECK_INT(mr_gateway_stats(r->g, s, 4), 4);
    return s[i];
}

/* ---- the good case ---- */

MR_TEST(prompt_in_text_and_usage_out) {
    struct rig r = rig_new((struct rig_options){.retries = -1});
    static const char *const names[] = {"openai", "mistral"};
    for (int i = 0; i < 2; i++) {
        struct answer *a = ask(&r, names[i], "[standin out=5] hello");
        CHECK_INT(a->rc, 0);
        CHECK_STR(a->provider, names[i]);
        CHECK_STR(a->model, i ? "mistral-small-latest" : "gpt-4o-mini");
        CHECK_STR(a->finish, "stop");
        CHECK(a->usage.present && a->billed);
        CHECK_INT(a->usage.input, 3 + 4 + 6);
        CHECK_INT(a->usage.output, 5);
        int words = 1;
        for (const char *p = a->text; *p; p++)
            words += *p == ' ';
        CHECK_INT(words, 5);
        CHECK_INT(a->attempts, 1);
        answer_free(a);
    }
    CHECK_INT(standin_count(&up, "completions"), 2);
    rig_free(&r);
}

MR_TEST(streams_give_pieces_and_usage_in_both_dialects) {
    struct rig r = rig_new((struct rig_options){.retries = -1});
    static const char *const names[] = {"openai", "mistral"};
    for (int i = 0; i < 2; i++) {
        struct answer *a = ask_with(&r, names[i], "[standin out=7] hello", true, false, 0);
        CHECK_INT(a->rc, 0);
        CHECK_INT(a->deltas, 7);
        CHECK_STR(a->seen, a->text);
        CHECK(a->usage.present);
        CHECK_INT(a->usage.output, 7);
        CHECK_STR(a->finish, "stop");
        answer_free(a);
    }
    rig_free(&r);
}

MR_TEST(unknown_providers_and_missing_keys_are_named) {
    struct rig r = rig_new((struct rig_options){.retries = -1});
    const struct mr_provider *p;
    struct mr_err e;
    CHECK_INT(mr_gateway_provider(r.g, MR_LIT("closedai"), &p, &e), MR_EFIELD);
    CHECK_STR(e.field, "provider");
    CHECK(strstr(e.msg, "openai") && strstr(e.msg, "mistral"));
    CHECK_INT(mr_gateway_provider(r.g, MR_LIT("keyless"), &p, &e), MR_EUNAVAIL);
    CHECK(strstr(e.msg, "KEYLESS_API_KEY") != NULL);
    size_t n;
    CHECK_STR(mr_gateway_providers(r.g, &n)[1].name, "mistral");
    CHECK_INT(n, 4);
    CHECK(provider(&r, "openai") == &mr_gateway_providers(r.g, &n)[0]);
    rig_free(&r);
}

/* ---- faults ---- */

struct fault_row {
    const char *fault, *provider;
    int rc, attempts;
    bool billed;
    const char *msg; /* a part of it */
};

static void check_row(struct rig *r, const struct fault_row *f, bool stream) {
    char prompt[128];
    snprintf(prompt, sizeof prompt, "[standin fault=%s out=6] hi", f->fault);
    struct answer *a = ask_with(r, f->provider, prompt, stream, false, 0);
    if (a->rc != f->rc || a->attempts != f->attempts || a->billed != f->billed ||
        !strstr(a->msg, f->msg) ||
        (f->rc && strncmp(a->msg, f->provider, strlen(f->provider)) != 0))
        fprintf(stderr, "fault %s (%s): rc %d, attempts %d, billed %d, \"%s\"\n", f->fault,
                stream ? "stream" : "plain", a->rc, a->attempts, a->billed, a->msg);
    CHECK_INT(a->rc, f->rc);
    CHECK_INT(a->attempts, f->attempts);
    CHECK_INT(a->billed, f->billed);
    CHECK(strstr(a->msg, f->msg) != NULL);
    CHECK_INT(a->done, 1);
    answer_free(a);
}

/* Each in a gateway of its own, so that no breaker opens. */
static void check_rows(const struct fault_row *rows, size_t n, bool stream) {
    for (size_t i = 0; i < n; i++) {
        struct rig r = rig_new((struct rig_options){.retries = -1, .reply_max = 1 << 20});
        check_row(&r, &rows[i], stream);
        rig_free(&r);
    }
}

MR_TEST(every_fault_of_a_plain_request_has_its_outcome) {
    static const struct fault_row rows[] = {
        {"400", "openai", MR_EINVAL, 1, false, "not acceptable"},
        {"401", "openai", MR_EPREDICT, 1, false, "not acceptable"},
        {"404", "mistral", MR_EINVAL, 1, false, "not acceptable"},
        {"408", "openai", MR_EPREDICT, 3, false, "timed out"},
        {"429", "openai", MR_ELIMIT, 3, false, "Rate limit reached"},
        {"429", "mistral", MR_ELIMIT, 3, false, "Rate limit exceeded"},
        {"plain-429", "mistral", MR_ELIMIT, 3, false, "Requests rate limit exceeded"},
        {"text-429", "mistral", MR_ELIMIT, 3, false, "rate limit exceeded"},
        {"detail-422", "mistral", MR_EINVAL, 1, false, "not permitted (body.x)"},
        {"quota", "openai", MR_ELIMIT, 1, false, "exceeded your current quota"},
        {"quota", "mistral", MR_ELIMIT, 1, false, "quota exceeded"},
        {"500", "openai", MR_EPREDICT, 3, false, "had an error"},
        {"503", "mistral", MR_EPREDICT, 3, false, "had an error"},
        {"html-502", "openai", MR_EPREDICT, 3, false, "Oops"},
        {"rubbish", "openai", MR_EPREDICT, 1, true, "not JSON"},
        {"rubbish-json", "openai", MR_EPREDICT, 1, true, "no \"choices\""},
        {"empty", "openai", MR_EPREDICT, 1, true, "empty"},
        {"redirect", "openai", MR_EPREDICT, 1, false, "302"},
        {"huge", "openai", MR_EPREDICT, 1, true, "larger than"},
        {"huge-head", "openai", MR_EPREDICT, 1, true, "larger than"},
        {"reset", "openai", MR_EPREDICT, 1, true, "connection broke"},
        {"close", "openai", MR_EPREDICT, 1, true, "connection broke"},
        {"reset-midway", "openai", MR_EPREDICT, 1, true, "connection broke"},
        {"close-midway", "openai", MR_EPREDICT, 1, true, "connection broke"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, false);
}

MR_TEST(every_fault_of_a_stream_has_its_outcome) {
    static const struct fault_row rows[] = {
        {"400", "openai", MR_EINVAL, 1, false, "not acceptable"},
        {"503", "openai", MR_EPREDICT, 3, false, "had an error"},
        {"quota", "openai", MR_ELIMIT, 1, false, "quota"},
        {"rubbish", "openai", MR_EPREDICT, 1, true, "not a stream"},
        {"reset", "openai", MR_EPREDICT, 1, true, "connection broke"},
        {"reset-midway", "openai", MR_EPREDICT, 1, true, "connection broke"},
        {"close-midway", "mistral", MR_EPREDICT, 1, true, "connection broke"},
        {"error-event", "openai", MR_EPREDICT, 1, true, "The server had an error."},
        {"bad-event", "openai", MR_EPREDICT, 1, true, "not JSON"},
        {"no-done", "openai", 0, 1, true, ""},
        {"no-usage", "openai", 0, 1, true, ""},
    };
    check_rows(rows, sizeof rows / sizeof *rows, true);
}

MR_TEST(silence_ends_at_the_deadline_and_may_have_been_billed) {
    static const char *const faults[] = {"hang", "hang-after-head", "hang-midway", "drip"};
    for (int i = 0; i < 8; i++) {
        char prompt[64];
        bool billed = false;
        snprintf(prompt, sizeof prompt, "[standin fault=%s out=30] hi", faults[i % 4]);
        /* again where the machine stalled until the deadline before anything was sent */
        for (int tries = 0; tries < 20 && !billed; tries++) {
            struct rig r = rig_new((struct rig_options){.retries = -1, .deadline_ms = 300});
            struct answer *a = ask_with(&r, "mistral", prompt, i >= 4, false, 0);
            CHECK_INT(a->rc, MR_ETIMEOUT);
            CHECK_INT(a->attempts, 1);
            billed = a->billed;
            answer_free(a);
            rig_free(&r);
        }
        CHECK(billed);
    }
}

MR_TEST(odd_but_good_replies_are_answers) {
    struct rig r = rig_new((struct rig_options){.retries = -1});
    struct answer *a = ask(&r, "openai", "[standin fault=invalid-utf8 out=2] x");
    CHECK_INT(a->rc, 0);
    CHECK(mr_utf8_valid(mr_str(a->text)) && strstr(a->text, "\xEF\xBF\xBD"));
    answer_free(a);
    a = ask(&r, "openai", "[standin fault=null-content out=2] x");
    CHECK_INT(a->rc, 0);
    CHECK_INT(a->text_n, 0);
    CHECK(a->usage.present);
    answer_free(a);
    a = ask(&r, "mistral", "[standin fault=parts out=2] x");
    CHECK_INT(a->rc, 0);
    CHECK(strchr(a->text, ' ') != NULL);
    answer_free(a);
    a = ask(&r, "openai", "[standin fault=no-usage out=2] x");
    CHECK(a->rc == 0 && a->billed && !a->usage.present);
    answer_free(a);
    for (int i = 0; i < 7; i++) {
        char prompt[64];
        snprintf(prompt, sizeof prompt, "[standin fault=wrong-usage arg=%d] x", i);
        a = ask(&r, "openai", prompt);
        CHECK(a->rc == 0 && a->billed && !a->usage.present);
        answer_free(a);
    }
    rig_free(&r);
}

/* ---- retries ---- */

MR_TEST(a_passing_fault_is_retried) {
    struct rig r = rig_new((struct rig_options){.retries = -1});
    struct answer *a = ask(&r, "openai", "[standin fault=500 times=2] p1");
    CHECK_INT(a->rc, 0);
    CHECK_INT(a->attempts, 3);
    CHECK_INT(standin_count(&up, "completions"), 1);
    CHECK_INT(stats_of(&r, 0).retries, 2);
    answer_free(a);
    a = ask_with(&r, "openai", "[standin fault=503 times=1 out=3] p2", true, false, 0);
    CHECK_INT(a->rc, 0);
    CHECK_INT(a->deltas, 3);
    answer_free(a);
    rig_free(&r);
}

MR_TEST(retry_after_is_honoured_when_it_fits) {
    struct rig r = rig_new((struct rig_options){.retries = -1, .deadline_ms = 600000});
    int64_t from = mr_mono_ns();
    struct answer *a = ask(&r, "openai", "[standin fault=429 arg=1 times=1] r1");
    CHECK_INT(a->rc, 0);
    CHECK_INT(a->attempts, 2);
    CHECK((mr_mono_ns() - from) >= 1000000000); /* not before it was asked for */
    answer_free(a);
    a = ask(&r, "openai", "[standin fault=429 arg=6000 times=1] r2");
    CHECK_INT(a->rc, MR_ELIMIT);
    CHECK_INT(a->attempts, 1);
    CHECK_INT(a->retry_after_ms, 6000000);
    answer_free(a);
    rig_free(&r);
}

MR_TEST(no_connection_is_retried_and_costs_nothing) {
    struct rig r =
        rig_new((struct rig_options){.retries = -1, .openai_url = "http://127.0.0.1:1/v1"});
    struct answer *a = ask(&r, "openai", "x");
    CHECK_INT(a->rc, MR_EPREDICT);
    CHECK_INT(a->attempts, 3);
    CHECK(!a->billed);
    CHECK(strstr(a->msg, "cannot connect") != NULL);
    answer_free(a);
    rig_free(&r);
}

/* ---- breaker ---- */

MR_TEST(the_breaker_opens_probes_and_closes) {
    struct breaker b = {0};
    bool probe;
    int64_t wait = -1, now = 1000000000;
    for (int i = 0; i < 4; i++)
        CHECK(!breaker_report(&b, now, OUTCOME_FAULT, false));
    for (int i = 0; i < 6; i++) /* 4 of 10, then 5 of 11: less than half */
        breaker_report(&b, now, OUTCOME_GOOD, false);
    CHECK(!breaker_report(&b, now, OUTCOME_FAULT, false));
    CHECK(breaker_report(&b, now, OUTCOME_FAULT, false)); /* 6 of 12 */
    CHECK(!breaker_allow(&b, now + 999000000, &probe, &wait));
    CHECK_INT(wait, 1);
    now += 1000000000;
    CHECK(breaker_allow(&b, now, &probe, &wait) && probe);
    CHECK(!breaker_allow(&b, now, &probe, &wait)); /* one probe */
    CHECK(breaker_report(&b, now, OUTCOME_FAULT, true));
    CHECK(!breaker_allow(&b, now + 1999000000, &probe, &wait)); /* twice as long */
    now += 2000000000;
    CHECK(breaker_allow(&b, now, &probe, &wait) && probe);
    breaker_report(&b, now, OUTCOME_NONE, true); /* learnt nothing: the next is the probe */
    CHECK(breaker_allow(&b, now, &probe, &wait) && probe);
    CHECK(!breaker_report(&b, now, OUTCOME_GOOD, true));
    CHECK(breaker_allow(&b, now, &probe, &wait) && !probe);
    CHECK_INT(b.opened, 2);
}

MR_TEST(a_failing_provider_is_left_alone_and_comes_back) {
    struct rig r = rig_new((struct rig_options){.retries = 0});
    for (int i = 0; i < 4; i++)
        answer_free(ask(&r, "openai", "[standin fault=500] b"));
    int64_t from = mr_mono_ns();
    answer_free(ask(&r, "openai", "[standin fault=500] b"));
    CHECK_INT(stats_of(&r, 0).breaker_open, 1);
    struct answer *a = ask(&r, "openai", "hello");
    if (mr_mono_ns() - from < 1000000000) { /* a machine that stalls lets the probe through */
        CHECK_INT(a->rc, MR_EUNAVAIL);
        CHECK_INT(a->attempts, 0);
        CHECK(!a->billed);
        CHECK(a->retry_after_ms > 0 && a->retry_after_ms <= 1000);
        CHECK_INT(standin_count(&up, "requests"), 5);
    }
    answer_free(a);
    a = ask(&r, "mistral", "hello"); /* another provider's is its own */
    CHECK_INT(a->rc, 0);
    answer_free(a);
    usleep(1050000);
    a = ask(&r, "openai", "hello");
    CHECK_INT(a->rc, 0);
    answer_free(a);
    CHECK_INT(stats_of(&r, 0).breaker_open, 0);
    CHECK_INT(stats_of(&r, 0).breaker_opened, 1);
    rig_free(&r);
}

MR_TEST(the_clients_faults_open_no_breaker) {
    struct rig r = rig_new((struct rig_options){.retries = 0});
    static const char *const faults[] = {"400", "401", "404", "422", "429", "quota"};
    for (int i = 0; i < 24; i++) {
        char prompt[64];
        snprintf(prompt, sizeof prompt, "[standin fault=%s] c", faults[i % 6]);
        answer_free(ask(&r, "openai", prompt));
    }
    for (int i = 0; i < 32; i++) { /* clients that leave after the first piece */
        struct answer *a =
            ask_with(&r, "openai", "[standin fault=events arg=1 out=8] c", true, false, 1);
        CHECK_INT(a->rc, 0);
        CHECK_INT(a->deltas, 1);
        CHECK(a->usage.present); /* read on to what is billed */
        CHECK_INT(a->usage.output, 8);
        answer_free(a);
    }
    CHECK_INT(stats_of(&r, 0).breaker_opened, 0);
    rig_free(&r);
}

/* ---- fallback ---- */

MR_TEST(fallback_only_where_configured_and_allowed) {
    struct rig r = rig_new((struct rig_options){.retries = 0});
    struct answer *a = ask_with(&r, "openai", "[standin fault=500 times=1] f0", false, true, 0);
    CHECK_INT(a->rc, MR_EPREDICT); /* none is configured */
    CHECK_STR(a->asked, "");
    answer_free(a);
    rig_free(&r);
    r = rig_new((struct rig_options){.retries = 0, .fallback = "mistral"});
    standin_ask(&up, "/control/fault", "{\"fault\":\"500\",\"model\":\"gpt-4o-mini\"}");
    a = ask_with(&r, "openai", "f1", false, false, 0);
    CHECK_INT(a->rc, MR_EPREDICT); /* not allowed */
    CHECK_STR(a->provider, "openai");
    CHECK_STR(a->asked, "mistral");
    answer_free(a);
    a = ask_with(&r, "openai", "f2", false, true, 0);
    CHECK_INT(a->rc, 0);
    CHECK_STR(a->provider, "mistral");
    CHECK_STR(a->model, "mistral-small-latest");
    CHECK_INT(a->attempts, 2);
    answer_free(a);
    a = ask_with(&r, "openai", "[standin out=3] f3", true, true, 0);
    CHECK_INT(a->rc, 0);
    CHECK_INT(a->deltas, 3);
    answer_free(a);
    standin_ask(&up, "/control/fault", "{\"fault\":\"none\"}");
    a = ask_with(&r, "openai", "[standin fault=400] f4", false, true, 0);
    CHECK_INT(a->rc, MR_EINVAL); /* the request's own fault */
    CHECK_STR(a->provider, "openai");
    CHECK_STR(a->asked, "");
    answer_free(a);
    a = ask_with(&r, "openai", "[standin fault=reset] f5", false, true, 0);
    CHECK_INT(a->rc, MR_EPREDICT); /* may have been billed: not twice */
    CHECK(a->billed);
    CHECK_STR(a->asked, "");
    answer_free(a);
    a = ask_with(&r, "openai", "[standin fault=error-event out=8] f6", true, true, 0);
    CHECK_INT(a->rc, MR_EPREDICT); /* a piece was passed on */
    CHECK_STR(a->asked, "");
    answer_free(a);
    rig_free(&r);
}

/* ---- queue ---- */

MR_TEST(beyond_the_places_requests_wait_and_beyond_the_queue_they_are_refused) {
    enum { N = 12 };
    struct rig r = rig_new((struct rig_options){.retries = 0, .concurrency = 2, .queue_max = 8});
    struct answer *a[N];
    struct mr_err e;
    int64_t from = mr_mono_ns();
    for (int i = 0; i < N; i++) {
        a[i] = answer_new();
        CHECK_INT(submit(&r, "openai", "[standin fault=slow arg=500] q", false, a[i], &e), 0);
    }
    bool stalled = mr_mono_ns() - from >= 500000000; /* then places were free again */
    int good = 0, refused = 0;
    for (int i = 0; i < N; i++) {
        wait_for(a[i]);
        good += a[i]->rc == 0;
        if (a[i]->rc == MR_EUNAVAIL) {
            refused++;
            CHECK(a[i]->retry_after_ms > 0);
        }
        answer_free(a[i]);
    }
    CHECK_INT(good + refused, N);
    CHECK(refused == 2 || stalled);
    CHECK(standin_count(&up, "in_flight_peak") <= 3); /* and the one that asks */
    struct mr_gateway_stats s = stats_of(&r, 0);
    CHECK_INT(s.requests, N);
    CHECK_INT(s.failures, refused);
    CHECK_INT(s.in_flight + s.queued, 0);
    rig_free(&r);
}

MR_TEST(waiting_counts_against_the_deadline) {
    struct rig r =
        rig_new((struct rig_options){.retries = 0, .concurrency = 1, .deadline_ms = 300});
    struct answer *a = answer_new(), *b = answer_new();
    struct mr_err e;
    CHECK_INT(submit(&r, "openai", "[standin fault=hang] w", false, a, &e), 0);
    CHECK_INT(submit(&r, "openai", "[standin fault=hang] w2", false, b, &e), 0);
    wait_for(a);
    wait_for(b);
    CHECK_INT(a->rc, MR_ETIMEOUT);
    CHECK(a->billed);
    CHECK(b->rc == MR_ETIMEOUT || b->attempts == 1); /* 1: came late on a machine that stalls */
    CHECK(b->attempts == 1 || !b->billed);
    CHECK_INT(standin_count(&up, "requests"), 1 + b->attempts);
    answer_free(a);
    answer_free(b);
    rig_free(&r);
}

MR_TEST(a_thousand_that_hang_hold_up_nobody_else_and_end_with_the_server) {
    enum { N = 1000 };
    struct rig r = rig_new((struct rig_options){.retries = 0, .deadline_ms = 3600000});
    struct answer **a = calloc(N, sizeof *a);
    struct mr_err e;
    for (int i = 0; i < N; i++) {
        a[i] = answer_new();
        CHECK_INT(submit(&r, "openai", "[standin fault=hang] h", false, a[i], &e), 0);
    }
    for (int i = 0; i < 20; i++) {
        struct answer *b = ask(&r, "mistral", "hello");
        CHECK_INT(b->rc, 0);
        answer_free(b);
    }
    struct mr_gateway_stats s = stats_of(&r, 0);
    CHECK_INT(s.in_flight, 256);
    CHECK_INT(s.queued, N - 256);
    rig_free(&r);
    int ended = 0, unavailable = 0;
    for (int i = 0; i < N; i++) {
        ended += a[i]->done;
        unavailable += a[i]->rc == MR_EUNAVAIL;
        answer_free(a[i]);
    }
    CHECK_INT(ended, N);
    CHECK_INT(unavailable, N);
    free(a);
}

/* What the upstream gets to see. */
MR_TEST(bodies_are_in_the_providers_dialect) {
    struct rig r = rig_new((struct rig_options){.retries = 0});
    struct answer *a = answer_new();
    struct mr_err e;
    struct mr_chat_request q = {.provider = provider(&r, "openai"),
                                .body = {.model = MR_LIT("gpt-5.5"),
                                         .prompt = MR_LIT("say \"hi\""),
                                         .max_tokens = 12,
                                         .temperature = 0.5},
                                .done = on_done,
                                .arg = a};
    CHECK_INT(mr_gateway_chat(r.g, &q, &e), 0);
    wait_for(a);
    const char *last = standin_ask(&up, "/control/last", NULL);
    CHECK(strstr(last, "POST /v1/chat/completions HTTP/1.1\r\n") != NULL);
    CHECK(strstr(last, "authorization: Bearer sk-test\r\n") != NULL);
    CHECK(strstr(last,
                 "{\"model\":\"gpt-5.5\",\"messages\":[{\"role\":\"user\",\"content\":"
                 "\"say \\\"hi\\\"\"}],\"max_completion_tokens\":12,\"temperature\":0.5}") != NULL);
    answer_free(a);
    rig_free(&r);
}

MR_TEST_MAIN(CASE(prompt_in_text_and_usage_out),
             CASE(streams_give_pieces_and_usage_in_both_dialects),
             CASE(unknown_providers_and_missing_keys_are_named),
             CASE(every_fault_of_a_plain_request_has_its_outcome),
             CASE(every_fault_of_a_stream_has_its_outcome),
             CASE(silence_ends_at_the_deadline_and_may_have_been_billed),
             CASE(odd_but_good_replies_are_answers), CASE(a_passing_fault_is_retried),
             CASE(retry_after_is_honoured_when_it_fits),
             CASE(no_connection_is_retried_and_costs_nothing),
             CASE(the_breaker_opens_probes_and_closes),
             CASE(a_failing_provider_is_left_alone_and_comes_back),
             CASE(the_clients_faults_open_no_breaker),
             CASE(fallback_only_where_configured_and_allowed),
             CASE(beyond_the_places_requests_wait_and_beyond_the_queue_they_are_refused),
             CASE(waiting_counts_against_the_deadline),
             CASE(a_thousand_that_hang_hold_up_nobody_else_and_end_with_the_server),
             CASE(bodies_are_in_the_providers_dialect))
