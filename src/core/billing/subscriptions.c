/* Subscriptions and the tier they give. */
#include "base/cleanup.h"
#include "core/billing/internal.h"

/* The account whose tier an e-mail address stands for: that of the user who registered with it. */
static int account_of_email(struct mr_tx *tx, struct mr_str email, struct mr_id *ret,
                            struct mr_err *e) {
    struct mr_stmt *s;
    if (!email.n)
        return 0;
    int rc = mr_db_prepare(tx, "SELECT home_account FROM users WHERE email = LOWER(?1)", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, email);
    rc = mr_db_step(s, e);
    bool found = rc > 0 && mr_db_id(s, 0, ret);
    mr_db_done(rc > 0 ? s : NULL);
    return rc < 0 ? rc : found;
}

/* "pro" while a subscription of it is active, else "free"; what an operator set by hand
 * (enterprise) stays. */
static int set_tier(struct mr_tx *tx, struct mr_str subscription, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "UPDATE accounts SET tier = CASE WHEN EXISTS (SELECT 1 FROM stripe_subscriptions s WHERE "
        "s.tier_account = accounts.id AND s.status IN ('active', 'trialing', 'past_due')) "
        "THEN 'pro' ELSE 'free' END WHERE tier IN ('free', 'pro') AND kind <> 'operator' "
        "AND id = (SELECT tier_account FROM stripe_subscriptions WHERE id = ?1)",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, subscription);
    return mr_db_exec(s, e);
}

static int update(struct mr_tx *tx, struct mr_str id, struct mr_str status, int64_t event_at,
                  struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE stripe_subscriptions SET status = ?2, event_at = ?3 "
                           "WHERE id = ?1 AND event_at <= ?3 AND status <> 'canceled'",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, id);
    mr_db_bind_str(s, 2, status);
    mr_db_bind_i64(s, 3, event_at);
    return mr_db_exec(s, e);
}

static int insert(struct mr_tx *tx, struct mr_str id, const struct mr_party *p, struct mr_str email,
                  struct mr_str status, int64_t event_at, struct mr_err *e) {
    struct mr_stmt *s;
    struct mr_id tier = p->account;
    int rc = account_of_email(tx, email, &tier, e);
    if (rc < 0)
        return rc;
    bool known = rc > 0; /* an event without the e-mail may have come first */
    rc = mr_db_prepare(tx,
                       "INSERT INTO stripe_subscriptions (id, account_id, tier_account, end_user, "
                       "customer, status, event_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
                       "ON CONFLICT (id) DO UPDATE SET tier_account = excluded.tier_account, "
                       "end_user = excluded.end_user WHERE ?8 = 1",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, id);
    mr_db_bind_id(s, 2, p->account);
    mr_db_bind_id(s, 3, tier);
    mr_db_bind_str(s, 4, p->end_user.p ? p->end_user : MR_LIT(""));
    mr_db_bind_str(s, 5, p->customer.p ? p->customer : MR_LIT(""));
    mr_db_bind_str(s, 6, status);
    mr_db_bind_i64(s, 7, event_at);
    mr_db_bind_i64(s, 8, known);
    return mr_db_exec(s, e);
}

int mr_book_subscription(struct mr_billing *b, struct mr_tx *tx, struct mr_str id,
                         const struct mr_party *party, struct mr_str email, struct mr_str status,
                         int64_t event_at, struct mr_err *e) {
    (void)b;
    if (!id.n)
        return 0;
    int rc = update(tx, id, status, event_at, e);
    if (!rc && party)
        rc = insert(tx, id, party, email, status, event_at, e);
    return rc ? rc : set_tier(tx, id, e);
}

int mr_subscription_party(struct mr_tx *tx, struct mr_str id, struct mr_arena *arena,
                          struct mr_party *ret, struct mr_err *e) {
    struct mr_stmt *s;
    if (!id.n)
        return 0;
    int rc = mr_db_prepare(
        tx, "SELECT account_id, end_user, customer FROM stripe_subscriptions WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, id);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        mr_db_id(s, 0, &ret->account);
        ret->end_user = mr_arena_keep(arena, mr_db_str(s, 1));
        ret->customer = mr_arena_keep(arena, mr_db_str(s, 2));
    }
    mr_db_done(rc > 0 ? s : NULL);
    return rc;
}
