/* A ledger on a database in memory with one account, for tests. */
#ifndef LEDGER_FIXTURE_H
#define LEDGER_FIXTURE_H

#include "base/clock.h"
#include "core/money/ledger_priv.h"
#include "core/money/money.h"
#include "mr_test.h"

struct fixture {
    struct mr_db *db;
    struct mr_ledger *led;
    struct mr_zone *utc;
    struct mr_principal who;
};

static int fixture_account(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct mr_principal *p = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO accounts(id, name, kind, tier, created_at) "
                           "VALUES(?1, 'acme', 'personal', 'free', 1)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, p->account);
    rc = mr_db_exec(s, e);
    if (rc == 0)
        rc = mr_db_prepare(tx,
                           "INSERT INTO api_keys(id, account_id, name, prefix, hash, scopes, "
                           "rate_per_minute, budget_nanousd, created_at, expires_at, "
                           "last_used_at, revoked_at) VALUES(?1, ?2, 'laptop', 'mrk_1234', ?1, "
                           "15, 0, -1, 1, 0, 0, 0)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, p->key);
    mr_db_bind_id(s, 2, p->account);
    return mr_db_exec(s, e);
}

static void fixture_begin(struct fixture *f, struct mr_events *(*events)(struct mr_db *db)) {
    struct mr_err e = {0};
    struct mr_db_config c = {.path = ":memory:"};
    int rc = mr_db_open(&c, &f->db, &e);
    f->who = (struct mr_principal){.authenticated = true,
                                   .account = mr_id_new(),
                                   .key = mr_id_new(),
                                   .key_budget_nanousd = -1};
    if (rc == 0)
        rc = mr_zone_open(MR_LIT("UTC"), &f->utc, &e);
    if (rc == 0)
        rc = mr_db_write(f->db, fixture_account, &f->who, &e);
    struct mr_ledger_config lc = {
        .db = f->db, .zone = f->utc, .events = events && rc == 0 ? events(f->db) : NULL};
    if (rc == 0)
        rc = mr_ledger_open(&lc, &f->led, &e);
    if (rc) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
}

static void fixture_end(struct fixture *f) {
    mr_ledger_free(f->led);
    mr_zone_free(f->utc);
    mr_db_close(f->db);
}

static inline uint64_t next_random(uint64_t *s) {
    uint64_t z = (*s += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

#endif
