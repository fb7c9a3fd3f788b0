/* The provider gateway when a provider fails or is busy: breaker, fallback, queue. */
#include "gateway_fixture.h"

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

MR_TEST_MAIN(CASE(the_breaker_opens_probes_and_closes),
             CASE(a_failing_provider_is_left_alone_and_comes_back),
             CASE(the_clients_faults_open_no_breaker),
             CASE(fallback_only_where_configured_and_allowed),
             CASE(beyond_the_places_requests_wait_and_beyond_the_queue_they_are_refused),
             CASE(waiting_counts_against_the_deadline),
             CASE(a_thousand_that_hang_hold_up_nobody_else_and_end_with_the_server))
