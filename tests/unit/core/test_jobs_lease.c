/* Who holds a job: kills, stops, lost leases and fences, times, keeping, memory that runs out. */
#include "core/jobs/cron.h"
#include "jobs_fixture.h"

#include "base/alloc.h"

#include <signal.h>
#include <sys/wait.h>

static void await(atomic_int *v, int want) {
    for (int i = 0; i < 10000 && atomic_load(v) < want; i++)
        usleep(1000);
    CHECK_INT(atomic_load(v), want);
}

/* What the process before would have left: held, a lease that has not ended, some items done. */
static struct mr_job abandoned(const char *parameters) {
    struct mr_job k = make(parameters);
    mr_jobs_free(jobs, 0);
    jobs = NULL;
    return k;
}

MR_TEST(a_stop_gives_the_lease_back_and_keeps_what_is_done) {
    begin();
    struct mr_job k = make("{\"inputs\":[\"a\",\"gate\",\"gate\",\"gate\",\"gate\",\"b\"]}");
    await(&waiting_at_gate, 4);
    for (int i = 0; i < 5000 && look_at(k.id).done < 1; i++)
        usleep(1000);
    mr_jobs_free(jobs, 20); /* the four at the gate are broken off: no outcome */
    jobs = NULL;
    CHECK_INT(sql("SELECT status FROM jobs WHERE id = ?1", k.id), MR_JOB_QUEUED);
    CHECK_INT(sql("SELECT done FROM jobs WHERE id = ?1", k.id),
              sql("SELECT COUNT(*) FROM job_results WHERE job_id = ?1", k.id));
    CHECK_INT(sql("SELECT stalls FROM jobs WHERE id = ?1", k.id), 0);
    atomic_store(&gate_open, 1);
    open_jobs();
    k = wait_for(k.id, MR_JOB_COMPLETED);
    CHECK_INT(k.attempt, 2);
    size_t n;
    results(k.id, &n);
    CHECK_INT(n, 6);
    int of[6] = {0};
    for (int i = 0; i < atomic_load(&n_ran); i++)
        of[ran[i].index]++;
    CHECK_INT(of[0], 1); /* was stored: not done again */
    end();
}

MR_TEST(an_items_attempts_are_counted_on_after_a_stop) {
    begin_store();
    conf.retry_ms = 60000; /* its second attempt is not of this process */
    open_jobs();
    struct mr_job_request q = request("{\"inputs\":[\"a\",\"flaky 3\",\"flaky 9\"]}");
    q.retries = 2;
    struct mr_job k = make_of(q);
    await(&calls, 3);
    for (int i = 0;
         i < 5000 && sql("SELECT COUNT(*) FROM job_attempts WHERE job_id = ?1", k.id) < 2; i++)
        usleep(1000);
    CHECK_INT(sql("SELECT SUM(attempts) FROM job_attempts WHERE job_id = ?1", k.id), 2);
    mr_jobs_free(jobs, 1000);
    jobs = NULL;
    conf.retry_ms = 5;
    open_jobs();
    k = wait_for(k.id, MR_JOB_COMPLETED);
    CHECK_INT(atomic_load(&calls), 7); /* 1 + 3 + 3: none begins at one again */
    CHECK_INT(sql("SELECT SUM(attempts) FROM job_results WHERE job_id = ?1", k.id), 7);
    CHECK_INT(sql("SELECT error_code FROM job_results WHERE job_id = ?1 AND idx = 1", k.id), 0);
    CHECK_INT(sql("SELECT COUNT(*) FROM job_attempts WHERE job_id = ?1", k.id), 0);
    end();
}

MR_TEST(a_lost_fence_writes_nothing) {
    begin_store();
    conf.lease_ms = 200;
    open_jobs();
    struct mr_job k = make("{\"inputs\":[\"gate\",\"gate\",\"gate\",\"gate\",\"a\"]}");
    await(&waiting_at_gate, 4);
    /* another process took it over, and this one has not noticed yet */
    sql("UPDATE jobs SET fence = fence + 1, lease_until = 9000000000000000 WHERE id = ?1", k.id);
    atomic_store(&gate_open, 1);
    for (int i = 0; i < 5000 && atomic_load(&waiting_at_gate); i++)
        usleep(1000);
    usleep(400000); /* commits tried, leases looked at */
    CHECK_INT(sql("SELECT COUNT(*) FROM job_results WHERE job_id = ?1", k.id), 0);
    CHECK_INT(sql("SELECT done FROM jobs WHERE id = ?1", k.id), 0);
    CHECK_INT(sql("SELECT status FROM jobs WHERE id = ?1", k.id), MR_JOB_RUNNING);
    pthread_mutex_lock(&jobs->mu);
    CHECK(!jobs->active);
    pthread_mutex_unlock(&jobs->mu);
    end();
}

MR_TEST(leases_are_kept_while_an_item_runs_long) {
    begin_store();
    conf.lease_ms = 300;
    open_jobs();
    struct mr_job k = make("{\"inputs\":[\"gate\"]}");
    await(&waiting_at_gate, 1);
    int64_t first = sql("SELECT lease_until FROM jobs WHERE id = ?1", k.id);
    usleep(700000);
    int64_t later = sql("SELECT lease_until FROM jobs WHERE id = ?1", k.id);
    CHECK(later > first && later > mr_now_us());
    atomic_store(&gate_open, 1);
    k = wait_for(k.id, MR_JOB_COMPLETED);
    CHECK_INT(k.attempt, 1);
    end();
}

MR_TEST(another_process_waits_for_the_lease) {
    begin();
    struct mr_job k = abandoned("{\"inputs\":[1,2,3]}");
    sql("DELETE FROM job_results WHERE job_id = ?1", k.id);
    char text[200];
    snprintf(text, sizeof text,
             "UPDATE jobs SET status = 2, done = 0, failed = 0, ended_at = 0, attempt = 1, fence = "
             "5, lease_until = %lld WHERE id = ?1",
             (long long)mr_now_us() + 700000);
    sql(text, k.id);
    atomic_store(&n_ran, 0);
    conf.sole = false;
    conf.lease_ms = 300;
    open_jobs();
    usleep(300000);
    CHECK_INT(look_at(k.id).status, MR_JOB_RUNNING);
    CHECK_INT(atomic_load(&n_ran), 0);
    k = wait_for(k.id, MR_JOB_COMPLETED);
    CHECK_INT(k.attempt, 2);
    CHECK_INT(atomic_load(&n_ran), 3);
    end();
}

MR_TEST(a_job_that_kills_its_process_each_time_fails_in_the_end) {
    begin();
    struct mr_job k = abandoned("{\"inputs\":[1]}");
    sql("DELETE FROM job_results WHERE job_id = ?1", k.id);
    sql("UPDATE jobs SET status = 2, done = 0, ended_at = 0, stalls = 9 WHERE id = ?1", k.id);
    open_jobs(); /* a server that is killed ten times in a minute is no fault of the job */
    k = wait_for(k.id, MR_JOB_COMPLETED);
    mr_jobs_free(jobs, 0);
    sql("DELETE FROM job_results WHERE job_id = ?1", k.id);
    sql("UPDATE jobs SET status = 2, done = 0, ended_at = 0, stalls = 9, moved_at = moved_at - "
        "900000000 WHERE id = ?1",
        k.id);
    open_jobs();
    k = wait_for(k.id, MR_JOB_FAILED);
    CHECK(k.error.p && strstr(k.error.p, "10 attempts in a row"));
    end();
}

/* --- killed ------------------------------------------------------------------------------- */

static void child(void) {
    struct mr_err e = {0};
    char path[300];
    struct mr_db_config dc = {.path = mr_tmp_path(&tmp, "db", path)};
    must(mr_db_open(&dc, &db, &e), &e);
    must(mr_blobs_open_fs(mr_tmp_path(&tmp, "blobs", path), &blobs, &e), &e);
    conf.db = db;
    conf.blobs = blobs;
    open_jobs();
    pause();
}

MR_TEST(items_are_stored_once_over_kills) {
    enum { ITEMS = 1500, KILLS = 8 };
    begin();
    struct mr_buf b;
    mr_buf_init(&b, 1u << 20);
    mr_buf_cstr(&b, "{\"inputs\":[");
    for (int i = 0; i < ITEMS; i++)
        mr_buf_cstr(&b, i ? ",\"slow\"" : "\"slow\"");
    mr_buf_cstr(&b, "]}");
    struct mr_job_request q = request(b.p);
    q.scheduled_us = mr_now_us() + 3600000000ll; /* not here */
    struct mr_job k = make_of(q);
    mr_buf_release(&b);
    mr_jobs_free(jobs, 0);
    jobs = NULL;
    sql("UPDATE jobs SET scheduled_at = 1 WHERE id = ?1", k.id);
    mr_blobs_free(blobs);
    mr_db_close(db);
    char path[300];
    for (int i = 0; i < KILLS; i++) {
        pid_t pid = fork();
        if (!pid) {
            child();
            _exit(3);
        }
        usleep(40000 + i * 7000);
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        CHECK(WIFSIGNALED(status));
    }
    struct mr_err e = {0};
    struct mr_db_config dc = {.path = mr_tmp_path(&tmp, "db", path)};
    must(mr_db_open(&dc, &db, &e), &e);
    must(mr_blobs_open_fs(mr_tmp_path(&tmp, "blobs", path), &blobs, &e), &e);
    conf.db = db;
    conf.blobs = blobs;
    int64_t before = sql("SELECT COUNT(*) FROM job_results", k.id);
    CHECK(before > 0);
    CHECK(before < ITEMS); /* else the kills hit nothing */

    open_jobs();
    k = wait_for(k.id, MR_JOB_COMPLETED);
    CHECK(k.attempt > 2);
    CHECK_INT(k.done, ITEMS);
    CHECK_INT(atomic_load(&n_ran), ITEMS - before); /* what was stored is not done again */
    CHECK_INT(sql("SELECT COUNT(DISTINCT idx) FROM job_results", k.id), ITEMS);
    end();
}

/* --- times -------------------------------------------------------------------------------- */

MR_TEST(a_scheduled_job_waits_for_its_time) {
    begin();
    struct mr_job_request q = request("{\"inputs\":[1]}");
    q.scheduled_us = mr_now_us() + 300000;
    struct mr_job k = make_of(q);
    CHECK_INT(k.status, MR_JOB_SCHEDULED);
    CHECK(k.estimated_us > q.scheduled_us);
    k = wait_for(k.id, MR_JOB_COMPLETED);
    CHECK(k.started_us >= q.scheduled_us);
    q.scheduled_us = mr_now_us() - 1000000; /* past: at once */
    CHECK_INT(make_of(q).status, MR_JOB_QUEUED);
    end();
}

/* A wait of centuries does not fit into nanoseconds: the keeper once spun on it. */
MR_TEST(a_far_time_costs_nothing_until_then) {
    struct timespec before, after;
    begin();
    struct mr_job_request q = request("{\"inputs\":[1]}");
    q.scheduled_us = 32472144000000000; /* the year 2999 */
    CHECK_INT(make_of(q).status, MR_JOB_SCHEDULED);
    usleep(300000); /* it is taken up */
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    usleep(1000000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double used =
        (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    CHECK(used < 0.2); /* of CPU time, not of the clock: a spinning thread uses 1 */
    end();
}

static int64_t runs_of(struct mr_id parent) {
    return sql("SELECT COUNT(*) FROM jobs WHERE parent = ?1", parent);
}

MR_TEST(a_cron_job_makes_a_run_when_it_is_due_and_only_one) {
    begin();
    struct mr_job_request q = request("{\"inputs\":[1,2]}");
    q.cron = MR_LIT("*/5 * * * *");
    struct mr_job k = make_of(q);
    CHECK_INT(k.status, MR_JOB_SCHEDULED);
    CHECK(k.scheduled_us > mr_now_us() && k.scheduled_us % 300000000 == 0);
    CHECK_TEXT(k.cron, "*/5 * * * *");
    sql("UPDATE jobs SET scheduled_at = 5 WHERE id = ?1", k.id); /* many times passed unseen */
    mr_jobs_free(jobs, 0);
    open_jobs();
    for (int i = 0; i < 5000 && !runs_of(k.id); i++)
        usleep(1000);
    CHECK_INT(runs_of(k.id), 1);
    struct mr_job *v;
    size_t n;
    int64_t total;
    struct mr_err e = {0};
    struct mr_job_query lq = {.account = me.account, .status = -1, .limit = 10};
    must(mr_job_list(jobs, &lq, &arena, &v, &n, &total, &e), &e);
    CHECK_INT(n, 2);
    CHECK(mr_id_eq(v[0].parent, k.id));
    struct mr_job run = wait_for(v[0].id, MR_JOB_COMPLETED);
    CHECK_INT(run.done, 2);
    k = look_at(k.id);
    CHECK_INT(k.status, MR_JOB_SCHEDULED);
    CHECK(k.scheduled_us > mr_now_us());
    struct mr_job c;
    must(mr_job_cancel(jobs, me.account, k.id, &arena, &c, &e), &e);
    CHECK_INT(c.status, MR_JOB_CANCELLED);
    end();
}

MR_TEST(a_cron_run_is_left_out_while_the_one_before_runs) {
    begin();
    struct mr_job_request q = request("{\"inputs\":[\"gate\"]}");
    q.cron = MR_LIT("0 0 * * *");
    struct mr_job k = make_of(q);
    for (int i = 0; i < 2; i++) {
        sql("UPDATE jobs SET scheduled_at = 5 WHERE id = ?1", k.id);
        pthread_mutex_lock(&jobs->mu);
        jobs->next_due_us = 5;
        mr_jobs_kick_locked(jobs);
        pthread_mutex_unlock(&jobs->mu);
        await(&waiting_at_gate, 1);
        for (int t = 0; t < 5000 && look_at(k.id).scheduled_us == 5; t++)
            usleep(1000);
    }
    CHECK_INT(runs_of(k.id), 1);
    atomic_store(&gate_open, 1);
    end();
}

/* --- keeping ------------------------------------------------------------------------------ */

MR_TEST(ended_jobs_go_after_the_keep_time) {
    begin();
    struct mr_err e = {0};
    struct mr_job old = wait_for(make("{\"inputs\":[1,2]}").id, MR_JOB_COMPLETED);
    struct mr_job fresh = wait_for(make("{\"inputs\":[1]}").id, MR_JOB_COMPLETED);
    bool more = true;
    int64_t now = mr_now_us(), day = 86400000000ll;
    must(mr_jobs_clean(jobs, now + 29 * day, &more, &e), &e);
    CHECK(!more);
    sql("UPDATE jobs SET ended_at = ended_at - 172800000000 WHERE id = ?1", old.id);
    for (more = true; more;)
        must(mr_jobs_clean(jobs, now + 29 * day, &more, &e), &e);
    CHECK_INT(mr_job_get(jobs, me.account, old.id, &arena, &old, &e), MR_ENOTFOUND);
    CHECK_INT(sql("SELECT COUNT(*) FROM job_results WHERE job_id = ?1", old.id), 0);
    CHECK_INT(sql("SELECT COUNT(*) FROM job_logs WHERE job_id = ?1", old.id), 0);
    size_t n;
    results(fresh.id, &n);
    CHECK_INT(n, 1);
    end();
}

MR_TEST(every_allocation_may_fail_while_creating) {
    begin();
    struct mr_job_request q = request("{\"inputs\":[1,2],\"x\":\"y\"}");
    int refusals = 0;
    for (size_t nth = 1; nth < 200; nth++) {
        struct mr_err e = {0};
        struct mr_job k;
        struct mr_arena a;
        mr_arena_init(&a, 1u << 20);
        mr_alloc_fail_at(nth);
        int rc = mr_job_create(jobs, &q, &a, &k, NULL, &e);
        size_t made = mr_alloc_fail_at(0);
        if (rc)
            refusals++;
        if (rc)
            CHECK_INT(rc, MR_ENOMEM);
        mr_arena_release(&a);
        if (made < nth)
            break;
    }
    CHECK(refusals > 3);
    wait_for(make("{\"inputs\":[1]}").id, MR_JOB_COMPLETED);
    end();
}

MR_TEST_MAIN(CASE(a_stop_gives_the_lease_back_and_keeps_what_is_done),
             CASE(an_items_attempts_are_counted_on_after_a_stop), CASE(a_lost_fence_writes_nothing),
             CASE(leases_are_kept_while_an_item_runs_long),
             CASE(another_process_waits_for_the_lease),
             CASE(a_job_that_kills_its_process_each_time_fails_in_the_end),
             CASE(items_are_stored_once_over_kills), CASE(a_scheduled_job_waits_for_its_time),
             CASE(a_far_time_costs_nothing_until_then),
             CASE(a_cron_job_makes_a_run_when_it_is_due_and_only_one),
             CASE(a_cron_run_is_left_out_while_the_one_before_runs),
             CASE(ended_jobs_go_after_the_keep_time),
             CASE(every_allocation_may_fail_while_creating))
