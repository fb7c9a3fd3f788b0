/* The ledger: holds, charges, budgets, folding, recovery. */
#include "base/clock.h"
#include "core/money/ledger.h"
#include "core/money/money.h"
#include "mr_test.h"
#include "mr_tmp.h"

static struct mr_db *db;
static struct mr_ledger *led;
static struct mr_price_book *book;
static struct mr_zone *utc;
static struct mr_principal who;
static struct mr_err err;

static int add_account(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO accounts(id, name, kind, tier, created_at) "
                           "VALUES(?1, 'acme', 'personal', 'free', 1)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, *(struct mr_id *)arg);
    return mr_db_exec(s, e);
}

static int add_key(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct mr_principal *p = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO api_keys(id, account_id, name, prefix, hash, scopes, "
                           "rate_per_minute, budget_nanousd, created_at, expires_at, "
                           "last_used_at, revoked_at) VALUES(?1, ?2, 'laptop', 'mrk_1234', ?1, "
                           "15, 0, ?3, 1, 0, 0, 0)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, p->key);
    mr_db_bind_id(s, 2, p->account);
    mr_db_bind_i64(s, 3, p->key_budget_nanousd);
    return mr_db_exec(s, e);
}

static void open_ledger(void) {
    struct mr_ledger_config c = {.db = db, .prices = book, .zone = utc};
    if (mr_ledger_open(&c, &led, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        exit(2);
    }
}

static void begin(const char *path) {
    struct mr_db_config c = {.path = path};
    if (mr_db_open(&c, &db, &err) || mr_zone_open(MR_LIT("UTC"), &utc, &err) ||
        mr_price_book_open(NULL, NULL, &book, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        exit(2);
    }
    who = (struct mr_principal){.authenticated = true,
                                .account = mr_id_new(),
                                .key = mr_id_new(),
                                .key_budget_nanousd = -1};
    CHECK_INT(mr_db_write(db, add_account, &who.account, &err), 0);
    CHECK_INT(mr_db_write(db, add_key, &who, &err), 0);
    open_ledger();
}

static void end(void) {
    mr_ledger_free(led);
    mr_price_book_free(book);
    mr_zone_free(utc);
    mr_db_close(db);
}

static struct mr_reserve reserve(int64_t nano) {
    return (struct mr_reserve){.who = &who,
                               .family = "tasks",
                               .provider = MR_LIT("openai"),
                               .model = MR_LIT("gpt-4o-mini"),
                               .reserved_nano = nano,
                               .price_version = MR_LIT("openai/gpt-4o-mini@2026-11-22#00000000")};
}

struct job {
    struct mr_hold *h;
    const struct mr_reserve *r;
    int64_t cost; /* -1: release */
};

static int open_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct job *j = arg;
    return mr_charge_open_in(led, tx, j->h, j->r, e);
}

static int close_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct job *j = arg;
    struct mr_settle s = {.provider = MR_LIT("openai"),
                          .model = MR_LIT("gpt-4o-mini"),
                          .price_version = MR_LIT("openai/gpt-4o-mini@2026-11-22#00000000"),
                          .tokens = {100, 10, 0, 20},
                          .cost_nano = j->cost};
    return j->cost < 0 ? mr_charge_release_in(led, tx, j->h->charge, e)
                       : mr_charge_settle_in(led, tx, j->h->charge, &s, e);
}

static int run(int64_t most, int64_t cost) {
    struct mr_reserve r = reserve(most);
    struct mr_hold h = {0};
    struct job j = {&h, &r, cost};
    int rc = mr_hold_take(led, &r, &h, &err);
    if (rc)
        return rc;
    CHECK_INT(mr_db_write(db, open_tx, &j, &err), 0);
    CHECK_INT(mr_db_write(db, close_tx, &j, &err), 0);
    mr_hold_end(led, &h, cost < 0 ? 0 : cost);
    mr_hold_end(led, &h, 99); /* inactive: nothing happens */
    return 0;
}

static struct mr_budget budget(void) {
    struct mr_budget b = {0};
    CHECK_INT(mr_budget_account(led, who.account, &b, &err), 0);
    return b;
}

MR_TEST(settles_and_releases) {
    begin(":memory:");
    CHECK(!mr_ledger_warm(led, &who));
    CHECK_INT(run(1000, 400), 0);
    CHECK(mr_ledger_warm(led, &who));
    CHECK_INT(run(1000, -1), 0);
    CHECK_INT(run(0, 2000), 0); /* above the reservation: booked in full */
    struct mr_budget b = budget();
    CHECK_INT(b.spent_nano, 2400);
    CHECK_INT(b.reserved_nano, 0);
    CHECK_INT(b.limit_nano, -1);
    CHECK_INT(mr_budget_key(led, who.account, who.key, &b, &err), 0);
    CHECK_INT(b.spent_nano, 2400);
    CHECK_INT(mr_budget_key(led, mr_id_new(), who.key, &b, &err), MR_ENOTFOUND);
    end();
}

MR_TEST_MAIN(CASE(settles_and_releases))
