#include "base/clock.h"
#include "core/events/internal.h"

int mr_events_add_delivery(struct mr_tx *tx, struct mr_id webhook, struct mr_id event,
                           int64_t now_us, int64_t next_us, struct mr_id *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO webhook_deliveries(id, webhook_id, event_id, state, "
                           "attempts, next_at, lease_until, created_at) "
                           "VALUES(?1, ?2, ?3, 0, 0, ?4, 0, ?5)",
                           &s, e);
    if (rc)
        return rc;
    struct mr_id id = mr_id_new();
    mr_db_bind_id(s, 1, id);
    mr_db_bind_id(s, 2, webhook);
    mr_db_bind_id(s, 3, event);
    mr_db_bind_i64(s, 4, next_us);
    mr_db_bind_i64(s, 5, now_us);
    rc = mr_db_exec(s, e);
    if (rc == 0 && ret)
        *ret = id;
    return rc;
}

int mr_events_add_event(struct mr_tx *tx, struct mr_id account, const char *event,
                        struct mr_str data, int64_t now_us, struct mr_id *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO outbox(id, account_id, event, data, created_at) "
                           "VALUES(?1, ?2, ?3, ?4, ?5)",
                           &s, e);
    if (rc)
        return rc;
    struct mr_id id = mr_id_new();
    mr_db_bind_id(s, 1, id);
    mr_db_bind_id(s, 2, account);
    mr_db_bind_str(s, 3, mr_str(event));
    mr_db_bind_str(s, 4, data);
    mr_db_bind_i64(s, 5, now_us);
    rc = mr_db_exec(s, e);
    if (rc == 0)
        *ret = id;
    return rc;
}

static struct mr_str copy(struct mr_arena *a, struct mr_str s) {
    char *p = mr_arena_strn(a, s.p, s.n);
    return mr_strn(p, p ? s.n : 0);
}

/* The next due delivery of a webhook that has none under way. */
static int find_due(struct mr_tx *tx, struct mr_claim *c, int64_t now, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "SELECT d.id, d.webhook_id, d.event_id, d.attempts, w.url, w.secret, o.event, o.data, "
        "o.created_at FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id "
        "JOIN outbox o ON o.id = d.event_id "
        "WHERE d.state = 0 AND d.next_at <= ?1 AND NOT EXISTS (SELECT 1 FROM webhook_deliveries x "
        "WHERE x.webhook_id = d.webhook_id AND x.lease_until > ?1) ORDER BY d.next_at, d.id LIMIT "
        "1",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, now);
    rc = mr_db_step(s, e);
    c->found = rc == 1;
    if (rc <= 0)
        return rc;
    bool ok =
        mr_db_id(s, 0, &c->delivery) && mr_db_id(s, 1, &c->webhook) && mr_db_id(s, 2, &c->event_id);
    c->attempt = (int)mr_db_i64(s, 3) + 1;
    c->url = copy(c->arena, mr_db_str(s, 4));
    c->secret = copy(c->arena, mr_db_str(s, 5));
    c->event = copy(c->arena, mr_db_str(s, 6));
    c->data = copy(c->arena, mr_db_str(s, 7));
    c->event_us = mr_db_i64(s, 8);
    mr_db_done(s);
    if (!ok)
        return mr_fail(e, MR_EIO, "a delivery's row is damaged");
    if (!c->url.p || !c->secret.p || !c->event.p || !c->data.p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    return 0;
}

int mr_events_claim_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_claim *c = arg;
    int rc = find_due(tx, c, mr_now_us(), e);
    if (rc || !c->found)
        return rc;
    struct mr_stmt *s;
    rc = mr_db_prepare(
        tx, "UPDATE webhook_deliveries SET attempts = ?2, lease_until = ?3 WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->delivery);
    mr_db_bind_i64(s, 2, c->attempt);
    mr_db_bind_i64(s, 3, c->lease_until);
    return mr_db_exec(s, e);
}

static int add_attempt(struct mr_tx *tx, const struct mr_claim *c, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO webhook_attempts(delivery_id, attempt, started_at, "
                           "duration_us, status, error, reply) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->delivery);
    mr_db_bind_i64(s, 2, c->attempt);
    mr_db_bind_i64(s, 3, c->started_us);
    mr_db_bind_i64(s, 4, c->duration_us);
    mr_db_bind_i64(s, 5, c->status);
    mr_db_bind_str(s, 6, c->error);
    mr_db_bind_blob(s, 7, c->reply.p, c->reply.n);
    return mr_db_exec(s, e);
}

/* The receiver said it is gone: no more requests until the user registers it again. */
static int disable(struct mr_tx *tx, const struct mr_claim *c, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE webhooks SET active = 0, disabled_reason = ?2, updated_at = ?3 "
                           "WHERE id = ?1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->webhook);
    mr_db_bind_str(s, 2, MR_LIT("the target answered 410 Gone"));
    mr_db_bind_i64(s, 3, mr_now_us());
    rc = mr_db_exec(s, e);
    if (rc == 0)
        rc = mr_db_prepare(
            tx, "UPDATE webhook_deliveries SET state = 2 WHERE webhook_id = ?1 AND state = 0", &s,
            e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->webhook);
    return mr_db_exec(s, e);
}

int mr_events_settle_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct mr_claim *c = arg;
    struct mr_stmt *s;
    /* the number of attempts is the fence: whoever took over after our lease ran out has another */
    int rc =
        mr_db_prepare(tx,
                      "UPDATE webhook_deliveries SET state = ?3, next_at = ?4, lease_until = 0 "
                      "WHERE id = ?1 AND attempts = ?2 AND state = 0",
                      &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->delivery);
    mr_db_bind_i64(s, 2, c->attempt);
    mr_db_bind_i64(s, 3, c->state);
    mr_db_bind_i64(s, 4, c->state == MR_DLV_PENDING ? c->next_us : 0);
    rc = mr_db_exec(s, e);
    if (rc || mr_db_changes(tx) == 0)
        return rc; /* taken over, or deleted meanwhile */
    rc = add_attempt(tx, c, e);
    return rc == 0 && c->gone ? disable(tx, c, e) : rc;
}

int mr_events_recover_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "UPDATE webhook_deliveries SET lease_until = 0 WHERE lease_until > 0", &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

int mr_events_prune_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    static const char *const sql[] = {
        "DELETE FROM webhook_attempts WHERE delivery_id IN (SELECT id FROM webhook_deliveries "
        "WHERE state <> 0 AND created_at < ?1)",
        "DELETE FROM webhook_deliveries WHERE state <> 0 AND created_at < ?1",
        "DELETE FROM outbox WHERE created_at < ?1 AND NOT EXISTS (SELECT 1 FROM "
        "webhook_deliveries d WHERE d.event_id = outbox.id)",
    };
    for (int i = 0; i < 3; i++) {
        struct mr_stmt *s;
        int rc = mr_db_prepare(tx, sql[i], &s, e);
        if (rc)
            return rc;
        mr_db_bind_i64(s, 1, *(const int64_t *)arg);
        rc = mr_db_exec(s, e);
        if (rc)
            return rc;
    }
    return 0;
}

int mr_events_next_due_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx, "SELECT MIN(next_at) FROM webhook_deliveries WHERE state = 0", &s, e);
    if (rc)
        return rc;
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    *(int64_t *)arg = rc && !mr_db_is_null(s, 0) ? mr_db_i64(s, 0) : INT64_MAX;
    mr_db_done(s);
    return 0;
}
