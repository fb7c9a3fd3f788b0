/* Metering: one record a prediction, written to a memory-mapped spool file and folded in the
 * background into roll-ups a minute, an hour and a lifetime, each for a deployment and for the
 * whole account.
 *
 * What survives: a record is in the page cache when mr_usage_record returns, so killing the process
 * loses nothing. A fold commits the roll-ups and the spool's offset in one transaction, so nothing
 * is counted twice. A power cut loses at most one fold interval, unless the caller waits for the
 * fold (mr_usage_flush, mr_usage_flush_async: `metering = sync`).
 *
 * Latencies are kept as log-linear histograms (hist.h: quantiles within 0.4 %), distinct users as
 * exact sets up to 512 and HyperLogLog with 4096 registers beyond (sketch.h: standard error 1.6 %).
 * Reads flush first, so answers are current. Deployment `mr_usage_all` is the account as a whole.
 */
#ifndef MR_CORE_USAGE_H
#define MR_CORE_USAGE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "store/db.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_usage;

struct mr_usage_config {
    struct mr_db *db;         /* borrowed; outlives the meter */
    const char *dir;          /* spool folder, created; NULL: memory only (with a :memory: db) */
    int fold_ms;              /* default 1000 */
    uint32_t segment_records; /* records a spool file (80 bytes each); default 32768 */
    unsigned segments_max;    /* unfolded files; beyond: MR_EUNAVAIL; default 256 */
    int minute_keep_days;     /* default 8 */
    int hour_keep_days;       /* default 400 */
};

/* Takes over what an earlier process left in the spool. MR_ECONFLICT: another process has it. */
int mr_usage_open(const struct mr_usage_config *c, struct mr_usage **ret, struct mr_err *e);
/* Folds the rest and closes. No thread may be recording. */
void mr_usage_close(struct mr_usage *u);

enum mr_usage_flag {
    MR_USAGE_ERROR = 1,      /* the prediction failed */
    MR_USAGE_COLD_START = 2, /* the model had to be loaded for it */
};

struct mr_usage_event {
    int64_t time_us; /* wall clock, when the answer was ready */
    struct mr_id account, deployment;
    uint64_t user; /* mr_usage_user() of the user, key or end-user id; 0 = unknown, not counted */
    uint32_t latency_us;
    uint32_t rows;
    uint32_t bytes_in, bytes_out;
    uint16_t version;
    uint16_t status; /* HTTP status, for the record */
    uint32_t flags;  /* enum mr_usage_flag */
};

/* Any thread; does not block, except that every 32768th call swaps files. MR_ENOSPC or MR_EUNAVAIL
 * when the spool cannot grow: then the record is not taken (and counted in stats.refused). */
int mr_usage_record(struct mr_usage *u, const struct mr_usage_event *ev);
/* The same for the same bytes in every process; never 0. Not a cryptographic hash. */
uint64_t mr_usage_user(struct mr_str who);

/* Waits until everything recorded before the call is committed. Never on a loop thread.
 * MR_ETIMEOUT after timeout_ms; the fold's own error when it fails. */
int mr_usage_flush(struct mr_usage *u, int timeout_ms, struct mr_err *e);
/* The same without waiting: done(arg, rc) runs on the fold thread. Intrusive node, owned by the
 * caller until done runs. */
struct mr_usage_wait {
    struct mr_usage_wait *next;
    void (*done)(struct mr_usage_wait *w, int rc);
};
void mr_usage_flush_async(struct mr_usage *u, struct mr_usage_wait *w);

/* --- answers ------------------------------------------------------------------------------- */
extern const struct mr_id mr_usage_all; /* 16 zero bytes */

struct mr_usage_counts {
    int64_t requests; /* errors included */
    int64_t errors;
    int64_t latency_us; /* sum over all requests: also the compute time used */
    int64_t cold_starts;
    int64_t rows;
    int64_t bytes_in, bytes_out;
};

/* Since the beginning; zeros when there was nothing. One indexed row. Flushes first only when
 * `fresh`. Not on a loop thread. */
int mr_usage_totals(struct mr_usage *u, struct mr_id account, struct mr_id deployment, bool fresh,
                    struct mr_usage_counts *ret, struct mr_err *e);

/* Inside a read function of the caller, e.g. while listing deployments: committed state only. */
int mr_usage_totals_in(struct mr_tx *tx, struct mr_id account, struct mr_id deployment,
                       struct mr_usage_counts *ret, struct mr_err *e);

enum mr_usage_resolution { /* seconds */
                           MR_USAGE_1M = 60,
                           MR_USAGE_5M = 300,
                           MR_USAGE_1H = 3600,
                           MR_USAGE_1D = 86400,
};
/* "1m", "5m", "1h", "1d"; MR_EFIELD naming `resolution` otherwise. */
int mr_usage_parse_resolution(struct mr_str s, enum mr_usage_resolution *ret, struct mr_err *e);

struct mr_usage_bucket {
    int64_t start_us; /* aligned to the resolution, UTC */
    struct mr_usage_counts counts;
};

struct mr_usage_report {
    int64_t start_us, end_us; /* whole minutes: [end - hours, end), end = the minute after now */
    struct mr_usage_counts counts;
    double p50_us, p95_us, p99_us; /* 0 without requests */
    int64_t unique_users;
    size_t n_buckets; /* every bucket of the range, zeros included; the first and last may be cut */
    struct mr_usage_bucket *buckets; /* in the arena; counts add up to `counts` */
};

/* hours 1..168 (MR_EFIELD naming `hours` otherwise), up to `now_us`. Flushes first (bounded wait;
 * a fold that is held up does not hold up the answer). Not on a loop thread. */
int mr_usage_query(struct mr_usage *u, struct mr_id account, struct mr_id deployment, int hours,
                   enum mr_usage_resolution res, int64_t now_us, struct mr_arena *a,
                   struct mr_usage_report *ret, struct mr_err *e);

/* Removes a deployment's roll-ups; the account's totals keep what was used. */
int mr_usage_forget_in(struct mr_tx *tx, struct mr_id account, struct mr_id deployment,
                       struct mr_err *e);

/* Cost estimate. Prices in nano-dollars: an hour of compute time (the sum of latencies), a GB kept
 * for 30 days, a GB sent or received (GB = 1e9 bytes). */
struct mr_usage_prices {
    int64_t compute_hour, storage_gb_month, network_gb;
};
struct mr_usage_cost {
    int64_t compute, storage, network, total; /* nano-dollars */
};
struct mr_usage_cost mr_usage_cost(const struct mr_usage_counts *c, int64_t stored_bytes,
                                   int64_t period_us, const struct mr_usage_prices *p);

struct mr_usage_stats {
    uint64_t recorded, refused, folded, damaged; /* damaged: spool files set aside at opening */
    uint64_t folds, fold_errors;
    int64_t last_fold_ns, max_fold_ns;
    unsigned segments;
};
void mr_usage_stats(struct mr_usage *u, struct mr_usage_stats *ret);

#endif
