#include "base/alloc.h"
#include "core/money/ledger_priv.h"
#include "core/money/money.h"

enum { LINES_MAX = 1000000 };

struct report {
    const struct mr_report_query *q;
    enum mr_report_by by;
    const struct mr_zone *zone;
    struct mr_arena *arena;
    struct mr_report_line *line;
    size_t n, cap;
    int64_t day_from, day_to; /* of the last line, by day */
};

/* Columns: currency, then what the grouping keeps as two texts and a number, kind, book, sums. */
#define SUMS                                                                                       \
    ", kind, book, SUM(n), SUM(amount), SUM(input), SUM(cached), SUM(cache_write), SUM(output) "
#define WHERE                                                                                      \
    "FROM spend_quarters q WHERE account = ?1 AND quarter >= ?2 AND quarter < ?3 AND (?4 = 0 OR "  \
    "end_user = ?5) "
#define FIRST "ORDER BY (currency <> 'usd'), currency"

static const char *const report_sql[] = {
    [MR_BY_TOTAL] = "SELECT currency, '', '', 0" SUMS WHERE "GROUP BY currency, kind, book " FIRST,
    [MR_BY_DAY] = "SELECT currency, '', '', quarter" SUMS WHERE
                  "GROUP BY currency, quarter, kind, book " FIRST ", quarter",
    [MR_BY_MODEL] = "SELECT currency, provider, model, 0" SUMS WHERE
                    "GROUP BY currency, provider, model, kind, book " FIRST ", provider, model",
    [MR_BY_END_USER] =
        "SELECT currency, (SELECT name FROM end_users u WHERE u.id = q.end_user), "
        "'', end_user" SUMS WHERE "GROUP BY currency, end_user, kind, book " FIRST ", end_user",
};

/* By day: from which midnight on the quarter counts. Days are cut at the zone's midnights rather
 * than by the date that the clock shows: where clocks go back over midnight the date repeats. */
static void find_day(struct report *r, int64_t at_us) {
    if (r->n && at_us >= r->day_from && at_us < r->day_to)
        return;
    struct mr_date d = mr_zone_date(r->zone, at_us), first;
    mr_zone_period(r->zone, MR_PERIOD_DAY, d, &first, &r->day_from, &r->day_to);
    while (at_us >= r->day_to) {
        d = mr_date_next(d);
        mr_zone_period(r->zone, MR_PERIOD_DAY, d, &first, &r->day_from, &r->day_to);
    }
}

static bool same(const struct mr_report_line *l, enum mr_report_by by, struct mr_stmt *s,
                 int64_t period, int64_t user) {
    if (!mr_str_eq(l->currency, mr_db_str(s, 0)))
        return false;
    switch (by) {
    case MR_BY_DAY:
        return l->period_us == period;
    case MR_BY_MODEL:
        return mr_str_eq(l->provider, mr_db_str(s, 1)) && mr_str_eq(l->model, mr_db_str(s, 2));
    case MR_BY_END_USER:
        return l->period_us == user; /* the number, until the report is complete */
    default:
        return true;
    }
}

static struct mr_report_line *line_for(struct report *r, struct mr_stmt *s, struct mr_err *e) {
    int64_t number = mr_db_i64(s, 3), period = 0;
    if (r->by == MR_BY_DAY) {
        find_day(r, number * MR_QUARTER_US);
        period = r->day_from;
    } else if (r->by == MR_BY_END_USER) {
        period = number;
    }
    if (r->n && same(&r->line[r->n - 1], r->by, s, period, number))
        return &r->line[r->n - 1];
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        void *p = cap <= LINES_MAX ? mr_reallocarray(r->line, cap, sizeof *r->line) : NULL;
        if (!p) {
            mr_fail(e, cap <= LINES_MAX ? MR_ENOMEM : MR_ETOOBIG, "the report is too large");
            return NULL;
        }
        r->line = p;
        r->cap = cap;
    }
    struct mr_report_line *l = &r->line[r->n];
    *l = (struct mr_report_line){.currency = mr_arena_keep(r->arena, mr_db_str(s, 0)),
                                 .period_us = period};
    bool ok = l->currency.p;
    if (r->by == MR_BY_MODEL) {
        l->provider = mr_arena_keep(r->arena, mr_db_str(s, 1));
        l->model = mr_arena_keep(r->arena, mr_db_str(s, 2));
        ok = ok && l->provider.p && l->model.p;
    } else if (r->by == MR_BY_END_USER && !mr_db_is_null(s, 1)) {
        l->end_user = mr_arena_keep(r->arena, mr_db_str(s, 1));
        ok = ok && l->end_user.p;
    }
    if (!ok) {
        mr_fail(e, MR_ENOMEM, "the report is too large");
        return NULL;
    }
    r->n++;
    return l;
}

static bool add(int64_t *to, int64_t v) {
    return mr_money_add(*to, v, to);
}

static int add_row(struct mr_report_line *l, struct mr_stmt *s, struct mr_err *e) {
    int64_t kind = mr_db_i64(s, 4), book = mr_db_i64(s, 5), amount = mr_db_i64(s, 7);
    bool ok;
    if (kind == MR_ENTRY_CHARGE) {
        ok = add(&l->requests, mr_db_i64(s, 6)) && add(&l->expense_nano, amount) &&
             add(&l->tokens.input, mr_db_i64(s, 8)) && add(&l->tokens.cached, mr_db_i64(s, 9)) &&
             add(&l->tokens.cache_write, mr_db_i64(s, 10)) &&
             add(&l->tokens.output, mr_db_i64(s, 11));
    } else {
        bool in = kind == MR_ENTRY_INCOME || kind == MR_ENTRY_DISPUTE_WON;
        int64_t v = in ? amount : -amount;
        ok = add(&l->income_nano, v) &&
             add(book == MR_BOOK_SUBSCRIPTION ? &l->subscription_nano : &l->micro_nano, v);
    }
    return ok ? 0 : mr_fail(e, MR_EINTERNAL, "the report's sums do not fit");
}

static int report_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct report *r = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, report_sql[r->by], &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, r->q->account);
    mr_db_bind_i64(s, 2, r->q->from_us / MR_QUARTER_US);
    mr_db_bind_i64(s, 3, r->q->to_us / MR_QUARTER_US);
    mr_db_bind_i64(s, 4, r->q->one_end_user);
    mr_db_bind_i64(s, 5, r->q->end_user);
    while ((rc = mr_db_step(s, e)) == 1) {
        struct mr_report_line *l = line_for(r, s, e);
        rc = l ? add_row(l, s, e) : MR_ENOMEM;
        if (rc) {
            mr_db_done(s);
            return rc;
        }
    }
    return rc;
}

int mr_report(struct mr_ledger *l, const struct mr_report_query *q, enum mr_report_by by,
              struct mr_arena *arena, struct mr_report_line **ret, size_t *ret_n,
              struct mr_err *e) {
    struct report r = {.q = q, .by = by, .arena = arena};
    int rc = mr_ledger_zone(l, q->account, &r.zone, e);
    if (rc == 0)
        rc = mr_ledger_fold(l, e);
    if (rc == 0)
        rc = mr_db_read(l->db, report_tx, &r, e);
    for (size_t i = 0; by == MR_BY_END_USER && i < r.n; i++)
        r.line[i].period_us = 0;
    struct mr_report_line *out = rc == 0 ? mr_arena_array(arena, r.n ? r.n : 1, sizeof *out) : NULL;
    if (out) {
        if (r.n)
            memcpy(out, r.line, r.n * sizeof *out);
        *ret = out;
        *ret_n = r.n;
    } else if (rc == 0) {
        rc = mr_fail(e, MR_ENOMEM, "the report is too large");
    }
    mr_free(r.line);
    return rc;
}

/* --- one charge ------------------------------------------------------------------------------ */
struct get {
    struct mr_id account;
    int64_t charge;
    struct mr_arena *arena;
    struct mr_charge *ret;
};

static int get_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct get *g = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "SELECT c.family, COALESCE(l.provider, c.provider), COALESCE(l.model, c.model), "
        "COALESCE(l.price_version, c.price_version), u.name, c.key_id, c.state, c.reserved, "
        "COALESCE(l.amount, 0), c.created_at, "
        "CASE WHEN c.state = 0 THEN 0 ELSE c.settled_at END, COALESCE(l.input, 0), "
        "COALESCE(l.cached, 0), COALESCE(l.cache_write, 0), COALESCE(l.output, 0), "
        "COALESCE(l.estimated, 0) FROM charges c LEFT JOIN ledger l ON l.id = c.entry "
        "LEFT JOIN end_users u ON u.id = c.end_user WHERE c.id = ?1 AND c.account = ?2",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, g->charge);
    mr_db_bind_id(s, 2, g->account);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_ENOTFOUND, "there is no charge %lld", (long long)g->charge);
    struct mr_charge c = {
        .id = g->charge,
        .family = mr_arena_keep(g->arena, mr_db_str(s, 0)),
        .provider = mr_arena_keep(g->arena, mr_db_str(s, 1)),
        .model = mr_arena_keep(g->arena, mr_db_str(s, 2)),
        .price_version = mr_arena_keep(g->arena, mr_db_str(s, 3)),
        .end_user = mr_arena_keep(g->arena, mr_db_str(s, 4)),
        .state = (enum mr_charge_state)mr_db_i64(s, 6),
        .reserved_nano = mr_db_i64(s, 7),
        .cost_nano = mr_db_i64(s, 8),
        .created_us = mr_db_i64(s, 9),
        .settled_us = mr_db_i64(s, 10),
        .tokens = {mr_db_i64(s, 11), mr_db_i64(s, 12), mr_db_i64(s, 13), mr_db_i64(s, 14)},
        .estimated = mr_db_i64(s, 15) != 0};
    bool named = !mr_db_is_null(s, 4), id = mr_db_id(s, 5, &c.key);
    mr_db_done(s);
    if (!c.family.p || !c.provider.p || !c.model.p || !c.price_version.p ||
        (named && !c.end_user.p))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    if (!id)
        return mr_fail(e, MR_EIO, "charge %lld is damaged", (long long)g->charge);
    *g->ret = c;
    return 0;
}

static int nothing_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx;
    (void)arg;
    (void)e;
    return 0;
}

int mr_charge_get(struct mr_ledger *l, struct mr_id account, int64_t charge, struct mr_arena *arena,
                  struct mr_charge *ret, struct mr_err *e) {
    struct get g = {account, charge, arena, ret};
    struct mr_err unused;
    int rc = mr_db_read(l->db, get_tx, &g, e);
    if (rc != MR_ENOTFOUND)
        return rc;
    pthread_mutex_lock(&l->mu);
    bool under_way = mr_hold_find(l, charge) != NULL;
    pthread_mutex_unlock(&l->mu);
    if (under_way) /* written behind its reply (core/bill): behind this write it is there */
        (void)mr_db_write(l->db, nothing_tx, NULL, &unused);
    return mr_db_read(l->db, get_tx, &g, e);
}
