#include "base/alloc.h"
#include "base/clock.h"
#include "core/money/ledger_priv.h"
#include "core/money/money.h"

static const struct mr_id none;

struct mr_open_hold *mr_hold_find(struct mr_ledger *l, int64_t charge) {
    struct mr_open_hold *h = l->hold[(uint64_t)charge % MR_HOLD_SLOTS];
    while (h && h->charge != charge)
        h = h->next;
    return h;
}

static struct mr_open_hold *new_hold(struct mr_ledger *l) {
    struct mr_open_hold *h = l->spare;
    if (h)
        l->spare = h->next;
    else
        h = mr_malloc(sizeof *h);
    return h;
}

/* Both subjects with mu held once. */
static int lock_both(struct mr_ledger *l, const struct mr_principal *who, int64_t now,
                     struct mr_subject **account, struct mr_subject **key, struct mr_err *e) {
    *key = NULL;
    if (!mr_id_eq(who->key, none)) {
        int rc = mr_subject_lock(l, who->account, who->key, now, key, e);
        if (rc)
            return rc;
        /* usually in memory: no need to let go of the lock */
        struct mr_subject *a = mr_subject_find(l, who->account);
        if (a && a->loaded && now >= a->from_us) {
            mr_subject_roll(a, now);
            *account = a;
            return 0;
        }
        pthread_mutex_unlock(&l->mu);
    }
    int rc = mr_subject_lock(l, who->account, none, now, account, e);
    if (rc == 0 && *key)
        mr_subject_roll(*key, now);
    return rc;
}

int mr_hold_take(struct mr_ledger *l, const struct mr_reserve *r, struct mr_hold *ret,
                 struct mr_err *e) {
    if (r->reserved_nano < 0)
        return mr_fail(e, MR_EINTERNAL, "ledger: a negative reservation");
    int64_t now = mr_now_us();
    struct mr_subject *account, *key;
    int rc = lock_both(l, r->who, now, &account, &key, e);
    if (rc)
        return rc;
    if (key)
        key->limit = r->who->key_budget_nanousd;
    rc = mr_subject_check(account, r->reserved_nano, e);
    if (rc == 0 && key)
        rc = mr_subject_check(key, r->reserved_nano, e);
    struct mr_open_hold *h = rc == 0 ? new_hold(l) : NULL;
    if (rc == 0 && !h)
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    if (rc == 0) {
        int64_t id = atomic_fetch_add(&l->next_charge, 1);
        struct mr_open_hold **slot = &l->hold[(uint64_t)id % MR_HOLD_SLOTS];
        *h = (struct mr_open_hold){.next = *slot,
                                   .charge = id,
                                   .reserved = r->reserved_nano,
                                   .account = account,
                                   .key = key};
        *slot = h;
        l->n_hold++;
        account->held += r->reserved_nano;
        if (key)
            key->held += r->reserved_nano;
        *ret = (struct mr_hold){.charge = id,
                                .account = r->who->account,
                                .key = r->who->key,
                                .reserved_nano = r->reserved_nano,
                                .at_us = now,
                                .active = true};
    }
    pthread_mutex_unlock(&l->mu);
    return rc;
}

bool mr_ledger_warm(struct mr_ledger *l, const struct mr_principal *who) {
    int64_t now = mr_now_us();
    pthread_mutex_lock(&l->mu);
    const struct mr_subject *a = mr_subject_find(l, who->account);
    bool warm = a && a->loaded && now >= a->from_us;
    if (warm && !mr_id_eq(who->key, none)) {
        a = mr_subject_find(l, who->key);
        warm = a && a->loaded && now >= a->from_us;
    }
    pthread_mutex_unlock(&l->mu);
    return warm;
}

static void count(struct mr_subject *s, const struct mr_open_hold *h, bool alerted, int64_t cost,
                  int64_t at_us) {
    s->held -= h->reserved;
    s->settling -= h->cost;
    mr_subject_spend(s, h->entry, cost, at_us);
    s->alerted |= alerted && cost > 0 && at_us >= s->from_us; /* no cost: it was rolled back */
}

void mr_hold_end(struct mr_ledger *l, struct mr_hold *h, int64_t cost_nano) {
    if (!h->active)
        return;
    h->active = false;
    pthread_mutex_lock(&l->mu);
    struct mr_open_hold **at = &l->hold[(uint64_t)h->charge % MR_HOLD_SLOTS];
    while (*at && (*at)->charge != h->charge)
        at = &(*at)->next;
    struct mr_open_hold *o = *at;
    if (o) {
        *at = o->next;
        int64_t when = o->settled_us ? o->settled_us : mr_now_us();
        count(o->account, o, o->alerted[0], cost_nano, when);
        if (o->key)
            count(o->key, o, o->alerted[1], cost_nano, when);
        o->next = l->spare;
        l->spare = o;
        l->n_hold--;
    }
    pthread_mutex_unlock(&l->mu);
}

int mr_charge_open_in(struct mr_ledger *l, struct mr_tx *tx, const struct mr_hold *h,
                      const struct mr_reserve *r, struct mr_err *e) {
    if (!h->active)
        return mr_fail(e, MR_EINTERNAL, "ledger: a charge without a hold");
    /* The end user is often known only in this transaction; the settling entry takes it from the
     * hold. */
    pthread_mutex_lock(&l->mu);
    struct mr_open_hold *held = mr_hold_find(l, h->charge);
    if (held)
        held->end_user = r->end_user;
    pthread_mutex_unlock(&l->mu);
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO charges(id, account, key_id, family, provider, model, "
                           "price_version, end_user, reserved, created_at, state, settled_at, "
                           "entry) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, -?10, ?11)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, h->charge);
    mr_db_bind_id(s, 2, h->account);
    mr_db_bind_id(s, 3, h->key);
    mr_db_bind_static(s, 4, mr_str(r->family));
    mr_db_bind_static(s, 5, r->provider);
    mr_db_bind_static(s, 6, r->model);
    mr_db_bind_static(s, 7, r->price_version);
    mr_db_bind_i64(s, 8, r->end_user);
    mr_db_bind_i64(s, 9, h->reserved_nano);
    mr_db_bind_i64(s, 10, h->at_us);
    /* Negative numbers about as long as those that will replace them: the row stays in place. */
    mr_db_bind_i64(s, 11, -atomic_load(&l->next_entry));
    return mr_db_exec(s, e);
}

/* Only from open, so that nothing is settled or released twice. */
static int close_charge(struct mr_tx *tx, int64_t charge, enum mr_charge_state to, int64_t at_us,
                        int64_t entry, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE charges SET state = ?2, settled_at = ?3, entry = ?4 "
                           "WHERE id = ?1 AND state = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, charge);
    mr_db_bind_i64(s, 2, to);
    mr_db_bind_i64(s, 3, at_us);
    mr_db_bind_i64(s, 4, entry);
    rc = mr_db_exec(s, e);
    if (rc == 0 && mr_db_changes(tx) != 1)
        rc = mr_fail(e, MR_ECONFLICT, "charge %lld is not open", (long long)charge);
    return rc;
}

/* Whose charge it is: from its hold, else (recovery) from its row. */
struct owner {
    struct mr_id account, key;
    int64_t end_user, reserved;
    bool held;
};

static int find_owner(struct mr_ledger *l, struct mr_tx *tx, int64_t charge, struct owner *o,
                      struct mr_err *e) {
    pthread_mutex_lock(&l->mu);
    const struct mr_open_hold *h = mr_hold_find(l, charge);
    *o = (struct owner){.held = h != NULL};
    if (h) {
        o->account = h->account->id;
        o->key = h->key ? h->key->id : none;
        o->end_user = h->end_user;
    }
    pthread_mutex_unlock(&l->mu);
    if (o->held)
        return 0;
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT account, key_id, end_user, reserved FROM charges WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, charge);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_ENOTFOUND, "there is no charge %lld", (long long)charge);
    bool ok = mr_db_id(s, 0, &o->account) && mr_db_id(s, 1, &o->key);
    o->end_user = mr_db_i64(s, 2);
    o->reserved = mr_db_i64(s, 3);
    mr_db_done(s);
    return ok ? 0 : mr_fail(e, MR_EIO, "charge %lld is damaged", (long long)charge);
}

/* A charge of an earlier process: its subjects, where in memory, know it as stale. */
static void count_stale(struct mr_ledger *l, const struct owner *o, int64_t entry, int64_t cost,
                        int64_t at_us) {
    pthread_mutex_lock(&l->mu);
    for (int i = 0; i < 2; i++) {
        struct mr_subject *s = mr_subject_find(l, i ? o->key : o->account);
        if (!s || !s->loaded)
            continue;
        s->stale = s->stale > o->reserved ? s->stale - o->reserved : 0;
        mr_subject_spend(s, entry, cost, at_us);
    }
    pthread_mutex_unlock(&l->mu);
}

int mr_charge_settle_in(struct mr_ledger *l, struct mr_tx *tx, int64_t charge,
                        const struct mr_settle *st, struct mr_err *e) {
    return mr_charge_settle_at(l, tx, charge, st, mr_now_us(), e);
}

int mr_charge_settle_at(struct mr_ledger *l, struct mr_tx *tx, int64_t charge,
                        const struct mr_settle *st, int64_t now, struct mr_err *e) {
    if (st->cost_nano < 0)
        return mr_fail(e, MR_EINTERNAL, "ledger: a negative cost");
    struct owner o;
    int rc = find_owner(l, tx, charge, &o, e);
    if (rc)
        return rc;
    int64_t entry = atomic_load(&l->next_entry);
    rc = close_charge(tx, charge, MR_CHARGE_SETTLED, now, entry, e);
    if (rc)
        return rc;
    struct mr_entry n = {.at_us = now,
                         .amount = st->cost_nano,
                         .end_user = o.end_user,
                         .charge = charge,
                         .kind = MR_ENTRY_CHARGE,
                         .debit = MR_BOOK_API_COST,
                         .credit = mr_str_is(st->provider, "local") ? MR_BOOK_LOCAL_COMPUTE
                                                                    : MR_BOOK_PROVIDER_PAYABLE,
                         .currency = MR_LIT("usd"),
                         .provider = st->provider,
                         .model = st->model,
                         .price_version = st->price_version,
                         .ref = MR_LIT(""),
                         .account = o.account,
                         .key = o.key,
                         .tokens = st->tokens,
                         .estimated = st->estimated};
    int64_t id;
    rc = mr_ledger_add_entry(l, tx, &n, &id, e);
    if (rc)
        return rc;
    if (id != entry) /* entries are made on the writer thread only */
        return mr_fail(e, MR_EINTERNAL, "ledger: two transactions at a time");
    if (!o.held) {
        count_stale(l, &o, id, st->cost_nano, now);
        return 0;
    }
    pthread_mutex_lock(&l->mu);
    struct mr_open_hold *h = mr_hold_find(l, charge);
    if (h) {
        int64_t more = st->cost_nano - h->cost;
        h->account->settling += more;
        if (h->key)
            h->key->settling += more;
        h->cost = st->cost_nano;
        h->entry = id;
        h->settled_us = now;
    }
    pthread_mutex_unlock(&l->mu);
    return h ? mr_subject_alert_in(l, tx, h, st->cost_nano, now, e) : 0;
}

int mr_charge_release_in(struct mr_ledger *l, struct mr_tx *tx, int64_t charge, struct mr_err *e) {
    struct owner o;
    int rc = find_owner(l, tx, charge, &o, e);
    int64_t now = mr_now_us();
    if (rc == 0)
        rc = close_charge(tx, charge, MR_CHARGE_RELEASED, now, 0, e);
    if (rc == 0 && !o.held)
        count_stale(l, &o, 0, 0, now);
    return rc;
}
