/* Random tasks, payments and refunds of a year in five zones: the sums of days, models and end
 * users equal the total, and that what was put in, to the nano. */
#include "base/alloc.h"
#include "ledger_fixture.h"

enum { EVENTS = 1500, USERS = 7 };

static const struct mr_str currency[] = {MR_LIT("usd"), MR_LIT("eur"), MR_LIT("jpy")};
static const struct mr_str model[] = {MR_LIT("gpt-4o-mini"), MR_LIT("gpt-5.5"),
                                      MR_LIT("mistral-small-latest"), MR_LIT("tiny")};
static const struct mr_str provider[] = {MR_LIT("openai"), MR_LIT("openai"), MR_LIT("mistral"),
                                         MR_LIT("local")};
static const char *const zones[] = {"UTC", "Europe/Berlin", "America/St_Johns",
                                    "Australia/Lord_Howe", "Asia/Kathmandu"};
static const char *const user_name[] = {"ann", "bob", "17", "cy@example.com", "d", "e", "f"};

struct event {
    int64_t at_us, amount, end_user;
    enum mr_entry_kind kind;
    enum mr_book book; /* of income */
    int currency, model;
    struct mr_usage_tokens tokens;
};
struct sum {
    int64_t requests, income, subscription, micro, expense, input, cached, write, output;
};

static struct fixture f;
static struct event list[EVENTS];
static int64_t user_id[USERS];
static struct mr_arena arena;
static uint64_t rng;

static int64_t within(int64_t lo, int64_t hi) {
    return lo + (int64_t)(next_random(&rng) % (uint64_t)(hi - lo));
}

/* All year long, and often close to midnights (months' ends and changes of the clock too). */
static int64_t random_time(const struct mr_zone *z, int64_t from, int64_t to) {
    int64_t t = within(from, to);
    if (next_random(&rng) % 2) {
        int64_t m = mr_zone_midnight(z, mr_zone_date(z, t));
        t = m + within(-3, 4) * (int64_t)(next_random(&rng) % 3600) * 1000000;
        t = next_random(&rng) % 8 ? t : m - (int64_t)(next_random(&rng) % 2); /* on the edge */
    }
    return t < from ? from : t >= to ? to - 1 : t;
}

static void make(const struct mr_zone *z, int64_t from, int64_t to) {
    for (int i = 0; i < EVENTS; i++) {
        struct event *v = &list[i];
        int what = (int)(next_random(&rng) % 20);
        *v = (struct event){
            .at_us = random_time(z, from, to),
            .end_user = next_random(&rng) % 5 ? user_id[next_random(&rng) % USERS] : 0,
            .amount = within(1, INT64_C(1) << (1 + next_random(&rng) % 40)),
            .currency = (int)(next_random(&rng) % 3),
            .model = (int)(next_random(&rng) % 4),
            .book = next_random(&rng) % 2 ? MR_BOOK_SUBSCRIPTION : MR_BOOK_MICRO_PAYMENT};
        v->kind = what < 16   ? MR_ENTRY_CHARGE
                  : what < 18 ? MR_ENTRY_INCOME
                  : what < 19 ? MR_ENTRY_REFUND
                              : MR_ENTRY_DISPUTE;
        if (v->kind == MR_ENTRY_CHARGE) {
            v->currency = 0;
            v->amount -= v->amount == 1; /* some cost nothing */
            v->tokens = (struct mr_usage_tokens){within(0, 100000), within(0, 100), within(0, 100),
                                                 within(0, 9999)};
        }
    }
}

static int write_charge(struct mr_tx *tx, const struct event *v, struct mr_err *e) {
    struct mr_reserve r = {.who = &f.who,
                           .family = "tasks",
                           .provider = provider[v->model],
                           .model = model[v->model],
                           .price_version = MR_LIT("v")};
    struct mr_settle s = {.provider = r.provider,
                          .model = r.model,
                          .price_version = r.price_version,
                          .tokens = v->tokens,
                          .cost_nano = v->amount};
    struct mr_hold h;
    int rc = mr_hold_take(f.led, &r, &h, e);
    if (rc)
        return rc;
    r.end_user = v->end_user; /* as tasks do: known after the hold */
    rc = mr_charge_open_in(f.led, tx, &h, &r, e);
    if (rc == 0)
        rc = mr_charge_settle_at(f.led, tx, h.charge, &s, v->at_us, e);
    mr_hold_end(f.led, &h, v->amount);
    return rc;
}

static int write_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct event *v = arg;
    for (int i = 0; i < 100; i++, v++) {
        struct mr_posting p = {.kind = v->kind,
                               .income = v->book,
                               .account = f.who.account,
                               .end_user = v->end_user,
                               .amount_nano = v->amount,
                               .currency = currency[v->currency],
                               .ref = MR_LIT("cs_1"),
                               .at_us = v->at_us};
        int rc = v->kind == MR_ENTRY_CHARGE ? write_charge(tx, v, e)
                                            : mr_ledger_post_in(f.led, tx, &p, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int users_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)arg;
    for (int i = 0; i < USERS; i++) {
        int rc = mr_end_user_in(f.led, tx, f.who.account, mr_str(user_name[i]), &user_id[i], e);
        if (rc)
            return rc;
    }
    return 0;
}

/* What the list says. */
static struct sum expected(const struct mr_report_query *q, int cur, int of_model) {
    struct sum s = {0};
    for (int i = 0; i < EVENTS; i++) {
        const struct event *v = &list[i];
        if (v->currency != cur || v->at_us < q->from_us || v->at_us >= q->to_us ||
            (q->one_end_user && v->end_user != q->end_user))
            continue;
        if (v->kind == MR_ENTRY_CHARGE && (of_model < 0 || of_model == v->model)) {
            s.requests++;
            s.expense += v->amount;
            s.input += v->tokens.input;
            s.cached += v->tokens.cached;
            s.write += v->tokens.cache_write;
            s.output += v->tokens.output;
        } else if (v->kind != MR_ENTRY_CHARGE && of_model < 0) {
            int64_t a = v->kind == MR_ENTRY_INCOME ? v->amount : -v->amount;
            s.income += a;
            *(v->book == MR_BOOK_SUBSCRIPTION ? &s.subscription : &s.micro) += a;
        }
    }
    return s;
}

static struct sum add_lines(const struct mr_report_line *l, size_t n, int cur) {
    struct sum s = {0};
    for (size_t i = 0; i < n; i++) {
        if (!mr_str_eq(l[i].currency, currency[cur]))
            continue;
        s.requests += l[i].requests;
        s.income += l[i].income_nano;
        s.subscription += l[i].subscription_nano;
        s.micro += l[i].micro_nano;
        s.expense += l[i].expense_nano;
        s.input += l[i].tokens.input;
        s.cached += l[i].tokens.cached;
        s.write += l[i].tokens.cache_write;
        s.output += l[i].tokens.output;
    }
    return s;
}

static bool is(const struct sum *a, const struct sum *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* Each day's line is that day's events. */
static void check_days(const struct mr_zone *z, const struct mr_report_query *q,
                       const struct mr_report_line *l, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int cur = 0;
        struct mr_report_query day = *q;
        struct mr_date first, d = mr_zone_date(z, l[i].period_us);
        mr_zone_period(z, MR_PERIOD_DAY, d, &first, &day.from_us, &day.to_us);
        CHECK(day.from_us == l[i].period_us);
        if (day.from_us < q->from_us || day.to_us > q->to_us)
            continue;
        while (cur < 2 && !mr_str_eq(l[i].currency, currency[cur]))
            cur++;
        struct sum want = expected(&day, cur, -1), got = add_lines(&l[i], 1, cur);
        CHECK(is(&got, &want));
        CHECK(i == 0 || !mr_str_eq(l[i].currency, l[i - 1].currency) ||
              l[i].period_us > l[i - 1].period_us);
    }
}

static size_t check_range(const struct mr_zone *z, const struct mr_report_query *q,
                          const char *what) {
    static const enum mr_report_by by[] = {MR_BY_TOTAL, MR_BY_DAY, MR_BY_MODEL, MR_BY_END_USER};
    struct mr_err e = {0};
    size_t lines = 0;
    mr_arena_reset(&arena);
    for (int k = 0; k < 4; k++) {
        struct mr_report_line *l;
        size_t n = 0;
        if (mr_report(f.led, q, by[k], &arena, &l, &n, &e)) {
            CHECK_STR(e.msg, "");
            return 0;
        }
        lines += n;
        for (int cur = 0; cur < 3; cur++) {
            struct sum want = expected(q, cur, -1), got = add_lines(l, n, cur);
            if (!is(&got, &want)) {
                fprintf(stderr, "%s, grouping %d, %s: expense %lld, want %lld\n", what, k,
                        currency[cur].p, (long long)got.expense, (long long)want.expense);
                mr_test_failed_++;
            }
        }
        if (by[k] == MR_BY_DAY)
            check_days(z, q, l, n);
        for (size_t i = 0; by[k] == MR_BY_MODEL && i < n; i++) {
            for (int m = 0; m < 4; m++) {
                struct sum want = expected(q, 0, m), got = add_lines(&l[i], 1, 0);
                CHECK(!mr_str_eq(l[i].model, model[m]) ||
                      (is(&got, &want) && mr_str_eq(l[i].provider, provider[m])));
            }
        }
        for (size_t i = 0; by[k] == MR_BY_END_USER && i < n; i++) {
            struct mr_report_query one = *q;
            int cur = 0;
            CHECK_INT(l[i].period_us, 0);
            if (!l[i].end_user.p || q->one_end_user)
                continue;
            CHECK_INT(mr_end_user_find(f.led, f.who.account, l[i].end_user, &one.end_user, &e), 0);
            one.one_end_user = true;
            while (cur < 2 && !mr_str_eq(l[i].currency, currency[cur]))
                cur++;
            struct sum want = expected(&one, cur, -1), got = add_lines(&l[i], 1, cur);
            CHECK(is(&got, &want));
        }
        CHECK(n == 0 || by[k] == MR_BY_DAY || !mr_str_eq(l[n - 1].currency, MR_LIT("usd")) ||
              mr_str_eq(l[0].currency, MR_LIT("usd"))); /* dollars first */
    }
    return lines;
}

static void a_year(const char *zone, uint64_t seed) {
    struct mr_err e = {0};
    const struct mr_zone *z = NULL;
    struct mr_date jan = {2025, 1, 1}, next = {2026, 1, 1};
    rng = seed;
    fixture_begin(&f, NULL);
    mr_arena_init(&arena, 64 << 20);
    CHECK_INT(mr_budget_set(f.led, f.who.account, -1, mr_str(zone), &e), 0);
    CHECK_INT(mr_ledger_zone(f.led, f.who.account, &z, &e), 0);
    CHECK_STR(mr_zone_name(z).p, zone);
    CHECK_INT(mr_db_write(f.db, users_tx, NULL, &e), 0);
    int64_t from = mr_zone_midnight(z, jan), to = mr_zone_midnight(z, next);
    make(z, from, to);
    /* mr_hold_take reads the database when the account is new, which a write may not */
    struct mr_budget b;
    CHECK_INT(mr_budget_account(f.led, f.who.account, &b, &e), 0);
    CHECK_INT(mr_budget_key(f.led, f.who.account, f.who.key, &b, &e), 0);
    for (int i = 0; i < EVENTS; i += 100) {
        CHECK_INT(mr_db_write(f.db, write_tx, &list[i], &e), 0);
        if (next_random(&rng) % 3 == 0) /* folds of random size */
            CHECK_INT(mr_ledger_fold(f.led, &e), 0);
    }
    struct mr_report_query q = {.account = f.who.account, .from_us = from, .to_us = to};
    size_t lines = check_range(z, &q, "year"), ranges = 1;
    q.one_end_user = true;
    q.end_user = user_id[2];
    lines += check_range(z, &q, "a user's year");
    q.one_end_user = false;
    for (int m = 1; m <= 12; m++) {
        struct mr_date d = {2025, (int8_t)m, 1}, first;
        mr_zone_period(z, MR_PERIOD_MONTH, d, &first, &q.from_us, &q.to_us);
        lines += check_range(z, &q, "month");
        ranges++;
    }
    for (int i = 0; i < 30; i++) {
        struct mr_date d = mr_zone_date(z, within(from, to)), first;
        int64_t unused;
        mr_zone_period(z, i % 2 ? MR_PERIOD_DAY : MR_PERIOD_WEEK, d, &first, &q.from_us, &q.to_us);
        if (i % 5 == 0) /* some days in a row */
            mr_zone_period(z, MR_PERIOD_DAY, mr_zone_date(z, q.to_us + within(0, 40) * 86400000000),
                           &first, &unused, &q.to_us);
        lines += check_range(z, &q, "days");
        ranges++;
    }
    e = (struct mr_err){0};
    CHECK_INT(mr_ledger_check(f.led, &e), 0);
    CHECK_STR(e.msg, "");
    printf("%s, seed %llu: %zu ranges, %zu lines\n", zone, (unsigned long long)seed, ranges, lines);
    mr_arena_release(&arena);
    fixture_end(&f);
}

MR_TEST(sums_agree) {
    const char *given = getenv("MILLRACE_SEED");
    int64_t start = mr_now_us();
    if (given && !mr_str_i64(mr_str(given), 0, INT64_MAX, &start))
        exit(2);
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
        a_year(zones[i], (uint64_t)start + (given ? 0 : i));
}

/* Each kind of damage is seen, else the check proves nothing. */
static int damage_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, arg, &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

MR_TEST(the_check_sees_damage) {
    static const char *const harm[][2] = {
        {"UPDATE ledger SET amount = amount + 1 WHERE id = 5", "roll-ups differ"},
        {"UPDATE spend_quarters SET input = input + 1 WHERE input > 0", "roll-ups differ"},
        {"DELETE FROM spend_quarters WHERE kind = 2", "roll-ups differ"},
        {"UPDATE ledger SET credit = 2 WHERE kind = 2", "an entry's books"},
        {"UPDATE ledger SET amount = -1 WHERE id = 9", "an entry's books"},
        {"UPDATE charges SET state = 2, entry = 0 WHERE id = 3", "does not know it"},
        {"UPDATE charges SET entry = 1000000 WHERE id = 3", "does not know it"},
        {"DELETE FROM ledger WHERE charge = 3", "has no entry"},
        {"INSERT INTO charges SELECT id + 100000, account, key_id, family, provider, model, "
         "price_version, end_user, reserved, created_at, 2, 1, 7 FROM charges WHERE id = 3",
         "that is not settled has an entry"},
        {"INSERT INTO charges SELECT 0, account, key_id, family, provider, model, price_version, "
         "end_user, reserved, created_at, 0, 0, 0 FROM charges WHERE id = 3",
         "below the mark"},
        {"INSERT INTO ledger SELECT id + 100000, at, kind, debit, credit, amount, currency, "
         "account, key_id, end_user, provider, model, price_version, charge, input, cached, "
         "cache_write, output, estimated, ref FROM ledger WHERE charge = 3",
         "more than one entry"},
    };
    for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
        struct mr_err e = {0};
        rng = 1;
        fixture_begin(&f, NULL);
        make(f.utc, INT64_C(1750000000000000), INT64_C(1760000000000000));
        for (int k = 0; k < EVENTS; k++)
            list[k].end_user = 0;
        struct mr_budget b;
        mr_budget_key(f.led, f.who.account, f.who.key, &b, &e);
        mr_budget_account(f.led, f.who.account, &b, &e);
        CHECK_INT(mr_db_write(f.db, write_tx, list, &e), 0);
        CHECK_INT(mr_ledger_check(f.led, &e), 0);
        CHECK_INT(mr_db_write(f.db, damage_tx, (void *)(uintptr_t)harm[i][0], &e), 0);
        CHECK_INT(mr_ledger_check(f.led, &e), MR_EINTERNAL);
        if (!strstr(e.msg, harm[i][1]))
            CHECK_STR(e.msg, harm[i][1]);
        fixture_end(&f);
    }
}

MR_TEST_MAIN(CASE(sums_agree), CASE(the_check_sees_damage))
