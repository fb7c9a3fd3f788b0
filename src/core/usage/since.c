#include "core/usage/internal.h"

#define MINUTE_US 60000000ll
#define HOUR_US   3600000000ll

struct since {
    struct mr_id account;
    int64_t from_us;
    int64_t n;
};

static int add(struct mr_tx *tx, const char *sql, struct since *q, int64_t lo, int64_t hi,
               struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, q->account);
    mr_db_bind_id(s, 2, mr_usage_all);
    mr_db_bind_i64(s, 3, lo);
    mr_db_bind_i64(s, 4, hi);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        q->n += mr_db_i64(s, 0);
        mr_db_done(s);
    }
    return rc < 0 ? rc : 0;
}

static int read_since(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct since *q = arg;
    int64_t first_hour = (q->from_us + HOUR_US - 1) / HOUR_US;
    int rc = add(tx,
                 "SELECT SUM(requests) FROM usage_hour WHERE account = ?1 AND deployment = ?2 AND "
                 "hour >= ?3 AND hour < ?4",
                 q, first_hour, INT64_MAX, e);
    if (rc || first_hour * HOUR_US == q->from_us)
        return rc;
    return add(tx,
               "SELECT SUM(requests) FROM usage_minute WHERE account = ?1 AND deployment = ?2 AND "
               "minute >= ?3 AND minute < ?4",
               q, q->from_us / MINUTE_US, first_hour * 60, e);
}

int mr_usage_requests_since(struct mr_usage *u, struct mr_id account, int64_t from_us, int64_t *ret,
                            struct mr_err *e) {
    struct since q = {.account = account, .from_us = from_us};
    mr_usage_flush(u, u->read_wait_ms, NULL); /* what is not folded by then is left out */
    int rc = mr_db_read(u->db, read_since, &q, e);
    if (!rc)
        *ret = q.n;
    return rc;
}
