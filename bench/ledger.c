/* CPU time of a reservation's way through the ledger: hold, open charge (a commit), settle (a
 * commit), end. 32 writers hand over their next step when the last one is durable, so commits are
 * shared as in the gateway. The same with write functions that do nothing is printed beside it:
 * that is the database's own cost (queue, savepoints, fdatasync).
 *
 *   bench_ledger FOLDER [requests] [writers] */
#include "core/money/ledger.h"
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static struct mr_db *db;
static struct mr_ledger *led;
static struct mr_principal who;
static _Atomic long left, running;
static bool empty;

struct client {
    struct mr_hold hold;
    struct mr_reserve r;
    struct mr_settle s;
};

static void step(struct client *c);

static int open_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct client *c = arg;
    return empty ? 0 : mr_charge_open_in(led, tx, &c->hold, &c->r, e);
}

static int settle_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct client *c = arg;
    return empty ? 0 : mr_charge_settle_in(led, tx, c->hold.charge, &c->s, e);
}

static void fail(const struct mr_err *e) {
    fprintf(stderr, "%s\n", e->msg);
    exit(1);
}

static void settled(void *arg, int rc, const struct mr_err *e) {
    struct client *c = arg;
    if (rc)
        fail(e);
    if (!empty)
        mr_hold_end(led, &c->hold, c->s.cost_nano);
    step(c);
}

static void opened(void *arg, int rc, const struct mr_err *e) {
    if (rc)
        fail(e);
    mr_db_write_async(db, settle_tx, arg, settled);
}

static void step(struct client *c) {
    struct mr_err e = {0};
    if (atomic_fetch_sub(&left, 1) <= 0) {
        atomic_fetch_sub(&running, 1);
        return;
    }
    if (!empty && mr_hold_take(led, &c->r, &c->hold, &e))
        fail(&e);
    mr_db_write_async(db, open_tx, c, opened);
}

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           1e-6 * ((double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_usec);
}

static void run(struct client *c, long writers, long requests, const char *name) {
    struct mr_db_stats s0, s1;
    atomic_store(&left, requests);
    atomic_store(&running, writers);
    mr_db_stats(db, &s0);
    double t0 = cpu_s();
    int64_t w0 = mr_mono_ns();
    for (long i = 0; i < writers; i++)
        step(&c[i]);
    while (atomic_load(&running) > 0)
        usleep(1000);
    double wall = 1e-9 * (double)(mr_mono_ns() - w0), cpu = cpu_s() - t0;
    mr_db_stats(db, &s1);
    printf("%-8s %8.2f us CPU a request, %8.0f requests/s, %.1f writes a commit\n", name,
           1e6 * cpu / (double)requests, (double)requests / wall,
           (double)(s1.writes - s0.writes) / (double)(s1.commits - s0.commits));
}

static int add_account(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO accounts(id, name, kind, tier, created_at, "
                           "budget_nanousd) VALUES(?1, 'bench', 'personal', 'free', 1, "
                           "1000000000000000)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, who.account);
    return mr_db_exec(s, e);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [requests] [writers]\n", argv[0]);
        return 2;
    }
    long requests = argc > 2 ? strtol(argv[2], NULL, 10) : 50000;
    long writers = argc > 3 ? strtol(argv[3], NULL, 10) : 32;
    char path[4096];
    snprintf(path, sizeof path, "%s/ledger-bench.db", argv[1]);
    struct mr_err e = {0};
    struct mr_db_config dc = {.path = path};
    struct mr_zone *utc = NULL;
    if (mr_db_open(&dc, &db, &e) || mr_zone_open(MR_LIT("UTC"), &utc, &e))
        fail(&e);
    who = (struct mr_principal){.account = mr_id_new(), .key_budget_nanousd = -1};
    struct mr_ledger_config lc = {.db = db, .zone = utc};
    if (mr_db_write(db, add_account, NULL, &e) || mr_ledger_open(&lc, &led, &e))
        fail(&e);
    struct client *c = calloc((size_t)writers, sizeof *c);
    for (long i = 0; c && i < writers; i++) {
        struct mr_str version = MR_LIT("openai/gpt-4o-mini@2026-11-22#0a1b2c3d");
        c[i].r = (struct mr_reserve){.who = &who,
                                     .family = "tasks",
                                     .provider = MR_LIT("openai"),
                                     .model = MR_LIT("gpt-4o-mini"),
                                     .end_user = 1 + i,
                                     .reserved_nano = 100000,
                                     .price_version = version};
        c[i].s = (struct mr_settle){.provider = c[i].r.provider,
                                    .model = c[i].r.model,
                                    .price_version = version,
                                    .tokens = {1000, 0, 0, 100},
                                    .cost_nano = 80000};
    }
    for (int i = 0; i < 3; i++) {
        empty = true;
        run(c, writers, requests, "empty");
        empty = false;
        run(c, writers, requests, "ledger");
    }
    int rc = mr_ledger_check(led, &e);
    printf("check: %s\n", rc ? e.msg : "the books agree");
    mr_ledger_free(led);
    mr_zone_free(utc);
    mr_db_close(db);
    free(c);
    unlink(path);
    return rc != 0;
}
