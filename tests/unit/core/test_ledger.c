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

static void set_budget(int64_t nano) {
    CHECK_INT(mr_budget_set(led, who.account, nano, (struct mr_str){NULL, 0}, &err), 0);
}

MR_TEST(budget_of_the_account_stops) {
    begin(":memory:");
    set_budget(10000);
    CHECK_INT(run(6000, 5000), 0);
    struct mr_reserve r = reserve(3000);
    struct mr_hold h;
    CHECK_INT(mr_hold_take(led, &r, &h, &err), 0);
    CHECK_INT(budget().reserved_nano, 3000);
    err = (struct mr_err){0};
    CHECK_INT(run(2001, 0), MR_ELIMIT); /* 5000 + 3000 + 2001 */
    CHECK(strstr(err.msg, "the monthly budget of the account 'acme', 0.00001 USD,"));
    CHECK(strstr(err.msg, "0.000005 USD are spent and 0.000003 USD reserved"));
    CHECK(strstr(err.msg, "it renews on 20") && strstr(err.msg, "-01 (UTC)"));
    CHECK_STR(err.field, "budget");
    CHECK_INT(run(2000, 0), 0);
    mr_hold_end(led, &h, 0);
    CHECK_INT(budget().reserved_nano, 0);
    CHECK_INT(run(5000, 5000), 0);
    CHECK_INT(run(0, 0), MR_ELIMIT); /* used up */
    set_budget(-1);
    CHECK_INT(run(1000000, 10), 0);
    CHECK_INT(mr_budget_set(led, mr_id_new(), 5, (struct mr_str){NULL, 0}, &err), MR_ENOTFOUND);
    CHECK_INT(mr_budget_set(led, who.account, 5, MR_LIT("No/Where"), &err), MR_EFIELD);
    CHECK_INT(mr_budget_set(led, who.account, -2, (struct mr_str){NULL, 0}, &err), MR_EFIELD);
    end();
}

MR_TEST(budget_of_the_key_stops) {
    begin(":memory:");
    who.key_budget_nanousd = 1000;
    CHECK_INT(run(900, 900), 0);
    CHECK_INT(run(200, 0), MR_ELIMIT);
    CHECK(strstr(err.msg, "the API key 'laptop' (mrk_1234"));
    struct mr_principal other = who;
    who.key = mr_id_new();
    who.key_budget_nanousd = -1;
    CHECK_INT(mr_db_write(db, add_key, &who, &err), 0);
    CHECK_INT(run(200, 0), 0); /* a second key of the account has its own */
    who = other;
    who.key_budget_nanousd = 2000; /* raised: in force at once */
    CHECK_INT(run(200, 100), 0);
    struct mr_budget b;
    CHECK_INT(mr_budget_key(led, who.account, who.key, &b, &err), 0);
    CHECK_INT(b.limit_nano, 2000);
    CHECK_INT(b.spent_nano, 1000);
    who.key = (struct mr_id){{0}}; /* a logged-in user: the account's budget only */
    CHECK_INT(run(5000, 5000), 0);
    CHECK_INT(budget().spent_nano, 6000);
    end();
}

/* What is in memory is what a new process reads from the database. */
MR_TEST(budgets_survive_a_restart) {
    struct mr_tmp tmp;
    char path[300];
    mr_tmp_make(&tmp);
    begin(mr_tmp_path(&tmp, "db", path));
    set_budget(100000);
    CHECK_INT(run(1000, 400), 0);
    mr_ledger_free(led); /* folds */
    open_ledger();
    CHECK_INT(run(1000, 600), 0);
    struct mr_reserve r = reserve(700);
    struct mr_hold h;
    struct job j = {&h, &r, 0};
    CHECK_INT(mr_hold_take(led, &r, &h, &err), 0);
    CHECK_INT(mr_db_write(db, open_tx, &j, &err), 0);
    mr_ledger_free(led); /* with the charge open */
    open_ledger();
    struct mr_budget b = budget();
    CHECK_INT(b.spent_nano, 1000);
    CHECK_INT(b.reserved_nano, 700);
    CHECK_INT(b.limit_nano, 100000);
    CHECK_INT(mr_budget_key(led, who.account, who.key, &b, &err), 0);
    CHECK_INT(b.spent_nano, 1000);
    CHECK_INT(b.reserved_nano, 700);
    end();
    mr_tmp_remove(&tmp);
}

static int n_recovered;

static int recover_one(struct mr_tx *tx, const struct mr_open_charge *c, void *arg,
                       struct mr_err *e) {
    (void)arg;
    struct mr_settle s = {.provider = c->provider,
                          .model = c->model,
                          .price_version = c->price_version,
                          .cost_nano = c->reserved_nano};
    n_recovered++;
    CHECK(mr_id_eq(c->account, who.account) && mr_str_is(c->model, "gpt-4o-mini"));
    return n_recovered % 2 ? mr_charge_settle_in(led, tx, c->charge, &s, e)
                           : mr_charge_release_in(led, tx, c->charge, e);
}

static int recover_none(struct mr_tx *tx, const struct mr_open_charge *c, void *arg,
                        struct mr_err *e) {
    (void)tx, (void)c, (void)arg, (void)e;
    return 0;
}

MR_TEST(recovers_each_open_charge_once) {
    struct mr_tmp tmp;
    char path[300];
    mr_tmp_make(&tmp);
    begin(mr_tmp_path(&tmp, "db", path));
    struct mr_reserve r = reserve(10);
    for (int i = 0; i < 501; i++) { /* more than two batches; some closed in between */
        struct mr_hold h;
        struct job j = {&h, &r, 5};
        CHECK_INT(mr_hold_take(led, &r, &h, &err), 0);
        CHECK_INT(mr_db_write(db, open_tx, &j, &err), 0);
        if (i % 3 == 0) {
            CHECK_INT(mr_db_write(db, close_tx, &j, &err), 0);
            mr_hold_end(led, &h, 5);
        }
    }
    CHECK_INT(mr_ledger_recover(led, "tasks", recover_one, NULL, &err), 0);
    CHECK_INT(n_recovered, 0); /* this process's charges are under way, not left behind */
    mr_ledger_free(led);
    open_ledger();
    CHECK_INT(budget().reserved_nano, 334 * 10);
    CHECK_INT(mr_ledger_recover(led, "tasks", recover_none, NULL, &err), MR_EINTERNAL);
    CHECK_INT(mr_ledger_recover(led, "chat", recover_one, NULL, &err), 0);
    CHECK_INT(n_recovered, 0); /* another family's */
    CHECK_INT(mr_ledger_recover(led, "tasks", recover_one, NULL, &err), 0);
    CHECK_INT(n_recovered, 334);
    CHECK_INT(mr_ledger_recover(led, "tasks", recover_one, NULL, &err), 0);
    CHECK_INT(n_recovered, 334);
    struct mr_budget b = budget();
    CHECK_INT(b.reserved_nano, 0);
    CHECK_INT(b.spent_nano, 167 * 5 + 167 * 10);
    CHECK_INT(mr_ledger_check(led, &err), 0);
    end();
    mr_tmp_remove(&tmp);
}

/* Its id was given before those of charges that are closed by now: the mark under which all are
 * closed must not pass it. */
MR_TEST(a_late_charge_is_recovered) {
    struct mr_tmp tmp;
    char path[300];
    mr_tmp_make(&tmp);
    begin(mr_tmp_path(&tmp, "db", path));
    struct mr_reserve r = reserve(10);
    struct mr_hold late;
    struct job j = {&late, &r, 5};
    CHECK_INT(mr_hold_take(led, &r, &late, &err), 0);
    CHECK_INT(run(10, 5), 0);
    CHECK_INT(mr_ledger_check(led, &err), 0); /* folds */
    CHECK_INT(mr_db_write(db, open_tx, &j, &err), 0);
    CHECK_INT(mr_ledger_check(led, &err), 0);
    mr_ledger_free(led);
    open_ledger();
    n_recovered = 0;
    CHECK_INT(mr_ledger_recover(led, "tasks", recover_one, NULL, &err), 0);
    CHECK_INT(n_recovered, 1);
    CHECK_INT(mr_ledger_check(led, &err), 0);
    end();
    mr_tmp_remove(&tmp);
}

/* Holds that end without a charge use up ids: a later process must not give them again below the
 * mark under which recovery does not look. */
MR_TEST(an_id_used_up_is_not_given_again) {
    struct mr_tmp tmp;
    char path[300];
    mr_tmp_make(&tmp);
    begin(mr_tmp_path(&tmp, "db", path));
    struct mr_reserve r = reserve(10);
    struct mr_hold h;
    struct job j = {&h, &r, 5};
    CHECK_INT(run(1, 5), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(mr_hold_take(led, &r, &h, &err), 0);
        mr_hold_end(led, &h, 0);
    }
    CHECK_INT(mr_ledger_check(led, &err), 0); /* folds */
    mr_ledger_free(led);
    open_ledger();
    CHECK_INT(mr_hold_take(led, &r, &h, &err), 0);
    CHECK_INT(mr_db_write(db, open_tx, &j, &err), 0);
    mr_ledger_free(led);
    open_ledger();
    n_recovered = 0;
    CHECK_INT(mr_ledger_recover(led, "tasks", recover_one, NULL, &err), 0);
    CHECK_INT(n_recovered, 1);
    CHECK_INT(mr_ledger_check(led, &err), 0);
    end();
    mr_tmp_remove(&tmp);
}

MR_TEST(closes_once) {
    begin(":memory:");
    struct mr_reserve r = reserve(100);
    struct mr_hold h = {0};
    struct job settle = {&h, &r, 50}, release = {&h, &r, -1};
    CHECK_INT(mr_db_write(db, open_tx, &settle, &err), MR_EINTERNAL); /* no hold */
    CHECK_INT(mr_hold_take(led, &r, &h, &err), 0);
    CHECK_INT(mr_db_write(db, close_tx, &settle, &err), MR_ECONFLICT); /* not written yet */
    CHECK_INT(mr_db_write(db, open_tx, &settle, &err), 0);
    CHECK_INT(mr_db_write(db, open_tx, &settle, &err), MR_ECONFLICT);
    CHECK_INT(mr_db_write(db, close_tx, &settle, &err), 0);
    CHECK_INT(mr_db_write(db, close_tx, &settle, &err), MR_ECONFLICT);
    CHECK_INT(mr_db_write(db, close_tx, &release, &err), MR_ECONFLICT);
    mr_hold_end(led, &h, 50);
    CHECK_INT(mr_db_write(db, close_tx, &release, &err), MR_ECONFLICT);
    h.charge += 1000;
    CHECK_INT(mr_db_write(db, close_tx, &settle, &err), MR_ENOTFOUND);
    CHECK_INT(budget().spent_nano, 50);
    CHECK_INT(mr_ledger_check(led, &err), 0);
    end();
}

MR_TEST(one_charge) {
    begin(":memory:");
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    struct mr_reserve r = reserve(100);
    struct mr_hold h;
    struct job j = {&h, &r, 50};
    struct mr_charge c;
    CHECK_INT(mr_hold_take(led, &r, &h, &err), 0);
    CHECK_INT(mr_charge_get(led, who.account, h.charge, &a, &c, &err), MR_ENOTFOUND);
    CHECK_INT(mr_db_write(db, open_tx, &j, &err), 0);
    CHECK_INT(mr_charge_get(led, who.account, h.charge, &a, &c, &err), 0);
    CHECK(c.state == MR_CHARGE_OPEN && c.reserved_nano == 100 && c.cost_nano == 0);
    CHECK(mr_str_is(c.family, "tasks") && mr_id_eq(c.key, who.key) && !c.end_user.p);
    CHECK_INT(mr_db_write(db, close_tx, &j, &err), 0);
    mr_hold_end(led, &h, 50);
    CHECK_INT(mr_charge_get(led, who.account, h.charge, &a, &c, &err), 0);
    CHECK(c.state == MR_CHARGE_SETTLED && c.cost_nano == 50 && c.tokens.output == 20);
    CHECK(c.settled_us >= c.created_us && !c.estimated);
    CHECK_INT(mr_charge_get(led, mr_id_new(), h.charge, &a, &c, &err), MR_ENOTFOUND);
    mr_arena_release(&a);
    end();
}

static int end_user_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    return mr_end_user_in(led, tx, who.account, *(struct mr_str *)arg, &(int64_t){0}, e);
}

MR_TEST(end_users) {
    begin(":memory:");
    struct mr_str ann = MR_LIT("ann@example.com"), number = MR_LIT("42"), none = MR_LIT("");
    static char long_name[300];
    int64_t id = -1, again = -1;
    memset(long_name, 'x', sizeof long_name);
    CHECK_INT(mr_end_user_find(led, who.account, ann, &id, &err), 0);
    CHECK_INT(id, 0);
    CHECK_INT(mr_db_write(db, end_user_tx, &ann, &err), 0);
    CHECK_INT(mr_db_write(db, end_user_tx, &number, &err), 0);
    CHECK_INT(mr_end_user_find(led, who.account, ann, &id, &err), 0);
    CHECK_INT(mr_db_write(db, end_user_tx, &ann, &err), 0);
    CHECK_INT(mr_end_user_find(led, who.account, ann, &again, &err), 0);
    CHECK(id > 0 && id == again);
    CHECK_INT(mr_end_user_find(led, who.account, number, &again, &err), 0);
    CHECK(again > 0 && again != id);
    CHECK_INT(mr_end_user_find(led, mr_id_new(), ann, &again, &err), 0);
    CHECK_INT(again, 0);
    CHECK_INT(mr_db_write(db, end_user_tx, &none, &err), MR_EFIELD);
    struct mr_str big = mr_strn(long_name, 257), bad = MR_LIT("\xff");
    CHECK_INT(mr_db_write(db, end_user_tx, &big, &err), MR_EFIELD);
    big.n = 256;
    CHECK_INT(mr_db_write(db, end_user_tx, &big, &err), 0);
    CHECK_INT(mr_db_write(db, end_user_tx, &bad, &err), MR_EFIELD);
    end();
}

static int made_and_undone(struct mr_tx *tx, void *arg, struct mr_err *e) {
    int64_t first = 0, again = 0, *ret = arg;
    struct mr_str zoe = MR_LIT("zoe");
    int rc = mr_end_user_in(led, tx, who.account, zoe, &first, e);
    if (!rc)
        rc = mr_end_user_in(led, tx, who.account, zoe, &again, e);
    CHECK(first > 0 && first == again);
    *ret = first;
    return rc ? rc : mr_fail(e, MR_EINVAL, "undo");
}

static int made_again(struct mr_tx *tx, void *arg, struct mr_err *e) {
    return mr_end_user_in(led, tx, who.account, MR_LIT("zoe"), arg, e);
}

/* An end user is remembered only once it is committed. */
MR_TEST(an_end_user_that_was_undone_is_made_again) {
    int64_t undone = 0, made = 0, found = 0, known = 0;
    begin(":memory:");
    CHECK_INT(mr_db_write(db, made_and_undone, &undone, &err), MR_EINVAL);
    CHECK_INT(mr_db_write(db, made_again, &made, &err), 0);
    CHECK_INT(mr_end_user_find(led, who.account, MR_LIT("zoe"), &found, &err), 0);
    CHECK(undone > 0 && made > 0 && found == made && made != undone);
    for (int i = 0; i < 2; i++) { /* from the database, then from memory */
        CHECK_INT(mr_db_write(db, made_again, &known, &err), 0);
        CHECK_INT(known, made);
    }
    end();
}

MR_TEST_MAIN(CASE(settles_and_releases), CASE(budget_of_the_account_stops),
             CASE(budget_of_the_key_stops), CASE(budgets_survive_a_restart),
             CASE(recovers_each_open_charge_once), CASE(a_late_charge_is_recovered),
             CASE(an_id_used_up_is_not_given_again), CASE(closes_once), CASE(one_charge),
             CASE(end_users), CASE(an_end_user_that_was_undone_is_made_again))
