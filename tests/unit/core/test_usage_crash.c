/* Exactly once over kill -9: a child records predictions, acknowledges each over a pipe and folds
 * all the while; it is killed at a random moment; in the end every acknowledged prediction is
 * counted once. What was recorded but not acknowledged may count: at most one a thread and kill. */
#include "base/clock.h"
#include "core/usage/usage.h"
#include "mr_test.h"
#include "mr_tmp.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { CYCLES = 20, THREADS = 3 };

static struct mr_tmp tmp;
static struct mr_id account, deployment[THREADS];

static struct mr_usage *open_with(struct mr_db **db, int fold_ms, unsigned segments_max) {
    char path[300];
    struct mr_db_config c = {.path = mr_tmp_path(&tmp, "a.db", path)};
    struct mr_err e = {0};
    if (mr_db_open(&c, db, &e)) {
        fprintf(stderr, "db: %s\n", e.msg);
        _exit(3);
    }
    /* short files and constant folding: many commits, rotations and removals to be killed in */
    struct mr_usage_config k = {.db = *db,
                                .data_dir = tmp.dir,
                                .fold_ms = fold_ms,
                                .segment_records = 100,
                                .segments_max = segments_max};
    struct mr_usage *u = NULL;
    if (mr_usage_open(&k, &u, &e)) {
        fprintf(stderr, "usage: %s\n", e.msg);
        _exit(3);
    }
    return u;
}

static struct mr_usage *open_all(struct mr_db **db) {
    return open_with(db, 1, 100000);
}

struct worker {
    struct mr_usage *u;
    int k, fd;
};

static void *record_for_ever(void *arg) {
    const struct worker *w = arg;
    for (uint32_t i = 0;; i++) {
        struct mr_usage_record r = {.time_us = mr_now_us(),
                                    .account = account,
                                    .deployment = deployment[w->k],
                                    .latency_us = 1,
                                    .rows = 1,
                                    .user_hash = 1 + i % 5};
        char ack = (char)w->k;
        if (mr_usage_record(w->u, &r) || write(w->fd, &ack, 1) != 1)
            _exit(4);
        if (i % 64 == 0)
            usleep(100);
    }
    return NULL;
}

static void child(int fd) {
    struct mr_db *db;
    struct worker w[THREADS];
    struct mr_usage *u = open_all(&db);
    for (int k = 0; k < THREADS; k++) {
        pthread_t t;
        w[k] = (struct worker){u, k, fd};
        if (pthread_create(&t, NULL, record_for_ever, &w[k]))
            _exit(5);
    }
    for (;;)
        pause();
}

/* Runs a child for a moment, kills it, counts what it acknowledged. */
static void cycle(unsigned moment_us, uint64_t acked[THREADS]) {
    int p[2];
    if (pipe(p))
        exit(2);
    pid_t pid = fork();
    if (pid == 0) {
        close(p[0]);
        child(p[1]);
    }
    close(p[1]);
    char buf[4096];
    ssize_t n = read(p[0], buf, 1); /* it has begun */
    CHECK_INT(n, 1);
    int64_t end = mr_mono_ns() + (int64_t)moment_us * 1000;
    for (bool killed = false; n > 0;) {
        for (ssize_t i = 0; i < n; i++)
            acked[(int)buf[i]]++;
        if (!killed && mr_mono_ns() >= end) {
            kill(pid, SIGKILL);
            killed = true;
        }
        n = read(p[0], buf, sizeof buf);
    }
    close(p[0]);
    int st;
    waitpid(pid, &st, 0);
    CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
}

MR_TEST(killed_twenty_times_every_prediction_counts_once) {
    mr_tmp_make(&tmp);
    account = mr_id_new();
    for (int k = 0; k < THREADS; k++)
        deployment[k] = mr_id_new();
    uint64_t acked[THREADS] = {0}, all = 0, sum = 0;
    uint32_t seed = 1;
    for (int i = 0; i < CYCLES; i++) {
        seed = seed * 1664525 + 1013904223;
        cycle(2000 + (seed >> 8) % 60000, acked);
    }
    struct mr_db *db;
    struct mr_usage *u = open_all(&db);
    CHECK_INT(mr_usage_flush(u, 60000, NULL), 0);
    struct mr_usage_totals t;
    for (int k = 0; k < THREADS; k++) {
        CHECK_INT(mr_usage_deployment_totals(u, account, deployment[k], &t, NULL), 0);
        CHECK(t.requests >= acked[k]);
        CHECK(t.requests <= acked[k] + CYCLES);
        CHECK_INT(t.rows, t.requests);
        all += acked[k];
        sum += t.requests;
    }
    CHECK_INT(mr_usage_account_totals(u, account, &t, NULL), 0);
    CHECK_INT(t.requests, sum);
    struct mr_arena a;
    struct mr_usage_report r;
    mr_arena_init(&a, 1 << 20);
    CHECK_INT(mr_usage_query(u, account, mr_usage_all, 2, MR_RES_1M, &a, &r, NULL), 0);
    CHECK_INT(r.requests, sum); /* minute and lifetime rows agree */
    CHECK_INT(r.unique_users, 5);
    mr_arena_release(&a);
    printf("%d kills, %llu acknowledged, %llu counted\n", CYCLES, (unsigned long long)all,
           (unsigned long long)sum);
    mr_usage_free(u);
    mr_db_close(db);
    mr_tmp_remove(&tmp);
}

/* Processes that die before their first fold, more of them than the spool may hold files. */
MR_TEST(many_short_lives_leave_no_jam) {
    enum { LIVES = 40 };
    struct mr_db *db;
    mr_tmp_make(&tmp);
    account = mr_id_new();
    deployment[0] = mr_id_new();
    for (int i = 0; i < LIVES; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct mr_usage *u = open_with(&db, 60000, 16);
            struct mr_usage_record r = {
                .time_us = mr_now_us(), .account = account, .deployment = deployment[0], .rows = 1};
            _exit(mr_usage_record(u, &r) ? 1 : 0);
        }
        int status;
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK_INT(status, 0);
    }
    struct mr_usage *u = open_with(&db, 1, 16);
    struct mr_usage_totals t;
    CHECK_INT(mr_usage_deployment_totals(u, account, deployment[0], &t, NULL), 0);
    CHECK_INT((int64_t)t.requests, LIVES);
    mr_usage_free(u);
    mr_db_close(db);
    mr_tmp_remove(&tmp);
}

MR_TEST_MAIN(CASE(many_short_lives_leave_no_jam),
             CASE(killed_twenty_times_every_prediction_counts_once))
