#include "core/money/zone_priv.h"

#include <stdio.h>

enum { DAY = 86400, US = 1000000 };

int64_t mr_days_of(int64_t year, int month, int day) {
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

struct mr_date mr_date_of_days(int64_t days) {
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    return (struct mr_date){(int32_t)(yoe + era * 400 + (month <= 2)), (int8_t)month,
                            (int8_t)(doy - (153 * mp + 2) / 5 + 1)};
}

bool mr_leap_year(int64_t y) {
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* Index of the first change after t. */
static uint32_t after(const struct mr_zone *z, int64_t t) {
    uint32_t lo = 0, hi = z->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (z->at[mid] <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int32_t offset_at(const struct mr_zone *z, int64_t t) {
    uint32_t i = after(z, t);
    if (i == z->n && z->rule.present)
        return mr_zone_rule_offset(&z->rule, t);
    return i ? z->off[i - 1] : z->first_off;
}

static bool next_change(const struct mr_zone *z, int64_t t, int64_t *ret) {
    uint32_t i = after(z, t);
    if (i == z->n)
        return z->rule.present && mr_zone_rule_next(&z->rule, t, ret);
    *ret = z->at[i];
    return true;
}

int32_t mr_zone_offset(const struct mr_zone *z, int64_t wall_us) {
    return offset_at(z, floor_div(wall_us, US));
}

struct mr_date mr_zone_date(const struct mr_zone *z, int64_t wall_us) {
    int64_t t = floor_div(wall_us, US);
    return mr_date_of_days(floor_div(t + offset_at(z, t), DAY));
}

/* The first moment whose local time is at or after `local`: stretches of one offset are looked
 * through in order, from a day before any offset could reach. */
static int64_t first_at(const struct mr_zone *z, int64_t local) {
    int64_t from = local - 2 * DAY;
    for (;;) { /* ends at a stretch that begins after `local` in every zone */
        int64_t off = offset_at(z, from), to = INT64_MAX;
        bool more = next_change(z, from, &to);
        int64_t t = local - off > from ? local - off : from;
        if (!more || t < to)
            return t;
        from = to;
    }
}

int64_t mr_zone_midnight(const struct mr_zone *z, struct mr_date d) {
    return first_at(z, mr_days_of(d.year, d.month, d.day) * DAY) * US;
}

struct mr_date mr_date_next(struct mr_date d) {
    return mr_date_of_days(mr_days_of(d.year, d.month, d.day) + 1);
}

void mr_zone_period(const struct mr_zone *z, enum mr_period p, struct mr_date d,
                    struct mr_date *ret_first, int64_t *ret_from_us, int64_t *ret_to_us) {
    int64_t first = mr_days_of(d.year, d.month, d.day), next = first + 1;
    if (p == MR_PERIOD_WEEK) {
        int64_t monday = floor_div(first + 3, 7) * 7 - 3; /* 1969-12-29 was one */
        first = monday;
        next = monday + 7;
    } else if (p == MR_PERIOD_MONTH) {
        first = mr_days_of(d.year, d.month, 1);
        next = d.month == 12 ? mr_days_of((int64_t)d.year + 1, 1, 1)
                             : mr_days_of(d.year, d.month + 1, 1);
    }
    *ret_first = mr_date_of_days(first);
    *ret_from_us = first_at(z, first * DAY) * US;
    *ret_to_us = first_at(z, next * DAY) * US;
}

void mr_zone_print(const struct mr_zone *z, int64_t wall_us, char out[MR_LOCAL_TIME_LEN]) {
    int64_t t = floor_div(wall_us, US), us = wall_us - t * US;
    int64_t local = t + offset_at(z, t), days = floor_div(local, DAY), s = local - days * DAY;
    struct mr_date d = mr_date_of_days(days);
    char text[80];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06d", (int)d.year, d.month, d.day,
             (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60), (int)us);
    memcpy(out, text, MR_LOCAL_TIME_LEN - 1);
    out[MR_LOCAL_TIME_LEN - 1] = '\0';
}

bool mr_date_parse(struct mr_str s, struct mr_date *ret) {
    static const int8_t length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-')
        return false;
    int64_t y, m, d;
    for (size_t i = 0; i < 10; i++)
        if (i != 4 && i != 7 && (s.p[i] < '0' || s.p[i] > '9'))
            return false;
    y = (s.p[0] - '0') * 1000 + (s.p[1] - '0') * 100 + (s.p[2] - '0') * 10 + (s.p[3] - '0');
    m = (s.p[5] - '0') * 10 + (s.p[6] - '0');
    d = (s.p[8] - '0') * 10 + (s.p[9] - '0');
    if (y < 1 || m < 1 || m > 12 || d < 1 || d > length[m - 1] + (m == 2 && mr_leap_year(y)))
        return false;
    *ret = (struct mr_date){(int32_t)y, (int8_t)m, (int8_t)d};
    return true;
}
