/* Stripe's events and what they come to in the books; each is delivered twice. */
#include "stripe_events.h"

#define SUB_DONE "checkout.session.completed"

static struct books b;
static char json[OBJECT_MAX];

static void paid_session(const char *id, const char *mode, const char *status, const char *currency,
                         long long amount) {
    session_json(json, &(struct session_shape){.id = id,
                                               .mode = mode,
                                               .payment_status = status,
                                               .currency = currency,
                                               .email = "ada@example.com",
                                               .payment_intent = "pi_9",
                                               .amount = amount});
}

MR_TEST(a_micro_payment_of_ours) {
    books_open(&b);
    own_session(&b, b.tenant, "cs_1", "payment", "42");
    paid_session("cs_1", "payment", "paid", "usd", 150);
    twice(&b, SUB_DONE, T0, json);
    /* the user is who the session was made for, not who paid */
    CHECK_BOOKS(&b, "income micro tenant 42 usd 1.500\n");
    books_close(&b);
}

MR_TEST(a_session_that_we_did_not_create) {
    books_open(&b);
    paid_session("cs_1", "payment", "paid", "usd", 100);
    twice(&b, SUB_DONE, T0, json);
    CHECK_BOOKS(&b, "income micro operator ada@example.com usd 1.000\n");
    books_close(&b);
}

MR_TEST(an_unpaid_session_is_no_income_until_it_is_paid) {
    books_open(&b);
    paid_session("cs_1", "payment", "unpaid", "usd", 100);
    twice(&b, SUB_DONE, T0, json);
    CHECK_BOOKS(&b, "");
    paid_session("cs_1", "payment", "paid", "usd", 100);
    twice(&b, "checkout.session.async_payment_succeeded", T0 + 90, json);
    CHECK_BOOKS(&b, "income micro operator ada@example.com usd 1.000\n");
    paid_session("cs_2", "payment", "unpaid", "usd", 100);
    twice(&b, "checkout.session.async_payment_failed", T0 + 90, json);
    twice(&b, SUB_DONE, T0, json);
    CHECK_BOOKS(&b, "income micro operator ada@example.com usd 1.000\n");
    books_close(&b);
}

struct status {
    const char *id;
    char text[20];
};

static int status_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct status *q = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT status FROM stripe_sessions WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, mr_str(q->id));
    rc = mr_db_step(s, e);
    if (rc > 0)
        snprintf(q->text, sizeof q->text, "%.*s", (int)mr_db_str(s, 0).n, mr_db_str(s, 0).p);
    mr_db_done(rc > 0 ? s : NULL);
    return rc < 0 ? rc : 0;
}

static struct status session_status(const char *id) {
    struct status q = {.id = id};
    struct mr_err e;
    must_(mr_db_write(b.db, status_tx, &q, &e), &e);
    return q;
}

MR_TEST(a_sessions_last_word_is_paid) {
    static const char *const late[] = {"checkout.session.expired",
                                       "checkout.session.async_payment_failed", SUB_DONE};
    books_open(&b);
    own_session(&b, b.tenant, "cs_1", "payment", "42");
    CHECK_STR(session_status("cs_1").text, "open");
    paid_session("cs_1", "payment", "paid", "usd", 100);
    twice(&b, SUB_DONE, T0, json);
    for (int i = 0; i < 3; i++) {
        paid_session("cs_1", "payment", "unpaid", "usd", 100);
        twice(&b, late[i], T0 + 9, json);
        CHECK_STR(session_status("cs_1").text, "paid");
    }
    CHECK_BOOKS(&b, "income micro tenant 42 usd 1.000\n");
    paid_session("cs_2", "payment", "unpaid", "usd", 100);
    twice(&b, "checkout.session.expired", T0, json);
    CHECK_STR(session_status("cs_2").text, "expired");
    twice(&b, SUB_DONE, T0, json); /* late: nothing new */
    CHECK_STR(session_status("cs_2").text, "expired");
    paid_session("cs_3", "payment", "unpaid", "usd", 100);
    twice(&b, SUB_DONE, T0, json);
    twice(&b, "checkout.session.async_payment_failed", T0 + 1, json);
    CHECK_STR(session_status("cs_3").text, "failed");
    books_close(&b);
}

MR_TEST(currencies_stay_apart_and_have_their_own_decimals) {
    static const struct {
        const char *currency;
        long long minor;
    } paid[] = {{"usd", 150}, {"eur", 150}, {"jpy", 500}, {"kwd", 1250}, {"isk", 500}, {"krw", 7}};
    char id[20];
    books_open(&b);
    for (size_t i = 0; i < sizeof paid / sizeof *paid; i++) {
        snprintf(id, sizeof id, "cs_%zu", i);
        session_json(json, &(struct session_shape){.id = id,
                                                   .mode = "payment",
                                                   .payment_status = "paid",
                                                   .currency = paid[i].currency,
                                                   .email = "a@b.example",
                                                   .amount = paid[i].minor});
        twice(&b, SUB_DONE, T0, json);
    }
    CHECK_BOOKS(&b, "income micro operator a@b.example eur 1.500\n"
                    "income micro operator a@b.example isk 5.000\n"
                    "income micro operator a@b.example jpy 500.000\n"
                    "income micro operator a@b.example krw 7.000\n"
                    "income micro operator a@b.example kwd 1.250\n"
                    "income micro operator a@b.example usd 1.500\n");
    books_close(&b);
}

/* --- subscriptions ------------------------------------------------------------------------ */

static char ours[200]; /* metadata that POST /api/payment/subscription wrote */

static void our_metadata(struct mr_id account, const char *user) {
    char id[MR_ID_HEX];
    mr_id_hex(account, id);
    snprintf(ours, sizeof ours, "\"account_id\":\"%s\",\"user_id\":\"%s\"", id, user);
}

static void sub_session(const char *status, long long amount) {
    session_json(json, &(struct session_shape){.id = "cs_1",
                                               .mode = "subscription",
                                               .payment_status = status,
                                               .customer = "cus_1",
                                               .email = "ada@example.com",
                                               .invoice = "in_1",
                                               .subscription = "sub_1",
                                               .amount = amount});
}

static void invoice(const char *id, const char *reason, long long amount) {
    invoice_json(json, &(struct invoice_shape){.id = id,
                                               .reason = reason,
                                               .customer = "cus_1",
                                               .email = "ada@example.com",
                                               .subscription = "sub_1",
                                               .metadata = ours,
                                               .amount = amount});
}

MR_TEST(the_first_invoice_is_its_sessions_money) {
    static const char *const want = "income sub tenant ada@example.com usd 20.000\n"
                                    "pro home\nsubscription tenant active\n";
    for (int order = 0; order < 4; order++) {
        books_open(&b);
        own_session(&b, b.tenant, "cs_1", "subscription", "ada@example.com");
        our_metadata(b.tenant, "ada@example.com");
        for (int i = 0; i < 2; i++) {
            if (i == order % 2) {
                sub_session("paid", 2000);
                if (order >=
                    2) /* it does not always name its invoice; then the subscription does */
                    memcpy(strstr(json, "\"invoice\":\"in_1\""), "\"invoice\":  null", 16);
                twice(&b, SUB_DONE, T0 + 1, json);
            } else {
                invoice("in_1", "subscription_create", 2000);
                twice(&b, "invoice.paid", T0, json);
            }
            CHECK_BOOKS(&b, want);
        }
        invoice("in_2", "subscription_cycle", 2000);
        twice(&b, "invoice.paid", T0 + 2592000, json);
        CHECK_BOOKS(&b, "income sub tenant ada@example.com usd 40.000\n"
                        "pro home\nsubscription tenant active\n");
        books_close(&b);
    }
}

MR_TEST(invoices_of_the_older_version) {
    struct invoice_shape s = {.id = "in_1",
                              .reason = "subscription_create",
                              .customer = "cus_1",
                              .email = "ada@example.com",
                              .subscription = "sub_1",
                              .payment_intent = "pi_1",
                              .charge = "ch_1",
                              .metadata = ours,
                              .amount = 2000};
    books_open(&b);
    our_metadata(b.tenant, "ada@example.com");
    old_invoice_json(json, &s);
    twice(&b, "invoice.paid", T0, json);
    sub_session("paid", 2000);
    twice(&b, SUB_DONE, T0, json);
    s.id = "in_2", s.reason = "subscription_cycle", s.payment_intent = "pi_2", s.charge = "ch_2";
    old_invoice_json(json, &s);
    twice(&b, "invoice.paid", T0 + 9, json);
    charge_json(json, "ch_2", "cus_1", "pi_2", "usd", 2000, 500, NULL);
    twice(&b, "charge.refunded", T0 + 10, json);
    dispute_json(json, "dp_1", "ch_1", "pi_1", 2000, "needs_response");
    twice(&b, "charge.dispute.created", T0 + 11, json);
    CHECK_BOOKS(&b, "income sub tenant ada@example.com usd 40.000\n"
                    "refund sub tenant ada@example.com usd 5.000\n"
                    "dispute sub tenant ada@example.com usd 20.000\n"
                    "pro home\nsubscription tenant active\n");
    books_close(&b);
}

MR_TEST(an_invoice_without_a_subscription_is_a_single_payment) {
    books_open(&b);
    invoice_json(json, &(struct invoice_shape){.id = "in_7",
                                               .reason = "manual",
                                               .customer = "cus_1",
                                               .email = "bob@example.com",
                                               .amount = 300});
    twice(&b, "invoice.paid", T0, json);
    CHECK_BOOKS(&b, "income micro operator bob@example.com usd 3.000\n");
    books_close(&b);
}

MR_TEST(a_free_trial_gives_the_tier_without_income) {
    books_open(&b);
    own_session(&b, b.tenant, "cs_1", "subscription", "ada@example.com");
    our_metadata(b.tenant, "ada@example.com");
    subscription_json(json, "sub_1", "cus_1", "trialing", ours);
    twice(&b, "customer.subscription.created", T0, json);
    sub_session("no_payment_required", 0);
    twice(&b, SUB_DONE, T0, json);
    invoice("in_1", "subscription_create", 0);
    twice(&b, "invoice.paid", T0, json);
    CHECK_BOOKS(&b, "pro home\nsubscription tenant active\n");
    invoice("in_2", "subscription_cycle", 2000);
    twice(&b, "invoice.paid", T0 + 86400, json);
    CHECK_BOOKS(&b, "income sub tenant ada@example.com usd 20.000\n"
                    "pro home\nsubscription tenant active\n");
    books_close(&b);
}

MR_TEST(a_first_payment_that_fails_gives_nothing) {
    books_open(&b);
    our_metadata(b.tenant, "ada@example.com");
    subscription_json(json, "sub_1", "cus_1", "incomplete", ours);
    twice(&b, "customer.subscription.created", T0, json);
    invoice("in_1", "subscription_create", 0);
    twice(&b, "invoice.payment_failed", T0 + 1, json);
    CHECK_BOOKS(&b, "subscription tenant incomplete\n");
    books_close(&b);
}

static int64_t active(void) {
    int64_t n = -1;
    struct mr_err e;
    must_(mr_billing_subscriptions(b.billing, b.tenant, &n, &e), &e);
    return n;
}

MR_TEST(a_failed_renewal_keeps_the_tier_until_stripe_gives_up) {
    books_open(&b);
    our_metadata(b.tenant, "ada@example.com");
    CHECK_INT(active(), 0);
    invoice("in_1", "subscription_create", 2000);
    twice(&b, "invoice.paid", T0, json);
    CHECK_INT(active(), 1);
    invoice("in_2", "subscription_cycle", 0);
    twice(&b, "invoice.payment_failed", T0 + 100, json);
    CHECK_BOOKS(&b, "income sub tenant ada@example.com usd 20.000\n"
                    "pro home\nsubscription tenant past_due\n");
    CHECK_INT(active(), 1);
    /* the last attempt: both events in one second, in either order */
    subscription_json(json, "sub_1", "cus_1", "unpaid", ours);
    twice(&b, "customer.subscription.updated", T0 + 200, json);
    invoice("in_2", "subscription_cycle", 0);
    twice(&b, "invoice.payment_failed", T0 + 200, json);
    CHECK_BOOKS(&b, "income sub tenant ada@example.com usd 20.000\nsubscription tenant unpaid\n");
    CHECK_INT(active(), 0);
    subscription_json(json, "sub_1", "cus_1", "active", ours);
    twice(&b, "customer.subscription.updated", T0 + 300, json);
    CHECK_INT(active(), 1);
    books_close(&b);
}

MR_TEST(deleted_is_final_whenever_it_comes) {
    books_open(&b);
    own_session(&b, b.tenant, "cs_1", "subscription", "ada@example.com");
    our_metadata(b.tenant, "ada@example.com");
    subscription_json(json, "sub_1", "cus_1", "canceled", ours);
    twice(&b, "customer.subscription.deleted", T0 + 50, json);
    subscription_json(json, "sub_1", "cus_1", "active", ours);
    twice(&b, "customer.subscription.updated", T0 + 40, json);
    twice(&b, "customer.subscription.updated", T0 + 60, json);
    sub_session("paid", 2000);
    twice(&b, SUB_DONE, T0 + 70, json);
    CHECK_BOOKS(&b, "income sub tenant ada@example.com usd 20.000\nsubscription tenant canceled\n");
    books_close(&b);

    books_open(&b); /* what comes before it may have a later time */
    subscription_json(json, "sub_1", "cus_1", "active", "");
    twice(&b, "customer.subscription.updated", T0 + 60, json);
    subscription_json(json, "sub_1", "cus_1", "canceled", "");
    twice(&b, "customer.subscription.deleted", T0 + 50, json);
    CHECK_BOOKS(&b, "subscription operator canceled\n");
    books_close(&b);
}

static int tier_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "UPDATE accounts SET tier = 'enterprise' WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, *(struct mr_id *)arg);
    return mr_db_exec(s, e);
}

MR_TEST(whose_tier_it_is) {
    struct mr_err e;
    books_open(&b);
    /* nobody is registered with that address: the account that asked for the page */
    our_metadata(b.tenant, "new@example.com");
    subscription_json(json, "sub_2", "cus_2", "active", ours);
    twice(&b, "customer.subscription.updated", T0, json);
    CHECK_BOOKS(&b, "pro tenant\nsubscription tenant active\n");
    /* what was set by hand stays */
    must_(mr_db_write(b.db, tier_tx, &b.tenant, &e), &e);
    twice(&b, "customer.subscription.updated", T0 + 1, json);
    CHECK_BOOKS(&b, "subscription tenant active\n");
    subscription_json(json, "sub_2", "cus_2", "canceled", ours);
    twice(&b, "customer.subscription.deleted", T0 + 1, json);
    CHECK_BOOKS(&b, "subscription tenant canceled\n");
    /* somebody else's site sold it: the operator's income, the registered user's tier, found when
     * an event with the address comes */
    subscription_json(json, "sub_1", "cus_1", "active", "");
    twice(&b, "customer.subscription.created", T0, json);
    CHECK_BOOKS(&b, "subscription operator active\nsubscription tenant canceled\n");
    *ours = 0;
    invoice("in_1", "subscription_create", 900);
    twice(&b, "invoice.paid", T0, json);
    CHECK_BOOKS(&b, "income sub operator ada@example.com usd 9.000\npro home\n"
                    "subscription operator active\nsubscription tenant canceled\n");
    books_close(&b);
}

/* --- refunds and disputes ----------------------------------------------------------------- */

MR_TEST(refunds_come_in_steps_and_before_their_payment) {
    books_open(&b);
    own_session(&b, b.tenant, "cs_1", "payment", "42");
    charge_json(json, "ch_9", NULL, "pi_9", "usd", 1000, 300, NULL);
    twice(&b, "charge.refunded", T0 + 5, json);
    CHECK_BOOKS(&b, ""); /* waits */
    paid_session("cs_1", "payment", "paid", "usd", 1000);
    twice(&b, SUB_DONE, T0, json);
    CHECK_BOOKS(&b, "income micro tenant 42 usd 10.000\nrefund micro tenant 42 usd 3.000\n");
    charge_json(json, "ch_9", NULL, "pi_9", "usd", 1000, 1000, NULL);
    twice(&b, "charge.refunded", T0 + 7, json);
    charge_json(json, "ch_9", NULL, "pi_9", "usd", 1000, 700, NULL); /* an older step, late */
    twice(&b, "charge.refunded", T0 + 6, json);
    CHECK_BOOKS(&b, "income micro tenant 42 usd 10.000\nrefund micro tenant 42 usd 10.000\n");
    books_close(&b);
}

MR_TEST(refunds_of_invoices_that_nothing_names) {
    books_open(&b);
    our_metadata(b.tenant, "ada@example.com");
    charge_json(json, "ch_1", "cus_1", "pi_1", "usd", 2000, 2000, "");
    twice(&b, "charge.refunded", T0 + 5, json);
    CHECK_BOOKS(&b, "");
    invoice("in_1", "subscription_create", 2000);
    twice(&b, "invoice.paid", T0, json);
    invoice("in_2", "subscription_cycle", 2000);
    twice(&b, "invoice.paid", T0 + 9, json);
    charge_json(json, "ch_2", "cus_1", "pi_2", "usd", 2000, 2000, "");
    twice(&b, "charge.refunded", T0 + 12, json); /* another charge: not the same refund again */
    CHECK_BOOKS(&b, "income sub tenant ada@example.com usd 40.000\n"
                    "refund sub tenant ada@example.com usd 40.000\n"
                    "pro home\nsubscription tenant active\n");
    /* the refund of a single payment never falls on a subscription */
    own_session(&b, b.tenant, "cs_9", "payment", "42");
    charge_json(json, "ch_9", "cus_1", "pi_9", "usd", 100, 100, ours);
    twice(&b, "charge.refunded", T0 + 13, json);
    paid_session("cs_9", "payment", "paid", "usd", 100);
    twice(&b, SUB_DONE, T0 + 12, json);
    CHECK_BOOKS(&b, "income sub tenant ada@example.com usd 40.000\n"
                    "income micro tenant 42 usd 1.000\n"
                    "refund sub tenant ada@example.com usd 40.000\n"
                    "refund micro tenant 42 usd 1.000\n"
                    "pro home\nsubscription tenant active\n");
    books_close(&b);
}

MR_TEST(an_invoice_payment_names_the_payment_of_an_invoice) {
    for (int order = 0; order < 6; order++) {
        static const int perm[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                       {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        books_open(&b);
        our_metadata(b.tenant, "ada@example.com");
        for (int i = 0; i < 3; i++)
            switch (perm[order][i]) {
            case 0:
                invoice("in_1", "subscription_cycle", 2000);
                twice(&b, "invoice.paid", T0, json);
                break;
            case 1:
                invoice_payment_json(json, "in_1", "pi_1", 2000);
                twice(&b, "invoice_payment.paid", T0, json);
                break;
            default:
                dispute_json(json, "dp_1", "ch_1", "pi_1", 2000, "needs_response");
                twice(&b, "charge.dispute.created", T0 + 4, json);
            }
        CHECK_BOOKS(&b, "income sub tenant ada@example.com usd 20.000\n"
                        "dispute sub tenant ada@example.com usd 20.000\n"
                        "pro home\nsubscription tenant active\n");
        books_close(&b);
    }
}

MR_TEST(an_inquiry_moves_no_money) {
    books_open(&b);
    paid_session("cs_1", "payment", "paid", "usd", 1000);
    twice(&b, SUB_DONE, T0, json);
    dispute_json(json, "dp_1", "ch_9", "pi_9", 1000, "warning_needs_response");
    twice(&b, "charge.dispute.created", T0 + 1, json);
    CHECK_BOOKS(&b, "income micro operator ada@example.com usd 10.000\n");
    dispute_json(json, "dp_1", "ch_9", "pi_9", 1000, "needs_response");
    twice(&b, "charge.dispute.funds_withdrawn", T0 + 2, json);
    twice(&b, "charge.dispute.created", T0 + 2, json);
    CHECK_BOOKS(&b, "income micro operator ada@example.com usd 10.000\n"
                    "dispute micro operator ada@example.com usd 10.000\n");
    books_close(&b);
}

/* Every order of a payment's and its dispute's events, each twice. */
MR_TEST(a_won_dispute_comes_back_once) {
    static const char *const type[] = {NULL, "charge.dispute.created", "charge.dispute.closed",
                                       "charge.dispute.funds_reinstated"};
    for (int order = 0; order < 24; order++) {
        int left[] = {0, 1, 2, 3}, n = 4;
        books_open(&b);
        own_session(&b, b.tenant, "cs_1", "payment", "42");
        for (int i = 0, o = order; i < 4; i++) {
            int pick = o % n;
            o /= n;
            int what = left[pick];
            left[pick] = left[--n];
            if (what == 0) {
                paid_session("cs_1", "payment", "paid", "usd", 1000);
                twice(&b, SUB_DONE, T0, json);
                continue;
            }
            dispute_json(json, "dp_1", "ch_9", "pi_9", 900, what == 1 ? "needs_response" : "won");
            twice(&b, type[what], T0 + what, json);
        }
        CHECK_BOOKS(&b, "income micro tenant 42 usd 10.000\n"
                        "dispute micro tenant 42 usd 9.000\nwon micro tenant 42 usd 9.000\n");
        books_close(&b);
    }
}

MR_TEST(a_lost_dispute_stays_and_a_closed_inquiry_moves_nothing) {
    books_open(&b);
    paid_session("cs_1", "payment", "paid", "usd", 1000);
    twice(&b, SUB_DONE, T0, json);
    dispute_json(json, "dp_1", "ch_9", "pi_9", 1000, "warning_closed");
    twice(&b, "charge.dispute.closed", T0 + 1, json);
    CHECK_BOOKS(&b, "income micro operator ada@example.com usd 10.000\n");
    dispute_json(json, "dp_2", "ch_9", "pi_9", 1000, "needs_response");
    twice(&b, "charge.dispute.created", T0 + 2, json);
    dispute_json(json, "dp_2", "ch_9", "pi_9", 1000, "lost");
    twice(&b, "charge.dispute.closed", T0 + 3, json);
    CHECK_BOOKS(&b, "income micro operator ada@example.com usd 10.000\n"
                    "dispute micro operator ada@example.com usd 10.000\n");
    books_close(&b);
}

/* --- what cannot be booked ---------------------------------------------------------------- */

MR_TEST(an_event_that_fails_may_come_again) {
    struct mr_err e;
    books_open(&b);
    paid_session("cs_1", "payment", "paid", "usd", 100);
    char *bad = strstr(json, "\"amount_total\":100");
    memcpy(bad, "\"amount_total\":\"a\"", 18);
    CHECK_INT(deliver(&b, "evt_x", SUB_DONE, T0, json, &e), MR_EINVAL);
    paid_session("cs_1", "payment", "paid", "US$", 100);
    CHECK(deliver(&b, "evt_x", SUB_DONE, T0, json, &e) != 0);
    paid_session("cs_1", "payment", "paid", "jpy", 9223372036854775807);
    CHECK_INT(deliver(&b, "evt_x", SUB_DONE, T0, json, &e), MR_EINVAL);
    paid_session("cs_1", "payment", "paid", "usd", -5);
    CHECK_INT(deliver(&b, "evt_x", SUB_DONE, T0, json, &e), MR_EINVAL);
    CHECK_BOOKS(&b, "");
    paid_session("cs_1", "payment", "paid", "usd", 100); /* the same id: not taken for seen */
    CHECK_INT(deliver(&b, "evt_x", SUB_DONE, T0, json, &e), 0);
    /* an id that was booked is not looked at again, whatever it says now */
    session_json(json, &(struct session_shape){.id = "cs_2",
                                               .mode = "payment",
                                               .payment_status = "paid",
                                               .email = "ada@example.com",
                                               .amount = 900});
    CHECK_INT(deliver(&b, "evt_x", SUB_DONE, T0, json, &e), 0);
    CHECK_INT(deliver(&b, "evt_y", "customer.created", T0, "{\"id\":\"cus_1\"}", &e), 0);
    CHECK_BOOKS(&b, "income micro operator ada@example.com usd 1.000\n");
    books_close(&b);
}

MR_TEST_MAIN(CASE(a_micro_payment_of_ours), CASE(a_session_that_we_did_not_create),
             CASE(an_unpaid_session_is_no_income_until_it_is_paid),
             CASE(a_sessions_last_word_is_paid),
             CASE(currencies_stay_apart_and_have_their_own_decimals),
             CASE(the_first_invoice_is_its_sessions_money), CASE(invoices_of_the_older_version),
             CASE(an_invoice_without_a_subscription_is_a_single_payment),
             CASE(a_free_trial_gives_the_tier_without_income),
             CASE(a_first_payment_that_fails_gives_nothing),
             CASE(a_failed_renewal_keeps_the_tier_until_stripe_gives_up),
             CASE(deleted_is_final_whenever_it_comes), CASE(whose_tier_it_is),
             CASE(refunds_come_in_steps_and_before_their_payment),
             CASE(refunds_of_invoices_that_nothing_names),
             CASE(an_invoice_payment_names_the_payment_of_an_invoice),
             CASE(an_inquiry_moves_no_money), CASE(a_won_dispute_comes_back_once),
             CASE(a_lost_dispute_stays_and_a_closed_inquiry_moves_nothing),
             CASE(an_event_that_fails_may_come_again))
