/* Time zones by IANA name, from the system's TZif files (RFC 8536) and their POSIX footer, so that
 * days, weeks and months begin when they do on the operator's wall clock. Thread-safe after open.
 */
#ifndef MR_CORE_MONEY_ZONE_H
#define MR_CORE_MONEY_ZONE_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct mr_zone;
/* "UTC", "Europe/Berlin"; MR_EFIELD naming "timezone" when there is no such zone. */
int mr_zone_open(struct mr_str name, struct mr_zone **ret, struct mr_err *e);
void mr_zone_free(struct mr_zone *z);
struct mr_str mr_zone_name(const struct mr_zone *z);

enum mr_period { MR_PERIOD_DAY, MR_PERIOD_WEEK, MR_PERIOD_MONTH }; /* weeks begin on Monday */
struct mr_date {
    int32_t year;
    int8_t month, day; /* 1-based */
};
/* Seconds east of UTC at that moment. */
int32_t mr_zone_offset(const struct mr_zone *z, int64_t wall_us);
struct mr_date mr_zone_date(const struct mr_zone *z, int64_t wall_us);
/* The first moment of a local day: where midnight is skipped by DST, the first that exists; where
 * it happens twice, the earlier one. */
int64_t mr_zone_midnight(const struct mr_zone *z, struct mr_date d);
struct mr_date mr_date_next(struct mr_date d);
/* The period that holds `d`: its first day, its first moment, and the first moment after it. */
void mr_zone_period(const struct mr_zone *z, enum mr_period p, struct mr_date d,
                    struct mr_date *ret_first, int64_t *ret_from_us, int64_t *ret_to_us);
#define MR_LOCAL_TIME_LEN 27 /* "2025-01-15T10:30:00.000000" and a NUL: no zone, as seed 004 */
void mr_zone_print(const struct mr_zone *z, int64_t wall_us, char out[MR_LOCAL_TIME_LEN]);
/* "2025-01-15", whole slice, a real date. */
bool mr_date_parse(struct mr_str s, struct mr_date *ret);

#endif
