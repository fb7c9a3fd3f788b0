/* Rate limits: fixed windows a (subject, class), each beginning with its first request, in memory.
 * A subject is an account, a key, or the peer's address before authentication. Thread-safe. */
#ifndef MR_CORE_LIMITS_H
#define MR_CORE_LIMITS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum mr_rate {
    MR_RATE_GENERAL,
    MR_RATE_AUTH,
    MR_RATE_DEPLOY,
    MR_RATE_PREDICT,
    MR_RATE_METRICS,
    MR_RATE_NONE, /* probes: never limited */
    MR_RATE_N,
};

struct mr_rate_rule {
    uint32_t limit;    /* requests */
    uint32_t window_s; /* seconds */
};

struct mr_rate_state {
    uint32_t limit, remaining;
    int64_t reset_s;  /* unix time at which the window ends */
    uint32_t retry_s; /* seconds until then, at least 1 */
    bool allowed;
};

struct mr_limits;
int mr_limits_new(size_t max_subjects, struct mr_limits **ret, struct mr_err *e);
void mr_limits_free(struct mr_limits *l);
/* Counts one request of `subject` (16+ bytes, hashed) in class `cls` under `rule` and says how it
 * stands. `count` false only looks. */
struct mr_rate_state mr_limits_take(struct mr_limits *l, struct mr_str subject, uint32_t cls,
                                    struct mr_rate_rule rule, int64_t now_us, bool count);

#endif
