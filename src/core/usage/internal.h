/* Inside of the meter: the fold thread's state. */
#ifndef MR_CORE_USAGE_INTERNAL_H
#define MR_CORE_USAGE_INTERNAL_H

#include "core/usage/hist.h"
#include "core/usage/sketch.h"
#include "core/usage/spool.h"

#define MR_FOLD_MAX (1u << 18) /* records a transaction */

/* A roll-up row's sums. */
struct mr_usage_counts {
    int64_t requests, errors, latency_us, cold_starts, rows, bytes_in, bytes_out;
};

/* All records of one (account, deployment, minute); a chain through `next`. */
struct mr_fold_group {
    struct mr_id account, deployment;
    int64_t minute;
    uint32_t head;
};

/* One transaction's worth of records. */
struct mr_fold_batch {
    const struct mr_spool_record **rec; /* MR_FOLD_MAX */
    uint32_t n;
    uint32_t *next[2]; /* chains: by deployment, by account */
    struct mr_fold_group *group;
    uint32_t n_group, cap_group;
    uint32_t *slot; /* hash table of group numbers + 1 */
    uint32_t n_slot;
};

struct mr_usage {
    struct mr_db *db;
    struct mr_spool spool;
    int fold_ms, read_wait_ms, minute_keep_days, hour_keep_days;
    pthread_t thread;
    bool sync;
    const struct mr_log *log;

    pthread_mutex_t mu;
    pthread_cond_t cond;
    struct mr_usage_wait *waiting;
    bool stopping, spare_wanted;
    struct mr_usage_stats stats;
    int64_t rest_until_ns; /* rows are costly to write: no fold before, unless someone waits */

    /* fold thread */
    struct mr_fold_batch batch;
    struct mr_id *gone; /* removed files whose offsets may go */
    size_t n_gone, cap_gone;
    int64_t pruned_us;
    /* scratch of the transaction, on the db's writer thread */
    struct mr_hist mine, row;
    struct mr_sketch mine_users, row_users;
    struct mr_buf hist_buf, users_buf;
};

/* group.c: chains the batch's records. MR_ENOMEM. */
/* Everything recorded before the call; one thread at a time. Logs its error. */
int mr_fold_all(struct mr_usage *u);
int mr_fold_group(struct mr_fold_batch *b, struct mr_err *e);
/* rollup.c: the transaction (struct mr_usage *). MR_ECONFLICT: an offset was further already. */
int mr_fold_tx(struct mr_tx *tx, void *arg, struct mr_err *e);
/* Reads every segment's committed offset and forgets those without a file. */
int mr_fold_load_tx(struct mr_tx *tx, void *arg, struct mr_err *e);
int mr_fold_prune_tx(struct mr_tx *tx, void *arg, struct mr_err *e);
/* fold.c */
void *mr_fold_main(void *arg);

#endif
