/* Time zones against golden.txt (Python's zoneinfo, tests/data/zones/make_zones.py). */
#include "base/cleanup.h"
#include "core/money/zone_priv.h"
#include "mr_test.h"

#define GOLDEN MR_SRC_DIR "/tests/data/zones/golden.txt"
#define US     INT64_C(1000000)

static struct mr_str word(struct mr_str *rest) {
    return mr_str_cut(rest, ' ');
}

static int64_t number(struct mr_str s) {
    int64_t v = 0;
    if (!mr_str_i64(s, INT64_MIN, INT64_MAX, &v)) {
        fprintf(stderr, "golden.txt: '%.*s'\n", (int)s.n, s.p);
        exit(2);
    }
    return v;
}

static void same(const char *what, struct mr_str name, int64_t t, int64_t got, int64_t want) {
    if (got != want) {
        fprintf(stderr, "%s %.*s at %lld: is %lld, want %lld\n", what, (int)name.n, name.p,
                (long long)t, (long long)got, (long long)want);
        mr_test_failed_++;
    }
}

static int64_t utc_offset(const struct mr_zone *z, const struct mr_zone_rule *r, int64_t t) {
    return z ? mr_zone_offset(z, t * US) : mr_zone_rule_offset(r, t);
}

/* "<offset> <time:offset> …": before and at each change, and in the middle between two. */
static size_t follow(const char *what, struct mr_str name, struct mr_str rest,
                     const struct mr_zone *z, const struct mr_zone_rule *r, int64_t from) {
    int64_t off = number(word(&rest)), last = from;
    size_t n = 1;
    same(what, name, from, utc_offset(z, r, from), off);
    while (rest.p) {
        struct mr_str pair = word(&rest), t_text = mr_str_cut(&pair, ':');
        int64_t t = number(t_text), next = number(pair), found = 0;
        same(what, name, t - 1, utc_offset(z, r, t - 1), off);
        same(what, name, t, utc_offset(z, r, t), next);
        same(what, name, last + (t - last) / 2, utc_offset(z, r, last + (t - last) / 2), off);
        if (r && mr_zone_rule_next(r, last, &found))
            same("next change of", name, last, found, t);
        off = next;
        last = t;
        n += 3;
    }
    return n;
}

static void midnight(const struct mr_zone *z, struct mr_str name, struct mr_str rest) {
    struct mr_date d, first;
    int64_t from, to;
    struct mr_str day = word(&rest);
    if (!mr_date_parse(day, &d))
        exit(2);
    int64_t want = number(rest), got = mr_zone_midnight(z, d) / US;
    same("midnight", name, want, got, want);
    mr_zone_period(z, MR_PERIOD_DAY, d, &first, &from, &to);
    CHECK(from == got * US && to >= from && mr_zone_midnight(z, mr_date_next(d)) == to);
}

MR_TEST(agrees_with_zoneinfo) {
    MR_AUTO_FCLOSE FILE *f = fopen(GOLDEN, "r");
    static char line[20000];
    struct mr_zone *z = NULL;
    struct mr_err e = {0};
    size_t zones = 0, rules = 0, days = 0, points = 0;
    if (!f)
        exit(2);
    while (fgets(line, sizeof line, f)) {
        struct mr_str rest = mr_strn(line, strcspn(line, "\n")), kind = word(&rest);
        struct mr_str name = word(&rest);
        struct mr_zone_rule r;
        if (mr_str_is(kind, "Z")) {
            mr_zone_free(z);
            z = NULL;
            CHECK_INT(mr_zone_open(name, &z, &e), 0);
            if (!z) {
                fprintf(stderr, "%s\n", e.msg);
                return;
            }
            points += follow("zone", name, rest, z, NULL, 0);
            zones++;
        } else if (mr_str_is(kind, "R")) {
            bool ok = mr_zone_rule_parse(name, &r);
            CHECK(ok);
            if (ok)
                points += follow("rule", name, rest, NULL, &r, 1767225600);
            rules++;
        } else {
            midnight(z, name, rest);
            days++;
        }
    }
    mr_zone_free(z);
    printf("%zu zones, %zu rules, %zu days, %zu moments\n", zones, rules, days, points);
    CHECK(zones >= 40 && rules >= 15 && days > 900 && points > 5000);
}

/* Every installed zone: days have no gap, changes are met, times print back. */
MR_TEST(days_follow_each_other) {
    static const char *const names[] = {"Pacific/Apia",       "America/Sao_Paulo", "America/Havana",
                                        "Africa/Casablanca",  "America/St_Johns",  "Asia/Gaza",
                                        "Australia/Lord_Howe"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct mr_zone *z;
        struct mr_err e = {0};
        if (mr_zone_open(mr_str(names[i]), &z, &e)) {
            CHECK_STR(e.msg, "");
            continue;
        }
        CHECK_STR(mr_zone_name(z).p, names[i]);
        struct mr_date d = {1972, 1, 1};
        int64_t at = mr_zone_midnight(z, d);
        while (d.year < 2041) {
            struct mr_date first;
            int64_t from, to;
            mr_zone_period(z, MR_PERIOD_DAY, d, &first, &from, &to);
            int64_t hours = (to - from) / US / 1800;
            if (from != at || (hours != 0 && (hours < 44 || hours > 52)) || to % 900 != 0) {
                fprintf(stderr, "%s %d-%d-%d: %lld half hours\n", names[i], d.year, d.month, d.day,
                        (long long)hours);
                mr_test_failed_++;
            }
            at = to;
            d = mr_date_next(d);
        }
        mr_zone_free(z);
    }
}

static void period(const struct mr_zone *z, enum mr_period p, const char *of, const char *first,
                   int64_t from, int64_t to) {
    struct mr_date d, f, want;
    int64_t a, b;
    CHECK(mr_date_parse(mr_str(of), &d) && mr_date_parse(mr_str(first), &want));
    mr_zone_period(z, p, d, &f, &a, &b);
    CHECK(f.year == want.year && f.month == want.month && f.day == want.day);
    CHECK_INT(a / US, from);
    CHECK_INT(b / US, to);
}

MR_TEST(periods) {
    struct mr_zone *z;
    struct mr_err e = {0};
    CHECK_INT(mr_zone_open(MR_LIT("Europe/Berlin"), &z, &e), 0);
    period(z, MR_PERIOD_DAY, "2026-03-29", "2026-03-29", 1774738800, 1774821600);   /* 23 h */
    period(z, MR_PERIOD_WEEK, "2026-03-29", "2026-03-23", 1774220400, 1774821600);  /* Sunday */
    period(z, MR_PERIOD_WEEK, "2026-03-23", "2026-03-23", 1774220400, 1774821600);  /* Monday */
    period(z, MR_PERIOD_MONTH, "2026-03-31", "2026-03-01", 1772319600, 1774994400); /* 743 h */
    period(z, MR_PERIOD_MONTH, "2026-12-05", "2026-12-01", 1796079600, 1798758000);
    char out[MR_LOCAL_TIME_LEN];
    mr_zone_print(z, 1736933400000001, out);
    CHECK_STR(out, "2025-01-15T10:30:00.000001");
    mr_zone_print(z, -1, out);
    CHECK_STR(out, "1970-01-01T00:59:59.999999");
    mr_zone_free(z);
    CHECK_INT(mr_zone_open(MR_LIT("UTC"), &z, &e), 0);
    period(z, MR_PERIOD_WEEK, "1970-01-01", "1969-12-29", -259200, 345600);
    mr_zone_free(z);
}

/* Days of a rule counted from zero, leap days included; the moments are glibc's. */
MR_TEST(zero_based_days) {
    struct mr_zone_rule r;
    CHECK(mr_zone_rule_parse(MR_LIT("CCC-3DDD,59,299/1"), &r));
    CHECK_INT(mr_zone_rule_offset(&r, 1772319599), 10800);
    CHECK_INT(mr_zone_rule_offset(&r, 1772319600), 14400);
    CHECK_INT(mr_zone_rule_offset(&r, 1793048399), 14400);
    CHECK_INT(mr_zone_rule_offset(&r, 1793048400), 10800);
}

MR_TEST(refuses_names_and_dates) {
    static const char *const names[] = {
        "",
        ".",
        "..",
        "/etc/passwd",
        "../../../etc/passwd",
        "Europe/../../../../etc/passwd",
        "Europe/Berlin/",
        "Europe//Berlin",
        "Europe/.Berlin",
        "Europe",
        "Mars/Olympus",
        "zone.tab",
        "tzdata.zi",
        "leapseconds",
        "Europe/Berlin\n",
        "A23456789B23456789C23456789D23456789E23456789F23456789G234"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct mr_zone *z = NULL;
        struct mr_err e = {0};
        CHECK_INT(mr_zone_open(mr_str(names[i]), &z, &e), MR_EFIELD);
        CHECK_STR(e.field, "timezone");
        CHECK(e.msg[0] && !z);
    }
    CHECK_INT(mr_zone_open(mr_strn("UTC\0x", 5), &(struct mr_zone *){NULL}, NULL), MR_EFIELD);
    struct mr_date d;
    CHECK(mr_date_parse(MR_LIT("2024-02-29"), &d) && d.year == 2024 && d.month == 2 && d.day == 29);
    static const char *const dates[] = {"2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01",
                                        "2024-01-00", "2024-04-31", "2024-1-01",  "2024-01-011",
                                        "0000-01-01", "20a4-01-01", "",           "2024/01/01"};
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++)
        CHECK(!mr_date_parse(mr_str(dates[i]), &d));
    static const char *const rules[] = {"",          "CE-1",           "CET",
                                        "CET-1CEST", "CET-1CEST,M3",   "CET-1CEST,M13.1.0,M1.1.0",
                                        "CET-99",    "CET-1CEST,J0,1", "CET-1CEST,M3.5.0,M10.5.0x",
                                        "<CET-1",    "CET-1,M3.5.0",   "CET-1CEST,M3.5.0,M10.6.0"};
    struct mr_zone_rule r;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        CHECK(!mr_zone_rule_parse(mr_str(rules[i]), &r));
}

MR_TEST(refuses_damaged_files) {
    MR_AUTO_FCLOSE FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    static char b[8192], x[8192];
    size_t n = f ? fread(b, 1, sizeof b, f) : 0, refused = 0;
    CHECK(n > 500);
    struct mr_zone *z = NULL;
    CHECK_INT(mr_zone_parse(MR_LIT("x"), mr_strn(b, n), &z, NULL), 0);
    mr_zone_free(z);
    for (size_t cut = 0; cut + 1 < n; cut++) {
        z = NULL;
        CHECK(mr_zone_parse(MR_LIT("x"), mr_strn(b, cut), &z, NULL) == MR_EINVAL || cut > n - 30);
        mr_zone_free(z);
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(x, b, n);
        x[i] = (char)(x[i] ^ 0x80);
        z = NULL;
        refused += mr_zone_parse(MR_LIT("x"), mr_strn(x, n), &z, NULL) != 0;
        if (z)
            mr_zone_offset(z, 1700000000 * US);
        mr_zone_free(z);
    }
    CHECK(refused > 100);
    /* the second block's types: each must be one that the file has */
    const uint8_t *u = (const uint8_t *)b + 20;
    size_t n_of[6], at = 44;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 6; i++, u += 4)
            n_of[i] = (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
        if (k == 0) {
            at += n_of[3] * 5 + n_of[4] * 6 + n_of[5] + n_of[2] * 8 + n_of[1] + n_of[0];
            u = (const uint8_t *)b + at + 20;
        }
    }
    at += 44 + n_of[3] * 8;
    CHECK(n_of[3] > 100 && at + n_of[3] < n);
    for (size_t i = 0; i < n_of[3]; i++) {
        memcpy(x, b, n);
        x[at + i] = (char)n_of[4];
        z = NULL;
        CHECK_INT(mr_zone_parse(MR_LIT("x"), mr_strn(x, n), &z, NULL), MR_EINVAL);
        mr_zone_free(z);
    }
}

MR_TEST_MAIN(CASE(agrees_with_zoneinfo), CASE(days_follow_each_other), CASE(periods),
             CASE(zero_based_days), CASE(refuses_names_and_dates), CASE(refuses_damaged_files))
