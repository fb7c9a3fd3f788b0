/* Metering: one record a prediction, from the log phase into an append-only mmap spool that
 * survives kill -9, folded in the background into roll-ups by (account, deployment, minute). The
 * spool's offset commits in the same transaction as the roll-ups, so nothing is lost and nothing
 * counts twice. Thread-safe.
 *
 * What survives: a record is in the page cache when mr_usage_record returns, so killing the process
 * loses nothing; a power cut loses at most fold_ms (nothing with `sync`). Latencies are
 * kept as log-linear histograms (hist.h: quantiles within 0.4 %), distinct users as exact sets up
 * to 512 and HyperLogLog with 4096 registers beyond (sketch.h: standard error 1.6 %). Reads fold
 * first (waiting at most read_wait_ms), so answers are current; like all database calls they are
 * not for loop threads. Roll-ups exist by minute (8 days), hour (400 days) and lifetime, each for a
 * deployment and for the account (mr_usage_all as the deployment). */
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
    const char *data_dir;     /* the spool lives in <data_dir>/spool; NULL: in memory */
    const struct mr_log *log; /* may be NULL */
    int fold_ms; /* fold this often, or when folds are long write the spool to disk; 0 = 1000 */
    bool sync;   /* a record is folded before mr_usage_record returns */
    uint32_t segment_records; /* records a spool file, 80 bytes each; 0 = 32768 */
    int read_wait_ms;         /* a read leaves out what is not folded by then; 0 = 2000 */
    unsigned segments_max;    /* unfolded files, beyond MR_EUNAVAIL; 0 = 256 */
    int minute_keep_days;     /* 0 = 8 */
    int hour_keep_days;       /* 0 = 400 */
};
/* Takes over what an earlier process left in the spool. MR_ECONFLICT: another process uses it. */
int mr_usage_open(const struct mr_usage_config *c, struct mr_usage **ret, struct mr_err *e);
/* Folds what is there, then ends. No thread may be recording. */
void mr_usage_free(struct mr_usage *u);

struct mr_usage_record {
    int64_t time_us; /* wall */
    struct mr_id account, deployment;
    uint64_t user_hash; /* of the distinct user, key or end user; 0 = unknown, not counted */
    uint32_t version, rows, latency_us, bytes_in, bytes_out;
    bool error, cold_start;
};
/* Any thread, also loop threads; a few hundred nanoseconds unless `sync` (every 32768th call swaps
 * files). MR_ENOSPC or MR_EUNAVAIL when the spool cannot grow: the record is not taken, which
 * stats.refused counts. With `sync`: also the fold's own error. */
int mr_usage_record(struct mr_usage *u, const struct mr_usage_record *r);
/* Waits until everything recorded before the call is committed; MR_ETIMEOUT. */
int mr_usage_flush(struct mr_usage *u, int timeout_ms, struct mr_err *e);
/* The same without waiting: done(w, rc) runs on the fold thread. Intrusive node, owned by the
 * caller until done runs. */
struct mr_usage_wait {
    struct mr_usage_wait *next;
    void (*done)(struct mr_usage_wait *w, int rc);
};
void mr_usage_flush_async(struct mr_usage *u, struct mr_usage_wait *w);
/* A stable hash for user_hash, the same in every process and run; never 0, not cryptographic. */
uint64_t mr_usage_user_hash(struct mr_str user);

struct mr_usage_totals {
    uint64_t requests, errors, rows, latency_us_sum; /* requests include errors */
    uint64_t cold_starts, bytes_in, bytes_out;
};
extern const struct mr_id mr_usage_all; /* 16 zero bytes */
/* Inside a read function, e.g. while listing deployments: what is folded so far, one indexed row.
 */
int mr_usage_totals_in(struct mr_tx *tx, struct mr_id account, struct mr_id deployment,
                       struct mr_usage_totals *ret, struct mr_err *e);
/* Since the beginning, up to now. Zeros when there was nothing. */
int mr_usage_deployment_totals(struct mr_usage *u, struct mr_id account, struct mr_id deployment,
                               struct mr_usage_totals *ret, struct mr_err *e);
int mr_usage_account_totals(struct mr_usage *u, struct mr_id account, struct mr_usage_totals *ret,
                            struct mr_err *e);

/* Predictions of the account from `from_us` (a whole minute) up to now. Where from_us is no whole
 * hour and lies more than 8 days back, the rest of its first hour is not known any more and not
 * counted. */
int mr_usage_requests_since(struct mr_usage *u, struct mr_id account, int64_t from_us, int64_t *ret,
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
/* "1m", "5m", "1h", "1d"; MR_EFIELD naming `resolution`. */
int mr_usage_parse_resolution(struct mr_str s, enum mr_resolution *ret, struct mr_err *e);
/* The last `hours` (1..168; MR_EFIELD) up to now, in buckets of `resolution` aligned to it. The
 * range is whole minutes, the last one under way: [end - hours, end); the first and last bucket may
 * be cut by it, so that the buckets add up to the report's sums. */
int mr_usage_query(struct mr_usage *u, struct mr_id account, struct mr_id deployment, int hours,
                   enum mr_resolution resolution, struct mr_arena *arena,
                   struct mr_usage_report *ret, struct mr_err *e);
/* The same up to `now_us` instead of now. */
int mr_usage_query_at(struct mr_usage *u, struct mr_id account, struct mr_id deployment, int hours,
                      enum mr_resolution resolution, int64_t now_us, struct mr_arena *arena,
                      struct mr_usage_report *ret, struct mr_err *e);

/* Removes a deployment's roll-ups, in a write function; the account's keep what was used. */
int mr_usage_forget_in(struct mr_tx *tx, struct mr_id account, struct mr_id deployment,
                       struct mr_err *e);

/* Cost estimate. Prices in nano-dollars: an hour of compute time (the sum of latencies), a GB (1e9
 * bytes) kept for 30 days, a GB received or sent. */
struct mr_usage_prices {
    int64_t compute_hour, storage_gb_month, network_gb;
};
struct mr_usage_cost {
    int64_t compute, storage, network, total; /* nano-dollars */
};
struct mr_usage_cost mr_usage_cost(const struct mr_usage_report *r, int64_t stored_bytes,
                                   const struct mr_usage_prices *p);

struct mr_usage_stats {
    uint64_t recorded, refused, folded, damaged; /* damaged: spool files set aside at opening */
    uint64_t folds, fold_errors;
    int64_t last_fold_ns, max_fold_ns;
    unsigned segments;
};
void mr_usage_stats(struct mr_usage *u, struct mr_usage_stats *ret);

#endif
