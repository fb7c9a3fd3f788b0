/* Shared by the files of core/billing. */
#ifndef MR_CORE_BILLING_INTERNAL_H
#define MR_CORE_BILLING_INTERNAL_H

#include "core/billing/billing.h"
#include "core/money/money.h"

#include <stdbool.h>
#include <yyjson.h>

#define MR_STRIPE_VERSION "2026-10-28.endive" /* the shapes that events.c and checkout.c know */
#define MR_STRIPE_BASE    "https://api.stripe.com"

struct mr_billing {
    struct mr_billing_config c; /* strings owned */
};

/* A POST of a form to the API; blocks. The body of a 2xx answer goes to `out`. */
int mr_stripe_post(struct mr_billing *b, const char *path, struct mr_str form,
                   struct mr_str idempotency, struct mr_buf *out, struct mr_err *e);
/* "&name=" (no '&' first in the buffer) and the value percent-encoded; name as it is. */
void mr_form_add(struct mr_buf *b, const char *name, struct mr_str value);

/* In the smallest unit that Stripe uses for the currency: the inverse of mr_money_from_minor. */
int64_t mr_minor_units(int64_t nano, struct mr_str currency);

/* Whose money or subscription an object is about. */
struct mr_party {
    struct mr_id account;
    bool named;             /* an object said so; else it is the operator's for want of a name */
    struct mr_str end_user; /* n == 0: none */
    struct mr_str customer; /* Stripe's id, "" unknown */
};
struct mr_payment {
    struct mr_party party;
    enum mr_book income;
    int64_t amount_nano;
    struct mr_str currency;
    int64_t at_us;
    struct mr_str ref[6]; /* names of the same money; n == 0 entries are skipped */
};
/* Books the payment unless one of its refs is booked; then the others are only remembered. */
int mr_book_payment(struct mr_billing *b, struct mr_tx *tx, const struct mr_payment *p,
                    struct mr_err *e);
/* A refund (`amount_nano` is all that was refunded of the charge so far), a dispute or a won one
 * (its own amount); `id` of the charge or the dispute, of a won one behind MR_WON. Waits for its
 * payment when that is unknown: with a `customer`, for any payment for a subscription of theirs
 * that it fits into. */
#define MR_WON "won:"
struct mr_return {
    struct mr_str id;
    enum mr_entry_kind kind; /* MR_ENTRY_REFUND, MR_ENTRY_DISPUTE, MR_ENTRY_DISPUTE_WON */
    struct mr_str customer, currency;
    int64_t amount_nano, at_us;
    struct mr_str ref[4];
};
/* These names mean one sum of money; kept until one of them is booked. */
int mr_book_link(struct mr_billing *b, struct mr_tx *tx, const struct mr_str *ref, size_t n,
                 struct mr_err *e);
int mr_book_return(struct mr_billing *b, struct mr_tx *tx, const struct mr_return *r,
                   struct mr_err *e);

/* State of a subscription as of an event; older events change nothing, an end is final, and between
 * events of one second the status decides, so that their order does not. Sets the tier of the
 * account that it is for: the one registered with `email`, else the party's. */
int mr_book_subscription(struct mr_tx *tx, struct mr_str id, const struct mr_party *party,
                         struct mr_str email, struct mr_str status, int64_t event_at,
                         struct mr_err *e);
/* 1 and the party when the subscription is known, else 0; strings in the arena. */
int mr_subscription_party(struct mr_tx *tx, struct mr_str id, struct mr_arena *arena,
                          struct mr_party *ret, struct mr_err *e);

#endif
