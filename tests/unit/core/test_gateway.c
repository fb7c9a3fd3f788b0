/* The provider gateway against the stand-in upstream: answers, each fault, retries. */
#include "gateway_fixture.h"

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
             CASE(bodies_are_in_the_providers_dialect))
