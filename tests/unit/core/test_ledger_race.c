/* Many threads take, open, settle, release, fail and forget in random order: no hold leaks, and the
 * budgets in memory are those of the database. And the 80 % alert: once a month and subject. */
#include "base/alloc.h"
#include "core/events/events.h"
#include "ledger_fixture.h"

#include <pthread.h>

enum { THREADS = 8, STEPS = 400 };

static struct fixture f;
static struct mr_principal people[3];
static _Atomic int64_t refused, settled_nano;

struct job {
    struct mr_hold *h;
    struct mr_reserve *r;
    int64_t cost;
    bool fail;
};

static struct mr_reserve reserve(const struct mr_principal *who, int64_t nano) {
    return (struct mr_reserve){.who = who,
                               .family = "tasks",
                               .provider = MR_LIT("openai"),
                               .model = MR_LIT("m"),
                               .reserved_nano = nano,
                               .price_version = MR_LIT("v")};
}

static int open_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct job *j = arg;
    int rc = mr_charge_open_in(f.led, tx, j->h, j->r, e);
    return rc == 0 && j->fail ? mr_fail(e, MR_EIO, "on purpose") : rc;
}

static int close_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct job *j = arg;
    struct mr_settle s = {.provider = MR_LIT("openai"),
                          .model = MR_LIT("m"),
                          .price_version = MR_LIT("v"),
                          .cost_nano = j->cost};
    int rc = j->cost < 0 ? mr_charge_release_in(f.led, tx, j->h->charge, e)
                         : mr_charge_settle_in(f.led, tx, j->h->charge, &s, e);
    return rc == 0 && j->fail ? mr_fail(e, MR_EIO, "on purpose") : rc;
}

static void one(uint64_t *rng) {
    const struct mr_principal *who = &people[next_random(rng) % 3];
    struct mr_reserve r = reserve(who, (int64_t)(next_random(rng) % 1000));
    struct mr_hold h = {0};
    struct mr_err e = {0};
    struct job j = {&h, &r, (int64_t)(next_random(rng) % 1200), next_random(rng) % 10 == 0};
    int rc = mr_hold_take(f.led, &r, &h, &e);
    if (rc) {
        CHECK_INT(rc, MR_ELIMIT);
        refused++;
        return;
    }
    if (next_random(rng) % 4 == 0)
        j.cost = -1;
    if (mr_db_write(f.db, open_tx, &j, &e)) {
        CHECK(j.fail);
        mr_hold_end(f.led, &h, 0);
        return;
    }
    j.fail = next_random(rng) % 6 == 0;
    if (mr_db_write(f.db, close_tx, &j, &e)) { /* rolled back: once more, perhaps otherwise */
        CHECK(j.fail);
        j.fail = false;
        if (next_random(rng) % 2)
            j.cost = -1;
        CHECK_INT(mr_db_write(f.db, close_tx, &j, &e), 0);
    }
    if (next_random(rng) % 5 == 0) /* twice: refused */
        CHECK_INT(mr_db_write(f.db, close_tx, &j, &e), MR_ECONFLICT);
    if (j.cost > 0)
        settled_nano += j.cost;
    mr_hold_end(f.led, &h, j.cost < 0 ? 0 : j.cost);
}

static void forget(void) {
    pthread_mutex_lock(&f.led->mu);
    mr_subjects_forget(f.led);
    pthread_mutex_unlock(&f.led->mu);
}

static void *worker(void *arg) {
    uint64_t rng = *(uint64_t *)arg;
    for (int i = 0; i < STEPS; i++) {
        one(&rng);
        if (next_random(&rng) % 8 == 0)
            forget(); /* read again while the others' requests run: no cost counts twice */
    }
    return NULL;
}

static void budget_of(struct mr_id key, struct mr_budget *b) {
    struct mr_err e = {0};
    struct mr_id none = {{0}};
    int rc = mr_id_eq(key, none) ? mr_budget_account(f.led, f.who.account, b, &e)
                                 : mr_budget_key(f.led, f.who.account, key, b, &e);
    CHECK_INT(rc, 0);
}

MR_TEST(no_hold_leaks) {
    uint64_t seed = (uint64_t)mr_now_us(), seeds[THREADS];
    pthread_t t[THREADS];
    struct mr_err e = {0};
    struct mr_budget before[2], after;
    fixture_begin(&f, NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 3; i++)
        people[i] = f.who;
    people[1].key_budget_nanousd = 400 * THREADS * STEPS / 20;
    memset(&people[2].key, 0, sizeof people[2].key);
    CHECK_INT(mr_budget_set(f.led, f.who.account, 400 * THREADS * STEPS / 2,
                            (struct mr_str){NULL, 0}, &e),
              0);
    for (int i = 0; i < THREADS; i++) {
        seeds[i] = seed + (uint64_t)i;
        pthread_create(&t[i], NULL, worker, &seeds[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    CHECK(refused > 0);
    CHECK_INT(f.led->n_hold, 0);
    budget_of((struct mr_id){{0}}, &before[0]);
    budget_of(f.who.key, &before[1]);
    CHECK_INT(before[0].reserved_nano, 0);
    CHECK_INT(before[1].reserved_nano, 0);
    CHECK_INT(before[0].spent_nano, settled_nano);
    CHECK_INT(mr_ledger_check(f.led, &e), 0);
    for (size_t i = 0; i < f.led->cap_subject; i++) /* nothing half settled is left either */
        for (const struct mr_subject *s = f.led->subject[i]; s; s = s->next)
            CHECK_INT(s->settling, 0);
    forget();
    budget_of((struct mr_id){{0}}, &after); /* read from the database */
    CHECK_INT(after.spent_nano, before[0].spent_nano);
    budget_of(f.who.key, &after);
    CHECK_INT(after.spent_nano, before[1].spent_nano);
    fixture_end(&f);
}

/* The budget is read between a cost's commit and the end of its hold, or the hold ends before. */
MR_TEST(a_cost_counts_once_however_it_meets_a_load) {
    struct mr_err e = {0};
    struct mr_budget b;
    fixture_begin(&f, NULL);
    for (int order = 0; order < 2; order++) {
        struct mr_reserve r = reserve(&f.who, 50);
        struct mr_hold h[2];
        CHECK_INT(mr_hold_take(f.led, &r, &h[0], &e), 0);
        CHECK_INT(mr_hold_take(f.led, &r, &h[1], &e), 0);
        for (int i = 0; i < 2; i++) {
            struct job j = {&h[i], &r, 40, false};
            CHECK_INT(mr_db_write(f.db, open_tx, &j, &e), 0);
        }
        struct job first = {&h[0], &r, 40, false}, second = {&h[1], &r, 2, false};
        CHECK_INT(mr_db_write(f.db, close_tx, &first, &e), 0);
        forget();
        if (order) /* not loaded now: the load decides */
            mr_hold_end(f.led, &h[0], 40);
        budget_of((struct mr_id){{0}}, &b);
        CHECK_INT(b.spent_nano, order * 42 + 40);
        mr_hold_end(f.led, &h[0], 40);
        CHECK_INT(mr_db_write(f.db, close_tx, &second, &e), 0); /* after the load: it is new */
        mr_hold_end(f.led, &h[1], 2);
        budget_of((struct mr_id){{0}}, &b);
        CHECK_INT(b.spent_nano, order * 42 + 42);
        budget_of(f.who.key, &b);
        CHECK_INT(b.spent_nano, order * 42 + 42);
        CHECK_INT(b.reserved_nano, 0);
    }
    fixture_end(&f);
}

/* --- a month's end ------------------------------------------------------------------------- */
struct dated {
    struct mr_hold *h;
    int64_t at_us, cost;
};

static int dated_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct dated *d = arg;
    struct mr_reserve r = reserve(&f.who, d->h->reserved_nano);
    struct mr_settle s = {.provider = r.provider,
                          .model = r.model,
                          .price_version = r.price_version,
                          .cost_nano = d->cost};
    int rc = mr_charge_open_in(f.led, tx, d->h, &r, e);
    return rc ? rc : mr_charge_settle_at(f.led, tx, d->h->charge, &s, d->at_us, e);
}

static void spend_at(int64_t at_us, int64_t cost) {
    struct mr_reserve r = reserve(&f.who, 10);
    struct mr_hold h;
    struct mr_err e = {0};
    CHECK_INT(mr_hold_take(f.led, &r, &h, &e), 0);
    struct dated d = {&h, at_us, cost};
    CHECK_INT(mr_db_write(f.db, dated_tx, &d, &e), 0);
    mr_hold_end(f.led, &h, cost);
}

MR_TEST(months) {
    struct mr_budget b;
    fixture_begin(&f, NULL);
    budget_of((struct mr_id){{0}}, &b);
    int64_t end = b.renews_us, now = mr_now_us();
    spend_at(now, 100);
    spend_at(now - INT64_C(40) * 86400000000, 7); /* settled before this month began */
    budget_of((struct mr_id){{0}}, &b);
    CHECK_INT(b.spent_nano, 100);
    spend_at(end - 1, 30);
    spend_at(end, 5); /* the first moment of the next month */
    struct mr_subject *s = mr_subject_find(f.led, f.who.account);
    CHECK_INT(s->spent, 5);
    CHECK(s->from_us == end && s->to_us > end);
    CHECK(!mr_ledger_warm(f.led, &f.who)); /* by the clock it is still this month */
    budget_of((struct mr_id){{0}}, &b);
    CHECK_INT(b.spent_nano, 130);
    CHECK_INT(b.renews_us, end);
    CHECK_INT(b.reserved_nano, 0);
    /* another zone's month begins at another time */
    struct mr_err e = {0};
    CHECK_INT(mr_budget_set(f.led, f.who.account, -1, MR_LIT("Pacific/Kiritimati"), &e), 0);
    budget_of(f.who.key, &b);
    CHECK_STR(b.zone, "Pacific/Kiritimati");
    CHECK(b.renews_us % 86400000000 == INT64_C(10) * 3600 * 1000000);
    fixture_end(&f);
}

/* --- the alert ------------------------------------------------------------------------------ */
static struct mr_events *events;

static struct mr_events *open_events(struct mr_db *db) {
    static const int64_t never[] = {86400000};
    struct mr_events_config c = {
        .db = db, .allow_loopback = true, .schedule_ms = never, .n_schedule = 1, .workers = 1};
    struct mr_err e = {0};
    if (mr_events_open(&c, &events, &e))
        exit(2);
    return events;
}

struct outbox {
    int n;
    char data[2000]; /* of all, one a line */
};

static int outbox_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct outbox *o = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT data FROM outbox WHERE event = 'budget.alert' ORDER BY id",
                           &s, e);
    while (rc == 0 && (rc = mr_db_step(s, e)) == 1) {
        struct mr_str d = mr_db_str(s, 0);
        size_t at = strlen(o->data);
        snprintf(o->data + at, sizeof o->data - at, "%.*s\n", (int)d.n, d.p);
        o->n++;
        rc = 0;
    }
    return rc;
}

static struct outbox alerts(void) {
    struct outbox o = {0};
    struct mr_err e = {0};
    CHECK_INT(mr_db_read(f.db, outbox_tx, &o, &e), 0);
    return o;
}

MR_TEST(alerts_once) {
    struct mr_err e = {0};
    struct mr_arena a;
    struct mr_webhook w;
    struct mr_str want = MR_LIT("budget.alert"), secret;
    fixture_begin(&f, open_events);
    mr_arena_init(&a, 1 << 20);
    CHECK_INT(mr_webhook_create(events, f.who.account, MR_LIT("http://127.0.0.1:9/x"), &want, 1,
                                (struct mr_str){NULL, 0}, &a, &w, &secret, &e),
              0);
    people[0] = f.who;
    people[0].key_budget_nanousd = 5000;
    CHECK_INT(mr_budget_set(f.led, f.who.account, 10000, (struct mr_str){NULL, 0}, &e), 0);
    struct mr_hold h;
    struct mr_reserve r = reserve(&people[0], 3999);
    struct job j = {&h, &r, 3999, false};
#define SPEND(nano, failing)                                                                       \
    r.reserved_nano = j.cost = (nano);                                                             \
    CHECK_INT(mr_hold_take(f.led, &r, &h, &e), 0);                                                 \
    CHECK_INT(mr_db_write(f.db, open_tx, &j, &e), 0);                                              \
    j.fail = (failing);                                                                            \
    CHECK_INT(mr_db_write(f.db, close_tx, &j, &e), (failing) ? MR_EIO : 0);                        \
    j.fail = false
    SPEND(3999, false);
    mr_hold_end(f.led, &h, 3999);
    CHECK_INT(alerts().n, 0); /* one nano below 80 % of the key's budget */
    SPEND(1, true);
    CHECK_INT(alerts().n, 0); /* rolled back with its settlement */
    CHECK_INT(mr_db_write(f.db, close_tx, &j, &e), 0);
    mr_hold_end(f.led, &h, 1);
    struct outbox o = alerts();
    CHECK_INT(o.n, 1);
    CHECK(strstr(o.data, "\"subject\":\"key\"") && strstr(o.data, "\"percent\":80"));
    CHECK(strstr(o.data, "\"limit_usd\":0.000005,\"spent_usd\":0.000004,\"renews_at\":\"20"));
    SPEND(10, false);
    mr_hold_end(f.led, &h, 10);
    CHECK_INT(alerts().n, 1);
    people[0].key_budget_nanousd = -1;
    SPEND(3990, false);
    struct mr_hold first = h; /* a second one settles before the first has ended */
    SPEND(10, false);
    mr_hold_end(f.led, &h, 10);
    mr_hold_end(f.led, &first, 3990);
    o = alerts();
    CHECK_INT(o.n, 2);
    CHECK(strstr(o.data, "\"subject\":\"account\"") && strstr(o.data, "\"spent_usd\":0.000008"));
    pthread_mutex_lock(&f.led->mu);
    mr_subjects_forget(f.led); /* as after a restart */
    pthread_mutex_unlock(&f.led->mu);
    SPEND(10, false);
    mr_hold_end(f.led, &h, 10);
    CHECK_INT(alerts().n, 2);
    mr_arena_release(&a);
    mr_ledger_free(f.led);
    mr_events_free(events);
    mr_zone_free(f.utc);
    mr_db_close(f.db);
}

MR_TEST_MAIN(CASE(no_hold_leaks), CASE(a_cost_counts_once_however_it_meets_a_load), CASE(months),
             CASE(alerts_once))
