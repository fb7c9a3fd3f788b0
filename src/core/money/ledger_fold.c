#include "base/buf.h"
#include "base/clock.h"
#include "core/money/ledger_priv.h"
#include "core/money/money.h"

#include <time.h>

enum { CHUNK = 2000, EVERY_MS = 1000 };

struct pass {
    struct mr_ledger *l;
    int64_t least_held; /* no charge from here on may count as closed */
    int64_t folded, last;
};

static int two(struct mr_tx *tx, const char *sql, int64_t *a, int64_t *b, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_EIO, "the ledger's state is missing");
    *a = mr_db_i64(s, 0);
    *b = mr_db_i64(s, 1);
    mr_db_done(s);
    return 0;
}

static int add_up(struct mr_tx *tx, int64_t from, int64_t to, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "INSERT INTO spend_quarters(account, quarter, kind, book, currency, provider, model, "
        "end_user, key_id, n, amount, input, cached, cache_write, output) "
        "SELECT account, at / 900000000 AS quarter, kind, "
        "CASE WHEN kind IN (3, 4) THEN debit ELSE credit END AS book, currency, provider, model, "
        "end_user, key_id, COUNT(*), SUM(amount), SUM(input), SUM(cached), SUM(cache_write), "
        "SUM(output) FROM ledger WHERE id > ?1 AND id <= ?2 "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 "
        "ON CONFLICT(account, quarter, kind, book, currency, provider, model, end_user, key_id) "
        "DO UPDATE SET n = spend_quarters.n + excluded.n, amount = spend_quarters.amount + "
        "excluded.amount, input = spend_quarters.input + excluded.input, cached = "
        "spend_quarters.cached + excluded.cached, cache_write = spend_quarters.cache_write + "
        "excluded.cache_write, output = spend_quarters.output + excluded.output",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, from);
    mr_db_bind_i64(s, 2, to);
    return mr_db_exec(s, e);
}

static void print_figures(struct mr_buf *b, const struct mr_price *p) {
    const struct {
        const char *key;
        int64_t v;
    } f[] = {{"input", p->input},
             {"cached", p->cached},
             {"cache_write", p->cache_write},
             {"output", p->output},
             {"long_over", p->long_over * MR_NANO},
             {"long_input", p->long_input},
             {"long_cached", p->long_cached},
             {"long_cache_write", p->long_cache_write},
             {"long_output", p->long_output}};
    for (size_t i = 0; i < sizeof f / sizeof *f; i++) {
        if (i >= 4 && !p->long_over)
            break;
        mr_buf_fmt(b, "%s\"%s\":", i ? "," : "{", f[i].key);
        if (i == 4)
            mr_buf_i64(b, p->long_over);
        else
            mr_money_print(b, f[i].v);
    }
    if (p->request) {
        mr_buf_cstr(b, ",\"request\":");
        mr_money_print(b, p->request);
    }
    mr_buf_char(b, '}');
}

static int keep_version(struct mr_ledger *l, struct mr_tx *tx, struct mr_str version,
                        struct mr_err *e) {
    struct mr_arena a;
    struct mr_price p;
    struct mr_buf b;
    struct mr_stmt *s;
    mr_arena_init(&a, 1 << 16);
    mr_buf_init(&b, 4096);
    if (l->prices && mr_price_version(l->prices, version, &a, &p, NULL) == 0)
        print_figures(&b, &p);
    int rc = mr_db_prepare(
        tx, "INSERT INTO price_versions(version, figures, kept_at) VALUES(?1, ?2, ?3)", &s, e);
    if (rc == 0) {
        mr_db_bind_str(s, 1, version);
        mr_db_bind_str(s, 2, mr_buf_view(&b));
        mr_db_bind_i64(s, 3, mr_now_us());
        rc = mr_db_exec(s, e);
    }
    mr_buf_release(&b);
    mr_arena_release(&a);
    return rc;
}

/* Figures of versions that were charged with for the first time. */
static int keep_versions(struct mr_ledger *l, struct mr_tx *tx, int64_t from, int64_t to,
                         struct mr_err *e) {
    for (;;) {
        struct mr_stmt *s;
        int rc = mr_db_prepare(
            tx,
            "SELECT price_version FROM ledger WHERE id > ?1 AND id <= ?2 AND price_version <> '' "
            "AND NOT EXISTS (SELECT 1 FROM price_versions v WHERE v.version = "
            "ledger.price_version) LIMIT 1",
            &s, e);
        if (rc)
            return rc;
        mr_db_bind_i64(s, 1, from);
        mr_db_bind_i64(s, 2, to);
        rc = mr_db_step(s, e);
        if (rc <= 0)
            return rc;
        char text[600];
        struct mr_str v = mr_db_str(s, 0);
        size_t n = v.n < sizeof text ? v.n : sizeof text;
        memcpy(text, v.p, n);
        bool whole = n == v.n;
        mr_db_done(s);
        if (!whole)
            return mr_fail(e, MR_EINTERNAL, "ledger: a price version is too long");
        rc = keep_version(l, tx, mr_strn(text, n), e);
        if (rc)
            return rc;
    }
}

/* The first open charge, or what follows the last one; never beyond a charge that a hold has not
 * written yet. */
static int first_open(struct mr_tx *tx, int64_t low, int64_t least_held, int64_t *ret,
                      struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT id FROM charges WHERE id >= ?1 AND state = 0 ORDER BY id LIMIT 1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, low);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    int64_t first = rc == 1 ? mr_db_i64(s, 0) : INT64_MAX;
    mr_db_done(s);
    if (first > least_held)
        first = least_held;
    *ret = first > low ? first : low;
    return 0;
}

static int fold_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct pass *p = arg;
    int64_t low, last, unused, next_low;
    int rc =
        two(tx, "SELECT folded, closed_below FROM ledger_state WHERE id = 1", &p->folded, &low, e);
    if (rc == 0)
        rc = two(tx, "SELECT COALESCE(MAX(id), 0), 0 FROM ledger", &last, &unused, e);
    if (rc == 0)
        rc = first_open(tx, low, p->least_held, &next_low, e);
    if (rc)
        return rc;
    p->last = last;
    int64_t to = last - p->folded > CHUNK ? p->folded + CHUNK : last;
    if (to == p->folded && next_low == low)
        return 0;
    if (to > p->folded) {
        rc = add_up(tx, p->folded, to, e);
        if (rc == 0)
            rc = keep_versions(p->l, tx, p->folded, to, e);
    }
    struct mr_stmt *s;
    if (rc == 0)
        rc = mr_db_prepare(
            tx, "UPDATE ledger_state SET folded = ?1, closed_below = ?2 WHERE id = 1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, to);
    mr_db_bind_i64(s, 2, next_low);
    p->folded = to;
    return mr_db_exec(s, e);
}

/* Ids are given before their rows are written: none from the least held one on is passed. */
static int64_t least_held(struct mr_ledger *l) {
    pthread_mutex_lock(&l->mu);
    int64_t least = atomic_load(&l->next_charge);
    for (size_t i = 0, seen = 0; i < MR_HOLD_SLOTS && seen < l->n_hold; i++)
        for (const struct mr_open_hold *h = l->hold[i]; h; h = h->next, seen++)
            if (h->charge < least)
                least = h->charge;
    pthread_mutex_unlock(&l->mu);
    return least;
}

int mr_ledger_fold(struct mr_ledger *l, struct mr_err *e) {
    struct pass p = {.l = l};
    int64_t goal = 0;
    do {
        p.least_held = least_held(l);
        int rc = mr_db_write(l->db, fold_tx, &p, e);
        if (rc)
            return rc;
        if (!goal)
            goal = p.last;
    } while (p.folded < goal);
    return 0;
}

void *mr_ledger_fold_main(void *arg) {
    struct mr_ledger *l = arg;
    (void)pthread_setname_np(pthread_self(), "ledger-fold");
    int64_t seen = -1;
    bool failed = false;
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += EVERY_MS / 1000;
        pthread_mutex_lock(&l->mu);
        if (!l->stopping)
            pthread_cond_timedwait(&l->cond, &l->mu, &until);
        bool stop = l->stopping;
        pthread_mutex_unlock(&l->mu);
        if (stop)
            return NULL;
        if (l->prices)
            mr_price_book_refresh(l->prices);
        int64_t now = atomic_load(&l->next_entry) + atomic_load(&l->next_charge);
        if (now == seen)
            continue; /* an idle server writes nothing */
        struct mr_err e = {0};
        if (mr_ledger_fold(l, &e)) {
            if (!failed)
                mr_log_msg(l->log, MR_LOG_ERROR, "ledger.fold_failed", "%s", e.msg);
            failed = true;
        } else {
            failed = false;
            seen = now;
        }
    }
}
