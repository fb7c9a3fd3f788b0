/* Cron expressions: their grammar, and a year of times against a walk through the year minute by
 * minute, in zones with summer time. */
#include "core/jobs/cron.h"
#include "core/money/zone_priv.h"
#include "mr_test.h"

#define MINUTE INT64_C(60)
#define US     INT64_C(1000000)

static struct mr_cron parse(const char *s) {
    struct mr_cron c = {0};
    struct mr_err e = {0};
    if (mr_cron_parse(mr_str(s), &c, &e)) {
        fprintf(stderr, "%s: %s\n", s, e.msg);
        mr_test_failed_++;
    }
    return c;
}

static bool refused(const char *s) {
    struct mr_cron c;
    struct mr_err e = {0};
    return mr_cron_parse(mr_str(s), &c, &e) == MR_EFIELD && !strcmp(e.field, "cron") && e.msg[0];
}

MR_TEST(the_grammar) {
    struct mr_cron c = parse("5,10-12,*/30 1-5/2 1 jan,Dec mon-FRI");
    CHECK(c.minute == (1ull << 5 | 7ull << 10 | 1 | 1ull << 30));
    CHECK_INT(c.hour, 1u << 1 | 1u << 3 | 1u << 5);
    CHECK_INT(c.day, 2);
    CHECK_INT(c.month, 1u << 1 | 1u << 12);
    CHECK_INT(c.weekday, 0x3e);
    CHECK(!c.any_hour && !c.any_day && !c.any_weekday);
    c = parse("  0\t*/6  * * 7 ");
    CHECK_INT(c.hour, 1 | 1 << 6 | 1 << 12 | 1 << 18);
    CHECK_INT(c.weekday, 1);
    CHECK(c.any_hour && c.any_day);
    CHECK_INT(parse("50/5 * * * *").minute >> 50, 1 | 1 << 5);
    CHECK_INT(parse("* * * * *").weekday, 0x7f);
    CHECK_INT(parse("* * * * 5-7").weekday, 0x61);
    CHECK_INT(parse("@daily").hour, 1);
    CHECK_INT(parse("@Weekly").weekday, 1);
    static const char *const bad[] = {"",
                                      "*",
                                      "* * * *",
                                      "* * * * * *",
                                      "60 * * * *",
                                      "* 24 * * *",
                                      "* * 0 * *",
                                      "* * 32 * *",
                                      "* * * 13 *",
                                      "* * * 0 *",
                                      "* * * * 8",
                                      "a * * * *",
                                      "1-  * * * *",
                                      "-1 * * * *",
                                      "5-1 * * * *",
                                      "*/0 * * * *",
                                      "1,, * * * *",
                                      ", * * * *",
                                      "*/ * * * *",
                                      "1- * * * *",
                                      "** * * * *",
                                      "* * * janu *",
                                      "@never",
                                      "+1 * * * *",
                                      "1--2 * * * *",
                                      "0x1 * * * *",
                                      "* * * * mon-sun",
                                      "1.5 * * * *"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!refused(bad[i])) {
            fprintf(stderr, "accepted: \"%s\"\n", bad[i]);
            mr_test_failed_++;
        }
    char many[600] = "";
    memset(many, '1', sizeof many - 1);
    CHECK(refused(many));
}

/* --- a year ------------------------------------------------------------------------------- */

static bool fits(const struct mr_cron *c, int64_t local) {
    int64_t days = local / 86400, s = local % 86400;
    struct mr_date d = mr_date_of_days(days);
    bool dom = c->day >> d.day & 1, dow = c->weekday >> ((days + 4) % 7) & 1;
    bool day = c->any_day && c->any_weekday ? true
               : c->any_day                 ? dow
               : c->any_weekday             ? dom
                                            : dom || dow;
    return c->minute >> (s / 60 % 60) & 1 && c->hour >> (s / 3600) & 1 && c->month >> d.month & 1 &&
           day;
}

/* Walks from `from` to `to` (s, UTC): a run that means the wall clock happens whenever it shows the
 * time; any other when the clock comes to it for the first time, or jumps over it. */
static size_t walk(const struct mr_cron *c, const struct mr_zone *z, int64_t from, int64_t to,
                   int64_t *at, size_t max) {
    int64_t seen = from - MINUTE + mr_zone_offset(z, (from - MINUTE) * US);
    size_t n = 0;
    for (int64_t t = from; t < to && n < max; t += MINUTE) {
        int64_t local = t + mr_zone_offset(z, t * US);
        bool run = false;
        if (c->any_hour)
            run = fits(c, local);
        else
            for (int64_t l = seen + MINUTE; l <= local && !run; l += MINUTE)
                run = fits(c, l);
        if (local > seen)
            seen = local;
        if (run)
            at[n++] = t;
    }
    return n;
}

static void year(const char *zone, const char *expression, int64_t from) {
    static int64_t want[600000];
    struct mr_cron c = parse(expression);
    struct mr_zone *z;
    struct mr_err e = {0};
    if (mr_zone_open(mr_str(zone), &z, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        mr_test_failed_++;
        return;
    }
    int64_t to = from + 366 * 86400, now = (from - 1) * US, next = 0;
    size_t n = walk(&c, z, from, to, want, sizeof want / sizeof *want), i = 0;
    /* every-minute expressions: the days around the changes are enough */
    for (; i < n; i++) {
        bool ok = mr_cron_next(&c, z, now, &next);
        if (!ok || next != want[i] * US) {
            fprintf(stderr, "%s, %s: run %zu is at %lld, want %lld\n", zone, expression, i,
                    (long long)(next / US), (long long)want[i]);
            mr_test_failed_++;
            break;
        }
        now = next;
    }
    CHECK(n > 0);
    mr_zone_free(z);
}

MR_TEST(a_year_of_times_across_summer_time) {
    static const char *const expressions[] = {
        "30 2 * * *", /* skipped in spring, twice in autumn, in Berlin */
        "0 2,3 * * *", "15,45 1-3 * * *",    "*/20 * * * *",  "7 */2 * * *",
        "0 0 * * *",   "0 0 1 * *",          "59 23 * * sun", "30 1 13 * fri",
        "0 12 29 2 *", "45 2 * mar,oct sun", "*/15 2 * * *",  "@hourly",
    };
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        year("Europe/Berlin", expressions[i], 1704067200);    /* 2024 */
        year("America/New_York", expressions[i], 1704067200); /* 2024 */
    }
    /* half an hour of summer time; a day that never was; midnight skipped */
    year("Australia/Lord_Howe", "15,45 1-2 * * *", 1704067200);
    year("Australia/Lord_Howe", "*/10 * * * *", 1704067200);
    year("Pacific/Apia", "30 10 * * *", 1314835200); /* from September 2011 */
    year("Pacific/Apia", "0 6 30 12 *", 1293840000); /* 2011 */
    year("America/Santiago", "0,30 0,23 * * *", 1704067200);
    year("Africa/Cairo", "30 0 * * *", 1704067200);
    year("UTC", "13 7 * * 1-5", 1704067200);
}

MR_TEST(never_and_rarely) {
    struct mr_cron c = parse("0 0 30 2 *");
    int64_t t;
    CHECK(!mr_cron_next(&c, NULL, 0, &t));
    c = parse("0 0 29 2 *");
    CHECK(mr_cron_next(&c, NULL, INT64_C(4078000000) * US, &t)); /* 2099: 2100 has no such day */
    CHECK_INT(t / US, INT64_C(4233686400));                      /* 2104-02-29 */
    c = parse("0 0 1 1 *");
    CHECK(mr_cron_next(&c, NULL, -1, &t));
    CHECK_INT(t, 0);
    CHECK(mr_cron_next(&c, NULL, 0, &t));
    CHECK_INT(t / US, 365 * 86400);
    CHECK(mr_cron_next(&c, NULL, -400 * 86400 * US, &t));
    CHECK_INT(t / US, -365 * 86400);
}

MR_TEST_MAIN(CASE(the_grammar), CASE(a_year_of_times_across_summer_time), CASE(never_and_rarely))
