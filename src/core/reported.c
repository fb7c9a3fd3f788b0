#include "core/reported.h"

#include "base/clock.h"

struct add {
    const struct mr_reported *r;
    struct mr_id account, id;
};

static int add_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct add *a = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO usage_reports (id, account_id, endpoint, method, tokens, "
                           "response_ms, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, a->id);
    mr_db_bind_id(s, 2, a->account);
    mr_db_bind_str(s, 3, a->r->endpoint);
    mr_db_bind_str(s, 4, a->r->method);
    mr_db_bind_i64(s, 5, a->r->tokens);
    mr_db_bind_f64(s, 6, a->r->response_ms);
    mr_db_bind_i64(s, 7, mr_now_us());
    return mr_db_exec(s, e);
}

int mr_reported_add(struct mr_db *db, struct mr_id account, const struct mr_reported *r,
                    struct mr_id *ret_id, struct mr_err *e) {
    struct add a = {r, account, mr_id_new()};
    int rc = mr_db_write(db, add_in, &a, e);
    if (!rc)
        *ret_id = a.id;
    return rc;
}

struct counts {
    struct mr_id account;
    int64_t from_us;
    struct mr_month_counts *ret;
};

static int count_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct counts *c = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "SELECT (SELECT COALESCE(SUM(tokens), 0) FROM usage_reports WHERE account_id = ?1 AND "
        "created_at >= ?2), (SELECT COUNT(*) FROM deployments WHERE account_id = ?1 AND "
        "created_at >= ?2), (SELECT COUNT(*) FROM deployments WHERE account_id = ?1 AND "
        "deleted_at = 0 AND current_version > 0)",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->account);
    mr_db_bind_i64(s, 2, c->from_us);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    c->ret->reported_tokens = mr_db_i64(s, 0);
    c->ret->deployments_created = mr_db_i64(s, 1);
    c->ret->deployments_active = mr_db_i64(s, 2);
    mr_db_done(s);
    return 0;
}

int mr_month_counts(struct mr_db *db, struct mr_id account, int64_t from_us,
                    struct mr_month_counts *ret, struct mr_err *e) {
    struct mr_month_counts out = {0};
    struct counts c = {account, from_us, &out};
    int rc = mr_db_read(db, count_in, &c, e);
    if (!rc)
        *ret = out;
    return rc;
}
