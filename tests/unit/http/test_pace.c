/* When the loops' threads go to SCHED_BATCH and back. */
#include "http/internal.h"
#include "http/pace.h"

#include "mr_test.h"

#include <sched.h>
#include <unistd.h>

#define W MR_PACE_WINDOW_NS

/* One window at `rate` events a second in batches of `per_wait`. */
static bool window(struct mr_pace *p, int64_t *now, uint64_t rate, uint64_t per_wait,
                   uint64_t conns) {
    uint64_t n = rate * (uint64_t)W / 1000000000;
    *now += W;
    return mr_pace_step(p, *now, p->events + n, p->waits + n / per_wait, conns);
}

MR_TEST(enters_only_under_many_small_batches) {
    struct mr_pace p = {0};
    int64_t now = 1000 * W;
    (void)mr_pace_step(&p, now, 0, 0, 32);
    CHECK(!window(&p, &now, 5000, 1, 32));   /* few events */
    CHECK(!window(&p, &now, 90000, 20, 32)); /* large batches already */
    CHECK(!window(&p, &now, 30000, 1, 2));   /* clients that wait for each answer */
    CHECK(!p.batch);
    CHECK(window(&p, &now, 60000, 2, 32));
    CHECK(p.batch);
    CHECK(!window(&p, &now, 90000, 20, 32)); /* large batches are the purpose */
    CHECK(!window(&p, &now, 35000, 20, 32)); /* more than half is left */
    CHECK(p.batch);
}

MR_TEST(a_trial_that_hurts_is_not_repeated_at_once) {
    struct mr_pace p = {0};
    int64_t now = 1000 * W;
    (void)mr_pace_step(&p, now, 0, 0, 32);
    CHECK(window(&p, &now, 60000, 2, 32));
    CHECK(window(&p, &now, 29000, 16, 32)); /* under half: back */
    CHECK(!p.batch);
    int64_t left = now;
    while (!window(&p, &now, 60000, 2, 32))
        if (now - left > 200 * W)
            break;
    CHECK(p.batch);
    CHECK(now - left >= 1000000000 && now - left <= 1000000000 + W);
}

MR_TEST(a_load_that_ends_may_come_again_at_once) {
    struct mr_pace p = {0};
    int64_t now = 1000 * W;
    (void)mr_pace_step(&p, now, 0, 0, 32);
    CHECK(window(&p, &now, 60000, 2, 32));
    for (int i = 0; i < 50; i++)
        CHECK(!window(&p, &now, 80000, 16, 32));
    now += 400 * W; /* quiet for seconds */
    CHECK(window(&p, &now, 1000, 1, 32));
    CHECK(!p.batch);
    CHECK(window(&p, &now, 60000, 2, 32));
    CHECK(p.batch);
}

MR_TEST(the_loops_threads_get_the_policy) {
    struct hloop l = {0};
    struct mr_http_server s = {.n_loops = 1, .loops = &l};
    struct mr_http_stats stats;
    l.s = &s;
    pacer_init(&s.pacer);
    CHECK_INT(mr_loop_new(&l.loop, NULL), 0);
    atomic_store(&l.tid, gettid());
    int64_t now = mr_loop_now_ns(l.loop);
    atomic_store(&l.n.events, 60000);
    atomic_store(&l.n.waits, 30000);
    atomic_store(&l.n.open, 32);
    s.pacer.pace.since_ns = now - 1000000000;
    pacer_event(&l);
    CHECK_INT(sched_getscheduler(0), SCHED_BATCH | SCHED_RESET_ON_FORK);
    mr_http_stats(&s, &stats);
    CHECK(stats.gentle);
    CHECK_INT(atomic_load(&s.pacer.next_ns) - now, W);
    pacer_event(&l); /* the same iteration: nothing is decided twice */
    CHECK_INT(atomic_load(&l.n.waits), 30001);
    CHECK_INT(atomic_load(&l.n.events), 60002);
    l.iteration_ns = 0;
    atomic_store(&s.pacer.next_ns, now);
    s.pacer.pace.since_ns = now - 1000000000;
    pacer_event(&l);
    CHECK_INT(sched_getscheduler(0), SCHED_OTHER | SCHED_RESET_ON_FORK);
    mr_http_stats(&s, &stats);
    CHECK(!stats.gentle);
    mr_loop_free(l.loop);
    pacer_release(&s.pacer);
}

MR_TEST_MAIN(CASE(enters_only_under_many_small_batches),
             CASE(a_trial_that_hurts_is_not_repeated_at_once),
             CASE(a_load_that_ends_may_come_again_at_once), CASE(the_loops_threads_get_the_policy))
