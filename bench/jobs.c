/* Listing and claiming with a long queue.
 *
 *   bench_jobs FOLDER [jobs] [accounts]
 *
 * The queue is filled with jobs of one item each (10,000 of 20 accounts), then are timed: a page of
 * ten and of a hundred of the largest account, with its total; one account's new job until it is
 * claimed; and a pass that claims 16 jobs. A claim is durable when it returns, so the time of an
 * update of one row, made durable in the same way, stands beside it: the difference is the queue's.
 * Medians and the slowest of each. */
#include "base/clock.h"
#include "core/jobs/jobs_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIDE    64 /* items side by side: 128 are held ready */
#define SAMPLES 60

static struct mr_db *db;
static struct mr_jobs *jobs;
static struct mr_arena arena;
static atomic_bool gate;

static void must(int rc, const struct mr_err *e) {
    if (!rc)
        return;
    fprintf(stderr, "%s\n", e->msg);
    exit(1);
}

static struct mr_id account(int n) {
    struct mr_id id = {{0}};
    id.b[0] = (uint8_t)(n >> 8);
    id.b[1] = (uint8_t)n;
    id.b[15] = 1;
    return id;
}

static int rights(void *arg, struct mr_id a, struct mr_id user, struct mr_id key,
                  struct mr_principal *ret, struct mr_err *e) {
    (void)arg, (void)user, (void)key, (void)e;
    *ret = (struct mr_principal){.authenticated = true, .account = a};
    return 0;
}

static int run(void *arg, const struct mr_job_item *item, struct mr_arena *a, struct mr_str *ret,
               struct mr_err *e) {
    (void)arg, (void)a, (void)e;
    while (!atomic_load(&gate) && !mr_job_cancelled(item))
        usleep(1000);
    *ret = MR_LIT("null");
    return 0;
}

static struct mr_id model; /* the job that the others are copies of */

struct fill {
    int from, to, accounts;
};

static int fill_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct fill *f = arg;
    for (int i = f->from; i < f->to; i++) {
        struct mr_stmt *s;
        int rc = mr_db_prepare(
            tx,
            "INSERT INTO jobs SELECT ?1, ?2, user_id, key_id, NULL, service, 1, 1, retries, 0, 0, "
            "?3, 0, 0, ?3, 0, ?3, 0, 0, 0, 0, total, 0, source, source_format, format, name, type, "
            "NULL, NULL, input_blob, NULL, NULL, NULL, NULL, parameters FROM jobs WHERE id = ?4",
            &s, e);
        if (rc)
            return rc;
        mr_db_bind_id(s, 1, mr_id_new());
        /* every second job is the first account's: its lists are long */
        mr_db_bind_id(s, 2, account(i % 2 ? 0 : i / 2 % f->accounts));
        mr_db_bind_i64(s, 3, mr_now_us());
        mr_db_bind_id(s, 4, model);
        rc = mr_db_exec(s, e);
        if (rc)
            return rc;
    }
    return 0;
}

static void fill(int from, int to, int accounts) {
    struct mr_err e = {0};
    for (int i = from; i < to; i += 1000) {
        struct fill f = {i, i + 1000 < to ? i + 1000 : to, accounts};
        must(mr_db_write(db, fill_in, &f, &e), &e);
    }
}

static int one_row_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    (void)arg;
    int rc = mr_db_prepare(tx, "UPDATE jobs SET logged = logged + 1 WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, model);
    return mr_db_exec(s, e);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, double *ms, int n) {
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    printf("%-44s median %7.3f ms, slowest %7.3f ms (%d)\n", what, ms[n / 2], ms[n - 1], n);
}

static void time_lists(int status, int64_t limit, const char *what) {
    double ms[SAMPLES];
    struct mr_err e = {0};
    for (int i = 0; i < SAMPLES; i++) {
        struct mr_job_query q = {.account = account(0), .status = status, .limit = limit};
        struct mr_job *v;
        size_t n;
        int64_t total;
        mr_arena_reset(&arena);
        int64_t from = mr_mono_ns();
        must(mr_job_list(jobs, &q, &arena, &v, &n, &total, &e), &e);
        ms[i] = (double)(mr_mono_ns() - from) / 1e6;
        if (!i)
            printf("(%lld jobs listed) ", (long long)total);
    }
    report(what, ms, SAMPLES);
}

static size_t held(void) {
    size_t n = 0;
    pthread_mutex_lock(&jobs->mu);
    for (const struct mr_job_active *a = jobs->active; a; a = a->next)
        n++;
    pthread_mutex_unlock(&jobs->mu);
    return n;
}

static double claim(size_t *ret_n) {
    struct mr_err e = {0};
    bool more;
    size_t before = held();
    int64_t from = mr_mono_ns();
    must(mr_job_claim(jobs, 0, &more, &e), &e);
    double ms = (double)(mr_mono_ns() - from) / 1e6;
    *ret_n = held() - before;
    return ms;
}

static void time_claims(int accounts) {
    double many[SAMPLES], one[SAMPLES], row[SAMPLES];
    int n_many = 0, n_one = 0;
    struct mr_err e = {0};
    size_t n = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double ms = claim(&n);
        if (n == 16)
            many[n_many++] = ms;
        if (n < 16)
            break; /* the workers have enough */
    }
    for (int i = 0; i < SAMPLES; i++) {
        struct fill f = {2 * (accounts + i), 2 * (accounts + i) + 1, 1 << 14}; /* a new account */
        must(mr_db_write(db, fill_in, &f, &e), &e);
        double ms = claim(&n);
        if (n == 1)
            one[n_one++] = ms;
        int64_t from = mr_mono_ns();
        must(mr_db_write(db, one_row_in, NULL, &e), &e);
        row[i] = (double)(mr_mono_ns() - from) / 1e6;
    }
    if (n_many)
        report("claim of 16 jobs, durable", many, n_many);
    if (n_one)
        report("claim of a new account's job, durable", one, n_one);
    report("update of one row, durable", row, SAMPLES);
}

int main(int argc, char **argv) {
    struct mr_err e = {0};
    char path[400];
    if (argc < 2) {
        fprintf(stderr, "usage: bench_jobs FOLDER [jobs] [accounts]\n");
        return 2;
    }
    int n = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 10000;
    int accounts = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 20;
    struct mr_blobs *blobs;
    snprintf(path, sizeof path, "%s/jobs.db", argv[1]);
    struct mr_db_config dc = {.path = path};
    must(mr_db_open(&dc, &db, &e), &e);
    must(mr_blobs_open_mem(&blobs, &e), &e);
    struct mr_job_runner r = {.service = "bench", .run = run, .at_once = SIDE};
    struct mr_jobs_config c = {
        .db = db, .blobs = blobs, .runner = &r, .n_runner = 1, .sole = true, .principal = rights};
    must(mr_jobs_open(&c, &jobs, &e), &e);
    mr_arena_init(&arena, 256u << 20);
    struct mr_job_request q = {.who = {.account = account(0)},
                               .service = MR_LIT("bench"),
                               .parameters = MR_LIT("{\"inputs\":[1]}"),
                               .scheduled_us = mr_now_us() + 86400000000ll,
                               .retries = -1};
    struct mr_job k;
    must(mr_job_create(jobs, &q, &arena, &k, NULL, &e), &e);
    model = k.id;
    usleep(300000); /* the keeper has looked and found nothing */
    fill(0, n, accounts);
    printf("%d queued jobs of %d accounts\n", n, accounts);
    time_lists(-1, 10, "page of 10, all");
    time_lists(MR_JOB_QUEUED, 10, "page of 10, queued");
    time_lists(MR_JOB_QUEUED, 100, "page of 100, queued");
    time_claims(accounts);
    atomic_store(&gate, true);
    mr_jobs_free(jobs, 2000);
    mr_blobs_free(blobs);
    mr_db_close(db);
    mr_arena_release(&arena);
    return 0;
}
