/* Each sum of money once, whatever Stripe calls it and in whatever order its events come. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "core/billing/internal.h"

static int post(struct mr_billing *b, struct mr_tx *tx, enum mr_entry_kind kind,
                const struct mr_payment *p, int64_t end_user, int64_t amount, struct mr_str ref,
                int64_t at_us, struct mr_err *e) {
    struct mr_posting posting = {.kind = kind,
                                 .income = p->income,
                                 .account = p->party.account,
                                 .end_user = end_user,
                                 .amount_nano = amount,
                                 .currency = p->currency,
                                 .ref = ref,
                                 .at_us = at_us};
    return mr_ledger_post_in(b->c.ledger, tx, &posting, e);
}

/* 1 and the payment's id when one of the refs is booked. */
static int find(struct mr_tx *tx, const struct mr_str *ref, size_t n, struct mr_id *ret,
                struct mr_err *e) {
    for (size_t i = 0; i < n; i++) {
        struct mr_stmt *s;
        if (!ref[i].n)
            continue;
        int rc = mr_db_prepare(tx, "SELECT payment_id FROM stripe_refs WHERE ref = ?1", &s, e);
        if (rc)
            return rc;
        mr_db_bind_str(s, 1, ref[i]);
        rc = mr_db_step(s, e);
        bool found = rc > 0 && mr_db_id(s, 0, ret);
        mr_db_done(rc > 0 ? s : NULL);
        if (rc < 0 || found)
            return rc < 0 ? rc : 1;
    }
    return 0;
}

static int add_refs(struct mr_tx *tx, const struct mr_str *ref, size_t n, struct mr_id id,
                    struct mr_err *e) {
    for (size_t i = 0; i < n; i++) {
        struct mr_stmt *s;
        if (!ref[i].n)
            continue;
        int rc = mr_db_prepare(tx,
                               "INSERT INTO stripe_refs (ref, payment_id) VALUES (?1, ?2) "
                               "ON CONFLICT (ref) DO NOTHING",
                               &s, e);
        if (rc)
            return rc;
        mr_db_bind_str(s, 1, ref[i]);
        mr_db_bind_id(s, 2, id);
        rc = mr_db_exec(s, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int add_payment(struct mr_tx *tx, const struct mr_payment *p, struct mr_id id,
                       int64_t end_user, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO stripe_payments (id, account_id, end_user, income, "
                           "customer, currency, amount, refunded, created_at) "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_id(s, 2, p->party.account);
    mr_db_bind_i64(s, 3, end_user);
    mr_db_bind_i64(s, 4, p->income);
    mr_db_bind_str(s, 5, p->party.customer.p ? p->party.customer : MR_LIT(""));
    mr_db_bind_str(s, 6, p->currency);
    mr_db_bind_i64(s, 7, p->amount_nano);
    mr_db_bind_i64(s, 8, p->at_us ? p->at_us : mr_now_us());
    return mr_db_exec(s, e);
}

/* --- refunds and disputes ----------------------------------------------------------------- */

struct booked {
    struct mr_payment p; /* currency in the arena */
    int64_t end_user, refunded;
};

static int load(struct mr_tx *tx, struct mr_id id, struct mr_arena *arena, struct booked *ret,
                struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT account_id, end_user, income, currency, amount, refunded "
                           "FROM stripe_payments WHERE id = ?1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        mr_db_id(s, 0, &ret->p.party.account);
        ret->end_user = mr_db_i64(s, 1);
        ret->p.income = (enum mr_book)mr_db_i64(s, 2);
        ret->p.currency = mr_arena_keep(arena, mr_db_str(s, 3));
        ret->p.amount_nano = mr_db_i64(s, 4);
        ret->refunded = mr_db_i64(s, 5);
        mr_db_done(s);
        return ret->p.currency.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
    }
    return rc < 0 ? rc : mr_fail(e, MR_EINTERNAL, "a booked payment has no row");
}

/* The latest payment of the customer that the sum fits: Stripe does not always name the payment. */
static int find_by_customer(struct mr_tx *tx, const struct mr_return *r, struct mr_id *ret,
                            struct mr_err *e) {
    struct mr_stmt *s;
    if (!r->customer.n)
        return 0;
    int rc = mr_db_prepare(tx,
                           "SELECT id FROM stripe_payments WHERE customer = ?1 AND currency = ?2 "
                           "AND amount >= ?3 ORDER BY created_at DESC LIMIT 1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, r->customer);
    mr_db_bind_str(s, 2, r->currency);
    mr_db_bind_i64(s, 3, r->amount_nano);
    rc = mr_db_step(s, e);
    bool found = rc > 0 && mr_db_id(s, 0, ret);
    mr_db_done(rc > 0 ? s : NULL);
    return rc < 0 ? rc : found;
}

static int apply(struct mr_billing *b, struct mr_tx *tx, struct mr_id id, const struct mr_return *r,
                 struct mr_err *e) {
    MR_CLEANUP(mr_arena_release) struct mr_arena arena;
    struct booked k = {0};
    struct mr_stmt *s;
    mr_arena_init(&arena, 4096);
    int rc = load(tx, id, &arena, &k, e);
    if (rc)
        return rc;
    if (r->kind == MR_ENTRY_DISPUTE)
        return post(b, tx, MR_ENTRY_DISPUTE, &k.p, k.end_user, r->amount_nano, r->id, r->at_us, e);
    /* Stripe reports the sum of all refunds of a charge: only what is new is booked. */
    if (r->amount_nano <= k.refunded)
        return 0;
    rc = post(b, tx, MR_ENTRY_REFUND, &k.p, k.end_user, r->amount_nano - k.refunded, r->id,
              r->at_us, e);
    if (!rc)
        rc = mr_db_prepare(tx, "UPDATE stripe_payments SET refunded = ?2 WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_i64(s, 2, r->amount_nano);
    return mr_db_exec(s, e);
}

static int wait_for(struct mr_tx *tx, const struct mr_return *r, struct mr_str ref,
                    struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO stripe_waiting (ref, id, kind, currency, amount, "
                           "created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
                           "ON CONFLICT (ref, id) DO UPDATE SET amount = excluded.amount "
                           "WHERE excluded.amount > stripe_waiting.amount",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, ref);
    mr_db_bind_str(s, 2, r->id);
    mr_db_bind_i64(s, 3, r->kind);
    mr_db_bind_str(s, 4, r->currency);
    mr_db_bind_i64(s, 5, r->amount_nano);
    mr_db_bind_i64(s, 6, r->at_us);
    return mr_db_exec(s, e);
}

int mr_book_return(struct mr_billing *b, struct mr_tx *tx, const struct mr_return *r,
                   struct mr_err *e) {
    struct mr_id id;
    if (r->amount_nano <= 0)
        return 0;
    int rc = find(tx, r->ref, sizeof r->ref / sizeof *r->ref, &id, e);
    if (!rc)
        rc = find_by_customer(tx, r, &id, e);
    if (rc < 0)
        return rc;
    if (rc)
        return apply(b, tx, id, r, e);
    for (size_t i = 0; !rc && i < sizeof r->ref / sizeof *r->ref; i++)
        rc = r->ref[i].n ? wait_for(tx, r, r->ref[i], e) : 0;
    return rc;
}

/* --- a payment arrives -------------------------------------------------------------------- */

static int take_waiting(struct mr_tx *tx, struct mr_str ref, struct mr_arena *arena,
                        struct mr_return *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT id, kind, currency, amount, created_at FROM stripe_waiting WHERE ref = ?1", &s,
        e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, ref);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        ret->id = mr_arena_keep(arena, mr_db_str(s, 0));
        ret->kind = (enum mr_entry_kind)mr_db_i64(s, 1);
        ret->currency = mr_arena_keep(arena, mr_db_str(s, 2));
        ret->amount_nano = mr_db_i64(s, 3);
        ret->at_us = mr_db_i64(s, 4);
        mr_db_done(s);
    }
    if (rc <= 0)
        return rc;
    rc = mr_db_prepare(tx, "DELETE FROM stripe_waiting WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, ret->id);
    rc = mr_db_exec(s, e);
    return rc ? rc : 1;
}

static int settle_waiting(struct mr_billing *b, struct mr_tx *tx, struct mr_id id,
                          const struct mr_str *ref, size_t n, struct mr_err *e) {
    for (size_t i = 0; i < n; i++)
        for (int rc = ref[i].n != 0; rc;) {
            MR_CLEANUP(mr_arena_release) struct mr_arena arena;
            struct mr_return r = {0};
            mr_arena_init(&arena, 4096);
            rc = take_waiting(tx, ref[i], &arena, &r, e);
            if (rc > 0 && apply(b, tx, id, &r, e))
                rc = e ? e->code : MR_EINTERNAL;
            if (rc < 0)
                return rc;
        }
    return 0;
}

int mr_book_payment(struct mr_billing *b, struct mr_tx *tx, const struct mr_payment *p,
                    struct mr_err *e) {
    size_t n = sizeof p->ref / sizeof *p->ref;
    struct mr_id id;
    int64_t end_user = 0;
    if (p->amount_nano <= 0)
        return 0; /* a free trial, a full discount: no money came */
    int rc = find(tx, p->ref, n, &id, e);
    if (rc < 0)
        return rc;
    if (rc) {
        rc = add_refs(tx, p->ref, n, id, e);
        return rc ? rc : settle_waiting(b, tx, id, p->ref, n, e);
    }
    id = mr_id_new();
    if (p->party.end_user.n)
        rc = mr_end_user_in(b->c.ledger, tx, p->party.account, p->party.end_user, &end_user, e);
    if (!rc)
        rc = add_payment(tx, p, id, end_user, e);
    if (!rc)
        rc = add_refs(tx, p->ref, n, id, e);
    struct mr_str first = {0};
    for (size_t i = 0; i < n && !first.n; i++)
        first = p->ref[i];
    if (!rc)
        rc = post(b, tx, MR_ENTRY_INCOME, p, end_user, p->amount_nano, first, p->at_us, e);
    return rc ? rc : settle_waiting(b, tx, id, p->ref, n, e);
}
