/* The delivery log and replay. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "core/events/internal.h"

struct call {
    struct mr_id account, webhook, delivery, made;
    int64_t limit, offset, total;
    struct mr_arena *arena;
    struct mr_delivery *list;
    size_t n;
};

static int count(struct mr_tx *tx, struct call *c, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT (SELECT COUNT(*) FROM webhook_deliveries d WHERE d.webhook_id = "
                           "w.id) FROM webhooks w WHERE w.id = ?1 AND w.account_id = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->webhook);
    mr_db_bind_id(s, 2, c->account);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return mr_fail(e, MR_ENOTFOUND, "no such webhook");
    c->total = mr_db_i64(s, 0);
    mr_db_done(s);
    return 0;
}

static struct mr_str state_name(int64_t state) {
    return state == MR_DLV_PENDING ? MR_LIT("pending")
           : state == MR_DLV_DONE  ? MR_LIT("delivered")
                                   : MR_LIT("dead");
}

/* The attempts as a JSON array. */
static int attempts(struct mr_tx *tx, struct call *c, struct mr_delivery *d, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    mr_buf_init(&b, 1 << 20);
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT attempt, started_at, duration_us, status, error, reply FROM "
                           "webhook_attempts WHERE delivery_id = ?1 ORDER BY attempt",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, d->id);
    mr_buf_char(&b, '[');
    while ((rc = mr_db_step(s, e)) == 1) {
        char at[MR_TIME_LEN];
        mr_time_rfc3339_us(mr_db_i64(s, 1), at);
        mr_buf_fmt(&b, "%s{\"attempt\":%lld,\"at\":\"%s\",\"status_code\":%lld,\"duration_ms\":",
                   b.n > 1 ? "," : "", (long long)mr_db_i64(s, 0), at, (long long)mr_db_i64(s, 3));
        mr_buf_f64(&b, (double)mr_db_i64(s, 2) / 1000);
        mr_buf_cstr(&b, ",\"error\":");
        mr_buf_json(&b, mr_db_str(s, 4));
        mr_buf_cstr(&b, ",\"response\":");
        mr_buf_json(&b, mr_db_blob(s, 5));
        mr_buf_char(&b, '}');
    }
    mr_buf_char(&b, ']');
    if (rc)
        return rc;
    char *p = mr_buf_ok(&b) ? mr_arena_strn(c->arena, b.p, b.n) : NULL;
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    d->attempts = mr_strn(p, b.n);
    return 0;
}

static int list_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct call *c = arg;
    int rc = count(tx, c, e);
    struct mr_stmt *s;
    if (rc == 0)
        rc = mr_db_prepare(tx,
                           "SELECT d.id, o.event, d.state, d.created_at, d.next_at FROM "
                           "webhook_deliveries d JOIN outbox o ON o.id = d.event_id "
                           "WHERE d.webhook_id = ?1 ORDER BY d.created_at DESC, d.id DESC LIMIT ?2 "
                           "OFFSET ?3",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->webhook);
    mr_db_bind_i64(s, 2, c->limit);
    mr_db_bind_i64(s, 3, c->offset);
    c->list = mr_arena_array(c->arena, (size_t)c->limit, sizeof *c->list);
    if (!c->list)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    while (c->n < (size_t)c->limit && (rc = mr_db_step(s, e)) == 1) {
        struct mr_delivery *d = &c->list[c->n];
        struct mr_str event = mr_db_str(s, 1);
        *d = (struct mr_delivery){.status = state_name(mr_db_i64(s, 2)),
                                  .created_us = mr_db_i64(s, 3),
                                  .next_us = mr_db_i64(s, 4)};
        char *name = mr_arena_strn(c->arena, event.p, event.n);
        if (!name)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        if (!mr_db_id(s, 0, &d->id))
            return mr_fail(e, MR_EIO, "a delivery's row is damaged");
        d->event = mr_strn(name, event.n);
        rc = attempts(tx, c, d, e);
        if (rc)
            return rc;
        c->n++;
    }
    return rc < 0 ? rc : 0;
}

int mr_webhook_deliveries(struct mr_events *ev, struct mr_id account, struct mr_id webhook,
                          int64_t limit, int64_t offset, struct mr_arena *arena,
                          struct mr_delivery **ret, size_t *ret_n, int64_t *ret_total,
                          struct mr_err *e) {
    if (limit < 1 || limit > 100)
        return mr_fail_field(e, MR_EFIELD, "limit", "limit must be between 1 and 100");
    if (offset < 0)
        return mr_fail_field(e, MR_EFIELD, "offset", "offset must not be negative");
    struct call c = {
        .account = account, .webhook = webhook, .limit = limit, .offset = offset, .arena = arena};
    int rc = mr_db_read(ev->db, list_tx, &c, e);
    if (rc)
        return rc;
    *ret = c.list;
    *ret_n = c.n;
    *ret_total = c.total;
    return 0;
}

static int replay_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct call *c = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT d.event_id, w.active FROM webhook_deliveries d JOIN webhooks w "
                           "ON w.id = d.webhook_id WHERE d.id = ?1 AND w.id = ?2 AND w.account_id "
                           "= ?3",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->delivery);
    mr_db_bind_id(s, 2, c->webhook);
    mr_db_bind_id(s, 3, c->account);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    struct mr_id event;
    bool found = rc == 1 && mr_db_id(s, 0, &event), active = found && mr_db_i64(s, 1) != 0;
    mr_db_done(s);
    if (!found)
        return mr_fail(e, MR_ENOTFOUND, "no such delivery");
    if (!active)
        return mr_fail(e, MR_ECONFLICT, "the webhook is disabled");
    int64_t now = mr_now_us();
    return mr_events_add_delivery(tx, c->webhook, event, now, now, &c->made, e);
}

int mr_webhook_replay(struct mr_events *ev, struct mr_id account, struct mr_id webhook,
                      struct mr_id delivery, struct mr_id *ret_delivery, struct mr_err *e) {
    struct call c = {.account = account, .webhook = webhook, .delivery = delivery};
    int rc = mr_db_write(ev->db, replay_tx, &c, e);
    if (rc)
        return rc;
    *ret_delivery = c.made;
    mr_events_kick(ev);
    return 0;
}
