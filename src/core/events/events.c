#include "core/events/events.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/events/internal.h"

#define S  1000LL
#define MI (60 * S)
#define H  (60 * MI)
static const int64_t default_schedule_ms[] = {0,     5 * S,  5 * MI, 30 * MI, 2 * H,
                                              5 * H, 10 * H, 14 * H, 20 * H,  24 * H};

enum { POLL_MS = 1000, LEASE_GRACE_US = 60000000 };

void mr_events_kick(struct mr_events *ev) {
    pthread_mutex_lock(&ev->mu);
    ev->kicked = true;
    pthread_cond_signal(&ev->cond);
    pthread_mutex_unlock(&ev->mu);
}

/* Until kicked, a known retry is due, or the poll interval is over. Returns false to end. */
static bool wait_for_work(struct mr_events *ev, bool *ret_kicked) {
    pthread_mutex_lock(&ev->mu);
    if (!ev->kicked && !ev->stopping) {
        int64_t wait_us = POLL_MS * 1000, due = ev->next_due_us - mr_now_us();
        if (due < wait_us)
            wait_us = due > 0 ? due + 500 : 500;
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        int64_t ns = at.tv_nsec + wait_us * 1000;
        at.tv_sec += ns / 1000000000;
        at.tv_nsec = ns % 1000000000;
        pthread_cond_timedwait(&ev->cond, &ev->mu, &at);
    }
    *ret_kicked = ev->kicked;
    ev->kicked = false;
    bool go_on = !ev->stopping;
    pthread_mutex_unlock(&ev->mu);
    return go_on;
}

static void note_due(struct mr_events *ev, int64_t due_us, bool replace) {
    pthread_mutex_lock(&ev->mu);
    if (replace || due_us < ev->next_due_us)
        ev->next_due_us = due_us;
    pthread_mutex_unlock(&ev->mu);
}

static void report(struct mr_events *ev, const char *what, const struct mr_err *e) {
    mr_log_msg(ev->log, MR_LOG_ERROR, what, "%s (%s)", e->msg, mr_code_name(e->code));
}

static bool stopping(struct mr_events *ev) {
    pthread_mutex_lock(&ev->mu);
    bool end = ev->stopping;
    pthread_mutex_unlock(&ev->mu);
    return end;
}

/* Claims one due delivery and makes an attempt. False: nothing due, or the database is unwell. */
static bool deliver_one(struct mr_events *ev, struct mr_arena *a) {
    struct mr_claim c = {.arena = a};
    struct mr_err e = {0};
    c.lease_until = mr_now_us() + (int64_t)ev->timeout_ms * 1000 + LEASE_GRACE_US;
    int rc = mr_db_write(ev->db, mr_events_claim_tx, &c, &e);
    if (rc) {
        report(ev, "webhook.claim", &e);
        return false;
    }
    if (!c.found)
        return false;
    mr_events_kick(ev); /* there may be more: another thread looks meanwhile */
    mr_events_attempt(ev, &c);
    /* A result that cannot be stored is not lost: the lease runs out and the delivery is made again
     * with the same id. */
    rc = mr_db_write(ev->db, mr_events_settle_tx, &c, &e);
    if (rc) {
        report(ev, "webhook.settle", &e);
        note_due(ev, c.lease_until, false);
    } else if (c.state == MR_DLV_PENDING) {
        note_due(ev, c.next_us, false);
    }
    return true;
}

static void prune(struct mr_events *ev) {
    int64_t now = mr_now_us(), before = now - (int64_t)ev->keep_days * 86400000000;
    pthread_mutex_lock(&ev->mu);
    bool due = now - ev->pruned_us > 3600000000;
    if (due)
        ev->pruned_us = now;
    pthread_mutex_unlock(&ev->mu);
    struct mr_err e = {0};
    if (due && mr_db_write(ev->db, mr_events_prune_tx, &before, &e))
        report(ev, "webhook.prune", &e);
}

static void *worker(void *arg) {
    struct mr_events *ev = arg;
    struct mr_arena a;
    (void)pthread_setname_np(pthread_self(), "webhooks");
    mr_arena_init(&a, 16 << 20);
    bool kicked;
    while (wait_for_work(ev, &kicked)) {
        int64_t due = 0;
        struct mr_err e = {0};
        if (!kicked) { /* a read is cheaper than the claim's transaction */
            if (mr_db_read(ev->db, mr_events_next_due_tx, &due, &e))
                continue;
            note_due(ev, due > mr_now_us() ? due : INT64_MAX, true);
        }
        while (due <= mr_now_us() && !stopping(ev) && deliver_one(ev, &a))
            mr_arena_reset(&a);
        mr_arena_reset(&a);
        prune(ev);
    }
    mr_arena_release(&a);
    return NULL;
}

static void release(struct mr_events *ev) {
    pthread_mutex_lock(&ev->mu);
    ev->stopping = true;
    pthread_cond_broadcast(&ev->cond);
    pthread_mutex_unlock(&ev->mu);
    for (unsigned i = 0; i < ev->n_threads; i++)
        pthread_join(ev->threads[i], NULL);
    pthread_mutex_destroy(&ev->mu);
    pthread_cond_destroy(&ev->cond);
    mr_free(ev->threads);
    mr_free(ev);
}

void mr_events_free(struct mr_events *ev) {
    if (ev)
        release(ev);
}

int mr_events_open(const struct mr_events_config *c, struct mr_events **ret, struct mr_err *e) {
    unsigned n = c->workers ? c->workers : 4;
    int bad = mr_outbound_check_allow(c->allow_targets, e);
    if (bad)
        return bad;
    struct mr_events *ev = mr_calloc(1, sizeof *ev);
    pthread_t *threads = mr_calloc(n, sizeof *threads);
    if (!ev || !threads) {
        mr_free(ev);
        mr_free(threads);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    ev->db = c->db;
    ev->log = c->log;
    ev->targets = (struct mr_outbound_policy){c->allow_loopback, c->allow_targets};
    bool own = c->schedule_ms && c->n_schedule > 0;
    ev->schedule_ms = own ? c->schedule_ms : default_schedule_ms;
    ev->n_schedule = own ? c->n_schedule : sizeof default_schedule_ms / sizeof *default_schedule_ms;
    ev->timeout_ms = c->timeout_ms > 0 ? c->timeout_ms : 15000;
    ev->keep_days = c->keep_days > 0 ? c->keep_days : 30;
    ev->threads = threads;
    ev->kicked = true;
    ev->next_due_us = INT64_MAX;
    ev->pruned_us = 0;
    pthread_mutex_init(&ev->mu, NULL);
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&ev->cond, &a);
    pthread_condattr_destroy(&a);
    int rc = mr_db_write(ev->db, mr_events_recover_tx, NULL, e);
    while (rc == 0 && ev->n_threads < n) {
        int err = pthread_create(&threads[ev->n_threads], NULL, worker, ev);
        if (err)
            rc = mr_fail(e, MR_EUNAVAIL, "cannot start a delivery thread: %s", strerror(err));
        else
            ev->n_threads++;
    }
    if (rc) {
        release(ev);
        return rc;
    }
    *ret = ev;
    return 0;
}

/* "*" or the name among those separated by commas. */
static bool wants(struct mr_str events, const char *event) {
    while (events.p) {
        struct mr_str one = mr_str_cut(&events, ',');
        if (mr_str_is(one, "*") || mr_str_is(one, event))
            return true;
    }
    return false;
}

int mr_event_emit(struct mr_events *ev, struct mr_tx *tx, struct mr_id account, const char *event,
                  struct mr_str data_json, struct mr_err *e) {
    if (!mr_event_known(mr_str(event)))
        return mr_fail(e, MR_EINTERNAL, "unknown event %s", event);
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT id, events FROM webhooks WHERE account_id = ?1 AND active = 1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    struct mr_id to[MR_WEBHOOKS_MAX], id;
    size_t n = 0;
    while ((rc = mr_db_step(s, e)) == 1)
        if (n < MR_WEBHOOKS_MAX && wants(mr_db_str(s, 1), event) && mr_db_id(s, 0, &to[n]))
            n++;
    if (rc || n == 0)
        return rc;
    int64_t now = mr_now_us();
    rc = mr_events_add_event(tx, account, event, data_json, now, &id, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = mr_events_add_delivery(tx, to[i], id, now, now + (ev ? ev->schedule_ms[0] * 1000 : 0),
                                    NULL, e);
    /* A claim is a write of its own, so it runs after this transaction or together with it, and
     * is answered when both are durable. */
    if (rc == 0 && ev) {
        note_due(ev, now + ev->schedule_ms[0] * 1000, false);
        mr_events_kick(ev);
    }
    return rc;
}

enum { ACCOUNTS_PAGE = 256 };

/* The next accounts behind `after` with a webhook that wants the event. */
static int next_accounts(struct mr_tx *tx, struct mr_id after, const char *event,
                         struct mr_id out[ACCOUNTS_PAGE], size_t *ret_n, struct mr_err *e) {
    struct mr_stmt *s;
    size_t n = 0;
    int rc = mr_db_prepare(tx,
                           "SELECT account_id, events FROM webhooks WHERE active = 1 AND "
                           "account_id > ?1 ORDER BY account_id",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, after);
    while (n < ACCOUNTS_PAGE && (rc = mr_db_step(s, e)) == 1) {
        struct mr_id id;
        if (wants(mr_db_str(s, 1), event) && mr_db_id(s, 0, &id) &&
            (!n || !mr_id_eq(out[n - 1], id)))
            out[n++] = id;
    }
    if (n == ACCOUNTS_PAGE) {
        mr_db_done(s);
        rc = 0;
    }
    *ret_n = n;
    return rc;
}

int mr_event_emit_all(struct mr_events *ev, struct mr_tx *tx, const char *event,
                      struct mr_str data_json, struct mr_err *e) {
    struct mr_id account[ACCOUNTS_PAGE], after = {0};
    size_t n = ACCOUNTS_PAGE;
    int rc = 0;
    while (!rc && n == ACCOUNTS_PAGE) {
        rc = next_accounts(tx, after, event, account, &n, e);
        for (size_t i = 0; !rc && i < n; i++)
            rc = mr_event_emit(ev, tx, account[i], event, data_json, e);
        if (n)
            after = account[n - 1];
    }
    return rc;
}
