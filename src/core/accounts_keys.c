/* API keys, and the operator's account and key. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/accounts_priv.h"

#define KEY_PREFIX_SHOWN 10u
#define KEYS_LISTED      1000u

struct key_write {
    struct mr_id account, user;
    struct mr_api_key *key;
    uint8_t hash[MR_SHA256_LEN];
};

static int write_key(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct key_write *w = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO api_keys (id, account_id, user_id, name, prefix, hash, "
                           "scopes, rate_per_minute, budget_nanousd, created_at, expires_at, "
                           "last_used_at, revoked_at) "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, 0)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, w->key->id);
    mr_db_bind_id(s, 2, w->account);
    mr_db_bind_id(s, 3, w->user);
    mr_db_bind_str(s, 4, w->key->name);
    mr_db_bind_str(s, 5, w->key->prefix);
    mr_db_bind_blob(s, 6, w->hash, sizeof w->hash);
    mr_db_bind_i64(s, 7, w->key->scopes);
    mr_db_bind_i64(s, 8, w->key->rate_per_minute);
    mr_db_bind_i64(s, 9, w->key->budget_nanousd);
    mr_db_bind_i64(s, 10, w->key->created_us);
    mr_db_bind_i64(s, 11, w->key->expires_us);
    return mr_db_exec(s, e);
}

int mr_accounts_key_create(struct mr_accounts *a, const struct mr_principal *who,
                           struct mr_api_key *inout, struct mr_arena *arena,
                           struct mr_str *ret_secret, struct mr_err *e) {
    if (inout->scopes & ~who->scopes)
        return mr_fail_field(e, MR_EFORBIDDEN, "scopes",
                             "a key cannot have scopes that its creator lacks");
    struct mr_buf secret;
    mr_buf_init(&secret, 128);
    mr_key_make(&secret);
    char *kept = mr_buf_ok(&secret) ? mr_arena_strn(arena, secret.p, secret.n) : NULL;
    size_t n = secret.n;
    mr_buf_release(&secret);
    if (!kept)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    inout->id = mr_id_new();
    inout->created_us = mr_now_us();
    inout->prefix = mr_strn(kept, KEY_PREFIX_SHOWN);
    struct key_write w = {.account = who->account, .user = who->user, .key = inout};
    mr_key_hash(mr_strn(kept, n), w.hash);
    int rc = mr_db_write(a->db, write_key, &w, e);
    if (!rc)
        *ret_secret = mr_strn(kept, n);
    return rc;
}

struct key_list {
    struct mr_id account, key;
    struct mr_arena *arena;
    struct mr_api_key *v;
    size_t n;
    int64_t now;
};

static int read_keys(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct key_list *l = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT id, name, prefix, scopes, rate_per_minute, budget_nanousd, "
                           "created_at, expires_at, last_used_at FROM api_keys WHERE account_id = "
                           "?1 AND revoked_at = 0 ORDER BY created_at LIMIT 1000",
                           &s, e);
    if (rc)
        return rc;
    l->v = mr_arena_array(l->arena, KEYS_LISTED, sizeof *l->v);
    if (!l->v) {
        mr_db_done(s);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    mr_db_bind_id(s, 1, l->account);
    while ((rc = mr_db_step(s, e)) > 0) {
        struct mr_api_key *k = &l->v[l->n++];
        mr_db_id(s, 0, &k->id);
        k->name = mr_arena_keep(l->arena, mr_db_str(s, 1));
        k->prefix = mr_arena_keep(l->arena, mr_db_str(s, 2));
        k->scopes = (uint32_t)mr_db_i64(s, 3);
        k->rate_per_minute = mr_db_i64(s, 4);
        k->budget_nanousd = mr_db_i64(s, 5);
        k->created_us = mr_db_i64(s, 6);
        k->expires_us = mr_db_i64(s, 7);
        k->last_used_us = mr_db_i64(s, 8);
    }
    return rc;
}

int mr_accounts_key_list(struct mr_accounts *a, struct mr_id account, struct mr_arena *arena,
                         struct mr_api_key **ret, size_t *ret_n, struct mr_err *e) {
    struct key_list l = {.account = account, .arena = arena};
    int rc = mr_db_read(a->db, read_keys, &l, e);
    if (rc)
        return rc;
    *ret = l.v;
    *ret_n = l.n;
    return 0;
}

static int revoke_key(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct key_list *l = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE api_keys SET revoked_at = ?1 WHERE id = ?2 AND account_id = ?3 "
                           "AND revoked_at = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, l->now);
    mr_db_bind_id(s, 2, l->key);
    mr_db_bind_id(s, 3, l->account);
    rc = mr_db_exec(s, e);
    if (!rc && !mr_db_changes(tx))
        rc = mr_fail(e, MR_ENOTFOUND, "no such API key");
    return rc;
}

int mr_accounts_key_revoke(struct mr_accounts *a, struct mr_id account, struct mr_id key,
                           struct mr_err *e) {
    struct key_list l = {.account = account, .key = key, .now = mr_now_us()};
    int rc = mr_db_write(a->db, revoke_key, &l, e);
    if (!rc)
        atomic_fetch_add_explicit(&a->generation, 1, memory_order_release);
    return rc;
}

/* --- the operator ------------------------------------------------------------------------ */

struct bootstrap {
    struct mr_accounts *a;
    bool found;
};

static int find_operator(struct mr_tx *tx, struct bootstrap *b, struct mr_err *e) {
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx, "SELECT id, created_at FROM accounts WHERE kind = 'operator'", &s, e);
    if (rc)
        return rc;
    rc = mr_db_step(s, e);
    if (rc > 0) {
        b->found = mr_db_id(s, 0, &b->a->operator_account);
        b->a->operator_created_us = mr_db_i64(s, 1);
        mr_db_done(s);
        rc = 0;
    }
    return rc;
}

static int write_operator(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct bootstrap *b = arg;
    struct mr_accounts *a = b->a;
    struct mr_stmt *s;
    int64_t now = mr_now_us();
    int rc = find_operator(tx, b, e);
    if (!rc && !b->found) {
        a->operator_account = mr_id_new();
        a->operator_created_us = now;
        rc = mr_db_prepare(tx,
                           "INSERT INTO accounts (id, name, kind, tier, created_at) VALUES (?1, "
                           "'owner', 'operator', 'enterprise', ?2)",
                           &s, e);
        if (rc)
            return rc;
        mr_db_bind_id(s, 1, a->operator_account);
        mr_db_bind_i64(s, 2, now);
        rc = mr_db_exec(s, e);
    }
    if (rc)
        return rc;
    /* The operator's key is whatever the data dir or the settings say: exactly one of them. */
    struct mr_api_key key = {.id = mr_id_new(),
                             .name = MR_LIT("owner"),
                             .prefix = mr_strn(a->owner_key, KEY_PREFIX_SHOWN),
                             .scopes = MR_SCOPE_ALL,
                             .budget_nanousd = -1,
                             .created_us = now};
    struct key_write w = {.account = a->operator_account, .key = &key};
    mr_key_hash(mr_str(a->owner_key), w.hash);
    rc = mr_db_prepare(tx, "SELECT 1 FROM api_keys WHERE hash = ?1 AND revoked_at = 0", &s, e);
    if (rc)
        return rc;
    mr_db_bind_blob(s, 1, w.hash, sizeof w.hash);
    rc = mr_db_step(s, e);
    mr_db_done(rc > 0 ? s : NULL);
    if (rc)
        return rc > 0 ? 0 : rc;
    rc = mr_db_prepare(tx,
                       "UPDATE api_keys SET revoked_at = ?1 WHERE account_id = ?2 AND name = "
                       "'owner' AND revoked_at = 0",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, now);
    mr_db_bind_id(s, 2, a->operator_account);
    rc = mr_db_exec(s, e);
    if (rc)
        return rc;
    /* One that served before, or was revoked by hand, is stored already. */
    rc = mr_db_prepare(tx, "UPDATE api_keys SET revoked_at = 0 WHERE hash = ?1 AND account_id = ?2",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_blob(s, 1, w.hash, sizeof w.hash);
    mr_db_bind_id(s, 2, a->operator_account);
    rc = mr_db_exec(s, e);
    return rc || mr_db_changes(tx) ? rc : write_key(tx, &w, e);
}

int mr_accounts_bootstrap(struct mr_accounts *a, struct mr_err *e) {
    struct bootstrap b = {.a = a};
    return mr_db_write(a->db, write_operator, &b, e);
}
