/* Metering: one record a prediction, from the log phase into an append-only mmap spool that
 * survives kill -9, folded in the background into roll-ups by (account, deployment, minute). The
 * spool's offset commits in the same transaction as the roll-ups, so nothing is lost and nothing
 * counts twice. Thread-safe. */
#ifndef MR_CORE_USAGE_USAGE_H
#define MR_CORE_USAGE_USAGE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "store/db.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_usage;

struct mr_usage_config {
    struct mr_db *db;
    const char *data_dir;     /* the spool lives in <data_dir>/spool */
    const struct mr_log *log; /* may be NULL */
    int fold_ms;              /* fold at least this often; 0 = 1000 */
    bool sync;                /* a record is folded before mr_usage_record returns */
};
/* Folds what an earlier process left in the spool. */
int mr_usage_open(const struct mr_usage_config *c, struct mr_usage **ret, struct mr_err *e);
/* Folds what is there, then ends. */
void mr_usage_free(struct mr_usage *u);

struct mr_usage_record {
    int64_t time_us; /* wall */
    struct mr_id account, deployment;
    uint64_t user_hash; /* of the distinct user, key or end user */
    uint32_t version, rows, latency_us, bytes_in, bytes_out;
    bool error, cold_start;
};
/* Any thread, also loop threads; a few hundred nanoseconds unless `sync`. */
void mr_usage_record(struct mr_usage *u, const struct mr_usage_record *r);
/* A stable hash for user_hash, the same in every process and run. */
uint64_t mr_usage_user_hash(struct mr_str user);

struct mr_usage_totals {
    uint64_t requests, errors, rows, latency_us_sum;
};
/* Since the beginning, up to now. */
int mr_usage_deployment_totals(struct mr_usage *u, struct mr_id account, struct mr_id deployment,
                               struct mr_usage_totals *ret, struct mr_err *e);
int mr_usage_account_totals(struct mr_usage *u, struct mr_id account, struct mr_usage_totals *ret,
                            struct mr_err *e);

enum mr_resolution { MR_RES_1M = 60, MR_RES_5M = 300, MR_RES_1H = 3600, MR_RES_1D = 86400 };

struct mr_usage_bucket {
    int64_t start_us;
    uint64_t requests, errors, latency_us_sum;
};
struct mr_usage_report {
    int64_t start_us, end_us;
    uint64_t requests, errors, rows, latency_us_sum, cold_starts, unique_users;
    uint64_t bytes_in, bytes_out;
    double p50_us, p95_us, p99_us;  /* 0 without requests */
    struct mr_usage_bucket *bucket; /* zero-filled, oldest first, in the arena */
    size_t n_bucket;
};
/* The last `hours` (1..168) up to now, in buckets of `resolution` aligned to it. */
int mr_usage_query(struct mr_usage *u, struct mr_id account, struct mr_id deployment, int hours,
                   enum mr_resolution resolution, struct mr_arena *arena,
                   struct mr_usage_report *ret, struct mr_err *e);

#endif
