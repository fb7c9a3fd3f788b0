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

/* Ranks of the statuses: between two events of the same second the higher one is the later one
 * (a subscription starts incomplete, then a payment makes it active; a last failed payment makes it
 * unpaid). From FINAL on nothing follows. */
enum { FINAL = 6 };

static int standing(struct mr_str status) {
    static const char *const rank[] = {"incomplete",         "trialing", "active",
                                       "past_due",           "paused",   "unpaid",
                                       "incomplete_expired", "canceled"};
    for (int i = 0; i < (int)(sizeof rank / sizeof *rank); i++)
        if (mr_str_is(status, rank[i]))
            return i;
    return 0; /* one that this version does not know gives nothing */
}

/* "pro" while a subscription of the account is active, else "free"; what an operator set by hand
 * (enterprise) stays. */
static int set_tier(struct mr_tx *tx, struct mr_id account, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "UPDATE accounts SET tier = CASE WHEN EXISTS (SELECT 1 FROM stripe_subscriptions s WHERE "
        "s.tier_account = ?1 AND s.status IN ('active', 'trialing', 'past_due')) "
        "THEN 'pro' ELSE 'free' END WHERE id = ?1 AND tier IN ('free', 'pro') "
        "AND kind <> 'operator'",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    return mr_db_exec(s, e);
}

static int update(struct mr_tx *tx, struct mr_str id, struct mr_str status, int64_t event_at,
                  struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "UPDATE stripe_subscriptions SET status = ?2, standing = ?4, event_at = CASE WHEN "
        "event_at < ?3 THEN ?3 ELSE event_at END WHERE id = ?1 AND ((?4 >= ?5 AND standing < ?4) "
        "OR (?4 < ?5 AND standing < ?5 AND (event_at < ?3 OR (event_at = ?3 AND standing < ?4))))",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, id);
    mr_db_bind_str(s, 2, status);
    mr_db_bind_i64(s, 3, event_at);
    mr_db_bind_i64(s, 4, standing(status));
    mr_db_bind_i64(s, 5, FINAL);
    return mr_db_exec(s, e);
}

/* A new row, or what an earlier event did not know of an old one. */
static int insert(struct mr_tx *tx, struct mr_str id, const struct mr_party *p, struct mr_id tier,
                  bool tier_known, struct mr_str status, int64_t event_at, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "INSERT INTO stripe_subscriptions (id, account_id, tier_account, end_user, customer, "
        "status, standing, event_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
        "ON CONFLICT (id) DO UPDATE SET "
        "account_id = CASE WHEN ?9 = 1 THEN excluded.account_id "
        "ELSE stripe_subscriptions.account_id END, "
        "tier_account = CASE WHEN ?10 = 1 THEN excluded.tier_account "
        "ELSE stripe_subscriptions.tier_account END, "
        "end_user = CASE WHEN stripe_subscriptions.end_user = '' THEN excluded.end_user "
        "ELSE stripe_subscriptions.end_user END, "
        "customer = CASE WHEN stripe_subscriptions.customer = '' THEN excluded.customer "
        "ELSE stripe_subscriptions.customer END",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, id);
    mr_db_bind_id(s, 2, p->account);
    mr_db_bind_id(s, 3, tier);
    mr_db_bind_str(s, 4, p->end_user.p ? p->end_user : MR_LIT(""));
    mr_db_bind_str(s, 5, p->customer.p ? p->customer : MR_LIT(""));
    mr_db_bind_str(s, 6, status);
    mr_db_bind_i64(s, 7, standing(status));
    mr_db_bind_i64(s, 8, event_at);
    mr_db_bind_i64(s, 9, p->named);
    mr_db_bind_i64(s, 10, tier_known);
    return mr_db_exec(s, e);
}

/* 1 when the subscription is known. */
static int tier_account(struct mr_tx *tx, struct mr_str id, struct mr_id *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx, "SELECT tier_account FROM stripe_subscriptions WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, id);
    rc = mr_db_step(s, e);
    if (rc > 0)
        mr_db_id(s, 0, ret);
    mr_db_done(rc > 0 ? s : NULL);
    return rc;
}

int mr_book_subscription(struct mr_tx *tx, struct mr_str id, const struct mr_party *party,
                         struct mr_str email, struct mr_str status, int64_t event_at,
                         struct mr_err *e) {
    struct mr_id tier = party->account, before, after;
    if (!id.n)
        return 0;
    int by_email = account_of_email(tx, email, &tier, e);
    int had = by_email < 0 ? by_email : tier_account(tx, id, &before, e);
    if (had < 0)
        return had;
    int rc = update(tx, id, status, event_at, e);
    if (!rc) /* an event without the address knows less than one with it */
        rc =
            insert(tx, id, party, tier, by_email || (party->named && email.n), status, event_at, e);
    if (!rc && tier_account(tx, id, &after, e) <= 0)
        rc = mr_fail(e, MR_EINTERNAL, "a subscription has no row");
    if (!rc)
        rc = set_tier(tx, after, e);
    if (!rc && had && !mr_id_eq(before, after))
        rc = set_tier(tx, before, e);
    return rc;
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
