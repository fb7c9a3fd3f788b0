/* The order in which Stripe's events come does not matter: every permutation of a customer's
 * history, each event once or twice, gives the same books, tiers and subscriptions; so do many
 * threads at once. */
#include "stripe_events.h"

#include <pthread.h>

#define EVENTS_MAX 40
#define ROUNDS     60

struct history {
    int n;
    struct {
        const char *type;
        int64_t at;
        char object[OBJECT_MAX];
    } event[EVENTS_MAX];
};

static struct history h;
static char metadata[200];

static char *add(const char *type, int64_t after) {
    if (h.n == EVENTS_MAX)
        abort();
    h.event[h.n].type = type;
    h.event[h.n].at = T0 + after;
    return h.event[h.n++].object;
}

static struct session_shape session(const char *mode, long long amount) {
    return (struct session_shape){.mode = mode,
                                  .payment_status = "paid",
                                  .customer = "cus_1",
                                  .email = "ada@example.com",
                                  .amount = amount};
}

static void add_session(const char *type, int64_t after, struct session_shape s) {
    session_json(add(type, after), &s);
}

static void add_invoice(const char *type, int64_t after, const char *id, const char *reason,
                        long long amount, bool old) {
    struct invoice_shape s = {.id = id,
                              .reason = reason,
                              .customer = "cus_1",
                              .email = "ada@example.com",
                              .subscription = "sub_1",
                              .metadata = metadata,
                              .amount = amount};
    char intent[40], charge[40];
    snprintf(intent, sizeof intent, "pi_of_%s", id);
    snprintf(charge, sizeof charge, "ch_of_%s", id);
    if (old) {
        s.payment_intent = intent;
        s.charge = charge;
        old_invoice_json(add(type, after), &s);
    } else
        invoice_json(add(type, after), &s);
}

static void add_subscription(const char *type, int64_t after, const char *status) {
    subscription_json(add(type, after), "sub_1", "cus_1", status, metadata);
}

/* A subscription with renewals, failures, refunds and an end; single payments in between. */
static void life(bool ours, bool old, bool ended) {
    struct session_shape first = session("subscription", 2000), micro = session("payment", 500),
                         late = session("payment", 700);
    first.id = "cs_1", first.invoice = "in_1", first.subscription = "sub_1";
    micro.id = "cs_2", micro.payment_intent = "pi_micro";
    late.id = "cs_3", late.payment_intent = "pi_late", late.currency = "eur";
    h.n = 0;
    add_subscription("customer.subscription.created", 0, "incomplete");
    add_invoice("invoice.paid", 0, "in_1", "subscription_create", 2000, old);
    add_subscription("customer.subscription.updated", 0, "active");
    add_session("checkout.session.completed", 1, first);
    add_session("checkout.session.completed", 50, micro);
    charge_json(add("charge.refunded", 60), "ch_micro", "cus_1", "pi_micro", "usd", 500, 100,
                ours ? metadata : "\"account_id\":\"of another system\"");
    charge_json(add("charge.refunded", 61), "ch_micro", "cus_1", "pi_micro", "usd", 500, 250,
                ours ? metadata : "\"account_id\":\"of another system\"");
    add_invoice("invoice.payment_failed", 100, "in_2", "subscription_cycle", 0, old);
    add_subscription("customer.subscription.updated", 100, "past_due");
    add_invoice("invoice.paid", 200, "in_2", "subscription_cycle", 2000, old);
    add_subscription("customer.subscription.updated", 200, "active");
    add_invoice("invoice.paid", 300, "in_3", "subscription_cycle", 2500, old);
    if (!old) {
        invoice_payment_json(add("invoice_payment.paid", 300), "in_3", "pi_of_in_3", 2500);
        invoice_payment_json(add("invoice_payment.paid", 1), "in_1", "pi_of_in_1", 2000);
    }
    charge_json(add("charge.refunded", 310), "ch_of_in_3", "cus_1", "pi_of_in_3", "usd", 2500, 300,
                "");
    charge_json(add("charge.refunded", 311), "ch_of_in_2", "cus_1", "pi_of_in_2", "usd", 2000, 2000,
                "");
    dispute_json(add("charge.dispute.created", 320), "dp_1", "ch_of_in_1", "pi_of_in_1", 2000,
                 "needs_response");
    dispute_json(add("charge.dispute.funds_reinstated", 321), "dp_1", "ch_of_in_1", "pi_of_in_1",
                 2000, "won");
    dispute_json(add("charge.dispute.closed", 322), "dp_1", "ch_of_in_1", "pi_of_in_1", 2000,
                 "won");
    late.payment_status = "unpaid";
    add_session("checkout.session.completed", 330, late);
    late.payment_status = "paid";
    add_session("checkout.session.async_payment_succeeded", 340, late);
    add_invoice("invoice.payment_failed", 400, "in_4", "subscription_cycle", 0, old);
    add_subscription("customer.subscription.updated", 400, "unpaid");
    if (ended)
        add_subscription("customer.subscription.deleted", 400, "canceled");
}

static uint64_t seed = 88172645463325252ull;

static uint32_t below(uint32_t n) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % n;
}

static void deliver_one(struct books *b, int i) {
    struct mr_err e = {0};
    char id[32];
    snprintf(id, sizeof id, "evt_%d", i);
    if (deliver(b, id, h.event[i].type, h.event[i].at, h.event[i].object, &e)) {
        fprintf(stderr, "%s: %s\n", h.event[i].type, e.msg);
        mr_test_failed_++;
    }
}

static int rename_account_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct mr_id *from_to = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "UPDATE accounts SET id = ?2 WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, from_to[0]);
    mr_db_bind_id(s, 2, from_to[1]);
    return mr_db_exec(s, e);
}

/* The accounts are the same in all rounds, since metadata names them. */
static void open_fresh(struct books *b, const struct mr_id *tenant) {
    books_open(b);
    if (tenant) {
        struct mr_err e;
        struct mr_id old = b->tenant;
        b->tenant = *tenant;
        must_(mr_db_write(b->db, rename_account_tx, (struct mr_id[]){old, *tenant}, &e), &e);
        own_session(b, *tenant, "cs_1", "subscription", "ada@example.com");
        own_session(b, *tenant, "cs_2", "payment", "42");
        own_session(b, *tenant, "cs_3", "payment", "43");
    }
}

static void every_order(const struct mr_id *tenant, const char *want) {
    struct books b;
    int order[2 * EVENTS_MAX];
    for (int round = 0; round < ROUNDS; round++) {
        int n = 0;
        for (int i = 0; i < h.n; i++) {
            order[n++] = i;
            if (below(3) == 0)
                order[n++] = i;
        }
        for (int i = n - 1; i > 0 && round; i--) {
            int j = (int)below((uint32_t)i + 1), t = order[i];
            order[i] = order[j];
            order[j] = t;
        }
        open_fresh(&b, tenant);
        for (int i = 0; i < n; i++)
            deliver_one(&b, order[i]);
        char *got = digest(&b);
        CHECK_STR(got, want);
        if (strcmp(got, want)) {
            fprintf(stderr, "round %d, order:", round);
            for (int i = 0; i < n; i++)
                fprintf(stderr, " %d", order[i]);
            fprintf(stderr, "\n");
            round = ROUNDS;
        }
        free(got);
        books_close(&b);
    }
}

static struct mr_id tenant;

static void our_metadata(void) {
    char id[MR_ID_HEX];
    tenant = mr_id_new();
    mr_id_hex(tenant, id);
    snprintf(metadata, sizeof metadata, "\"account_id\":\"%s\",\"user_id\":\"ada@example.com\"",
             id);
}

#define OUR_BOOKS                                                                                  \
    "income sub tenant ada@example.com usd 65.000\n"                                               \
    "income micro tenant 43 eur 7.000\n"                                                           \
    "income micro tenant 42 usd 5.000\n"                                                           \
    "refund sub tenant ada@example.com usd 23.000\n"                                               \
    "refund micro tenant 42 usd 2.500\n"                                                           \
    "dispute sub tenant ada@example.com usd 20.000\n"                                              \
    "won sub tenant ada@example.com usd 20.000\n"
#define THEIR_BOOKS                                                                                \
    "income sub operator ada@example.com usd 65.000\n"                                             \
    "income micro operator ada@example.com eur 7.000\n"                                            \
    "income micro operator ada@example.com usd 5.000\n"                                            \
    "refund sub operator ada@example.com usd 23.000\n"                                             \
    "refund micro operator ada@example.com usd 2.500\n"                                            \
    "dispute sub operator ada@example.com usd 20.000\n"                                            \
    "won sub operator ada@example.com usd 20.000\n"

MR_TEST(our_customers_history) {
    our_metadata();
    life(true, false, false);
    every_order(&tenant, OUR_BOOKS "subscription tenant unpaid\n");
    h.n -= 2; /* without the last failures */
    every_order(&tenant, OUR_BOOKS "pro home\nsubscription tenant active\n");
}

MR_TEST(a_history_that_ends) {
    our_metadata();
    life(true, false, true);
    every_order(&tenant, OUR_BOOKS "subscription tenant canceled\n");
}

MR_TEST(our_customers_history_in_the_older_version) {
    our_metadata();
    life(true, true, false);
    every_order(&tenant, OUR_BOOKS "subscription tenant unpaid\n");
}

MR_TEST(a_history_of_pages_that_we_did_not_make) {
    metadata[0] = 0;
    life(false, false, false);
    every_order(NULL, THEIR_BOOKS "subscription operator unpaid\n");
    h.n -= 2;
    every_order(NULL, THEIR_BOOKS "pro home\nsubscription operator active\n");
    life(false, true, true);
    every_order(NULL, THEIR_BOOKS "subscription operator canceled\n");
}

/* --- at once ------------------------------------------------------------------------------ */

struct worker {
    struct books *b;
    int first;
};

static void *deliver_all(void *arg) {
    const struct worker *w = arg;
    for (int i = 0; i < h.n; i++)
        deliver_one(w->b, (i + w->first) % h.n);
    return NULL;
}

MR_TEST(eight_threads_deliver_the_same_events) {
    enum { THREADS = 8 };
    struct books b;
    pthread_t thread[THREADS];
    struct worker w[THREADS];
    our_metadata();
    life(true, false, true);
    open_fresh(&b, &tenant);
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){&b, i * 3};
        pthread_create(&thread[i], NULL, deliver_all, &w[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    CHECK_BOOKS(&b, OUR_BOOKS "subscription tenant canceled\n");
    books_close(&b);
}

MR_TEST_MAIN(CASE(our_customers_history), CASE(a_history_that_ends),
             CASE(our_customers_history_in_the_older_version),
             CASE(a_history_of_pages_that_we_did_not_make),
             CASE(eight_threads_deliver_the_same_events))
