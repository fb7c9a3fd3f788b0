#include "core/money/zone_priv.h"

enum { DAY = 86400 };

static bool digits(const char **p, const char *end, int lo, int hi, int *ret) {
    int v = 0, n = 0;
    while (*p < end && **p >= '0' && **p <= '9' && n < 4) {
        v = v * 10 + (*(*p)++ - '0');
        n++;
    }
    *ret = v;
    return n > 0 && v >= lo && v <= hi;
}

static bool take(const char **p, const char *end, char c) {
    bool is = *p < end && **p == c;
    *p += is;
    return is;
}

static bool name(const char **p, const char *end) {
    const char *start = *p;
    if (take(p, end, '<')) {
        while (*p < end && **p != '>')
            (*p)++;
        return take(p, end, '>');
    }
    while (*p < end && ((**p >= 'a' && **p <= 'z') || (**p >= 'A' && **p <= 'Z')))
        (*p)++;
    return *p - start >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool time_of(const char **p, const char *end, int hours, int32_t *ret) {
    bool minus = take(p, end, '-');
    if (!minus)
        take(p, end, '+');
    int h, m = 0, s = 0;
    if (!digits(p, end, 0, hours, &h))
        return false;
    if (take(p, end, ':')) {
        if (!digits(p, end, 0, 59, &m))
            return false;
        if (take(p, end, ':') && !digits(p, end, 0, 59, &s))
            return false;
    }
    int32_t v = h * 3600 + m * 60 + s;
    *ret = minus ? -v : v;
    return true;
}

static bool when(const char **p, const char *end, struct mr_zone_when *w) {
    int a, b, c;
    w->second = 2 * 3600;
    if (take(p, end, 'M')) {
        w->kind = 'M';
        if (!digits(p, end, 1, 12, &a) || !take(p, end, '.') || !digits(p, end, 1, 5, &b) ||
            !take(p, end, '.') || !digits(p, end, 0, 6, &c))
            return false;
        w->month = (int16_t)a;
        w->week = (int16_t)b;
        w->day = (int16_t)c;
    } else {
        w->kind = take(p, end, 'J') ? 'J' : 'n';
        if (!digits(p, end, w->kind == 'J', 365, &a))
            return false;
        w->day = (int16_t)a;
    }
    return !take(p, end, '/') || time_of(p, end, 167, &w->second);
}

bool mr_zone_rule_parse(struct mr_str s, struct mr_zone_rule *ret) {
    const char *p = s.p, *end = s.p + s.n;
    struct mr_zone_rule r = {.present = true};
    int32_t west;
    if (!name(&p, end) || !time_of(&p, end, 24, &west))
        return false;
    r.std_off = r.dst_off = -west;
    if (p < end) {
        r.dst = true;
        r.dst_off = r.std_off + 3600;
        if (!name(&p, end))
            return false;
        if (p < end && *p != ',') {
            if (!time_of(&p, end, 24, &west))
                return false;
            r.dst_off = -west;
        }
        if (!take(&p, end, ',') || !when(&p, end, &r.start) || !take(&p, end, ',') ||
            !when(&p, end, &r.end))
            return false;
    }
    if (p != end)
        return false;
    *ret = r;
    return true;
}

/* Local seconds since 1970 at which it takes effect in that year. */
static int64_t local_time(const struct mr_zone_when *w, int64_t year) {
    int64_t day;
    if (w->kind == 'M') {
        int64_t first = mr_days_of(year, w->month, 1);
        int weekday = (int)(((first + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
        day = first + (w->day - weekday + 7) % 7 + (w->week - 1) * 7;
        int64_t next =
            w->month == 12 ? mr_days_of(year + 1, 1, 1) : mr_days_of(year, w->month + 1, 1);
        if (day >= next)
            day -= 7;
    } else {
        day = mr_days_of(year, 1, 1) + w->day;
        if (w->kind == 'J')
            day += (mr_leap_year(year) && w->day >= 60) - 1;
    }
    return day * DAY + w->second;
}

static int64_t year_of(const struct mr_zone_rule *r, int64_t t) {
    int64_t local = t + r->std_off;
    return mr_date_of_days(local / DAY - (local % DAY < 0)).year;
}

int32_t mr_zone_rule_offset(const struct mr_zone_rule *r, int64_t t) {
    if (!r->dst)
        return r->std_off;
    int64_t y = year_of(r, t), best = INT64_MIN;
    int32_t off = r->std_off;
    for (int64_t k = y - 1; k <= y + 1; k++) {
        int64_t end = local_time(&r->end, k) - r->dst_off;
        int64_t start = local_time(&r->start, k) - r->std_off;
        if (end <= t && end > best) {
            best = end;
            off = r->std_off;
        }
        if (start <= t && start >= best) { /* at the same moment: DST all the year */
            best = start;
            off = r->dst_off;
        }
    }
    return off;
}

bool mr_zone_rule_next(const struct mr_zone_rule *r, int64_t t, int64_t *ret) {
    if (!r->dst)
        return false;
    int64_t y = year_of(r, t), best = INT64_MAX;
    for (int64_t k = y - 1; k <= y + 2; k++) {
        int64_t end = local_time(&r->end, k) - r->dst_off;
        int64_t start = local_time(&r->start, k) - r->std_off;
        if (end > t && end < best)
            best = end;
        if (start > t && start < best)
            best = start;
    }
    *ret = best;
    return true;
}
