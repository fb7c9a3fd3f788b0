#include "core/money/ledger_priv.h"

enum { BATCH = 200, ARENA_MAX = 4 << 20 };

struct recovery {
    struct mr_ledger *l;
    const char *family;
    int (*fn)(struct mr_tx *tx, const struct mr_open_charge *c, void *arg, struct mr_err *e);
    void *arg;
    struct mr_arena *arena;
    int64_t after; /* charges up to here were looked at */
    size_t n;
};

static int read_batch(struct mr_tx *tx, struct recovery *r, struct mr_open_charge *out,
                      struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT id, account, provider, model, price_version, reserved, "
                           "created_at FROM charges WHERE id >= (SELECT closed_below FROM "
                           "ledger_state WHERE id = 1) AND id > ?1 AND id < ?2 AND state = 0 AND "
                           "family = ?3 ORDER BY id LIMIT ?4",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, r->after);
    mr_db_bind_i64(s, 2, r->l->first_charge);
    mr_db_bind_str(s, 3, mr_str(r->family));
    mr_db_bind_i64(s, 4, BATCH);
    while ((rc = mr_db_step(s, e)) == 1) {
        struct mr_open_charge *c = &out[r->n++];
        *c = (struct mr_open_charge){.charge = mr_db_i64(s, 0),
                                     .family = mr_str(r->family),
                                     .provider = mr_arena_keep(r->arena, mr_db_str(s, 2)),
                                     .model = mr_arena_keep(r->arena, mr_db_str(s, 3)),
                                     .price_version = mr_arena_keep(r->arena, mr_db_str(s, 4)),
                                     .reserved_nano = mr_db_i64(s, 5),
                                     .at_us = mr_db_i64(s, 6)};
        bool ok = mr_db_id(s, 1, &c->account);
        if (!ok || !c->provider.p || !c->model.p || !c->price_version.p) {
            mr_db_done(s);
            return ok ? mr_fail(e, MR_ENOMEM, "out of memory")
                      : mr_fail(e, MR_EIO, "charge %lld is damaged", (long long)c->charge);
        }
    }
    return rc;
}

static int is_open(struct mr_tx *tx, int64_t charge, bool *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT state FROM charges WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, charge);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    *ret = rc == 1 && mr_db_i64(s, 0) == MR_CHARGE_OPEN;
    mr_db_done(s);
    return 0;
}

static int batch_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct recovery *r = arg;
    struct mr_open_charge list[BATCH];
    mr_arena_reset(r->arena);
    r->n = 0;
    int rc = read_batch(tx, r, list, e);
    for (size_t i = 0; rc == 0 && i < r->n; i++) {
        bool open = false;
        rc = r->fn(tx, &list[i], r->arg, e);
        if (rc == 0)
            rc = is_open(tx, list[i].charge, &open, e);
        if (open)
            rc = mr_fail(e, MR_EINTERNAL, "charge %lld of %s was left open by its recovery",
                         (long long)list[i].charge, r->family);
    }
    if (rc == 0 && r->n)
        r->after = list[r->n - 1].charge;
    return rc;
}

int mr_ledger_recover(struct mr_ledger *l, const char *family,
                      int (*fn)(struct mr_tx *tx, const struct mr_open_charge *c, void *arg,
                                struct mr_err *e),
                      void *arg, struct mr_err *e) {
    struct mr_arena arena;
    mr_arena_init(&arena, ARENA_MAX);
    struct recovery r = {.l = l, .family = family, .fn = fn, .arg = arg, .arena = &arena};
    int rc;
    do {
        rc = mr_db_write(l->db, batch_tx, &r, e);
    } while (rc == 0 && r.n == BATCH);
    mr_arena_release(&arena);
    pthread_mutex_lock(&l->mu);
    mr_subjects_forget(l); /* figures read before the recovery are old */
    pthread_mutex_unlock(&l->mu);
    return rc;
}
