/* Webhook events as Stripe sends them (field names and shapes of the API reference, version
 * 2026-10-28.endive; `old` ones as before 2025-03-31), their delivery to an in-memory server part,
 * and what the books hold afterwards. */
#ifndef MR_TEST_STRIPE_EVENTS_H
#define MR_TEST_STRIPE_EVENTS_H

#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"
#include "core/billing/billing.h"
#include "mr_test.h"

#include <stdarg.h>

#define T0     INT64_C(1760000000) /* seconds; the first event */
#define SECRET "whsec_test_5f1c"

struct books {
    struct mr_db *db;
    struct mr_zone *utc;
    struct mr_price_book *prices;
    struct mr_ledger *ledger;
    struct mr_billing *billing;
    struct mr_id operator_, tenant, home; /* home: of the user registered as ada@example.com */
};

static inline void must_(int rc, const struct mr_err *e) {
    if (rc) {
        fprintf(stderr, "%s\n", e->msg);
        exit(2);
    }
}

static inline int people_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct books *b = arg;
    const struct mr_id id[] = {b->operator_, b->tenant, b->home};
    const char *const kind[] = {"operator", "organisation", "personal"};
    struct mr_stmt *s;
    int rc = 0;
    for (int i = 0; i < 3 && !rc; i++) {
        rc = mr_db_prepare(tx,
                           "INSERT INTO accounts(id, name, kind, tier, created_at) "
                           "VALUES(?1, ?2, ?2, 'free', 1)",
                           &s, e);
        if (rc)
            return rc;
        mr_db_bind_id(s, 1, id[i]);
        mr_db_bind_str(s, 2, mr_str(kind[i]));
        rc = mr_db_exec(s, e);
    }
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO users(id, email, username, password_hash, home_account, "
                           "created_at) VALUES(?1, 'ada@example.com', 'ada', 'x', ?2, 1)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, mr_id_new());
    mr_db_bind_id(s, 2, b->home);
    return mr_db_exec(s, e);
}

static inline void books_open_at(struct books *b, const char *path) {
    struct mr_err e;
    struct mr_db_config dc = {.path = path};
    *b = (struct books){.operator_ = mr_id_new(), .tenant = mr_id_new(), .home = mr_id_new()};
    must_(mr_db_open(&dc, &b->db, &e), &e);
    must_(mr_zone_open(MR_LIT("UTC"), &b->utc, &e), &e);
    must_(mr_price_book_open(NULL, NULL, &b->prices, &e), &e);
    must_(mr_db_write(b->db, people_tx, b, &e), &e);
    struct mr_ledger_config lc = {.db = b->db, .prices = b->prices, .zone = b->utc};
    must_(mr_ledger_open(&lc, &b->ledger, &e), &e);
    struct mr_billing_config bc = {.db = b->db,
                                   .ledger = b->ledger,
                                   .webhook_secret = SECRET,
                                   .operator_account = b->operator_};
    must_(mr_billing_open(&bc, &b->billing, &e), &e);
}

static inline void books_open(struct books *b) {
    books_open_at(b, ":memory:");
}

static inline void books_close(struct books *b) {
    mr_billing_free(b->billing);
    mr_ledger_free(b->ledger);
    mr_price_book_free(b->prices);
    mr_zone_free(b->utc);
    mr_db_close(b->db);
}

/* --- a session that POST /api/payment/… made ---------------------------------------------- */

struct own_session {
    struct mr_id account;
    const char *id, *mode, *end_user;
};

static inline int own_session_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct own_session *o = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO stripe_sessions(id, account_id, mode, end_user, status, "
                           "created_at) VALUES(?1, ?2, ?3, ?4, 'open', 1)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, mr_str(o->id));
    mr_db_bind_id(s, 2, o->account);
    mr_db_bind_str(s, 3, mr_str(o->mode));
    mr_db_bind_str(s, 4, mr_str(o->end_user));
    return mr_db_exec(s, e);
}

static inline void own_session(struct books *b, struct mr_id account, const char *id,
                               const char *mode, const char *end_user) {
    struct own_session o = {account, id, mode, end_user};
    struct mr_err e;
    must_(mr_db_write(b->db, own_session_tx, &o, &e), &e);
}

/* --- objects ------------------------------------------------------------------------------ */

#define OBJECT_MAX 3000

/* A JSON string, or null for NULL. */
static inline const char *q_(char out[300], const char *s) {
    if (s)
        snprintf(out, 300, "\"%s\"", s);
    else
        snprintf(out, 300, "null");
    return out;
}

struct session_shape {
    const char *id, *mode, *payment_status, *currency, *customer, *email, *invoice, *subscription,
        *payment_intent, *reference;
    long long amount;
};

static inline void session_json(char *out, const struct session_shape *s) {
    char b[7][300];
    snprintf(out, OBJECT_MAX,
             "{\"id\":\"%s\",\"object\":\"checkout.session\",\"amount_subtotal\":%lld,"
             "\"amount_total\":%lld,\"client_reference_id\":%s,\"created\":1759999900,"
             "\"currency\":\"%s\",\"customer\":%s,\"customer_creation\":\"if_required\","
             "\"customer_details\":{\"address\":null,\"email\":%s,\"name\":null,\"phone\":null,"
             "\"tax_exempt\":\"none\",\"tax_ids\":[]},\"customer_email\":null,"
             "\"expires_at\":1760086300,\"invoice\":%s,\"livemode\":false,\"metadata\":{},"
             "\"mode\":\"%s\",\"payment_intent\":%s,\"payment_method_types\":[\"card\"],"
             "\"payment_status\":\"%s\",\"status\":\"complete\",\"subscription\":%s,\"url\":null}",
             s->id, s->amount, s->amount, q_(b[0], s->reference), s->currency ? s->currency : "usd",
             q_(b[1], s->customer), q_(b[2], s->email), q_(b[3], s->invoice), s->mode,
             q_(b[4], s->payment_intent), s->payment_status, q_(b[5], s->subscription));
}

struct invoice_shape {
    const char *id, *reason, *currency, *customer, *email, *subscription, *payment_intent, *charge;
    const char *metadata; /* of the subscription: JSON members */
    long long amount;
};

static inline void invoice_json(char *out, const struct invoice_shape *s) {
    char b[4][300];
    snprintf(out, OBJECT_MAX,
             "{\"id\":\"%s\",\"object\":\"invoice\",\"amount_due\":%lld,\"amount_paid\":%lld,"
             "\"amount_remaining\":0,\"attempt_count\":1,\"billing_reason\":\"%s\","
             "\"collection_method\":\"charge_automatically\",\"currency\":\"%s\",\"customer\":%s,"
             "\"customer_email\":%s,\"livemode\":false,\"metadata\":{},\"parent\":%s%s%s%s%s"
             "\"status\":\"paid\",\"total\":%lld}",
             s->id, s->amount, s->amount, s->reason, s->currency ? s->currency : "usd",
             q_(b[0], s->customer), q_(b[1], s->email),
             s->subscription ? "{\"quote_details\":null,\"subscription_details\":{\"metadata\":{"
                             : "null,",
             s->subscription && s->metadata ? s->metadata : "",
             s->subscription ? "},\"subscription\":" : "",
             s->subscription ? q_(b[2], s->subscription) : "",
             s->subscription ? "},\"type\":\"subscription_details\"}," : "", s->amount);
}

/* Before 2025-03-31: subscription, payment_intent and charge at the top. */
static inline void old_invoice_json(char *out, const struct invoice_shape *s) {
    char b[5][300];
    snprintf(out, OBJECT_MAX,
             "{\"id\":\"%s\",\"object\":\"invoice\",\"amount_due\":%lld,\"amount_paid\":%lld,"
             "\"billing_reason\":\"%s\",\"charge\":%s,\"currency\":\"%s\",\"customer\":%s,"
             "\"customer_email\":%s,\"lines\":{\"object\":\"list\",\"data\":[{\"id\":\"il_1\","
             "\"object\":\"line_item\",\"amount\":%lld,\"metadata\":{%s},\"type\":"
             "\"subscription\"}],\"has_more\":false},\"livemode\":false,\"metadata\":{},"
             "\"paid\":true,\"payment_intent\":%s,\"status\":\"paid\",\"subscription\":%s}",
             s->id, s->amount, s->amount, s->reason, q_(b[0], s->charge),
             s->currency ? s->currency : "usd", q_(b[1], s->customer), q_(b[2], s->email),
             s->amount, s->metadata ? s->metadata : "", q_(b[3], s->payment_intent),
             q_(b[4], s->subscription));
}

static inline void invoice_payment_json(char *out, const char *invoice, const char *payment_intent,
                                        long long amount) {
    snprintf(out, OBJECT_MAX,
             "{\"id\":\"inpay_%s\",\"object\":\"invoice_payment\",\"amount_paid\":%lld,"
             "\"amount_requested\":%lld,\"created\":1760000000,\"currency\":\"usd\","
             "\"invoice\":\"%s\",\"is_default\":true,\"livemode\":false,\"payment\":{"
             "\"payment_intent\":\"%s\",\"type\":\"payment_intent\"},\"status\":\"paid\","
             "\"status_transitions\":{\"canceled_at\":null,\"paid_at\":1760000000}}",
             invoice, amount, amount, invoice, payment_intent);
}

static inline void subscription_json(char *out, const char *id, const char *customer,
                                     const char *status, const char *metadata) {
    snprintf(out, OBJECT_MAX,
             "{\"id\":\"%s\",\"object\":\"subscription\",\"cancel_at_period_end\":false,"
             "\"collection_method\":\"charge_automatically\",\"created\":1760000000,"
             "\"currency\":\"usd\",\"customer\":\"%s\",\"items\":{\"object\":\"list\",\"data\":[{"
             "\"id\":\"si_1\",\"object\":\"subscription_item\",\"current_period_end\":1762678400,"
             "\"current_period_start\":1760000000,\"quantity\":1}],\"has_more\":false},"
             "\"livemode\":false,\"metadata\":{%s},\"status\":\"%s\",\"trial_end\":null}",
             id, customer, metadata, status);
}

static inline void charge_json(char *out, const char *id, const char *customer,
                               const char *payment_intent, const char *currency, long long amount,
                               long long refunded, const char *metadata) {
    char b[2][300];
    snprintf(out, OBJECT_MAX,
             "{\"id\":\"%s\",\"object\":\"charge\",\"amount\":%lld,\"amount_captured\":%lld,"
             "\"amount_refunded\":%lld,\"created\":1760000000,\"currency\":\"%s\",\"customer\":%s,"
             "\"disputed\":false,\"livemode\":false,\"metadata\":{%s},\"paid\":true,"
             "\"payment_intent\":%s,\"refunded\":%s,\"status\":\"succeeded\"}",
             id, amount, amount, refunded, currency, q_(b[0], customer), metadata ? metadata : "",
             q_(b[1], payment_intent), refunded == amount ? "true" : "false");
}

static inline void dispute_json(char *out, const char *id, const char *charge,
                                const char *payment_intent, long long amount, const char *status) {
    snprintf(out, OBJECT_MAX,
             "{\"id\":\"%s\",\"object\":\"dispute\",\"amount\":%lld,\"charge\":\"%s\","
             "\"created\":1760000000,\"currency\":\"usd\",\"is_charge_refundable\":false,"
             "\"livemode\":false,\"metadata\":{},\"payment_intent\":\"%s\",\"reason\":"
             "\"fraudulent\",\"status\":\"%s\"}",
             id, amount, charge, payment_intent, status);
}

/* --- delivery ----------------------------------------------------------------------------- */

static inline void event_json(char *out, size_t cap, const char *id, const char *type,
                              int64_t created, const char *object) {
    snprintf(out, cap,
             "{\"id\":\"%s\",\"object\":\"event\",\"api_version\":\"2026-10-28.endive\","
             "\"created\":%lld,\"data\":{\"object\":%s},\"livemode\":false,\"pending_webhooks\":1,"
             "\"request\":{\"id\":null,\"idempotency_key\":null},\"type\":\"%s\"}",
             id, (long long)created, object, type);
}

static inline void sign(char *out, size_t cap, const char *secret, int64_t t, const char *body) {
    struct mr_buf message, hex;
    uint8_t mac[MR_SHA256_LEN];
    char head[40];
    mr_buf_init(&message, 1 << 21);
    mr_buf_init(&hex, 128);
    snprintf(head, sizeof head, "%lld.", (long long)t);
    mr_buf_cstr(&message, head);
    mr_buf_cstr(&message, body);
    mr_hmac_sha256(mr_str(secret), mr_buf_view(&message), mac);
    mr_hex_add(&hex, mac, sizeof mac);
    snprintf(out, cap, "t=%lld,v1=%.*s", (long long)t, (int)hex.n, hex.p);
    mr_buf_release(&message);
    mr_buf_release(&hex);
}

static inline int deliver(struct books *b, const char *id, const char *type, int64_t created,
                          const char *object, struct mr_err *e) {
    char body[OBJECT_MAX + 600], header[200];
    event_json(body, sizeof body, id, type, created, object);
    sign(header, sizeof header, SECRET, mr_now_us() / 1000000, body);
    return mr_billing_event(b->billing, mr_str(header), mr_str(body), e);
}

/* Twice, as Stripe may. The id is made of type, time and a count. */
static inline void twice(struct books *b, const char *type, int64_t created, const char *object) {
    static int n;
    struct mr_err e = {0};
    char id[64];
    snprintf(id, sizeof id, "evt_%d", n++);
    for (int i = 0; i < 2; i++)
        if (deliver(b, id, type, created, object, &e)) {
            fprintf(stderr, "%s: %s\n", type, e.msg);
            mr_test_failed_++;
        }
}

/* --- what the books hold ------------------------------------------------------------------ */

struct digest {
    struct books *b;
    struct mr_buf text;
};

static inline const char *whose(struct books *b, struct mr_id id) {
    return mr_id_eq(id, b->operator_) ? "operator"
           : mr_id_eq(id, b->tenant)  ? "tenant"
           : mr_id_eq(id, b->home)    ? "home"
                                      : "?";
}

static inline int digest_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct digest *d = arg;
    struct mr_stmt *s;
    struct mr_id id = {0};
    char line[200];
    static const char *const kinds[] = {"", "charge", "income", "refund", "dispute", "won"};
    int rc = mr_db_prepare(
        tx,
        "SELECT l.account, l.kind, CASE WHEN l.kind IN (2, 5) THEN l.credit ELSE l.debit END AS "
        "book, "
        "l.currency, COALESCE(u.name, '-') AS who, SUM(l.amount) FROM ledger l "
        "LEFT JOIN end_users u ON u.id = l.end_user GROUP BY l.account, l.kind, book, l.currency, "
        "who ORDER BY l.kind, book, l.currency, who, l.account",
        &s, e);
    while (!rc && (rc = mr_db_step(s, e)) > 0) {
        mr_db_id(s, 0, &id);
        struct mr_str currency = mr_db_str(s, 3), who = mr_db_str(s, 4);
        snprintf(line, sizeof line, "%s %s %s %.*s %.*s ", kinds[mr_db_i64(s, 1)],
                 mr_db_i64(s, 2) == MR_BOOK_SUBSCRIPTION ? "sub" : "micro", whose(d->b, id),
                 (int)who.n, who.p, (int)currency.n, currency.p);
        mr_buf_cstr(&d->text, line);
        snprintf(line, sizeof line, "%.3f\n", (double)mr_db_i64(s, 5) / 1e9);
        mr_buf_cstr(&d->text, line);
        rc = 0;
    }
    if (!rc)
        rc = mr_db_prepare(tx, "SELECT id FROM accounts WHERE tier = 'pro' ORDER BY kind", &s, e);
    while (!rc && (rc = mr_db_step(s, e)) > 0) {
        mr_db_id(s, 0, &id);
        mr_buf_cstr(&d->text, "pro ");
        mr_buf_cstr(&d->text, whose(d->b, id));
        mr_buf_char(&d->text, '\n');
        rc = 0;
    }
    if (!rc)
        rc = mr_db_prepare(tx, "SELECT account_id, status FROM stripe_subscriptions ORDER BY id",
                           &s, e);
    while (!rc && (rc = mr_db_step(s, e)) > 0) {
        struct mr_str status = mr_db_str(s, 1);
        mr_db_id(s, 0, &id);
        snprintf(line, sizeof line, "subscription %s %.*s\n", whose(d->b, id), (int)status.n,
                 status.p);
        mr_buf_cstr(&d->text, line);
        rc = 0;
    }
    return rc;
}

/* One line a (kind, book, account, user, currency) with its sum, the accounts that are "pro", the
 * subscriptions; and the ledger's own check. Freed by the caller. */
static inline char *digest(struct books *b) {
    struct digest d = {.b = b};
    struct mr_err e = {0};
    mr_buf_init(&d.text, 1 << 16);
    must_(mr_db_write(b->db, digest_tx, &d, &e), &e);
    must_(mr_ledger_check(b->ledger, &e), &e);
    char *text = malloc(d.text.n + 1);
    memcpy(text, d.text.p ? d.text.p : "", d.text.n);
    text[d.text.n] = 0;
    mr_buf_release(&d.text);
    return text;
}

#define CHECK_BOOKS(b, want)                                                                       \
    do {                                                                                           \
        char *books_ = digest(b);                                                                  \
        CHECK_STR(books_, want);                                                                   \
        free(books_);                                                                              \
    } while (0)

#endif
