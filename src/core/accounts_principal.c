/* What a caller of earlier may do now: for work that goes on after its request. */
#include "base/clock.h"
#include "core/accounts_priv.h"

static int key_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_principal *w = arg;
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx,
                      "SELECT k.user_id, k.scopes, k.rate_per_minute, k.budget_nanousd, "
                      "k.expires_at, a.kind FROM api_keys k JOIN accounts a ON a.id = "
                      "k.account_id WHERE k.id = ?1 AND k.account_id = ?2 AND k.revoked_at = 0",
                      &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, w->key);
    mr_db_bind_id(s, 2, w->account);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_EUNAUTH, "the API key that this was begun with is revoked");
    mr_db_id(s, 0, &w->user);
    w->scopes = (uint32_t)mr_db_i64(s, 1) & MR_SCOPE_ALL;
    w->key_rate_per_minute = (uint32_t)mr_db_i64(s, 2);
    w->key_budget_nanousd = mr_db_i64(s, 3);
    w->expires_us = mr_db_i64(s, 4) ? mr_db_i64(s, 4) : INT64_MAX;
    w->operator_ = mr_str_is(mr_db_str(s, 5), "operator");
    mr_db_done(s);
    return mr_now_us() < w->expires_us
               ? 0
               : mr_fail(e, MR_EUNAUTH, "the API key that this was begun with has expired");
}

static int member_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_principal *w = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT m.role, a.kind FROM members m JOIN accounts a ON a.id = "
                           "m.account_id WHERE m.account_id = ?1 AND m.user_id = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, w->account);
    mr_db_bind_id(s, 2, w->user);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_EUNAUTH, "the user is no longer a member of the account");
    w->role = (int)mr_db_i64(s, 0);
    w->scopes = mr_role_scopes(w->role);
    w->operator_ = mr_str_is(mr_db_str(s, 1), "operator");
    mr_db_done(s);
    return 0;
}

int mr_accounts_principal(struct mr_accounts *a, struct mr_id account, struct mr_id user,
                          struct mr_id key, struct mr_principal *ret, struct mr_err *e) {
    static const struct mr_id none;
    struct mr_principal w = {.authenticated = true,
                             .account = account,
                             .user = user,
                             .key = key,
                             .key_budget_nanousd = -1,
                             .expires_us = INT64_MAX};
    int rc = 0;
    if (!mr_id_eq(key, none))
        rc = mr_db_read(a->db, key_in, &w, e);
    else if (!mr_id_eq(user, none))
        rc = mr_db_read(a->db, member_in, &w, e);
    else if (mr_id_eq(account, a->operator_account))
        mr_accounts_operator(a, &w); /* a request without a key, see there */
    else
        rc = mr_fail(e, MR_EUNAUTH, "nobody of this account began this");
    if (!rc)
        *ret = w;
    return rc;
}
