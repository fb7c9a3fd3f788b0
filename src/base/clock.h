/* Time. Wall time is microseconds since 1970-01-01 UTC; monotonic time is nanoseconds.
 * Thread-safe. */
#ifndef MR_BASE_CLOCK_H
#define MR_BASE_CLOCK_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

int64_t mr_now_us(void); /* wall */
int64_t mr_mono_ns(void);
/* The kernel's last tick, up to 10 ms ago: a tenth of the cost, for what is told in seconds. */
int64_t mr_now_coarse_us(void);

#define MR_TIME_LEN 28 /* "2024-01-15T10:00:00.123456Z" and a NUL */
/* RFC 3339, UTC with Z, whole seconds. */
void mr_time_rfc3339(int64_t wall_us, char out[MR_TIME_LEN]);
/* The same with microseconds. */
void mr_time_rfc3339_us(int64_t wall_us, char out[MR_TIME_LEN]);
/* Reads either form back (offset other than Z refused). */
bool mr_time_parse(struct mr_str s, int64_t *ret_us);

#endif
