/* Webhook events: verified, then acted on once, in one transaction with their booking. Events come
 * in any order and more than once; objects are read as Stripe's API version in internal.h and the
 * ones before it send them. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/billing/internal.h"

struct event {
    struct mr_billing *b;
    struct mr_str id, type;
    int64_t created_s;
    yyjson_val *object;
    struct mr_arena arena;
};

static struct mr_str text(yyjson_val *v) {
    /* The length of an object or a list is not that of a text. */
    return yyjson_is_str(v) ? mr_strn(yyjson_get_str(v), yyjson_get_len(v)) : (struct mr_str){0};
}
/* A field that holds an id, or the object itself when it was expanded. */
static struct mr_str id_of(yyjson_val *o, const char *name) {
    yyjson_val *v = yyjson_obj_get(o, name);
    struct mr_str s = text(yyjson_is_obj(v) ? yyjson_obj_get(v, "id") : v);
    return s.n <= 255 ? s : (struct mr_str){0};
}
static struct mr_str field(yyjson_val *o, const char *name) {
    struct mr_str s = text(yyjson_obj_get(o, name));
    return s.n <= 512 ? s : (struct mr_str){0};
}

static int amount(struct event *ev, const char *name, int64_t *ret, struct mr_err *e) {
    yyjson_val *v = yyjson_obj_get(ev->object, name);
    int64_t minor = yyjson_get_sint(v);
    struct mr_str currency = field(ev->object, "currency");
    if (!yyjson_is_int(v) || yyjson_get_uint(v) > INT64_MAX || minor < 0)
        return mr_fail(e, MR_EINVAL, "the event's %s is not an amount", name);
    if (currency.n != 3 || !mr_money_from_minor(minor, currency, ret))
        return mr_fail(e, MR_EINVAL, "the event's currency or %s is out of range", name);
    return 0;
}

/* --- who it is about ---------------------------------------------------------------------- */

static int account_exists(struct mr_tx *tx, struct mr_id id, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT 1 FROM accounts WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    rc = mr_db_step(s, e);
    mr_db_done(rc > 0 ? s : NULL);
    return rc;
}

/* What a ledger takes as a user's name. */
static struct mr_str user_name(struct mr_str s) {
    return s.n <= 256 ? s : (struct mr_str){0};
}

/* Metadata that we wrote when the session was created; the event's signature covers it. Only what
 * names an account of this server counts. */
static int from_metadata(struct mr_tx *tx, yyjson_val *metadata, struct mr_party *p,
                         struct mr_err *e) {
    struct mr_id id;
    if (!mr_id_parse(field(metadata, "account_id"), &id))
        return 0;
    int rc = account_exists(tx, id, e);
    if (rc > 0) {
        p->account = id;
        p->named = true;
        p->end_user = user_name(field(metadata, "user_id"));
    }
    return rc < 0 ? rc : 0;
}

static struct mr_str email_of(yyjson_val *o) {
    struct mr_str s = field(yyjson_obj_get(o, "customer_details"), "email");
    if (!s.n)
        s = field(o, "customer_email");
    return user_name(s);
}

/* A session that we created says whose it is by its row; another by its metadata, else it is the
 * operator's and its user the customer's e-mail (which its invoices also have, whichever of them
 * comes first). */
static int session_party(struct event *ev, struct mr_tx *tx, struct mr_party *ret,
                         struct mr_err *e) {
    struct mr_stmt *s;
    struct mr_party p = {.account = ev->b->c.operator_account,
                         .customer = id_of(ev->object, "customer")};
    int rc =
        mr_db_prepare(tx, "SELECT account_id, end_user FROM stripe_sessions WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, id_of(ev->object, "id"));
    rc = mr_db_step(s, e);
    bool ours = rc > 0;
    if (ours) {
        mr_db_id(s, 0, &p.account);
        p.end_user = mr_arena_keep(&ev->arena, mr_db_str(s, 1));
        p.named = true;
    }
    mr_db_done(ours ? s : NULL);
    if (rc < 0)
        return rc;
    if (!ours)
        rc = from_metadata(tx, yyjson_obj_get(ev->object, "metadata"), &p, e);
    if (!p.end_user.n)
        p.end_user = email_of(ev->object);
    *ret = p;
    return rc < 0 ? rc : 0;
}

/* --- sessions ----------------------------------------------------------------------------- */

static int session_status(struct event *ev, struct mr_tx *tx, const struct mr_party *p,
                          const char *status, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO stripe_sessions (id, account_id, mode, end_user, status, "
                           "created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE "
                           "SET status = excluded.status WHERE stripe_sessions.status <> 'paid' "
                           "AND (excluded.status <> 'unpaid' OR stripe_sessions.status = 'open')",
                           &s, e);
    if (rc)
        return rc;
    struct mr_str mode = field(ev->object, "mode");
    mr_db_bind_str(s, 1, id_of(ev->object, "id"));
    mr_db_bind_id(s, 2, p->account);
    mr_db_bind_str(s, 3, mode.p ? mode : MR_LIT("payment"));
    mr_db_bind_str(s, 4, p->end_user.p ? p->end_user : MR_LIT(""));
    mr_db_bind_str(s, 5, mr_str(status));
    mr_db_bind_i64(s, 6, ev->created_s * 1000000);
    return mr_db_exec(s, e);
}

static struct mr_str first_of(struct event *ev, struct mr_str subscription) {
    char *s = subscription.n
                  ? mr_arena_fmt(&ev->arena, "first:%.*s", (int)subscription.n, subscription.p)
                  : NULL;
    return mr_str(s);
}

static int session_paid(struct event *ev, struct mr_tx *tx, const struct mr_party *party,
                        struct mr_err *e) {
    bool subscription = mr_str_is(field(ev->object, "mode"), "subscription");
    struct mr_payment p = {.party = *party,
                           .income = subscription ? MR_BOOK_SUBSCRIPTION : MR_BOOK_MICRO_PAYMENT,
                           .currency = field(ev->object, "currency"),
                           .at_us = ev->created_s * 1000000,
                           .ref = {id_of(ev->object, "id"), id_of(ev->object, "invoice"),
                                   id_of(ev->object, "payment_intent")}};
    if (subscription)
        p.ref[3] = first_of(ev, id_of(ev->object, "subscription"));
    int rc = amount(ev, "amount_total", &p.amount_nano, e);
    return rc ? rc : mr_book_payment(ev->b, tx, &p, e);
}

static int on_session(struct event *ev, struct mr_tx *tx, struct mr_err *e) {
    struct mr_party party;
    struct mr_str payment = field(ev->object, "payment_status");
    bool completed = mr_str_is(ev->type, "checkout.session.completed");
    bool paid = mr_str_is(payment, "paid");
    if (!id_of(ev->object, "id").n)
        return mr_fail(e, MR_EINVAL, "the event's session has no id");
    int rc = session_party(ev, tx, &party, e);
    if (rc)
        return rc;
    if (mr_str_is(ev->type, "checkout.session.expired"))
        return session_status(ev, tx, &party, "expired", e);
    if (mr_str_is(ev->type, "checkout.session.async_payment_failed"))
        return session_status(ev, tx, &party, "failed", e);
    rc = session_status(ev, tx, &party, paid ? "paid" : "unpaid", e);
    if (!rc && paid)
        rc = session_paid(ev, tx, &party, e);
    if (!rc && (paid || (completed && mr_str_is(payment, "no_payment_required"))))
        rc = mr_book_subscription(tx, id_of(ev->object, "subscription"), &party,
                                  email_of(ev->object), MR_LIT("active"), ev->created_s, e);
    return rc;
}

/* --- invoices ----------------------------------------------------------------------------- */

static yyjson_val *subscription_details(yyjson_val *invoice) {
    yyjson_val *parent = yyjson_obj_get(yyjson_obj_get(invoice, "parent"), "subscription_details");
    return parent ? parent : yyjson_obj_get(invoice, "subscription_details");
}

/* Under parent since version 2025-03-31, at the top before. */
static struct mr_str invoice_subscription(yyjson_val *invoice) {
    struct mr_str s = id_of(subscription_details(invoice), "subscription");
    return s.n ? s : id_of(invoice, "subscription");
}

static struct mr_str invoice_payment_intent(yyjson_val *invoice) {
    struct mr_str s = id_of(invoice, "payment_intent");
    yyjson_val *list = yyjson_obj_get(yyjson_obj_get(invoice, "payments"), "data");
    if (!s.n)
        s = id_of(yyjson_obj_get(yyjson_arr_get_first(list), "payment"), "payment_intent");
    return s;
}

/* The subscription's metadata as of the invoice; before it had a place of its own, the line items'.
 */
static yyjson_val *invoice_metadata(yyjson_val *invoice) {
    yyjson_val *own = yyjson_obj_get(subscription_details(invoice), "metadata");
    yyjson_val *lines = yyjson_obj_get(yyjson_obj_get(invoice, "lines"), "data");
    return yyjson_obj_size(own) ? own : yyjson_obj_get(yyjson_arr_get_first(lines), "metadata");
}

static int invoice_party(struct event *ev, struct mr_tx *tx, struct mr_party *ret,
                         struct mr_err *e) {
    struct mr_party p = {.account = ev->b->c.operator_account};
    int rc = from_metadata(tx, invoice_metadata(ev->object), &p, e);
    if (!rc && !p.named)
        rc = mr_subscription_party(tx, invoice_subscription(ev->object), &ev->arena, &p, e);
    if (!p.end_user.n)
        p.end_user = email_of(ev->object);
    p.customer = id_of(ev->object, "customer");
    *ret = p;
    return rc < 0 ? rc : 0;
}

static int on_invoice(struct event *ev, struct mr_tx *tx, struct mr_err *e) {
    struct mr_payment p = {.currency = field(ev->object, "currency"),
                           .at_us = ev->created_s * 1000000,
                           .ref = {id_of(ev->object, "id"), invoice_payment_intent(ev->object),
                                   id_of(ev->object, "charge")}};
    struct mr_str subscription = invoice_subscription(ev->object), status = MR_LIT("active");
    bool first = mr_str_is(field(ev->object, "billing_reason"), "subscription_create");
    if (!p.ref[0].n)
        return mr_fail(e, MR_EINVAL, "the event's invoice has no id");
    int rc = invoice_party(ev, tx, &p.party, e);
    if (rc)
        return rc;
    /* A renewal that fails leaves the subscription past due; a first payment, not begun. */
    if (mr_str_is(ev->type, "invoice.payment_failed"))
        status = first ? MR_LIT("incomplete") : MR_LIT("past_due");
    else {
        p.income = subscription.n ? MR_BOOK_SUBSCRIPTION : MR_BOOK_MICRO_PAYMENT;
        if (first) /* the same money as the session that made the subscription */
            p.ref[3] = first_of(ev, subscription);
        rc = amount(ev, "amount_paid", &p.amount_nano, e);
        if (!rc)
            rc = mr_book_payment(ev->b, tx, &p, e);
    }
    return rc ? rc
              : mr_book_subscription(tx, subscription, &p.party, email_of(ev->object), status,
                                     ev->created_s, e);
}

/* Which payment paid which invoice: nothing else says so since version 2025-03-31. */
static int on_invoice_payment(struct event *ev, struct mr_tx *tx, struct mr_err *e) {
    yyjson_val *payment = yyjson_obj_get(ev->object, "payment");
    struct mr_str ref[] = {id_of(ev->object, "invoice"), id_of(payment, "payment_intent"),
                           id_of(payment, "charge")};
    return mr_book_link(ev->b, tx, ref, sizeof ref / sizeof *ref, e);
}

/* --- the rest ----------------------------------------------------------------------------- */

static int on_subscription(struct event *ev, struct mr_tx *tx, struct mr_err *e) {
    struct mr_party p = {.account = ev->b->c.operator_account,
                         .customer = id_of(ev->object, "customer")};
    struct mr_str status = field(ev->object, "status");
    if (mr_str_is(ev->type, "customer.subscription.deleted"))
        status = MR_LIT("canceled");
    if (!id_of(ev->object, "id").n || !status.n)
        return mr_fail(e, MR_EINVAL, "the event's subscription has no id or status");
    int rc = from_metadata(tx, yyjson_obj_get(ev->object, "metadata"), &p, e);
    if (rc)
        return rc;
    struct mr_str email = memchr(p.end_user.p ? p.end_user.p : "", '@', p.end_user.n)
                              ? p.end_user
                              : (struct mr_str){0};
    return mr_book_subscription(tx, id_of(ev->object, "id"), &p, email, status, ev->created_s, e);
}

static int on_refund(struct event *ev, struct mr_tx *tx, struct mr_err *e) {
    struct mr_return r = {.id = id_of(ev->object, "id"),
                          .kind = MR_ENTRY_REFUND,
                          .currency = field(ev->object, "currency"),
                          .at_us = ev->created_s * 1000000,
                          .ref = {id_of(ev->object, "payment_intent"), id_of(ev->object, "id"),
                                  id_of(ev->object, "invoice")}};
    /* The charge of a single payment of ours carries our metadata: its session names the payment.
     */
    if (!field(yyjson_obj_get(ev->object, "metadata"), "account_id").n)
        r.customer = id_of(ev->object, "customer");
    if (!r.id.n)
        return mr_fail(e, MR_EINVAL, "the event's charge has no id");
    int rc = amount(ev, "amount_refunded", &r.amount_nano, e);
    return rc ? rc : mr_book_return(ev->b, tx, &r, e);
}

static int dispute_of(struct event *ev, struct mr_return *ret, struct mr_err *e) {
    *ret = (struct mr_return){
        .id = id_of(ev->object, "id"),
        .kind = MR_ENTRY_DISPUTE,
        .currency = field(ev->object, "currency"),
        .at_us = ev->created_s * 1000000,
        .ref = {id_of(ev->object, "payment_intent"), id_of(ev->object, "charge")}};
    if (!ret->id.n)
        return mr_fail(e, MR_EINVAL, "the event's dispute has no id");
    /* An inquiry: no money moves unless it becomes a dispute, which funds_withdrawn tells. */
    if (mr_str_starts(field(ev->object, "status"), MR_LIT("warning_")))
        return 0;
    return amount(ev, "amount", &ret->amount_nano, e);
}

static int on_dispute(struct event *ev, struct mr_tx *tx, struct mr_err *e) {
    struct mr_return r;
    int rc = dispute_of(ev, &r, e);
    return rc ? rc : mr_book_return(ev->b, tx, &r, e);
}

/* Two events tell that the money is back; what it took is booked first, in case the event that
 * told so is still to come. */
static int on_dispute_end(struct event *ev, struct mr_tx *tx, struct mr_err *e) {
    struct mr_return r;
    bool back = mr_str_is(ev->type, "charge.dispute.funds_reinstated") ||
                mr_str_is(field(ev->object, "status"), "won");
    int rc = dispute_of(ev, &r, e);
    if (rc || !back)
        return rc;
    rc = mr_book_return(ev->b, tx, &r, e);
    if (rc)
        return rc;
    r.kind = MR_ENTRY_DISPUTE_WON;
    r.id = mr_str(mr_arena_fmt(&ev->arena, MR_WON "%.*s", (int)r.id.n, r.id.p));
    return r.id.n ? mr_book_return(ev->b, tx, &r, e) : mr_fail(e, MR_ENOMEM, "out of memory");
}

static const struct {
    const char *type;
    int (*act)(struct event *ev, struct mr_tx *tx, struct mr_err *e);
} actions[] = {
    {"checkout.session.completed", on_session},
    {"checkout.session.async_payment_succeeded", on_session},
    {"checkout.session.async_payment_failed", on_session},
    {"checkout.session.expired", on_session},
    {"invoice.paid", on_invoice},
    {"invoice.payment_failed", on_invoice},
    {"invoice_payment.paid", on_invoice_payment},
    {"customer.subscription.created", on_subscription},
    {"customer.subscription.updated", on_subscription},
    {"customer.subscription.deleted", on_subscription},
    {"charge.refunded", on_refund},
    {"charge.dispute.created", on_dispute},
    {"charge.dispute.funds_withdrawn", on_dispute},
    {"charge.dispute.closed", on_dispute_end},
    {"charge.dispute.funds_reinstated", on_dispute_end},
};

/* 1: seen before. The row commits with the booking. */
static int seen(struct event *ev, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO stripe_events (id, type, created_at) VALUES (?1, ?2, ?3) "
                           "ON CONFLICT (id) DO NOTHING",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, ev->id);
    mr_db_bind_str(s, 2, ev->type);
    mr_db_bind_i64(s, 3, mr_now_us());
    rc = mr_db_exec(s, e);
    return rc ? rc : mr_db_changes(tx) == 0;
}

static int act(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct event *ev = arg;
    int rc = seen(ev, tx, e);
    if (rc)
        return rc < 0 ? rc : 0;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (mr_str_is(ev->type, actions[i].type)) {
            rc = actions[i].act(ev, tx, e);
            mr_crash_point("event-booked");
            return rc;
        }
    return 0; /* of no interest */
}

static int run(struct mr_billing *b, yyjson_val *root, struct mr_err *e) {
    struct event ev = {.b = b,
                       .id = id_of(root, "id"),
                       .type = field(root, "type"),
                       .created_s = yyjson_get_sint(yyjson_obj_get(root, "created")),
                       .object = yyjson_obj_get(yyjson_obj_get(root, "data"), "object")};
    if (!ev.id.n || !ev.type.n)
        return mr_fail(e, MR_EINVAL, "the body is not a Stripe event: it has no id or type");
    if (!yyjson_is_obj(ev.object))
        return mr_fail(e, MR_EINVAL, "the body is not a Stripe event: it has no data.object");
    int64_t now_s = mr_now_us() / 1000000;
    if (ev.created_s <= 0 || ev.created_s > now_s + 86400)
        ev.created_s = now_s;
    mr_arena_init(&ev.arena, 64 << 10);
    mr_crash_point("event-verified");
    int rc = mr_db_write(b->c.db, act, &ev, e);
    mr_crash_point("event-committed");
    mr_arena_release(&ev.arena);
    return rc;
}

int mr_billing_event(struct mr_billing *b, struct mr_str signature, struct mr_str body,
                     struct mr_err *e) {
    yyjson_read_err je;
    if (!b->c.webhook_secret || !*b->c.webhook_secret)
        return mr_fail(e, MR_EUNAVAIL,
                       "payments are not set up on this server: STRIPE_WEBHOOK_SECRET is not set");
    int rc =
        mr_stripe_verify(mr_str(b->c.webhook_secret), signature, body, mr_now_us() / 1000000, e);
    if (rc)
        return rc;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)body.p, body.n, 0, NULL, &je);
    if (!doc)
        return mr_fail(e, MR_EINVAL, "the event is not valid JSON: %s at byte %zu", je.msg, je.pos);
    rc = run(b, yyjson_doc_get_root(doc), e);
    yyjson_doc_free(doc);
    return rc;
}
