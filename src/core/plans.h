/* Monthly request quotas by an account's tier, for families that have a plan table. Counted in
 * memory and in the table plan_requests, in months of the account's zone; a crash may lose the
 * counts of its last milliseconds. Thread-safe. */
#ifndef MR_CORE_PLANS_H
#define MR_CORE_PLANS_H

#include "base/id.h"
#include "core/limits.h"
#include "store/db.h"

struct mr_ledger;
struct mr_plans;

struct mr_plan {
    const char *tier;          /* accounts.tier; NULL ends the table, whose first row is also for
                                * tiers that it does not name */
    uint32_t requests_a_month; /* 0 = unlimited */
};

/* Requests an hour by tier; a table as above. */
struct mr_tier_rate {
    const char *tier;
    uint32_t requests_an_hour;
};

int mr_plans_new(struct mr_db *db, struct mr_ledger *ledger, struct mr_plans **ret,
                 struct mr_err *e);
void mr_plans_free(struct mr_plans *p);
/* Counts one request of the account in `family` and says how its plan stands; limit 0: unlimited.
 * A refused request is not counted. Reads one indexed row now and then (the first time, when the
 * month turns, and every ten seconds to see a new tier), else memory only: safe on loop threads. A
 * database that does not answer limits nobody. */
struct mr_rate_state mr_plans_take(struct mr_plans *p, struct mr_id account, const char *family,
                                   const struct mr_plan *table, int64_t now_us);

/* The rule of the account's tier, which is read as by mr_plans_take; nothing is counted here. A
 * database that does not answer means the first row. */
struct mr_rate_rule mr_plans_hourly(struct mr_plans *p, struct mr_id account, const char *family,
                                    const struct mr_tier_rate *table, int64_t now_us);

#endif
