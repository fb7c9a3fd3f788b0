/* What runs when: the oldest first, a retry after its pause, nothing more while results cannot be
 * stored. */
#include "jobs_fixture.h"

static void await(atomic_int *v, int want) {
    for (int i = 0; i < 20000 && atomic_load(v) < want; i++)
        usleep(1000);
    CHECK(atomic_load(v) >= want);
}

static const char *many(const char *first, int n) {
    static char text[65536];
    size_t at = (size_t)snprintf(text, sizeof text, "{\"inputs\":[%s", first);
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, ",%d", i);
    snprintf(text + at, sizeof text - at, "]}");
    return text;
}

MR_TEST(jobs_of_an_account_run_oldest_first) {
    enum { JOBS = 5, ITEMS = 60 };
    struct mr_id id[JOBS];
    begin();
    for (int i = 0; i < JOBS; i++) {
        struct mr_job_request q = request(many(i ? "0" : "\"gate\"", ITEMS - 1));
        q.service = MR_LIT("other"); /* one at a time */
        id[i] = make_of(q).id;
        if (!i)
            await(&waiting_at_gate, 1); /* the others wait in the database */
    }
    atomic_store(&gate_open, 1);
    for (int i = 0; i < JOBS; i++)
        wait_for(id[i], MR_JOB_COMPLETED);
    CHECK_INT(atomic_load(&n_ran), JOBS * ITEMS);
    for (int i = 0; i < JOBS * ITEMS; i++)
        if (!mr_id_eq(ran[i].job, id[i / ITEMS]) || ran[i].index != i % ITEMS) {
            CHECK(!"out of turn");
            break;
        }
    end();
}

MR_TEST(a_retry_waits_longer_each_time) {
    begin_store();
    conf.retry_ms = 150;
    open_jobs();
    int64_t began = mr_mono_ns();
    struct mr_job_request q = request("{\"inputs\":[\"flaky 3\"]}");
    q.retries = 3;
    struct mr_job k = make_of(q);
    wait_for(k.id, MR_JOB_COMPLETED);
    CHECK(mr_mono_ns() - began >= (150 + 300) * INT64_C(1000000));
    CHECK_INT(atomic_load(&calls), 3);
    end();
}

static atomic_int writer_held, writer_let_go;

static int hold_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx, (void)arg, (void)e;
    atomic_store(&writer_held, 1);
    while (!atomic_load(&writer_let_go))
        usleep(500);
    return 0;
}

static void held(void *arg, int rc, const struct mr_err *err) {
    (void)arg, (void)err;
    CHECK_INT(rc, 0);
}

MR_TEST(items_stop_while_their_results_cannot_be_stored) {
    enum { ITEMS = 3000 };
    size_t n;
    begin();
    struct mr_job k = make(many("\"gate\",\"gate\",\"gate\",\"gate\"", ITEMS - 4));
    await(&waiting_at_gate, 4);
    CHECK_INT(mr_db_write_async(db, hold_in, NULL, held), 0);
    await(&writer_held, 1);
    atomic_store(&gate_open, 1);
    await(&calls, MR_JOB_BACKLOG_MAX);
    usleep(200000); /* the time in which the rest would run */
    CHECK(atomic_load(&calls) <= (int)MR_JOB_BACKLOG_MAX + 8);
    atomic_store(&writer_let_go, 1);
    wait_for(k.id, MR_JOB_COMPLETED);
    results(k.id, &n);
    CHECK_INT(n, ITEMS);
    CHECK_INT(atomic_load(&calls), ITEMS);
    end();
}

MR_TEST_MAIN(CASE(jobs_of_an_account_run_oldest_first), CASE(a_retry_waits_longer_each_time),
             CASE(items_stop_while_their_results_cannot_be_stored))
