/* Metering: spool, fold, roll-ups, queries. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/usage/internal.h"
#include "mr_test.h"
#include "mr_tmp.h"
#include "mr_wait.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MINUTE 60000000LL
#define HOUR   (60 * MINUTE)

static struct mr_tmp tmp;
static struct mr_db *db;
static struct mr_id account, dep, other;

static void begin(bool file) {
    mr_tmp_make(&tmp);
    char path[300];
    struct mr_db_config c = {.path = file ? mr_tmp_path(&tmp, "a.db", path) : ":memory:"};
    struct mr_err e = {0};
    if (mr_db_open(&c, &db, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    account = mr_id_new();
    dep = mr_id_new();
    other = mr_id_new();
}

static void end(void) {
    mr_db_close(db);
    mr_tmp_remove(&tmp);
}

static struct mr_usage *open_usage(struct mr_usage_config c) {
    c.db = db;
    c.read_wait_ms = MR_PATIENCE_MS;
    struct mr_usage *u = NULL;
    struct mr_err e = {0};
    if (mr_usage_open(&c, &u, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    return u;
}

static struct mr_usage_record record(int64_t time_us, struct mr_id deployment, uint32_t latency) {
    return (struct mr_usage_record){.time_us = time_us,
                                    .account = account,
                                    .deployment = deployment,
                                    .version = 1,
                                    .rows = 2,
                                    .latency_us = latency,
                                    .bytes_in = 10,
                                    .bytes_out = 20};
}

static unsigned spool_files(void) {
    char cmd[400], line[16] = "";
    snprintf(cmd, sizeof cmd, "ls %s/spool | grep -c -v lock", tmp.dir);
    FILE *p = popen(cmd, "r");
    if (!p || !fgets(line, sizeof line, p))
        line[0] = 0;
    if (p)
        pclose(p);
    return (unsigned)strtoul(line, NULL, 10);
}

MR_TEST(totals_and_series_are_current) {
    begin(false);
    struct mr_usage *u = open_usage((struct mr_usage_config){.fold_ms = 60000});
    int64_t now = (mr_now_us() / HOUR) * HOUR + 30 * MINUTE + 5;
    for (int i = 0; i < 100; i++) {
        struct mr_usage_record r = record(now - i * MINUTE, dep, 1000 + (uint32_t)i);
        r.error = i % 10 == 0;
        r.cold_start = i == 99;
        r.user_hash = mr_usage_user_hash(i % 2 ? mr_str("ann") : mr_str("bob"));
        CHECK_INT(mr_usage_record(u, &r), 0);
        struct mr_usage_record second = record(now, other, 7);
        CHECK_INT(mr_usage_record(u, &second), 0);
    }
    struct mr_usage_totals t;
    CHECK_INT(mr_usage_flush(u, MR_PATIENCE_MS, NULL), 0);
    CHECK_INT(mr_usage_deployment_totals(u, account, dep, &t, NULL), 0);
    CHECK_INT(t.requests, 100);
    CHECK_INT(t.errors, 10);
    CHECK_INT(t.rows, 200);
    CHECK_INT(t.latency_us_sum, 100 * 1000 + 99 * 50);
    CHECK_INT(t.bytes_out, 2000);
    CHECK_INT(t.cold_starts, 1);
    CHECK_INT(mr_usage_account_totals(u, account, &t, NULL), 0);
    CHECK_INT(t.requests, 200);
    CHECK_INT(mr_usage_deployment_totals(u, dep, dep, &t, NULL), 0); /* someone else's account */
    CHECK_INT(t.requests, 0);

    static const struct {
        int hours;
        enum mr_resolution res;
        size_t buckets;
        uint64_t requests;
    } rows[] = {
        {1, MR_RES_1M, 60, 60},   {1, MR_RES_5M, 13, 60},       {1, MR_RES_1H, 2, 60},
        {2, MR_RES_1M, 120, 100}, {24, MR_RES_1H, 25, 100},     {24, MR_RES_1M, 1440, 100},
        {168, MR_RES_1D, 8, 100}, {168, MR_RES_1M, 10080, 100}, {168, MR_RES_5M, 2017, 100},
    };
    struct mr_arena a;
    mr_arena_init(&a, 8 << 20);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_usage_report q;
        CHECK_INT(mr_usage_query_at(u, account, dep, rows[i].hours, rows[i].res, now, &a, &q, NULL),
                  0);
        CHECK_INT(q.n_bucket, rows[i].buckets);
        CHECK_INT(q.requests, rows[i].requests);
        CHECK_INT(q.unique_users, 2);
        uint64_t sum = 0, latency = 0;
        for (size_t k = 0; k < q.n_bucket; k++) {
            sum += q.bucket[k].requests;
            latency += q.bucket[k].latency_us_sum;
            CHECK(q.bucket[k].start_us % (rows[i].res * 1000000LL) == 0);
            if (k)
                CHECK_INT(q.bucket[k].start_us - q.bucket[k - 1].start_us, rows[i].res * 1000000LL);
        }
        CHECK_INT(sum, q.requests);
        CHECK_INT(latency, q.latency_us_sum);
        uint64_t n = rows[i].requests; /* latencies 1000 … 1000 + n - 1 */
        CHECK_NEAR(q.p50_us, 999 + 0.5 * (double)n, 6);
        CHECK_NEAR(q.p95_us, 999 + 0.95 * (double)n, 6);
        CHECK_NEAR(q.p99_us, 999 + 0.99 * (double)n, 6);
        CHECK(q.bucket[0].start_us <= q.start_us);
        CHECK_INT(q.end_us - q.start_us, rows[i].hours * HOUR);
        mr_arena_reset(&a);
    }
    struct mr_usage_report q;
    CHECK_INT(mr_usage_query(u, account, dep, 0, MR_RES_1H, &a, &q, NULL), MR_EFIELD);
    CHECK_INT(mr_usage_query(u, account, dep, 169, MR_RES_1H, &a, &q, NULL), MR_EFIELD);
    CHECK_INT(mr_usage_query(u, other, other, 1, MR_RES_1M, &a, &q, NULL), 0);
    CHECK_INT(q.requests, 0);
    CHECK(q.p99_us == 0 && q.unique_users == 0 && q.n_bucket == 60);
    mr_arena_release(&a);
    mr_usage_free(u);
    end();
}

MR_TEST(resolutions_and_costs) {
    enum mr_resolution r;
    struct mr_err e = {0};
    CHECK(mr_usage_parse_resolution(mr_str("5m"), &r, &e) == 0 && r == MR_RES_5M);
    CHECK_INT(mr_usage_parse_resolution(mr_str("2h"), &r, &e), MR_EFIELD);
    CHECK_STR(e.field, "resolution");
    struct mr_usage_report q = {.end_us = 86400000000LL * 15,
                                .latency_us_sum = 2 * 3600000000ull,
                                .bytes_in = 500000000,
                                .bytes_out = 1500000000};
    struct mr_usage_prices p = {
        .compute_hour = 100000000, .storage_gb_month = 20000000, .network_gb = 10000000};
    struct mr_usage_cost k = mr_usage_cost(&q, 3000000000, &p);
    CHECK_INT(k.compute, 200000000); /* 2 h at 0.10 USD */
    CHECK_INT(k.storage, 30000000);  /* 3 GB for half a month at 0.02 USD */
    CHECK_INT(k.network, 20000000);
    CHECK_INT(k.total, 250000000);
}

struct worker {
    struct mr_usage *u;
    pthread_t t;
    uint32_t n;
};

static void *work(void *arg) {
    struct worker *w = arg;
    int64_t now = mr_now_us();
    for (uint32_t i = 0; i < w->n; i++) {
        struct mr_usage_record r = record(now, i % 2 ? dep : other, i);
        r.user_hash = 1 + i % 7;
        CHECK_INT(mr_usage_record(w->u, &r), 0);
    }
    return NULL;
}

MR_TEST(threads_rotate_through_small_files) {
    begin(true);
    /* 64 records a file, so that threads meet at rotations and structures are used again */
    struct mr_usage *u = open_usage((struct mr_usage_config){
        .data_dir = tmp.dir, .fold_ms = 1, .segment_records = 64, .segments_max = 100000});
    struct worker w[4];
    for (int i = 0; i < 4; i++) {
        w[i] = (struct worker){.u = u, .n = 3000};
        pthread_create(&w[i].t, NULL, work, &w[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(w[i].t, NULL);
    struct mr_usage_totals t;
    CHECK_INT(mr_usage_flush(u, MR_PATIENCE_MS, NULL), 0);
    CHECK_INT(mr_usage_deployment_totals(u, account, dep, &t, NULL), 0);
    CHECK_INT(t.requests, 6000);
    CHECK_INT(mr_usage_account_totals(u, account, &t, NULL), 0);
    CHECK_INT(t.requests, 12000);
    struct mr_usage_stats st;
    mr_usage_stats(u, &st);
    CHECK_INT(st.recorded, 12000);
    CHECK_INT(st.folded, 12000);
    CHECK_INT(st.refused, 0);
    CHECK(st.segments <= 3);
    mr_usage_free(u);
    CHECK_INT(spool_files(), 0);
    u = open_usage((struct mr_usage_config){.data_dir = tmp.dir});
    CHECK_INT(mr_usage_account_totals(u, account, &t, NULL), 0);
    CHECK_INT(t.requests, 12000);
    mr_usage_free(u);
    end();
}

static void rest_for_an_hour(struct mr_usage *u) {
    CHECK_INT(mr_usage_flush(u, MR_PATIENCE_MS, NULL), 0);
    pthread_mutex_lock(&u->mu);
    u->rest_until_ns = mr_mono_ns() + 3600000000000;
    pthread_mutex_unlock(&u->mu);
}

static uint64_t folded(struct mr_usage *u) {
    struct mr_usage_stats st;
    mr_usage_stats(u, &st);
    return st.folded;
}

/* A rest between folds ends for a read, for a batch's worth of records, for want of files, and at
 * the end. */
MR_TEST(a_rest_hides_nothing) {
    begin(true);
    struct mr_usage *u = open_usage((struct mr_usage_config){.data_dir = tmp.dir, .fold_ms = 1});
    struct mr_usage_record r = record(mr_now_us(), dep, 7);
    struct mr_usage_totals t;
    rest_for_an_hour(u);
    CHECK_INT(mr_usage_record(u, &r), 0);
    CHECK_INT(mr_usage_deployment_totals(u, account, dep, &t, NULL), 0);
    CHECK_INT(t.requests, 1);

    rest_for_an_hour(u);
    for (unsigned i = 0; i < MR_FOLD_MAX + 40000; i++)
        CHECK_INT(mr_usage_record(u, &r), 0);
    MR_UNTIL(folded(u) >= MR_FOLD_MAX);
    CHECK(folded(u) >= MR_FOLD_MAX);

    rest_for_an_hour(u);
    CHECK_INT(mr_usage_record(u, &r), 0);
    mr_usage_free(u);
    CHECK_INT(spool_files(), 0);

    u = open_usage((struct mr_usage_config){
        .data_dir = tmp.dir, .fold_ms = 1, .segment_records = 64, .segments_max = 4});
    CHECK_INT(mr_usage_account_totals(u, account, &t, NULL), 0);
    CHECK_INT(t.requests, MR_FOLD_MAX + 40002);
    rest_for_an_hour(u);
    for (int i = 0; i < 200; i++) /* three files are full, the fourth is in use */
        CHECK_INT(mr_usage_record(u, &r), 0);
    MR_UNTIL(folded(u) >= 200);
    CHECK(folded(u) >= 200);
    mr_usage_free(u);
    end();
}

MR_TEST(a_record_under_way_is_synced_later) {
    struct mr_spool s;
    struct mr_err e = {0};
    struct mr_usage_record r = record(1, dep, 7);
    begin(true);
    CHECK_INT(mr_spool_open(&s, tmp.dir, 128, 4, &e), 0);
    CHECK_INT(mr_spool_prepare(&s, &e), 0);
    struct mr_segment *g = atomic_load(&s.cur);
    CHECK_INT(mr_spool_sync(&s, &e), 0);
    CHECK_INT(g->synced, 0);
    for (int i = 0; i < 100; i++)
        CHECK_INT(mr_spool_add(&s, &r), 0);
    uint64_t mark = atomic_exchange(&g->rec[60].mark, 0); /* as if it was being written */
    CHECK_INT(mr_spool_sync(&s, &e), 0);
    CHECK_INT(g->synced, 60);
    atomic_store(&g->rec[60].mark, mark);
    CHECK_INT(mr_spool_sync(&s, &e), 0);
    CHECK_INT(g->synced, 100);
    for (int i = 0; i < 40; i++) /* into the next file */
        CHECK_INT(mr_spool_add(&s, &r), 0);
    CHECK_INT(mr_spool_sync(&s, &e), 0);
    CHECK_INT(g->synced, 128);
    CHECK_INT(atomic_load(&s.cur)->synced, 12);
    mr_spool_release(&s);
    end();
}

static int hold_writer(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx, (void)arg, (void)e;
    pause(); /* until the process ends */
    return 0;
}

MR_TEST(a_dead_process_leaves_its_records) {
    begin(false);
    mr_db_close(db); /* a fork of one thread */
    pid_t pid = fork();
    if (pid == 0) { /* records without ever folding, one of them torn, dies */
        struct mr_db *mem = NULL;
        struct mr_db_config c = {.path = ":memory:"};
        struct mr_usage *u = NULL;
        struct mr_usage_config k = {.data_dir = tmp.dir, .fold_ms = 1000000, .segment_records = 50};
        if (mr_db_open(&c, &mem, NULL))
            _exit(1);
        k.db = mem;
        /* a full segment wakes the fold: it must not get to write */
        if (mr_usage_open(&k, &u, NULL) || mr_db_write_async(mem, hold_writer, NULL, NULL))
            _exit(1);
        for (uint32_t i = 0; i < 120; i++) {
            struct mr_usage_record r = record(mr_now_us(), dep, i);
            if (mr_usage_record(u, &r))
                _exit(1);
        }
        ((char *)&u->spool.first->rec[3])[45] ^= 'X';
        _exit(0);
    }
    int st;
    waitpid(pid, &st, 0);
    CHECK_INT(st, 0);
    struct mr_db_config mem = {.path = ":memory:"};
    CHECK_INT(mr_db_open(&mem, &db, NULL), 0);
    CHECK(spool_files() >= 3);
    /* one file that is none of ours */
    char cmd[700];
    snprintf(cmd, sizeof cmd, "echo junk > %s/spool/00000000000000000000000000000000.spool",
             tmp.dir);
    CHECK_INT(system(cmd), 0);
    struct mr_usage *u = open_usage((struct mr_usage_config){.data_dir = tmp.dir});
    struct mr_usage_config again = {.db = db, .data_dir = tmp.dir};
    struct mr_usage *second = NULL;
    CHECK_INT(mr_usage_open(&again, &second, NULL), MR_ECONFLICT); /* one process at a time */
    struct mr_usage_totals t;
    CHECK_INT(mr_usage_flush(u, MR_PATIENCE_MS, NULL), 0);
    CHECK_INT(mr_usage_deployment_totals(u, account, dep, &t, NULL), 0);
    CHECK_INT(t.requests, 119);
    struct mr_usage_stats us;
    mr_usage_stats(u, &us);
    CHECK_INT(us.damaged, 1);
    mr_usage_free(u);
    CHECK_INT(spool_files(), 1); /* the damaged one, set aside */
    end();
}

MR_TEST(sync_records_are_committed_on_return) {
    begin(true);
    struct mr_usage *u =
        open_usage((struct mr_usage_config){.data_dir = tmp.dir, .fold_ms = 1000000, .sync = true});
    struct mr_usage_record r = record(mr_now_us(), dep, 5);
    CHECK_INT(mr_usage_record(u, &r), 0);
    struct mr_usage_stats st;
    mr_usage_stats(u, &st);
    CHECK_INT(st.folded, 1);
    mr_usage_free(u);
    end();
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int wait_gate(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx, (void)arg, (void)e;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return 0;
}

MR_TEST(a_full_disk_refuses_and_recovers) {
    begin(false);
    char dir[300], ballast[300];
    mkdir(mr_tmp_path(&tmp, "small", dir), 0700);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=1m")) {
        printf("SKIP full disk: cannot mount a tmpfs (%s)\n", strerror(errno));
        end();
        return;
    }
    struct mr_usage *u = open_usage(
        (struct mr_usage_config){.data_dir = dir, .fold_ms = 1000000, .segment_records = 1000});
    FILE *f = fopen(mr_tmp_path(&tmp, "small/ballast", ballast), "w");
    static char block[65536];
    for (int i = 0; i < 16; i++)
        if (fwrite(block, sizeof block, 1, f) != 1)
            break;
    fclose(f);
    int taken = 0, refused = 0;
    pthread_mutex_lock(&gate); /* no fold makes room meanwhile */
    CHECK_INT(mr_db_write_async(db, wait_gate, NULL, NULL), 0);
    for (int i = 0; i < 3000; i++) {
        struct mr_usage_record r = record(mr_now_us(), dep, 5);
        int rc = mr_usage_record(u, &r);
        taken += rc == 0;
        refused += rc == MR_ENOSPC;
    }
    pthread_mutex_unlock(&gate);
    CHECK(taken >= 1000 && refused > 0);
    CHECK_INT(taken + refused, 3000);
    unlink(ballast);
    struct mr_usage_record r = record(mr_now_us(), dep, 5);
    CHECK_INT(mr_usage_record(u, &r), 0);
    struct mr_usage_totals t;
    CHECK_INT(mr_usage_flush(u, MR_PATIENCE_MS, NULL), 0);
    CHECK_INT(mr_usage_deployment_totals(u, account, dep, &t, NULL), 0);
    CHECK_INT(t.requests, taken + 1);
    mr_usage_free(u);
    umount(dir);
    end();
}

static int forget(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)arg;
    return mr_usage_forget_in(tx, account, dep, e);
}

MR_TEST(a_forgotten_deployment_stays_in_the_account) {
    begin(false);
    struct mr_usage *u = open_usage((struct mr_usage_config){0});
    struct mr_usage_record r = record(mr_now_us(), dep, 5);
    CHECK_INT(mr_usage_record(u, &r), 0);
    CHECK_INT(mr_usage_flush(u, MR_PATIENCE_MS, NULL), 0);
    CHECK_INT(mr_db_write(db, forget, NULL, NULL), 0);
    struct mr_usage_totals t;
    CHECK_INT(mr_usage_deployment_totals(u, account, dep, &t, NULL), 0);
    CHECK_INT(t.requests, 0);
    CHECK_INT(mr_usage_account_totals(u, account, &t, NULL), 0);
    CHECK_INT(t.requests, 1);
    mr_usage_free(u);
    end();
}

MR_TEST(user_hashes_are_stable) {
    CHECK(mr_usage_user_hash(mr_str("ann")) == mr_usage_user_hash(mr_strn("ann!", 3)));
    CHECK(mr_usage_user_hash(mr_str("ann")) != mr_usage_user_hash(mr_str("bob")));
    CHECK(mr_usage_user_hash(mr_str("")) != 0);
    CHECK(mr_usage_user_hash(mr_str("ann")) == 0xce82f3cb019e4a4full); /* kept in databases */
}

MR_TEST(every_allocation_may_fail) {
    begin(true);
    for (size_t nth = 1; nth < 30; nth++) {
        struct mr_usage_config c = {.db = db, .data_dir = tmp.dir, .segment_records = 10};
        struct mr_usage *u = NULL;
        mr_alloc_fail_at(nth);
        int rc = mr_usage_open(&c, &u, NULL);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
        if (rc)
            continue;
        struct mr_arena a;
        struct mr_usage_report q;
        mr_arena_init(&a, 1 << 20);
        mr_alloc_fail_at(nth);
        rc = mr_usage_query(u, account, dep, 1, MR_RES_1M, &a, &q, NULL);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
        for (uint32_t i = 0; i < 25; i++) { /* structures for new files */
            struct mr_usage_record r = record(mr_now_us(), dep, i);
            mr_alloc_fail_at(nth);
            rc = mr_usage_record(u, &r);
            mr_alloc_fail_at(0);
            CHECK(rc == 0 || rc == MR_ENOMEM);
        }
        mr_arena_release(&a);
        mr_usage_free(u);
    }
    end();
}

static int64_t cpu_ns(void) { /* of this thread: other work on the machine does not count */
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Not a verdict: printed for the record. */
MR_TEST(speed) {
    begin(true);
    struct mr_usage *u = open_usage((struct mr_usage_config){.data_dir = tmp.dir});
    int64_t now = mr_now_us();
    enum { N = 300000 };
    int64_t t0 = cpu_ns();
    for (uint32_t i = 0; i < N; i++) {
        struct mr_usage_record r = record(now, dep, i & 4095);
        mr_usage_record(u, &r);
    }
    int64_t t1 = cpu_ns(), w0 = mr_mono_ns();
    CHECK_INT(mr_usage_flush(u, MR_PATIENCE_MS, NULL), 0);
    int64_t t2 = mr_mono_ns();
    /* a week of minutes */
    for (int m = 0; m < 168 * 60; m++)
        for (uint32_t i = 0; i < 8; i++) {
            struct mr_usage_record r = record(now - m * MINUTE, other, 100 * i + (uint32_t)m % 977);
            r.user_hash = (uint64_t)m % 50 + 1;
            mr_usage_record(u, &r);
        }
    CHECK_INT(mr_usage_flush(u, MR_PATIENCE_MS, NULL), 0);
    struct mr_arena a;
    mr_arena_init(&a, 8 << 20);
    struct mr_usage_report q;
    int64_t best = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t a0 = mr_mono_ns();
        CHECK_INT(mr_usage_query(u, account, other, 168, MR_RES_1M, &a, &q, NULL), 0);
        int64_t took = mr_mono_ns() - a0;
        if (took < best)
            best = took;
        mr_arena_reset(&a);
    }
    printf("record %.0f ns CPU, fold %.0f ns a record, 168 h at 1m %.1f ms\n",
           (double)(t1 - t0) / N, (double)(t2 - w0) / N, (double)best / 1e6);
    mr_arena_release(&a);
    mr_usage_free(u);
    end();
}

MR_TEST_MAIN(CASE(totals_and_series_are_current), CASE(resolutions_and_costs),
             CASE(threads_rotate_through_small_files), CASE(a_dead_process_leaves_its_records),
             CASE(sync_records_are_committed_on_return), CASE(a_full_disk_refuses_and_recovers),
             CASE(a_forgotten_deployment_stays_in_the_account), CASE(user_hashes_are_stable),
             CASE(a_rest_hides_nothing), CASE(a_record_under_way_is_synced_later),
             CASE(every_allocation_may_fail), CASE(speed))
