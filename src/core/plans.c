#include "core/plans.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "core/money/ledger.h"

#include <pthread.h>

#define SLOTS        4096 /* accounts remembered; a collision only reads again */
#define LOOK_US      (10ll * 1000000)
#define FAMILY_BYTES 16

struct standing {
    struct mr_id account;
    char family[FAMILY_BYTES];
    char tier[24];
    int64_t month;   /* year * 12 + month - 1; 0 = empty */
    int64_t ends_us; /* of the month */
    int64_t begins_us;
    int64_t looked_us;
    int64_t requests;
};

struct mr_plans {
    struct mr_db *db;
    struct mr_ledger *ledger;
    pthread_mutex_t mu;
    struct standing slot[SLOTS];
};

int mr_plans_new(struct mr_db *db, struct mr_ledger *ledger, struct mr_plans **ret,
                 struct mr_err *e) {
    struct mr_plans *p = mr_calloc(1, sizeof *p);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    p->db = db;
    p->ledger = ledger;
    pthread_mutex_init(&p->mu, NULL);
    *ret = p;
    return 0;
}

void mr_plans_free(struct mr_plans *p) {
    if (!p)
        return;
    pthread_mutex_destroy(&p->mu);
    mr_free(p);
}

/* --- database ----------------------------------------------------------------------------- */

static int read_standing(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct standing *s = arg;
    struct mr_stmt *q;
    int rc = mr_db_prepare(tx,
                           "SELECT a.tier, COALESCE(r.requests, 0) FROM accounts a LEFT JOIN "
                           "plan_requests r ON r.account_id = a.id AND r.family = ?2 AND "
                           "r.month = ?3 WHERE a.id = ?1",
                           &q, e);
    if (rc)
        return rc;
    mr_db_bind_id(q, 1, s->account);
    mr_db_bind_str(q, 2, mr_str(s->family));
    mr_db_bind_i64(q, 3, s->month);
    rc = mr_db_step(q, e);
    if (rc <= 0)
        return rc;
    struct mr_str tier = mr_db_str(q, 0);
    snprintf(s->tier, sizeof s->tier, "%.*s", (int)(tier.n > 20 ? 20 : tier.n), tier.p);
    s->requests = mr_db_i64(q, 1);
    mr_db_done(q);
    return 0;
}

struct count {
    struct mr_id account;
    char family[FAMILY_BYTES];
    int64_t month;
};

static int write_count(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct count *c = arg;
    struct mr_stmt *q;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO plan_requests (account_id, family, month, requests) VALUES "
                           "(?1, ?2, ?3, 1) ON CONFLICT (account_id, family, month) DO UPDATE SET "
                           "requests = plan_requests.requests + 1",
                           &q, e);
    if (rc)
        return rc;
    mr_db_bind_id(q, 1, c->account);
    mr_db_bind_str(q, 2, mr_str(c->family));
    mr_db_bind_i64(q, 3, c->month);
    return mr_db_exec(q, e);
}

static void written(void *arg, int rc, const struct mr_err *e) {
    (void)rc;
    (void)e;
    mr_free(arg);
}

static void write_later(struct mr_plans *p, const struct standing *s) {
    struct count *c = mr_calloc(1, sizeof *c);
    if (!c)
        return;
    c->account = s->account;
    c->month = s->month;
    memcpy(c->family, s->family, sizeof c->family);
    if (mr_db_write_async(p->db, write_count, c, written))
        mr_free(c);
}

/* --- standing ----------------------------------------------------------------------------- */

static struct standing *slot_of(struct mr_plans *p, struct mr_id account, const char *family) {
    uint64_t h = mr_hash64(mr_strn((const char *)account.b, 16)) ^ mr_hash64(mr_str(family));
    return &p->slot[h % SLOTS];
}

/* What the database says, with counts that are still on their way to it kept. */
static bool look(struct mr_plans *p, struct standing *s, int64_t now_us) {
    const struct mr_zone *zone;
    struct mr_date first;
    struct standing fresh = *s;
    if (mr_ledger_zone(p->ledger, s->account, &zone, NULL))
        return false;
    mr_zone_period(zone, MR_PERIOD_MONTH, mr_zone_date(zone, now_us), &first, &fresh.begins_us,
                   &fresh.ends_us);
    fresh.month = (int64_t)first.year * 12 + first.month - 1;
    fresh.looked_us = now_us;
    if (mr_db_read(p->db, read_standing, &fresh, NULL))
        return false;
    if (fresh.month == s->month && s->requests > fresh.requests)
        fresh.requests = s->requests;
    *s = fresh;
    return true;
}

static bool stale(const struct standing *s, int64_t now_us) {
    return !s->month || now_us >= s->ends_us || now_us < s->begins_us ||
           now_us - s->looked_us >= LOOK_US || now_us < s->looked_us;
}

/* The account's standing in the family, fresh enough. *ret_slot: where it is kept. False: the
 * database does not answer. */
static bool standing_of(struct mr_plans *p, struct mr_id account, const char *family,
                        int64_t now_us, struct standing *ret, struct standing **ret_slot) {
    pthread_mutex_lock(&p->mu);
    struct standing *s = slot_of(p, account, family);
    if (!mr_id_eq(s->account, account) || strncmp(s->family, family, FAMILY_BYTES - 1)) {
        *s = (struct standing){.account = account};
        snprintf(s->family, sizeof s->family, "%s", family);
    }
    struct standing now = *s;
    bool known = !stale(&now, now_us);
    pthread_mutex_unlock(&p->mu);
    if (!known) {
        /* Outside the lock; whoever comes second looks as well, which changes nothing. */
        if (!look(p, &now, now_us))
            return false;
        pthread_mutex_lock(&p->mu);
        if (mr_id_eq(s->account, account) && !strncmp(s->family, now.family, FAMILY_BYTES)) {
            if (s->month == now.month && s->requests > now.requests)
                now.requests = s->requests;
            *s = now;
        }
        pthread_mutex_unlock(&p->mu);
    }
    *ret = now;
    *ret_slot = s;
    return true;
}

struct mr_rate_rule mr_plans_hourly(struct mr_plans *p, struct mr_id account, const char *family,
                                    const struct mr_tier_rate *table, int64_t now_us) {
    struct standing now, *s;
    const struct mr_tier_rate *rate = table;
    if (standing_of(p, account, family, now_us, &now, &s))
        for (const struct mr_tier_rate *k = table; k->tier; k++)
            if (!strcmp(k->tier, now.tier))
                rate = k;
    return (struct mr_rate_rule){rate->requests_an_hour, 3600};
}

struct mr_rate_state mr_plans_take(struct mr_plans *p, struct mr_id account, const char *family,
                                   const struct mr_plan *table, int64_t now_us) {
    struct mr_rate_state st = {.allowed = true};
    struct standing now, *s;
    if (!standing_of(p, account, family, now_us, &now, &s))
        return st;
    const struct mr_plan *plan = table;
    for (const struct mr_plan *k = table; k->tier; k++)
        if (!strcmp(k->tier, now.tier))
            plan = k;
    uint32_t limit = plan->requests_a_month;
    pthread_mutex_lock(&p->mu);
    bool mine = mr_id_eq(s->account, account) && s->month == now.month;
    int64_t n = mine ? s->requests : now.requests;
    st.allowed = !limit || n < limit;
    if (st.allowed && mine)
        n = ++s->requests;
    pthread_mutex_unlock(&p->mu);
    if (st.allowed)
        write_later(p, &now);
    st.limit = limit;
    st.remaining = limit > n ? (uint32_t)(limit - n) : 0;
    st.reset_s = now.ends_us / 1000000;
    st.retry_s = (uint32_t)(st.reset_s > now_us / 1000000 ? st.reset_s - now_us / 1000000 : 1);
    return st;
}
