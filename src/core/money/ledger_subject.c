/* Budgets in memory: each account and key that spends has its month's figures here, read once. */
#include "base/alloc.h"
#include "core/money/ledger_priv.h"
#include "core/money/money.h"

static const struct mr_id none;

static size_t bucket(const struct mr_ledger *l, struct mr_id id) {
    uint64_t h;
    memcpy(&h, id.b + 8, sizeof h); /* the random half of a UUID */
    h *= UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(h >> 32) & (l->cap_subject - 1);
}

struct mr_subject *mr_subject_find(struct mr_ledger *l, struct mr_id id) {
    if (!l->cap_subject)
        return NULL;
    struct mr_subject *s = l->subject[bucket(l, id)];
    while (s && !mr_id_eq(s->id, id))
        s = s->next;
    return s;
}

static bool grow(struct mr_ledger *l) {
    if (l->n_subject < l->cap_subject)
        return true;
    size_t cap = l->cap_subject ? 2 * l->cap_subject : 64, old_cap = l->cap_subject;
    struct mr_subject **fresh = mr_calloc(cap, sizeof *fresh), **old = l->subject;
    if (!fresh)
        return old_cap > 0; /* longer chains do no harm */
    l->subject = fresh;
    l->cap_subject = cap;
    for (size_t i = 0; i < old_cap; i++) {
        for (struct mr_subject *s = old[i], *next; s; s = next) {
            next = s->next;
            size_t b = bucket(l, s->id);
            s->next = fresh[b];
            fresh[b] = s;
        }
    }
    mr_free(old);
    return true;
}

static struct mr_subject *add(struct mr_ledger *l, struct mr_id account, struct mr_id key) {
    bool is_key = !mr_id_eq(key, none);
    struct mr_subject *s = mr_subject_find(l, is_key ? key : account);
    if (s)
        return s;
    s = grow(l) ? mr_calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    s->id = is_key ? key : account;
    s->account = account;
    s->is_key = is_key;
    s->limit = -1;
    size_t b = bucket(l, s->id);
    s->next = l->subject[b];
    l->subject[b] = s;
    l->n_subject++;
    return s;
}

/* What the database knows of a subject. */
struct load {
    struct mr_ledger *l;
    struct mr_subject key; /* id, account, is_key are the question */
    int64_t now_us;
    struct mr_subject out;
};

static int load_names(struct mr_tx *tx, struct load *q, struct mr_str *zone, char zone_buf[64],
                      struct mr_err *e) {
    struct mr_stmt *s;
    struct mr_subject *o = &q->out;
    int rc = q->key.is_key
                 ? mr_db_prepare(tx,
                                 "SELECT a.timezone, k.budget_nanousd, k.name, k.prefix FROM "
                                 "accounts a JOIN api_keys k ON k.account_id = a.id WHERE "
                                 "a.id = ?1 AND k.id = ?2",
                                 &s, e)
                 : mr_db_prepare(
                       tx, "SELECT timezone, budget_nanousd, name, '' FROM accounts WHERE id = ?1",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, q->key.account);
    if (q->key.is_key)
        mr_db_bind_id(s, 2, q->key.id);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return mr_fail(e, MR_ENOTFOUND, "there is no such %s",
                       q->key.is_key ? "API key" : "account");
    struct mr_str z = mr_db_str(s, 0), name = mr_db_str(s, 2), prefix = mr_db_str(s, 3);
    size_t n = z.n < 63 ? z.n : 63;
    memcpy(zone_buf, z.p, n);
    *zone = mr_strn(zone_buf, n);
    o->limit = mr_db_i64(s, 1);
    int show = (int)(name.n > 60 ? 60 : name.n);
    if (q->key.is_key)
        snprintf(o->label, sizeof o->label, "the API key '%.*s' (%.*s…)", show, name.p,
                 (int)(prefix.n > 20 ? 20 : prefix.n), prefix.p);
    else
        snprintf(o->label, sizeof o->label, "the account '%.*s'", show, name.p);
    mr_db_done(s);
    return 0;
}

/* Adds the first column of a one-row query. */
static int add_sum(struct mr_tx *tx, const char *sql, const struct load *q, int64_t from,
                   int64_t to, int64_t *sum, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, q->key.account);
    mr_db_bind_i64(s, 2, from);
    mr_db_bind_i64(s, 3, to);
    if (q->key.is_key)
        mr_db_bind_id(s, 4, q->key.id);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    *sum += mr_db_i64(s, 0);
    mr_db_done(s);
    return 0;
}

/* Roll-ups, entries not folded yet, open charges of earlier processes, and up to which entry that
 * is: one snapshot. */
static int load_sums(struct mr_tx *tx, struct load *q, struct mr_err *e) {
    static const char *const sql[2][3] = {
        {"SELECT COALESCE(SUM(amount), 0) FROM spend_quarters WHERE account = ?1 AND "
         "quarter >= ?2 AND quarter < ?3 AND kind = 1 AND currency = 'usd'",
         "SELECT COALESCE(SUM(amount), 0) FROM ledger WHERE id > (SELECT folded FROM "
         "ledger_state WHERE id = 1) AND account = ?1 AND at >= ?2 AND at < ?3 AND kind = 1 AND "
         "currency = 'usd'",
         "SELECT COALESCE(SUM(reserved), 0) FROM charges WHERE id >= ?2 AND id < ?3 AND "
         "state = 0 AND account = ?1"},
        {"SELECT COALESCE(SUM(amount), 0) FROM spend_quarters WHERE account = ?1 AND "
         "quarter >= ?2 AND quarter < ?3 AND kind = 1 AND currency = 'usd' AND key_id = ?4",
         "SELECT COALESCE(SUM(amount), 0) FROM ledger WHERE id > (SELECT folded FROM "
         "ledger_state WHERE id = 1) AND account = ?1 AND at >= ?2 AND at < ?3 AND kind = 1 AND "
         "currency = 'usd' AND key_id = ?4",
         "SELECT COALESCE(SUM(reserved), 0) FROM charges WHERE id >= ?2 AND id < ?3 AND "
         "state = 0 AND account = ?1 AND key_id = ?4"}};
    struct mr_subject *o = &q->out;
    const char *const *my = sql[q->key.is_key];
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT closed_below, (SELECT COALESCE(MAX(id), 0) FROM ledger) FROM "
                           "ledger_state WHERE id = 1",
                           &s, e);
    if (rc == 0)
        rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    int64_t low = mr_db_i64(s, 0);
    o->seen = mr_db_i64(s, 1);
    mr_db_done(s);
    rc = add_sum(tx, my[0], q, o->from_us / MR_QUARTER_US, o->to_us / MR_QUARTER_US, &o->spent, e);
    if (rc == 0)
        rc = add_sum(tx, my[1], q, o->from_us, o->to_us, &o->spent, e);
    if (rc == 0)
        rc = add_sum(tx, my[2], q, low, q->l->first_charge, &o->stale, e);
    return rc;
}

static int load_alert(struct mr_tx *tx, struct load *q, struct mr_err *e) {
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx, "SELECT 1 FROM budget_alerts WHERE subject = ?1 AND month = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, q->key.id);
    mr_db_bind_i64(s, 2, q->out.from_us);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    q->out.alerted = rc == 1;
    mr_db_done(s);
    return 0;
}

static int load_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct load *q = arg;
    char buf[64];
    struct mr_str zone;
    struct mr_date first;
    int rc = load_names(tx, q, &zone, buf, e);
    if (rc == 0)
        rc = mr_ledger_zone_of(q->l, zone, &q->out.zone, e);
    if (rc)
        return rc;
    mr_zone_period(q->out.zone, MR_PERIOD_MONTH, mr_zone_date(q->out.zone, q->now_us), &first,
                   &q->out.from_us, &q->out.to_us);
    rc = load_sums(tx, q, e);
    return rc ? rc : load_alert(tx, q, e);
}

/* While it is not loaded the cost waits for the load, which knows whether it has seen the entry. */
static bool wait_for_load(struct mr_subject *s, int64_t entry, int64_t cost, int64_t at_us) {
    if (s->n_late ==
        s->cap_late) { /* at most the requests that were under way when it was forgotten */
        size_t cap = s->cap_late ? 2 * s->cap_late : 8;
        struct mr_late_cost *v = mr_reallocarray(s->late, cap, sizeof *v);
        if (!v)
            return false;
        s->late = v;
        s->cap_late = cap;
    }
    s->late[s->n_late++] = (struct mr_late_cost){entry, cost, at_us};
    return true;
}

void mr_subject_spend(struct mr_subject *s, int64_t entry, int64_t cost, int64_t at_us) {
    if (cost == 0)
        return;
    if (!s->loaded && wait_for_load(s, entry, cost, at_us))
        return;
    if (s->loaded && entry && entry <= s->seen)
        return;
    mr_subject_roll(s, at_us);
    if (at_us >= s->from_us && !mr_money_add(s->spent, cost, &s->spent))
        s->spent = INT64_MAX;
}

/* With mu held, and given up while the database is read. */
static int load(struct mr_ledger *l, struct mr_subject *s, int64_t now_us, struct mr_err *e) {
    struct load q = {.l = l, .key = *s, .now_us = now_us};
    pthread_mutex_unlock(&l->mu);
    int rc = mr_db_read(l->db, load_tx, &q, e);
    pthread_mutex_lock(&l->mu);
    if (rc || s->loaded)
        return rc; /* another thread was faster */
    s->limit = q.out.limit;
    s->spent = q.out.spent;
    s->seen = q.out.seen;
    s->stale = q.out.stale;
    s->from_us = q.out.from_us;
    s->to_us = q.out.to_us;
    s->zone = q.out.zone;
    s->alerted = q.out.alerted;
    memcpy(s->label, q.out.label, sizeof s->label);
    s->loaded = true;
    for (size_t i = 0; i < s->n_late; i++)
        mr_subject_spend(s, s->late[i].entry, s->late[i].cost, s->late[i].at_us);
    s->n_late = 0;
    return 0;
}

void mr_subject_roll(struct mr_subject *s, int64_t at_us) {
    struct mr_date first;
    if (!s->loaded || at_us < s->to_us)
        return;
    mr_zone_period(s->zone, MR_PERIOD_MONTH, mr_zone_date(s->zone, at_us), &first, &s->from_us,
                   &s->to_us);
    s->spent = 0;
    s->alerted = false;
}

int mr_subject_lock(struct mr_ledger *l, struct mr_id account, struct mr_id key, int64_t now_us,
                    struct mr_subject **ret, struct mr_err *e) {
    pthread_mutex_lock(&l->mu);
    struct mr_subject *s = add(l, account, key);
    int rc = s ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
    if (s && s->loaded && now_us < s->from_us)
        s->loaded = false; /* the clock went back over the month's beginning */
    if (s && s->loaded)
        mr_subject_roll(s, now_us);
    else if (s)
        rc = load(l, s, now_us, e);
    if (rc)
        pthread_mutex_unlock(&l->mu);
    else
        *ret = s;
    return rc;
}

void mr_subjects_forget(struct mr_ledger *l) {
    for (size_t i = 0; i < l->cap_subject; i++)
        for (struct mr_subject *s = l->subject[i]; s; s = s->next)
            s->loaded = false;
}
