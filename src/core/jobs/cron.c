#include "core/jobs/cron.h"

#include "core/money/zone_priv.h"

#define US        INT64_C(1000000)
#define DAY_S     INT64_C(86400)
#define DAYS_MAX  (9 * 366 + 2)
#define OFFSET_S  (26 * 3600) /* more than any zone is away from UTC */
#define FIELD_MAX 256u

/* --- parsing ------------------------------------------------------------------------------ */

struct field {
    const char *what;
    int lo, hi;
    const char *const *name; /* of lo, lo + 1, … */
    int n_name;
};

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
static const struct field fields[5] = {
    {"minute", 0, 59, NULL, 0},         {"hour", 0, 23, NULL, 0},
    {"day of month", 1, 31, NULL, 0},   {"month", 1, 12, months, 12},
    {"day of week", 0, 7, weekdays, 7},
};

static int bad(struct mr_err *e, const struct field *f, struct mr_str text) {
    return mr_fail_field(e, MR_EFIELD, "cron",
                         "the %s field \"%.*s\" of the cron expression is not understood", f->what,
                         (int)(text.n > 40 ? 40 : text.n), text.p ? text.p : "");
}

static bool number(const struct field *f, struct mr_str s, int *ret) {
    int64_t v;
    for (int i = 0; i < f->n_name; i++)
        if (mr_str_ieq(s, mr_str(f->name[i]))) {
            *ret = f->lo + i;
            return true;
        }
    if (s.n > 3 || !mr_str_i64(s, f->lo, f->hi, &v))
        return false;
    *ret = (int)v;
    return true;
}

/* "*", "a", "a-b", each with "/step" (not behind a lone number: "5/15" is from 5 to the end). */
static bool part(const struct field *f, struct mr_str s, uint64_t *bits) {
    struct mr_str step = s, range = mr_str_cut(&step, '/');
    int lo = f->lo, hi = f->hi;
    int64_t by = 1;
    if (step.p && !mr_str_i64(step, 1, 1000, &by))
        return false;
    if (!mr_str_is(range, "*")) {
        struct mr_str to = range, from = mr_str_cut(&to, '-');
        if (!number(f, from, &lo))
            return false;
        if (to.p ? !number(f, to, &hi) : !step.p)
            hi = to.p ? -1 : lo;
        if (hi < lo)
            return false;
    } else if (f->hi == 7)
        hi = 6;
    for (int v = lo; v <= hi; v += (int)by)
        *bits |= UINT64_C(1) << v;
    return true;
}

static int read_field(const struct field *f, struct mr_str s, uint64_t *ret, struct mr_err *e) {
    struct mr_str rest = s;
    uint64_t bits = 0;
    while (rest.p)
        if (!part(f, mr_str_cut(&rest, ','), &bits))
            return bad(e, f, s);
    *ret = bits;
    return 0;
}

static struct mr_str word(struct mr_str *rest) {
    while (rest->n && (rest->p[0] == ' ' || rest->p[0] == '\t')) {
        rest->p++;
        rest->n--;
    }
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    struct mr_str w = mr_strn(rest->p, n);
    *rest = mr_strn(rest->p + n, rest->n - n);
    return w;
}

static struct mr_str nickname(struct mr_str s) {
    static const struct {
        const char *name, *is;
    } known[] = {{"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
                 {"@weekly", "0 0 * * 0"},  {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
                 {"@annually", "0 0 1 1 *"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (mr_str_ieq(s, mr_str(known[i].name)))
            return mr_str(known[i].is);
    return s;
}

int mr_cron_parse(struct mr_str s, struct mr_cron *ret, struct mr_err *e) {
    struct mr_str rest = nickname(mr_str_trim(s)), text[5];
    uint64_t bits[5];
    if (rest.n > FIELD_MAX)
        return mr_fail_field(e, MR_EFIELD, "cron", "the cron expression is longer than %u bytes",
                             FIELD_MAX);
    for (int i = 0; i < 5; i++) {
        text[i] = word(&rest);
        if (!text[i].n)
            return mr_fail_field(e, MR_EFIELD, "cron",
                                 "a cron expression has five fields: minute, hour, day of month, "
                                 "month, day of week");
        int rc = read_field(&fields[i], text[i], &bits[i], e);
        if (rc)
            return rc;
    }
    if (mr_str_trim(rest).n)
        return mr_fail_field(e, MR_EFIELD, "cron",
                             "a cron expression has no more than five fields");
    *ret = (struct mr_cron){.minute = bits[0],
                            .hour = (uint32_t)bits[1],
                            .day = (uint32_t)bits[2],
                            .month = (uint32_t)bits[3],
                            .weekday = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f),
                            .any_hour = text[1].p[0] == '*',
                            .any_day = text[2].p[0] == '*',
                            .any_weekday = text[4].p[0] == '*'};
    return 0;
}

/* --- times -------------------------------------------------------------------------------- */

static int64_t offset(const struct mr_zone *z, int64_t t) {
    return z ? mr_zone_offset(z, t * US) : 0;
}

/* The moment at which the clock jumps over `local`: the offsets before and after differ. */
static int64_t jump(const struct mr_zone *z, int64_t local, int64_t lo, int64_t hi) {
    while (hi - lo > 1) { /* lo: the clock has not come to `local` yet; hi: it is past it */
        int64_t mid = lo + (hi - lo) / 2;
        if (mid + offset(z, mid) < local)
            lo = mid;
        else
            hi = mid;
    }
    return hi;
}

/* The first moment after `after` at which the run of the local second `local` happens. */
static bool moment(const struct mr_zone *z, int64_t local, bool any_hour, int64_t after,
                   int64_t *ret) {
    int64_t early = offset(z, local - OFFSET_S), late = offset(z, local + OFFSET_S);
    int64_t a = local - (early > late ? early : late), b = local - (early > late ? late : early);
    bool is_a = offset(z, a) == local - a, is_b = offset(z, b) == local - b;
    if (!is_a && !is_b) {
        if (any_hour)
            return false;
        a = jump(z, local, local - OFFSET_S, local + OFFSET_S);
        is_a = true;
    }
    if (is_a && a > after) {
        *ret = a;
        return true;
    }
    if (is_b && b > after && (any_hour || !is_a)) {
        *ret = b;
        return true;
    }
    return false;
}

static bool day_fits(const struct mr_cron *c, int64_t days) {
    struct mr_date d = mr_date_of_days(days);
    int64_t wd = (days + 4) % 7; /* 1970-01-01 was a Thursday */
    if (wd < 0)
        wd += 7;
    bool dom = c->day >> d.day & 1, dow = c->weekday >> wd & 1;
    if (!(c->month >> d.month & 1))
        return false;
    return c->any_day || c->any_weekday ? dom && dow : dom || dow;
}

static bool first_of_day(const struct mr_cron *c, const struct mr_zone *z, int64_t days,
                         int64_t after, int64_t *best) {
    bool found = false;
    if (!day_fits(c, days))
        return false;
    for (int h = 0; h < 24; h++)
        for (int m = 0; m < 60 && c->hour >> h & 1; m++) {
            int64_t t;
            if (c->minute >> m & 1 &&
                moment(z, days * DAY_S + h * 3600 + m * 60, c->any_hour, after, &t) &&
                (!found || t < *best)) {
                *best = t;
                found = true;
            }
        }
    return found;
}

bool mr_cron_next(const struct mr_cron *c, const struct mr_zone *z, int64_t after_us,
                  int64_t *ret_us) {
    int64_t after = after_us / US - (after_us % US < 0);
    int64_t local = after + offset(z, after);
    int64_t day = local / DAY_S - (local % DAY_S < 0) - 1;
    for (int64_t last = day + DAYS_MAX; day < last; day++) {
        int64_t t, next;
        if (!first_of_day(c, z, day, after, &t))
            continue;
        /* where the clock goes back over midnight, the next day's may come first */
        if (first_of_day(c, z, day + 1, after, &next) && next < t)
            t = next;
        *ret_us = t * US;
        return true;
    }
    return false;
}
