/* Whether payments are set up, and whole. */
#include "cli/doctor.h"

void mr_doctor_payments(struct mr_doctor *d, const struct mr_config *c) {
    const char *mode = mr_str_starts(mr_str(c->stripe_api_key), MR_LIT("sk_test_")) ||
                               mr_str_starts(mr_str(c->stripe_api_key), MR_LIT("rk_test_"))
                           ? "test"
                           : "live";
    if (!*c->stripe_api_key && !*c->stripe_webhook_secret)
        mr_doctor_say(d, MR_HEALTH_OK, "payments", NULL,
                      "not set up: STRIPE_API_KEY is not set (docs/BILLING.md)");
    else if (!*c->stripe_webhook_secret)
        mr_doctor_say(d, MR_HEALTH_WARN, "payments", "set STRIPE_WEBHOOK_SECRET",
                      "Stripe's events are refused, so no payment would be booked");
    else if (!*c->stripe_api_key)
        mr_doctor_say(d, MR_HEALTH_WARN, "payments", "set STRIPE_API_KEY",
                      "events are booked, but no checkout page can be made");
    else if (!*c->stripe_price_id)
        mr_doctor_say(d, MR_HEALTH_WARN, "payments", "set STRIPE_PRICE_ID",
                      "micro-payments work (%s mode), subscriptions do not", mode);
    else
        mr_doctor_say(d, MR_HEALTH_OK, "payments", NULL, "configured (%s mode)", mode);
}
