/* Usage that callers report of their own accord: it adds to what they see, and is never charged.
 * Not for loop threads. */
#ifndef MR_CORE_REPORTED_H
#define MR_CORE_REPORTED_H

#include "store/db.h"

struct mr_reported {
    struct mr_str endpoint, method;
    int64_t tokens;
    double response_ms;
};
int mr_reported_add(struct mr_db *db, struct mr_id account, const struct mr_reported *r,
                    struct mr_id *ret_id, struct mr_err *e);

/* What the account did since from_us. */
struct mr_month_counts {
    int64_t reported_tokens;
    int64_t deployments_created; /* deleted ones included */
    int64_t deployments_active;  /* now */
};
int mr_month_counts(struct mr_db *db, struct mr_id account, int64_t from_us,
                    struct mr_month_counts *ret, struct mr_err *e);

#endif
