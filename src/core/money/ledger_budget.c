#include "base/clock.h"
#include "core/events/events.h"
#include "core/money/ledger_priv.h"
#include "core/money/money.h"

static const struct mr_id none;

enum { TEXT_MAX = 1024 };

static void print_date(struct mr_buf *b, const struct mr_subject *s) {
    struct mr_date d = mr_zone_date(s->zone, s->to_us);
    mr_buf_fmt(b, "%04d-%02d-%02d (%s)", (int)d.year, d.month, d.day, mr_zone_name(s->zone).p);
}

/* "the monthly budget of the account 'acme' (10.0 USD) is used up: …" */
static int refuse(const struct mr_subject *s, int64_t held, int64_t more, struct mr_err *e) {
    struct mr_buf b;
    mr_buf_init(&b, TEXT_MAX);
    mr_buf_fmt(&b, "the monthly budget of %s, ", s->label);
    mr_money_print(&b, s->limit);
    mr_buf_cstr(&b, " USD, does not cover this request (up to ");
    mr_money_print(&b, more);
    mr_buf_cstr(&b, " USD): ");
    mr_money_print(&b, s->spent);
    mr_buf_cstr(&b, " USD are spent and ");
    mr_money_print(&b, held);
    mr_buf_cstr(&b, " USD reserved by running requests; it renews on ");
    print_date(&b, s);
    int rc = mr_fail_field(e, MR_ELIMIT, "budget", "%s", b.p ? b.p : "the budget is used up");
    mr_buf_release(&b);
    return rc;
}

int mr_subject_check(const struct mr_subject *s, int64_t more, struct mr_err *e) {
    if (s->limit < 0)
        return 0;
    int64_t held, sum;
    if (!mr_money_add(s->held, s->stale, &held) || !mr_money_add(s->spent, held, &sum) ||
        !mr_money_add(sum, more, &sum) || sum > s->limit ||
        /* a budget that is used up admits nothing, not even what may cost nothing */
        (s->limit > 0 && s->spent >= s->limit))
        return refuse(s, held, more, e);
    return 0;
}

/* Notes the alert; *ret false when it was written before. */
static int note_alert(struct mr_tx *tx, const struct mr_subject *s, int64_t at_us, bool *ret,
                      struct mr_err *e) {
    struct mr_stmt *st;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO budget_alerts(subject, month, at) VALUES(?1, ?2, ?3) "
                           "ON CONFLICT(subject, month) DO NOTHING",
                           &st, e);
    if (rc)
        return rc;
    mr_db_bind_id(st, 1, s->id);
    mr_db_bind_i64(st, 2, s->from_us);
    mr_db_bind_i64(st, 3, at_us);
    rc = mr_db_exec(st, e);
    *ret = rc == 0 && mr_db_changes(tx) == 1;
    return rc;
}

/* `s` is a copy: figures as of now. */
static int emit(struct mr_ledger *l, struct mr_tx *tx, const struct mr_subject *s, int64_t spent,
                struct mr_err *e) {
    char at[MR_TIME_LEN], hex[MR_ID_HEX];
    struct mr_buf b;
    mr_buf_init(&b, TEXT_MAX);
    mr_time_rfc3339(s->to_us, at);
    mr_id_hex(s->id, hex);
    mr_buf_fmt(&b, "{\"subject\":\"%s\",\"id\":\"%s\",\"percent\":80,\"limit_usd\":",
               s->is_key ? "key" : "account", hex);
    mr_money_print(&b, s->limit);
    mr_buf_cstr(&b, ",\"spent_usd\":");
    mr_money_print(&b, spent);
    mr_buf_fmt(&b, ",\"renews_at\":\"%s\"}", at);
    int rc = mr_buf_ok(&b) ? 0 : mr_fail(e, b.fail, "out of memory");
    if (rc == 0 && l->events)
        rc = mr_event_emit(l->events, tx, s->account, "budget.alert", mr_buf_view(&b), e);
    if (rc == 0)
        mr_log_msg(l->log, MR_LOG_WARN, "budget.alert",
                   "80 %% of the monthly budget of %s are spent: %s", s->label, b.p);
    mr_buf_release(&b);
    return rc;
}

int mr_subject_alert_in(struct mr_ledger *l, struct mr_tx *tx, struct mr_open_hold *h, int64_t cost,
                        int64_t at_us, struct mr_err *e) {
    struct mr_subject *of[2] = {h->account, h->key};
    for (int i = 0; i < 2; i++) {
        if (!of[i])
            continue;
        pthread_mutex_lock(&l->mu);
        struct mr_subject s = *of[i];
        pthread_mutex_unlock(&l->mu);
        if (!s.loaded || s.limit <= 0 || cost == 0)
            continue;
        mr_subject_roll(&s, at_us);
        int64_t spent;
        if (!mr_money_add(s.spent, s.settling, &spent)) /* `settling` has this cost in it */
            spent = INT64_MAX;
        if (s.alerted || at_us < s.from_us || spent < s.limit - s.limit / 5)
            continue;
        bool first;
        int rc = note_alert(tx, &s, at_us, &first, e);
        if (rc == 0 && first)
            rc = emit(l, tx, &s, spent, e);
        if (rc)
            return rc;
        h->alerted[i] = true;
    }
    return 0;
}

static int budget(struct mr_ledger *l, struct mr_id account, struct mr_id key,
                  struct mr_budget *ret, struct mr_err *e) {
    struct mr_subject *s;
    int rc = mr_subject_lock(l, account, key, mr_now_us(), &s, e);
    if (rc)
        return rc;
    *ret = (struct mr_budget){.limit_nano = s->limit,
                              .spent_nano = s->spent,
                              .reserved_nano = s->held + s->stale,
                              .renews_us = s->to_us};
    struct mr_str z = mr_zone_name(s->zone);
    memcpy(ret->zone, z.p, z.n + 1);
    bool mine = mr_id_eq(s->account, account);
    pthread_mutex_unlock(&l->mu);
    return mine ? 0 : mr_fail(e, MR_ENOTFOUND, "there is no such API key");
}

int mr_budget_account(struct mr_ledger *l, struct mr_id account, struct mr_budget *ret,
                      struct mr_err *e) {
    return budget(l, account, none, ret, e);
}

int mr_budget_key(struct mr_ledger *l, struct mr_id account, struct mr_id key,
                  struct mr_budget *ret, struct mr_err *e) {
    return budget(l, account, key, ret, e);
}

struct change {
    struct mr_id account;
    int64_t limit;
    struct mr_str zone;
};

static int set_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct change *c = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE accounts SET budget_nanousd = ?2, timezone = COALESCE(?3, "
                           "timezone) WHERE id = ?1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->account);
    mr_db_bind_i64(s, 2, c->limit);
    mr_db_bind_str(s, 3, c->zone);
    rc = mr_db_exec(s, e);
    if (rc == 0 && mr_db_changes(tx) != 1)
        rc = mr_fail(e, MR_ENOTFOUND, "there is no such account");
    return rc;
}

int mr_budget_set(struct mr_ledger *l, struct mr_id account, int64_t limit_nano, struct mr_str zone,
                  struct mr_err *e) {
    const struct mr_zone *z;
    struct change c = {account, limit_nano, zone};
    if (limit_nano < -1)
        return mr_fail_field(e, MR_EFIELD, "budget", "a budget is not negative");
    int rc = zone.p ? mr_ledger_zone_of(l, zone, &z, e) : 0;
    if (rc == 0)
        rc = mr_db_write(l->db, set_tx, &c, e);
    if (rc)
        return rc;
    pthread_mutex_lock(&l->mu);
    if (zone.p) { /* its keys' months follow it */
        mr_subjects_forget(l);
    } else {
        struct mr_subject *s = mr_subject_find(l, account);
        if (s)
            s->limit = limit_nano;
    }
    pthread_mutex_unlock(&l->mu);
    return 0;
}

int mr_ledger_zone(struct mr_ledger *l, struct mr_id account, const struct mr_zone **ret,
                   struct mr_err *e) {
    struct mr_subject *s;
    int rc = mr_subject_lock(l, account, none, mr_now_us(), &s, e);
    if (rc)
        return rc;
    *ret = s->zone;
    pthread_mutex_unlock(&l->mu);
    return 0;
}
