#include "core/usage/internal.h"

#include "base/clock.h"

#define UPSERT(table, key)                                                                         \
    "INSERT INTO " table "(account, deployment, " key ", requests, errors, latency_us, "           \
    "cold_starts, input_rows, bytes_in, bytes_out, histogram, users) "                             \
    "VALUES(?1, ?2, ?12, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "                                   \
    "ON CONFLICT(account, deployment, " key ") DO UPDATE SET "                                     \
    "requests = " table ".requests + excluded.requests, "                                          \
    "errors = " table ".errors + excluded.errors, "                                                \
    "latency_us = " table ".latency_us + excluded.latency_us, "                                    \
    "cold_starts = " table ".cold_starts + excluded.cold_starts, "                                 \
    "input_rows = " table ".input_rows + excluded.input_rows, "                                    \
    "bytes_in = " table ".bytes_in + excluded.bytes_in, "                                          \
    "bytes_out = " table ".bytes_out + excluded.bytes_out, "                                       \
    "histogram = excluded.histogram, users = excluded.users"

static const char upsert_totals[] =
    "INSERT INTO usage_totals(account, deployment, requests, errors, latency_us, cold_starts, "
    "input_rows, bytes_in, bytes_out) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
    "ON CONFLICT(account, deployment) DO UPDATE SET "
    "requests = usage_totals.requests + excluded.requests, "
    "errors = usage_totals.errors + excluded.errors, "
    "latency_us = usage_totals.latency_us + excluded.latency_us, "
    "cold_starts = usage_totals.cold_starts + excluded.cold_starts, "
    "input_rows = usage_totals.input_rows + excluded.input_rows, "
    "bytes_in = usage_totals.bytes_in + excluded.bytes_in, "
    "bytes_out = usage_totals.bytes_out + excluded.bytes_out";

static void bind_counts(struct mr_stmt *s, const struct mr_fold_group *g,
                        const struct mr_usage_counts *c) {
    mr_db_bind_id(s, 1, g->account);
    mr_db_bind_id(s, 2, g->deployment);
    mr_db_bind_i64(s, 3, c->requests);
    mr_db_bind_i64(s, 4, c->errors);
    mr_db_bind_i64(s, 5, c->latency_us);
    mr_db_bind_i64(s, 6, c->cold_starts);
    mr_db_bind_i64(s, 7, c->rows);
    mr_db_bind_i64(s, 8, c->bytes_in);
    mr_db_bind_i64(s, 9, c->bytes_out);
}

/* The group's own figures: counts, u->mine and u->mine_users. */
static void sum_up(struct mr_usage *u, const struct mr_fold_group *g, struct mr_usage_counts *c) {
    const struct mr_fold_batch *b = &u->batch;
    const uint32_t *next = b->next[mr_id_eq(g->deployment, mr_usage_all) ? 1 : 0];
    *c = (struct mr_usage_counts){0};
    mr_hist_clear(&u->mine);
    mr_sketch_clear(&u->mine_users);
    for (uint32_t i = g->head; i != UINT32_MAX; i = next[i]) {
        const struct mr_spool_record *r = b->rec[i];
        c->requests++;
        c->errors += (r->flags & MR_SPOOL_ERROR) != 0;
        c->cold_starts += (r->flags & MR_SPOOL_COLD_START) != 0;
        c->latency_us += r->latency_us;
        c->rows += r->rows;
        c->bytes_in += r->bytes_in;
        c->bytes_out += r->bytes_out;
        mr_hist_add(&u->mine, r->latency_us);
        if (r->user)
            mr_sketch_add(&u->mine_users, r->user);
    }
}

/* Merges the group into one roll-up row. */
static int merge(struct mr_usage *u, struct mr_tx *tx, const struct mr_fold_group *g, int64_t key,
                 const char *select, const char *upsert, const struct mr_usage_counts *c,
                 struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, select, &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, g->account);
    mr_db_bind_id(s, 2, g->deployment);
    mr_db_bind_i64(s, 3, key);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    mr_hist_clear(&u->row);
    mr_sketch_clear(&u->row_users);
    bool ok = rc == 0 || (mr_hist_merge_blob(&u->row, mr_db_blob(s, 0)) &&
                          mr_sketch_merge_blob(&u->row_users, mr_db_blob(s, 1)));
    mr_db_done(s);
    if (!ok)
        return mr_fail(e, MR_EIO, "a usage roll-up row is damaged");
    mr_hist_merge(&u->row, &u->mine);
    mr_sketch_merge(&u->row_users, &u->mine_users);
    mr_buf_clear(&u->hist_buf);
    mr_buf_clear(&u->users_buf);
    mr_hist_encode(&u->row, &u->hist_buf);
    mr_sketch_encode(&u->row_users, &u->users_buf);
    if (!mr_buf_ok(&u->hist_buf) || !mr_buf_ok(&u->users_buf))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    rc = mr_db_prepare(tx, upsert, &s, e);
    if (rc)
        return rc;
    bind_counts(s, g, c);
    mr_db_bind_blob(s, 10, u->hist_buf.p, u->hist_buf.n);
    mr_db_bind_blob(s, 11, u->users_buf.p, u->users_buf.n);
    mr_db_bind_i64(s, 12, key);
    return mr_db_exec(s, e);
}

static int fold_group(struct mr_usage *u, struct mr_tx *tx, const struct mr_fold_group *g,
                      struct mr_err *e) {
    struct mr_usage_counts c;
    sum_up(u, g, &c);
    int rc = merge(u, tx, g, g->minute,
                   "SELECT histogram, users FROM usage_minute WHERE account = ?1 AND deployment = "
                   "?2 AND minute = ?3",
                   UPSERT("usage_minute", "minute"), &c, e);
    if (rc == 0)
        rc = merge(u, tx, g, g->minute / 60,
                   "SELECT histogram, users FROM usage_hour WHERE account = ?1 AND deployment = ?2 "
                   "AND hour = ?3",
                   UPSERT("usage_hour", "hour"), &c, e);
    struct mr_stmt *s;
    if (rc == 0)
        rc = mr_db_prepare(tx, upsert_totals, &s, e);
    if (rc)
        return rc;
    bind_counts(s, g, &c);
    return mr_db_exec(s, e);
}

static int get_offset(struct mr_tx *tx, struct mr_id segment, uint64_t *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT folded FROM usage_spool WHERE segment = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, segment);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    *ret = rc ? (uint64_t)mr_db_i64(s, 0) : 0;
    mr_db_done(s);
    return 0;
}

static int move_offset(struct mr_tx *tx, const struct mr_segment *g, struct mr_err *e) {
    uint64_t have = 0;
    struct mr_stmt *s;
    int rc = get_offset(tx, g->id, &have, e);
    if (rc)
        return rc;
    if (have != g->folded)
        return mr_fail(e, MR_ECONFLICT, "the usage spool was folded up to %llu, not %llu",
                       (unsigned long long)have, (unsigned long long)g->folded);
    rc = mr_db_prepare(tx,
                       "INSERT INTO usage_spool(segment, folded) VALUES(?1, ?2) "
                       "ON CONFLICT(segment) DO UPDATE SET folded = excluded.folded",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, g->id);
    mr_db_bind_i64(s, 2, (int64_t)g->upto);
    return mr_db_exec(s, e);
}

static int forget(struct mr_tx *tx, struct mr_id segment, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "DELETE FROM usage_spool WHERE segment = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, segment);
    return mr_db_exec(s, e);
}

int mr_fold_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_usage *u = arg;
    int rc = 0;
    for (struct mr_segment *g = NULL; rc == 0 && (g = mr_spool_next(&u->spool, g));)
        if (g->upto > g->folded)
            rc = move_offset(tx, g, e);
    for (uint32_t i = 0; rc == 0 && i < u->batch.n_group; i++)
        rc = fold_group(u, tx, &u->batch.group[i], e);
    for (size_t i = 0; rc == 0 && i < u->n_gone; i++)
        rc = forget(tx, u->gone[i], e);
    return rc;
}

int mr_fold_load_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_usage *u = arg;
    int rc = 0;
    struct mr_id old[64];
    size_t n_old = 0;
    for (struct mr_segment *g = NULL; rc == 0 && (g = mr_spool_next(&u->spool, g));) {
        rc = get_offset(tx, g->id, &g->folded, e);
        if (rc == 0 && g->folded > g->capacity)
            rc = mr_fail(e, MR_EIO, "the usage spool's offset is beyond its file");
        g->upto = g->folded;
    }
    struct mr_stmt *s = NULL;
    if (rc == 0)
        rc = mr_db_prepare(tx, "SELECT segment FROM usage_spool", &s, e);
    while (rc == 0 && n_old < 64 && (rc = mr_db_step(s, e)) == 1) {
        rc = 0;
        if (!mr_db_id(s, 0, &old[n_old]))
            continue;
        struct mr_segment *g = mr_spool_next(&u->spool, NULL);
        while (g && !mr_id_eq(g->id, old[n_old]))
            g = mr_spool_next(&u->spool, g);
        n_old += g == NULL;
    }
    if (rc == 0)
        mr_db_done(s);
    for (size_t i = 0; rc == 0 && i < n_old; i++)
        rc = forget(tx, old[i], e);
    return rc;
}

int mr_fold_prune_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct mr_usage *u = arg;
    int64_t hour = mr_now_us() / 3600000000;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "DELETE FROM usage_minute WHERE minute < ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, (hour - 24 * (int64_t)u->minute_keep_days) * 60);
    rc = mr_db_exec(s, e);
    if (rc == 0)
        rc = mr_db_prepare(tx, "DELETE FROM usage_hour WHERE hour < ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, hour - 24 * (int64_t)u->hour_keep_days);
    return mr_db_exec(s, e);
}
