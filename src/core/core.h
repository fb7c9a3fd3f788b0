/* Everything the server holds, wired once at start by cli/serve.c and borrowed by the families. */
#ifndef MR_CORE_CORE_H
#define MR_CORE_CORE_H

#include "base/log.h"
#include "core/accounts.h"
#include "core/bill/bill.h"
#include "core/deployments.h"
#include "core/limits.h"
#include "http/http.h"
#include "io/pool.h"

struct mr_access_log;
struct mr_announce;
struct mr_billing;
struct mr_catalog;
struct mr_events;
struct mr_gateway;
struct mr_image_crew;
struct mr_jobs;
struct mr_infer_stats;
struct mr_ledger;
struct mr_log_ring;
struct mr_ops;
struct mr_plans;
struct mr_price_book;
struct mr_residency;
struct mr_tasks;
struct mr_text;
struct mr_upstream;
struct mr_usage;
struct mr_zone;

/* Prices of the cost estimate (settings [prices]); USD. */
struct mr_prices {
    double compute_per_hour; /* of model run time */
    double storage_per_gb_month;
    double network_per_gb;
};

struct mr_core {
    struct mr_log log;
    const char *data_dir;
    struct mr_str public_url; /* as configured, or p == NULL: from the request's Host */
    bool rate_limits_off;
    bool metering_sync; /* recording may block: never on a loop thread */
    int64_t started_us;
    struct mr_prices prices;
    struct mr_db *db;
    struct mr_blobs *blobs;
    struct mr_pool *pool;
    struct mr_pool *ai_pool; /* for model work, which would keep the others from their turn */
    struct mr_limits *limits;
    struct mr_accounts *accounts;
    struct mr_deployments *deployments;
    struct mr_usage *usage;
    struct mr_infer_stats *infer_stats;
    struct mr_events *events;
    struct mr_access_log *access_log;
    struct mr_zone *zone; /* the operator's */
    struct mr_price_book *price_book;
    struct mr_ledger *ledger;
    struct mr_plans *plans;
    struct mr_upstream *upstream;
    struct mr_gateway *gateway;
    struct mr_tasks *tasks;
    struct mr_billing *billing;
    struct mr_catalog *catalog;
    struct mr_residency *residency;
    struct mr_text *text;
    struct mr_biller biller; /* what uses of catalogue models cost */
    struct mr_jobs *jobs;
    struct mr_image_crew *image_crew;
    struct mr_ops *ops;
    struct mr_announce *announce;
    struct mr_log_ring *log_ring; /* sees the lines of `log` */
    struct mr_http_server *http;  /* set before the first request */
};

#endif
