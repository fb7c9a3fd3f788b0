/* The registry of webhooks. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/codec.h"
#include "core/events/internal.h"

enum { EVENTS_MAX = 64 };

struct call {
    struct mr_id account, id;
    struct mr_arena *arena;
    struct mr_str url, events, secret;
    int64_t now_us;
    struct mr_webhook *list;
    size_t n;
    struct mr_events *ev;
    struct mr_id delivery;
};

#define COLUMNS "id, url, events, active, disabled_reason, created_at"

/* The names of a stored list, in the arena. */
static int split(struct mr_arena *a, struct mr_str text, struct mr_webhook *w) {
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ',';
    struct mr_str *list = mr_arena_array(a, n, sizeof *list);
    char *copy = mr_arena_strn(a, text.p, text.n);
    if (!list || !copy)
        return MR_ENOMEM;
    struct mr_str rest = mr_strn(copy, text.n);
    w->n_events = 0;
    while (rest.p && w->n_events < n)
        list[w->n_events++] = mr_str_cut(&rest, ',');
    w->events = list;
    return 0;
}

static int read_row(struct mr_stmt *s, struct mr_arena *a, struct mr_webhook *w, struct mr_err *e) {
    struct mr_str url = mr_db_str(s, 1), reason = mr_db_str(s, 4);
    *w = (struct mr_webhook){.active = mr_db_i64(s, 3) != 0, .created_us = mr_db_i64(s, 5)};
    char *u = mr_arena_strn(a, url.p, url.n), *r = mr_arena_strn(a, reason.p, reason.n);
    if (!mr_db_id(s, 0, &w->id))
        return mr_fail(e, MR_EIO, "a webhook's row is damaged");
    if (!u || !r || split(a, mr_db_str(s, 2), w))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    w->url = mr_strn(u, url.n);
    w->disabled_reason = mr_strn(r, reason.n);
    return 0;
}

static int check_events(const struct mr_str *events, size_t n, struct mr_buf *csv,
                        struct mr_err *e) {
    if (n == 0)
        return mr_fail_field(e, MR_EFIELD, "events", "events must name at least one event");
    if (n > EVENTS_MAX)
        return mr_fail_field(e, MR_EFIELD, "events", "events has more than %d names", EVENTS_MAX);
    for (size_t i = 0; i < n; i++) {
        bool again = false;
        if (!mr_str_is(events[i], "*") && !mr_event_known(events[i]))
            return mr_fail_field(e, MR_EFIELD, "events", "events: there is no event \"%.*s\"",
                                 (int)(events[i].n < 100 ? events[i].n : 100),
                                 events[i].p ? events[i].p : "");
        for (size_t k = 0; k < i; k++)
            again = again || mr_str_eq(events[k], events[i]);
        if (again)
            continue;
        if (csv->n)
            mr_buf_char(csv, ',');
        mr_buf_str(csv, events[i]);
    }
    return mr_buf_ok(csv) ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

/* "whsec_" and 32 random bytes. */
static int make_secret(struct mr_arena *a, struct mr_str *ret, struct mr_err *e) {
    uint8_t key[32];
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    mr_buf_init(&b, 256);
    mr_random(key, sizeof key);
    mr_buf_cstr(&b, "whsec_");
    mr_base64_add(&b, key, sizeof key);
    char *p = mr_buf_ok(&b) ? mr_arena_strn(a, b.p, b.n) : NULL;
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *ret = mr_strn(p, b.n);
    return 0;
}

static int count_tx(struct mr_tx *tx, const struct call *c, int64_t *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT COUNT(*) FROM webhooks WHERE account_id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->account);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    *ret = mr_db_i64(s, 0);
    mr_db_done(s);
    return 0;
}

static int create_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct call *c = arg;
    int64_t have = 0;
    int rc = count_tx(tx, c, &have, e);
    if (rc)
        return rc;
    if (have >= MR_WEBHOOKS_MAX)
        return mr_fail(e, MR_ELIMIT, "an account has at most %d webhooks", MR_WEBHOOKS_MAX);
    struct mr_stmt *s;
    rc = mr_db_prepare(tx,
                       "INSERT INTO webhooks(id, account_id, url, events, secret, active, "
                       "disabled_reason, created_at, updated_at) "
                       "VALUES(?1, ?2, ?3, ?4, ?5, 1, '', ?6, ?6)",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->id);
    mr_db_bind_id(s, 2, c->account);
    mr_db_bind_str(s, 3, c->url);
    mr_db_bind_str(s, 4, c->events);
    mr_db_bind_str(s, 5, c->secret);
    mr_db_bind_i64(s, 6, c->now_us);
    return mr_db_exec(s, e);
}

int mr_webhook_create(struct mr_events *ev, struct mr_id account, struct mr_str url,
                      const struct mr_str *events, size_t n_events, struct mr_str secret,
                      struct mr_arena *arena, struct mr_webhook *ret, struct mr_str *ret_secret,
                      struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf csv, key;
    mr_buf_init(&csv, 8192);
    mr_buf_init(&key, 1024);
    struct mr_str made = {NULL, 0};
    struct call c = {.account = account, .id = mr_id_new(), .url = url, .now_us = mr_now_us()};
    int rc = mr_outbound_check_url(&ev->targets, url, e);
    if (rc == 0)
        rc = check_events(events, n_events, &csv, e);
    if (rc == 0)
        rc = secret.p ? mr_webhook_key(secret, &key, e) : make_secret(arena, &made, e);
    if (rc)
        return rc;
    c.events = mr_buf_view(&csv);
    c.secret = secret.p ? secret : made;
    rc = mr_db_write(ev->db, create_tx, &c, e);
    if (rc)
        return rc;
    rc = mr_webhook_get(ev, account, c.id, arena, ret, e);
    if (rc == 0)
        *ret_secret = made;
    return rc;
}

static int list_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct call *c = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT " COLUMNS " FROM webhooks WHERE account_id = ?1 ORDER BY created_at, id", &s,
        e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->account);
    c->list = mr_arena_array(c->arena, MR_WEBHOOKS_MAX, sizeof *c->list);
    if (!c->list)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    while (c->n < MR_WEBHOOKS_MAX && (rc = mr_db_step(s, e)) == 1) {
        rc = read_row(s, c->arena, &c->list[c->n], e);
        if (rc)
            return rc;
        c->n++;
    }
    return rc < 0 ? rc : 0;
}

int mr_webhook_list(struct mr_events *ev, struct mr_id account, struct mr_arena *arena,
                    struct mr_webhook **ret, size_t *ret_n, struct mr_err *e) {
    struct call c = {.account = account, .arena = arena};
    int rc = mr_db_read(ev->db, list_tx, &c, e);
    if (rc)
        return rc;
    *ret = c.list;
    *ret_n = c.n;
    return 0;
}

static int get_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct call *c = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT " COLUMNS " FROM webhooks WHERE id = ?1 AND account_id = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->id);
    mr_db_bind_id(s, 2, c->account);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return mr_fail(e, MR_ENOTFOUND, "no such webhook");
    rc = read_row(s, c->arena, c->list, e);
    mr_db_done(s);
    return rc;
}

int mr_webhook_get(struct mr_events *ev, struct mr_id account, struct mr_id id,
                   struct mr_arena *arena, struct mr_webhook *ret, struct mr_err *e) {
    struct mr_webhook w;
    struct call c = {.account = account, .id = id, .arena = arena, .list = &w};
    int rc = mr_db_read(ev->db, get_tx, &c, e);
    if (rc == 0)
        *ret = w;
    return rc;
}

/* MR_ENOTFOUND unless the account has it. *ret_active may be NULL. */
static int own(struct mr_tx *tx, const struct call *c, bool *ret_active, struct mr_err *e) {
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx, "SELECT active FROM webhooks WHERE id = ?1 AND account_id = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->id);
    mr_db_bind_id(s, 2, c->account);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return mr_fail(e, MR_ENOTFOUND, "no such webhook");
    if (ret_active)
        *ret_active = mr_db_i64(s, 0) != 0;
    mr_db_done(s);
    return 0;
}

static int delete_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    static const char *const sql[] = {
        ("DELETE FROM webhook_attempts WHERE delivery_id IN (SELECT id FROM webhook_deliveries "
         "WHERE webhook_id = ?1)"),
        "DELETE FROM webhook_deliveries WHERE webhook_id = ?1",
        "DELETE FROM webhooks WHERE id = ?1",
    };
    const struct call *c = arg;
    int rc = own(tx, c, NULL, e);
    for (int i = 0; rc == 0 && i < 3; i++) {
        struct mr_stmt *s;
        rc = mr_db_prepare(tx, sql[i], &s, e);
        if (rc)
            return rc;
        mr_db_bind_id(s, 1, c->id);
        rc = mr_db_exec(s, e);
    }
    return rc;
}

int mr_webhook_delete(struct mr_events *ev, struct mr_id account, struct mr_id id,
                      struct mr_err *e) {
    struct call c = {.account = account, .id = id};
    return mr_db_write(ev->db, delete_tx, &c, e);
}

static int test_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct call *c = arg;
    bool active = false;
    struct mr_id event;
    char wh[64], data[128];
    int rc = own(tx, c, &active, e);
    if (rc == 0 && !active)
        rc = mr_fail(e, MR_ECONFLICT, "the webhook is disabled");
    if (rc)
        return rc;
    if (!mr_id_print(MR_WEBHOOK_PREFIX, c->id, wh, sizeof wh))
        return mr_fail(e, MR_EINTERNAL, "id too long");
    snprintf(data, sizeof data, "{\"webhook_id\":\"%s\"}", wh);
    int64_t now = mr_now_us();
    rc = mr_events_add_event(tx, c->account, "webhook.test", mr_str(data), now, &event, e);
    return rc ? rc : mr_events_add_delivery(tx, c->id, event, now, now, &c->delivery, e);
}

int mr_webhook_test(struct mr_events *ev, struct mr_id account, struct mr_id id,
                    struct mr_id *ret_delivery, struct mr_err *e) {
    struct call c = {.account = account, .id = id};
    int rc = mr_db_write(ev->db, test_tx, &c, e);
    if (rc)
        return rc;
    *ret_delivery = c.delivery;
    mr_events_kick(ev);
    return 0;
}
