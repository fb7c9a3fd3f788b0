#include "core/billing/billing.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/billing/internal.h"

/* The strings of the configuration, for copying and freeing alike. */
#define STRINGS(X)                                                                                 \
    X(api_key)                                                                                     \
    X(api_base) X(webhook_secret) X(price_id) X(success_url) X(cancel_url) X(micro_currency)

void mr_billing_free(struct mr_billing *b) {
    if (!b)
        return;
#define FREE(name) mr_free((void *)(uintptr_t)b->c.name);
    STRINGS(FREE)
#undef FREE
    mr_free(b);
}

#define DAY_US        (INT64_C(86400) * 1000000)
#define KEEP_REQUESTS (7 * DAY_US)  /* a checkout page lives for a day at most */
#define KEEP_EVENTS   (90 * DAY_US) /* Stripe sends an event again for 30 days at most */

static int forget(struct mr_tx *tx, const char *sql, int64_t before, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, before);
    return mr_db_exec(s, e);
}

/* What is too old to matter, and the claims of requests that an earlier process did not finish:
 * those may be tried again, Stripe's own idempotency key keeps them from happening twice. */
static int tidy(struct mr_tx *tx, void *arg, struct mr_err *e) {
    int64_t now = mr_now_us();
    (void)arg;
    int rc = forget(tx, "DELETE FROM billing_requests WHERE url = '' OR created_at < ?1",
                    now - KEEP_REQUESTS, e);
    return rc ? rc
              : forget(tx, "DELETE FROM stripe_events WHERE created_at < ?1", now - KEEP_EVENTS, e);
}

static int micro_ok(const struct mr_billing_config *c, struct mr_err *e) {
    struct mr_str currency = mr_str(c->micro_currency);
    int64_t back;
    if (!currency.p)
        return 0;
    bool ok = currency.n == 3;
    for (size_t i = 0; ok && i < 3; i++)
        ok = currency.p[i] >= 'a' && currency.p[i] <= 'z';
    if (!ok)
        return mr_fail_field(e, MR_EFIELD, "micro_payment_currency",
                             "micro_payment_currency must be three lower-case letters, like usd");
    int64_t minor = mr_minor_units(c->micro_amount_nano, currency);
    if (minor <= 0 || !mr_money_from_minor(minor, currency, &back) || back != c->micro_amount_nano)
        return mr_fail_field(e, MR_EFIELD, "micro_payment_amount",
                             "micro_payment_amount must be a positive amount of whole %s units "
                             "(cents, where the currency has them)",
                             c->micro_currency);
    return 0;
}

int mr_billing_open(const struct mr_billing_config *c, struct mr_billing **ret, struct mr_err *e) {
    int rc = micro_ok(c, e);
    if (rc)
        return rc;
    struct mr_billing *b = mr_calloc(1, sizeof *b);
    bool ok = b != NULL;
    if (ok) {
        b->c = *c;
#define COPY(name)                                                                                 \
    b->c.name = c->name ? mr_strdup(c->name) : NULL;                                               \
    ok = ok && (b->c.name || !c->name);
        STRINGS(COPY)
#undef COPY
    }
    rc = ok ? mr_db_write(c->db, tidy, NULL, e) : mr_fail(e, MR_ENOMEM, "out of memory");
    if (rc) {
        mr_billing_free(b);
        return rc;
    }
    *ret = b;
    return 0;
}

struct counting {
    struct mr_id account;
    int64_t n;
};

static int count_active(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct counting *c = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT COUNT(*) FROM stripe_subscriptions WHERE account_id = ?1 "
                           "AND status IN ('active', 'trialing', 'past_due')",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->account);
    rc = mr_db_step(s, e);
    if (rc > 0)
        c->n = mr_db_i64(s, 0);
    mr_db_done(rc > 0 ? s : NULL);
    return rc < 0 ? rc : 0;
}

int mr_billing_subscriptions(struct mr_billing *b, struct mr_id account, int64_t *ret,
                             struct mr_err *e) {
    struct counting c = {.account = account};
    int rc = mr_db_read(b->c.db, count_active, &c, e);
    if (!rc)
        *ret = c.n;
    return rc;
}
