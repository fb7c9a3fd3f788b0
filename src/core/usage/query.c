#include "core/usage/internal.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define MINUTE_US 60000000

#define COLUMNS "requests, errors, latency_us, cold_starts, input_rows, bytes_in, bytes_out"

static struct mr_usage_counts read_counts(struct mr_stmt *s, int col) {
    return (struct mr_usage_counts){
        .requests = mr_db_i64(s, col),
        .errors = mr_db_i64(s, col + 1),
        .latency_us = mr_db_i64(s, col + 2),
        .cold_starts = mr_db_i64(s, col + 3),
        .rows = mr_db_i64(s, col + 4),
        .bytes_in = mr_db_i64(s, col + 5),
        .bytes_out = mr_db_i64(s, col + 6),
    };
}

static void add_counts(struct mr_usage_counts *to, const struct mr_usage_counts *c) {
    to->requests += c->requests;
    to->errors += c->errors;
    to->latency_us += c->latency_us;
    to->cold_starts += c->cold_starts;
    to->rows += c->rows;
    to->bytes_in += c->bytes_in;
    to->bytes_out += c->bytes_out;
}

int mr_usage_totals_in(struct mr_tx *tx, struct mr_id account, struct mr_id deployment,
                       struct mr_usage_totals *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT " COLUMNS " FROM usage_totals WHERE account = ?1 AND deployment = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    mr_db_bind_id(s, 2, deployment);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    struct mr_usage_counts c = {0};
    if (rc)
        c = read_counts(s, 0);
    *ret = (struct mr_usage_totals){
        .requests = (uint64_t)c.requests,
        .errors = (uint64_t)c.errors,
        .rows = (uint64_t)c.rows,
        .latency_us_sum = (uint64_t)c.latency_us,
        .cold_starts = (uint64_t)c.cold_starts,
        .bytes_in = (uint64_t)c.bytes_in,
        .bytes_out = (uint64_t)c.bytes_out,
    };
    mr_db_done(s);
    return 0;
}

struct totals {
    struct mr_id account, deployment;
    struct mr_usage_totals totals;
};

static int totals_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct totals *t = arg;
    return mr_usage_totals_in(tx, t->account, t->deployment, &t->totals, e);
}

int mr_usage_deployment_totals(struct mr_usage *u, struct mr_id account, struct mr_id deployment,
                               struct mr_usage_totals *ret, struct mr_err *e) {
    struct totals t = {.account = account, .deployment = deployment};
    mr_usage_flush(u, u->read_wait_ms, NULL); /* what is not folded by then is left out */
    int rc = mr_db_read(u->db, totals_tx, &t, e);
    if (rc == 0)
        *ret = t.totals;
    return rc;
}

int mr_usage_account_totals(struct mr_usage *u, struct mr_id account, struct mr_usage_totals *ret,
                            struct mr_err *e) {
    return mr_usage_deployment_totals(u, account, mr_usage_all, ret, e);
}

int mr_usage_parse_resolution(struct mr_str s, enum mr_resolution *ret, struct mr_err *e) {
    static const struct {
        const char *name;
        enum mr_resolution res;
    } all[] = {{"1m", MR_RES_1M}, {"5m", MR_RES_5M}, {"1h", MR_RES_1H}, {"1d", MR_RES_1D}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (mr_str_is(s, all[i].name)) {
            *ret = all[i].res;
            return 0;
        }
    }
    return mr_fail_field(e, MR_EFIELD, "resolution", "resolution must be 1m, 5m, 1h or 1d");
}

struct query {
    struct mr_id account, deployment;
    int64_t from, to; /* minutes, [from, to) */
    int64_t res;      /* minutes a bucket */
    int64_t first;    /* minute the first bucket starts at */
    struct mr_usage_counts sum;
    struct mr_usage_bucket *buckets;
    size_t n_buckets;
    struct mr_hist hist;
    struct mr_sketch users;
};

static int select_range(struct mr_tx *tx, const struct query *q, const char *sql, int64_t from,
                        int64_t to, struct mr_stmt **ret, struct mr_err *e) {
    int rc = mr_db_prepare(tx, sql, ret, e);
    if (rc)
        return rc;
    mr_db_bind_id(*ret, 1, q->account);
    mr_db_bind_id(*ret, 2, q->deployment);
    mr_db_bind_i64(*ret, 3, from);
    mr_db_bind_i64(*ret, 4, to);
    return 0;
}

/* Counts of rows whose key x unit is a minute, into the buckets. */
static int sum_buckets(struct mr_tx *tx, struct query *q, const char *sql, int64_t from, int64_t to,
                       int64_t unit, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = select_range(tx, q, sql, from, to, &s, e);
    while (rc == 0 && (rc = mr_db_step(s, e)) == 1) {
        rc = 0;
        size_t i = (size_t)((mr_db_i64(s, 0) * unit - q->first) / q->res);
        if (i >= q->n_buckets)
            continue;
        struct mr_usage_counts c = read_counts(s, 1);
        struct mr_usage_bucket *b = &q->buckets[i];
        b->requests += (uint64_t)c.requests;
        b->errors += (uint64_t)c.errors;
        b->latency_us_sum += (uint64_t)c.latency_us;
        add_counts(&q->sum, &c);
    }
    return rc;
}

static int merge_blobs(struct mr_tx *tx, struct query *q, const char *sql, int64_t from, int64_t to,
                       struct mr_err *e) {
    if (from >= to)
        return 0;
    struct mr_stmt *s;
    int rc = select_range(tx, q, sql, from, to, &s, e);
    while (rc == 0 && (rc = mr_db_step(s, e)) == 1) {
        rc = 0;
        if (!mr_hist_merge_blob(&q->hist, mr_db_blob(s, 0)) ||
            !mr_sketch_merge_blob(&q->users, mr_db_blob(s, 1))) {
            mr_db_done(s);
            return mr_fail(e, MR_EIO, "a usage roll-up row is damaged");
        }
    }
    return rc;
}

static int query_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct query *q = arg;
    static const char minutes[] = "SELECT minute, " COLUMNS " FROM usage_minute WHERE account = ?1 "
                                  "AND deployment = ?2 AND minute >= ?3 AND minute < ?4";
    static const char hours[] = "SELECT hour, " COLUMNS " FROM usage_hour WHERE account = ?1 AND "
                                "deployment = ?2 AND hour >= ?3 AND hour < ?4";
    static const char minute_blobs[] =
        "SELECT histogram, users FROM usage_minute WHERE account = ?1 AND deployment = ?2 AND "
        "minute >= ?3 AND minute < ?4";
    static const char hour_blobs[] =
        "SELECT histogram, users FROM usage_hour WHERE account = ?1 AND deployment = ?2 AND hour "
        ">= ?3 AND hour < ?4";
    /* Whole hours come from the hour rows; the current hour has no minutes after the range, so its
     * row is whole too. Only the first hour may be cut. */
    int64_t first_hour = (q->from + 59) / 60, end_hour = (q->to + 59) / 60;
    int64_t cut = first_hour * 60 < q->to ? first_hour * 60 : q->to;
    int rc = merge_blobs(tx, q, minute_blobs, q->from, cut, e);
    if (rc == 0)
        rc = merge_blobs(tx, q, hour_blobs, first_hour, end_hour, e);
    if (rc)
        return rc;
    if (q->res < 60)
        return sum_buckets(tx, q, minutes, q->from, q->to, 1, e);
    rc = sum_buckets(tx, q, minutes, q->from, cut, 1, e);
    return rc ? rc : sum_buckets(tx, q, hours, first_hour, end_hour, 60, e);
}

static int run(struct mr_usage *u, struct query *q, struct mr_arena *a, struct mr_err *e) {
    q->first = q->from - q->from % q->res;
    q->n_buckets = (size_t)((q->to - q->first + q->res - 1) / q->res);
    q->buckets = mr_arena_zalloc(a, q->n_buckets * sizeof *q->buckets);
    if (!q->buckets)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < q->n_buckets; i++)
        q->buckets[i].start_us = (q->first + (int64_t)i * q->res) * MINUTE_US;
    mr_usage_flush(u, u->read_wait_ms, NULL);
    return mr_db_read(u->db, query_tx, q, e);
}

int mr_usage_query_at(struct mr_usage *u, struct mr_id account, struct mr_id deployment, int hours,
                      enum mr_resolution resolution, int64_t now_us, struct mr_arena *arena,
                      struct mr_usage_report *ret, struct mr_err *e) {
    if (hours < 1 || hours > 168)
        return mr_fail_field(e, MR_EFIELD, "hours", "hours must be between 1 and 168");
    MR_AUTO_FREE struct query *q = mr_calloc(1, sizeof *q);
    if (!q)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    q->account = account;
    q->deployment = deployment;
    q->to = now_us / MINUTE_US + 1;
    q->from = q->to - (int64_t)hours * 60;
    q->res = (int64_t)resolution / 60;
    int rc = run(u, q, arena, e);
    if (rc)
        return rc;
    *ret = (struct mr_usage_report){
        .start_us = q->from * MINUTE_US,
        .end_us = q->to * MINUTE_US,
        .requests = (uint64_t)q->sum.requests,
        .errors = (uint64_t)q->sum.errors,
        .rows = (uint64_t)q->sum.rows,
        .latency_us_sum = (uint64_t)q->sum.latency_us,
        .cold_starts = (uint64_t)q->sum.cold_starts,
        .bytes_in = (uint64_t)q->sum.bytes_in,
        .bytes_out = (uint64_t)q->sum.bytes_out,
        .unique_users = (uint64_t)mr_sketch_count(&q->users),
        .p50_us = mr_hist_quantile(&q->hist, 0.50),
        .p95_us = mr_hist_quantile(&q->hist, 0.95),
        .p99_us = mr_hist_quantile(&q->hist, 0.99),
        .bucket = q->buckets,
        .n_bucket = q->n_buckets,
    };
    return 0;
}

int mr_usage_query(struct mr_usage *u, struct mr_id account, struct mr_id deployment, int hours,
                   enum mr_resolution resolution, struct mr_arena *arena,
                   struct mr_usage_report *ret, struct mr_err *e) {
    return mr_usage_query_at(u, account, deployment, hours, resolution, mr_now_us(), arena, ret, e);
}

int mr_usage_forget_in(struct mr_tx *tx, struct mr_id account, struct mr_id deployment,
                       struct mr_err *e) {
    static const char *const sql[] = {
        "DELETE FROM usage_minute WHERE account = ?1 AND deployment = ?2",
        "DELETE FROM usage_hour WHERE account = ?1 AND deployment = ?2",
        "DELETE FROM usage_totals WHERE account = ?1 AND deployment = ?2",
    };
    for (int i = 0; i < 3; i++) {
        struct mr_stmt *s;
        int rc = mr_db_prepare(tx, sql[i], &s, e);
        if (rc)
            return rc;
        mr_db_bind_id(s, 1, account);
        mr_db_bind_id(s, 2, deployment);
        rc = mr_db_exec(s, e);
        if (rc)
            return rc;
    }
    return 0;
}

struct mr_usage_cost mr_usage_cost(const struct mr_usage_report *r, int64_t stored_bytes,
                                   const struct mr_usage_prices *p) {
    const __int128 gb = 1000000000, hour_us = 3600000000, month_s = 30 * 86400;
    int64_t period_s = (r->end_us - r->start_us) / 1000000;
    struct mr_usage_cost k;
    k.compute = (int64_t)((__int128)r->latency_us_sum * p->compute_hour / hour_us);
    k.storage = (int64_t)((__int128)stored_bytes * p->storage_gb_month / gb * period_s / month_s);
    k.network = (int64_t)((__int128)(r->bytes_in + r->bytes_out) * p->network_gb / gb);
    k.total = k.compute + k.storage + k.network;
    return k;
}
