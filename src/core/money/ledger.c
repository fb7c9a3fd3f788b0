#include "base/alloc.h"
#include "core/money/ledger_priv.h"

static int load_counters(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_ledger *l = arg;
    /* Ids of holds that never became rows may lie below closed_below: given again, their charges
     * would not be looked at by recovery. */
    static const char *const sql[] = {
        "SELECT MAX(id) FROM (SELECT COALESCE(MAX(id), 0) AS id FROM "
        "charges UNION ALL SELECT closed_below - 1 FROM ledger_state) "
        "AS both_ends",
        "SELECT COALESCE(MAX(id), 0) FROM ledger", "SELECT COALESCE(MAX(id), 0) FROM end_users"};
    _Atomic int64_t *to[] = {&l->next_charge, &l->next_entry, &l->next_user};
    for (int i = 0; i < 3; i++) {
        struct mr_stmt *s;
        int rc = mr_db_prepare(tx, sql[i], &s, e);
        if (rc)
            return rc;
        rc = mr_db_step(s, e);
        if (rc < 0)
            return rc;
        atomic_store(to[i], mr_db_i64(s, 0) + 1);
        mr_db_done(s);
    }
    return 0;
}

int mr_ledger_open(const struct mr_ledger_config *c, struct mr_ledger **ret, struct mr_err *e) {
    struct mr_ledger *l = mr_calloc(1, sizeof *l);
    if (!l)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    l->db = c->db;
    l->prices = c->prices;
    l->events = c->events;
    l->zone = c->zone;
    l->log = c->log;
    pthread_mutex_init(&l->mu, NULL);
    pthread_condattr_t at;
    pthread_condattr_init(&at);
    pthread_condattr_setclock(&at, CLOCK_MONOTONIC);
    pthread_cond_init(&l->cond, &at);
    pthread_condattr_destroy(&at);
    int rc = mr_db_read(l->db, load_counters, l, e);
    l->first_charge = atomic_load(&l->next_charge);
    if (rc == 0) {
        int err = pthread_create(&l->thread, NULL, mr_ledger_fold_main, l);
        if (err)
            rc = mr_fail(e, MR_EUNAVAIL, "cannot start the ledger's thread: %s", strerror(err));
        l->started = err == 0;
    }
    if (rc) {
        mr_ledger_free(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void mr_ledger_free(struct mr_ledger *l) {
    if (!l)
        return;
    if (l->started) {
        pthread_mutex_lock(&l->mu);
        l->stopping = true;
        pthread_cond_signal(&l->cond);
        pthread_mutex_unlock(&l->mu);
        pthread_join(l->thread, NULL);
        struct mr_err e = {0};
        if (mr_ledger_fold(l, &e)) /* nothing is lost: the next start folds */
            mr_log_msg(l->log, MR_LOG_WARN, "ledger.fold_failed", "%s", e.msg);
    }
    for (size_t i = 0; i < l->cap_subject; i++) {
        for (struct mr_subject *s = l->subject[i], *next; s; s = next) {
            next = s->next;
            mr_free(s->late);
            mr_free(s);
        }
    }
    mr_free(l->subject);
    for (size_t i = 0; i <= MR_HOLD_SLOTS; i++) {
        struct mr_open_hold *h = i < MR_HOLD_SLOTS ? l->hold[i] : l->spare, *next;
        for (; h; h = next) {
            next = h->next;
            mr_free(h);
        }
    }
    for (struct mr_zone_kept *z = l->zones, *next; z; z = next) {
        next = z->next;
        mr_zone_free(z->zone);
        mr_free(z);
    }
    pthread_cond_destroy(&l->cond);
    pthread_mutex_destroy(&l->mu);
    mr_free(l);
}

/* Zones stay open until the ledger ends: there are a few hundred at most. */
int mr_ledger_zone_of(struct mr_ledger *l, struct mr_str name, const struct mr_zone **ret,
                      struct mr_err *e) {
    if (!name.n || mr_str_eq(name, mr_zone_name(l->zone))) {
        *ret = l->zone;
        return 0;
    }
    pthread_mutex_lock(&l->mu);
    struct mr_zone_kept *k = l->zones;
    while (k && !mr_str_eq(mr_zone_name(k->zone), name))
        k = k->next;
    pthread_mutex_unlock(&l->mu);
    if (!k) {
        k = mr_calloc(1, sizeof *k);
        if (!k)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        int rc = mr_zone_open(name, &k->zone, e);
        if (rc) {
            mr_free(k);
            return rc;
        }
        pthread_mutex_lock(&l->mu); /* two of the same do no harm */
        k->next = l->zones;
        l->zones = k;
        pthread_mutex_unlock(&l->mu);
    }
    *ret = k->zone;
    return 0;
}
