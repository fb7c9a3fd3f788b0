/* Payments through Stripe: Checkout Sessions out, webhook events in, booked in the ledger exactly
 * once. Stripe API reference "Checkout Sessions", "Webhook signatures"; version pinned in
 * billing.c. Thread-safe; functions block on the network or the database. */
#ifndef MR_CORE_BILLING_BILLING_H
#define MR_CORE_BILLING_BILLING_H

#include "base/arena.h"
#include "core/money/ledger.h"
#include "http/upstream.h"

struct mr_billing;
struct mr_billing_config {
    struct mr_db *db;
    struct mr_ledger *ledger;
    struct mr_upstream *upstream;
    const char *api_key;        /* STRIPE_API_KEY; NULL: every call answers MR_EUNAVAIL naming it */
    const char *api_base;       /* STRIPE_API_BASE; NULL = Stripe's */
    const char *webhook_secret; /* STRIPE_WEBHOOK_SECRET */
    const char *price_id;       /* STRIPE_PRICE_ID */
    const char *success_url, *cancel_url;
    int64_t micro_amount_nano; /* of micro_currency */
    const char *micro_currency;
    int timeout_ms; /* of a request to Stripe; 0 = 30,000 */
    const struct mr_log *log;
    struct mr_id operator_account; /* books events of sessions that we did not create */
};
/* MR_EFIELD for a micro-payment that is not a positive, whole number of its currency's smallest
 * unit. */
int mr_billing_open(const struct mr_billing_config *c, struct mr_billing **ret, struct mr_err *e);
void mr_billing_free(struct mr_billing *b);

/* The checkout page's URL. idempotency p NULL: one is made. MR_EUNAVAIL without key or price id,
 * MR_EPREDICT with Stripe's own reason,
 * MR_ECONFLICT while a request with the same key runs, MR_EFIELD when its body differs. */
int mr_billing_subscription(struct mr_billing *b, struct mr_id account, struct mr_str email,
                            struct mr_str idempotency, struct mr_arena *arena,
                            struct mr_str *ret_url, struct mr_err *e);
int mr_billing_micro(struct mr_billing *b, struct mr_id account, struct mr_str end_user,
                     struct mr_str description, struct mr_str idempotency, struct mr_arena *arena,
                     struct mr_str *ret_url, struct mr_err *e);
/* Active subscriptions that are this account's income (trialing and past due ones included). */
int mr_billing_subscriptions(struct mr_billing *b, struct mr_id account, int64_t *ret,
                             struct mr_err *e);
/* One webhook delivery: header as received, body raw. 0 when it is booked, was booked before, or is
 * of no interest. MR_EINVAL: bad, old or missing signature, or not an event. MR_EUNAVAIL: no
 * secret. */
int mr_billing_event(struct mr_billing *b, struct mr_str signature, struct mr_str body,
                     struct mr_err *e);
/* Pure, for tests and fuzzing: any v1 of the header over "t.body", constant time, |now - t| <= 300
 * s. */
int mr_stripe_verify(struct mr_str secret, struct mr_str header, struct mr_str body, int64_t now_s,
                     struct mr_err *e);

#endif
