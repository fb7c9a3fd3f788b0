/* Cron expressions: five fields (minute, hour, day of month, month, day of week) of numbers, names
 * (jan … dec, sun … sat; 7 is Sunday too), ranges, lists, steps and "*", as in crontab(5); and
 * @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually. When neither day field begins
 * with "*", a day that fits either of them fits.
 *
 * In a zone with summer time: where the hour field begins with "*" the expression means whatever
 * the clock on the wall shows, so an hour that is skipped has no runs and one that comes twice has
 * its runs twice. Otherwise each time of the day means one run: at the moment the clock jumps over
 * it, and at the first of two. Pure, thread-safe. */
#ifndef MR_CORE_JOBS_CRON_H
#define MR_CORE_JOBS_CRON_H

#include "base/err.h"
#include "core/money/zone.h"

struct mr_cron {
    uint64_t minute;
    uint32_t hour, day, month;           /* bit n: value n */
    uint8_t weekday;                     /* bit 0: Sunday */
    bool any_day, any_weekday, any_hour; /* the field began with "*" */
};
/* MR_EFIELD naming "cron". */
int mr_cron_parse(struct mr_str s, struct mr_cron *ret, struct mr_err *e);
/* The first time after `after_us`, a whole minute of the zone's clock (NULL: UTC). false: there is
 * none within nine years ("0 0 30 2 *"). */
bool mr_cron_next(const struct mr_cron *c, const struct mr_zone *z, int64_t after_us,
                  int64_t *ret_us);

#endif
