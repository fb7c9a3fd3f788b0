/* Inside of time zones: calendar arithmetic, the parsed file, the POSIX rule behind it. */
#ifndef MR_CORE_MONEY_ZONE_PRIV_H
#define MR_CORE_MONEY_ZONE_PRIV_H

#include "core/money/zone.h"

#include <stdbool.h>

#define MR_ZONE_NAME_MAX 63

/* Proleptic Gregorian calendar: days since 1970-01-01. */
int64_t mr_days_of(int64_t year, int month, int day);
struct mr_date mr_date_of_days(int64_t days);
bool mr_leap_year(int64_t year);

struct mr_zone_when { /* when a rule takes effect in a year */
    char kind;        /* 'M' month.week.day, 'J' day without leap day, 'n' day with it */
    int16_t month, week, day;
    int32_t second; /* local time of day; may be negative or over a day */
};
struct mr_zone_rule {
    bool present, dst;
    int32_t std_off, dst_off; /* seconds east */
    struct mr_zone_when start, end;
};
/* A TZ string: "CET-1CEST,M3.5.0,M10.5.0/3". */
bool mr_zone_rule_parse(struct mr_str s, struct mr_zone_rule *ret);
/* The last change at or before t (s) and the offset from then on. */
int32_t mr_zone_rule_offset(const struct mr_zone_rule *r, int64_t t);
/* The first change after t; false when there is none. */
bool mr_zone_rule_next(const struct mr_zone_rule *r, int64_t t, int64_t *ret);

struct mr_zone {
    char name[MR_ZONE_NAME_MAX + 1];
    int64_t *at;  /* n: changes, seconds, rising */
    int32_t *off; /* n: offset from at[i] on */
    uint32_t n;
    int32_t first_off;        /* before at[0] */
    struct mr_zone_rule rule; /* after at[n - 1] */
};
/* The bytes of a TZif file, version 2 or later. MR_EINVAL. */
int mr_zone_parse(struct mr_str name, struct mr_str bytes, struct mr_zone **ret, struct mr_err *e);

#endif
