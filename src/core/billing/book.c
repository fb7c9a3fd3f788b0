/* Each sum of money once, whatever Stripe calls it and in whatever order its events come. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "core/billing/internal.h"

static int post(struct mr_billing *b, struct mr_tx *tx, enum mr_entry_kind kind,
                const struct mr_payment *p, int64_t end_user, int64_t amount,
                struct mr_str currency, struct mr_str ref, int64_t at_us, struct mr_err *e) {
    struct mr_posting posting = {.kind = kind,
                                 .income = p->income,
                                 .account = p->party.account,
                                 .end_user = end_user,
                                 .amount_nano = amount,
                                 .currency = currency,
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
                           "customer, currency, amount, created_at) "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
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

/* --- two names of one sum ----------------------------------------------------------------- */

static int add_link(struct mr_tx *tx, struct mr_str a, struct mr_str b, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "INSERT INTO stripe_links (ref, other) VALUES (?1, ?2) ON CONFLICT DO NOTHING", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, a);
    mr_db_bind_str(s, 2, b);
    return mr_db_exec(s, e);
}

/* Appends the names that earlier links give `ref`; they are in the arena. */
static int linked(struct mr_tx *tx, struct mr_str ref, struct mr_arena *arena, struct mr_str *names,
                  size_t cap, size_t *n, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT other FROM stripe_links WHERE ref = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, ref);
    while ((rc = mr_db_step(s, e)) > 0)
        if (*n < cap)
            names[(*n)++] = mr_arena_keep(arena, mr_db_str(s, 0));
    return rc;
}

/* --- refunds and disputes ----------------------------------------------------------------- */

struct booked {
    struct mr_payment p;
    int64_t end_user;
};

static int load(struct mr_tx *tx, struct mr_id id, struct booked *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT account_id, end_user, income FROM stripe_payments WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        mr_db_id(s, 0, &ret->p.party.account);
        ret->end_user = mr_db_i64(s, 1);
        ret->p.income = (enum mr_book)mr_db_i64(s, 2);
        mr_db_done(s);
        return 0;
    }
    return rc < 0 ? rc : mr_fail(e, MR_EINTERNAL, "a booked payment has no row");
}

/* 1 when something of this charge or dispute is booked: for which payment and how much. */
static int find_return(struct mr_tx *tx, struct mr_str return_id, struct mr_id *ret_payment,
                       int64_t *ret_amount, struct mr_err *e) {
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx, "SELECT payment_id, amount FROM stripe_returns WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, return_id);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        mr_db_id(s, 0, ret_payment);
        *ret_amount = mr_db_i64(s, 1);
    }
    mr_db_done(rc > 0 ? s : NULL);
    return rc;
}

/* Since version 2025-03-31 nothing in a charge names the invoice that it paid: then it is one of
 * the customer's payments for a subscription, the latest that the sum fits into. */
static int find_by_customer(struct mr_tx *tx, const struct mr_return *r, struct mr_id *ret,
                            struct mr_err *e) {
    struct mr_stmt *s;
    if (!r->customer.n)
        return 0;
    int rc = mr_db_prepare(tx,
                           "SELECT id FROM stripe_payments WHERE customer = ?1 AND currency = ?2 "
                           "AND amount >= ?3 AND income = ?4 ORDER BY created_at DESC LIMIT 1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, r->customer);
    mr_db_bind_str(s, 2, r->currency);
    mr_db_bind_i64(s, 3, r->amount_nano);
    mr_db_bind_i64(s, 4, MR_BOOK_SUBSCRIPTION);
    rc = mr_db_step(s, e);
    bool found = rc > 0 && mr_db_id(s, 0, ret);
    mr_db_done(rc > 0 ? s : NULL);
    return rc < 0 ? rc : found;
}

/* Books what is new of it: Stripe reports the sum of all refunds of a charge. */
static int apply(struct mr_billing *b, struct mr_tx *tx, struct mr_id id, const struct mr_return *r,
                 struct mr_err *e) {
    struct booked k = {0};
    struct mr_stmt *s;
    struct mr_id same;
    int64_t before = 0;
    int rc = find_return(tx, r->id, &same, &before, e);
    if (rc < 0 || r->amount_nano <= before)
        return rc < 0 ? rc : 0;
    rc = load(tx, id, &k, e);
    struct mr_str object = r->id;
    if (mr_str_starts(object, MR_LIT(MR_WON)))
        object = mr_strn(object.p + strlen(MR_WON), object.n - strlen(MR_WON));
    if (!rc)
        rc = post(b, tx, r->kind, &k.p, k.end_user, r->amount_nano - before, r->currency, object,
                  r->at_us, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO stripe_returns (id, payment_id, amount) VALUES (?1, ?2, "
                           "?3) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, r->id);
    mr_db_bind_id(s, 2, id);
    mr_db_bind_i64(s, 3, r->amount_nano);
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

static struct mr_str of_customer(struct mr_str customer, char out[300]) {
    snprintf(out, 300, "customer:%.*s", (int)customer.n, customer.p ? customer.p : "");
    return mr_str(customer.n ? out : NULL);
}

int mr_book_return(struct mr_billing *b, struct mr_tx *tx, const struct mr_return *r,
                   struct mr_err *e) {
    struct mr_id id;
    int64_t before;
    char customer[300];
    if (r->amount_nano <= 0)
        return 0;
    int rc = find_return(tx, r->id, &id, &before, e);
    if (!rc)
        rc = find(tx, r->ref, sizeof r->ref / sizeof *r->ref, &id, e);
    if (!rc)
        rc = find_by_customer(tx, r, &id, e);
    if (rc < 0)
        return rc;
    if (rc)
        return apply(b, tx, id, r, e);
    for (size_t i = 0; !rc && i < sizeof r->ref / sizeof *r->ref; i++)
        rc = r->ref[i].n ? wait_for(tx, r, r->ref[i], e) : 0;
    struct mr_str any = of_customer(r->customer, customer);
    return rc || !any.n ? rc : wait_for(tx, r, any, e);
}

/* --- a payment arrives -------------------------------------------------------------------- */

static int forget_waiting(struct mr_tx *tx, struct mr_str return_id, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "DELETE FROM stripe_waiting WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, return_id);
    return mr_db_exec(s, e);
}

/* 1 and one return that waits for `ref`, taken from the queue. `most` < 0: of any amount. */
static int take_waiting(struct mr_tx *tx, struct mr_str ref, struct mr_str currency, int64_t most,
                        struct mr_arena *arena, struct mr_return *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT id, kind, currency, amount, created_at FROM stripe_waiting "
                           "WHERE ref = ?1 AND (?2 < 0 OR (currency = ?3 AND amount <= ?2))",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, ref);
    mr_db_bind_i64(s, 2, most);
    mr_db_bind_str(s, 3, currency);
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
    if (!ret->id.p || !ret->currency.p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    rc = forget_waiting(tx, ret->id, e);
    return rc ? rc : 1;
}

static int settle_waiting(struct mr_billing *b, struct mr_tx *tx, struct mr_id id,
                          struct mr_str ref, struct mr_str currency, int64_t most,
                          struct mr_err *e) {
    for (;;) {
        MR_CLEANUP(mr_arena_release) struct mr_arena arena;
        struct mr_return r = {0};
        mr_arena_init(&arena, 4096);
        int rc = take_waiting(tx, ref, currency, most, &arena, &r, e);
        if (rc > 0)
            rc = apply(b, tx, id, &r, e);
        else
            return rc;
        if (rc)
            return rc;
    }
}

static int name_payment(struct mr_billing *b, struct mr_tx *tx, struct mr_id id,
                        const struct mr_str *ref, size_t n, struct mr_err *e) {
    int rc = add_refs(tx, ref, n, id, e);
    for (size_t i = 0; !rc && i < n; i++)
        if (ref[i].n)
            rc = settle_waiting(b, tx, id, ref[i], (struct mr_str){0}, -1, e);
    return rc;
}

int mr_book_link(struct mr_billing *b, struct mr_tx *tx, const struct mr_str *ref, size_t n,
                 struct mr_err *e) {
    struct mr_id id;
    int rc = find(tx, ref, n, &id, e);
    if (rc)
        return rc < 0 ? rc : name_payment(b, tx, id, ref, n, e);
    for (size_t i = 0; !rc && i < n; i++)
        for (size_t j = 0; !rc && j < n; j++)
            rc = i != j && ref[i].n && ref[j].n ? add_link(tx, ref[i], ref[j], e) : 0;
    return rc;
}

static int add_new(struct mr_billing *b, struct mr_tx *tx, const struct mr_payment *p,
                   struct mr_id id, struct mr_err *e) {
    int64_t end_user = 0;
    struct mr_str first = {0};
    char customer[300];
    int rc = 0;
    for (size_t i = 0; i < sizeof p->ref / sizeof *p->ref && !first.n; i++)
        first = p->ref[i];
    if (p->party.end_user.n)
        rc = mr_end_user_in(b->c.ledger, tx, p->party.account, p->party.end_user, &end_user, e);
    if (!rc)
        rc = add_payment(tx, p, id, end_user, e);
    if (!rc)
        rc = post(b, tx, MR_ENTRY_INCOME, p, end_user, p->amount_nano, p->currency, first, p->at_us,
                  e);
    struct mr_str any = of_customer(p->party.customer, customer);
    if (!rc && any.n && p->income == MR_BOOK_SUBSCRIPTION)
        rc = settle_waiting(b, tx, id, any, p->currency, p->amount_nano, e);
    return rc;
}

int mr_book_payment(struct mr_billing *b, struct mr_tx *tx, const struct mr_payment *p,
                    struct mr_err *e) {
    MR_CLEANUP(mr_arena_release) struct mr_arena arena;
    struct mr_str names[24];
    size_t given = sizeof p->ref / sizeof *p->ref, n = 0;
    struct mr_id id;
    int rc = 0;
    mr_arena_init(&arena, 4096);
    if (p->amount_nano <= 0)
        return 0; /* a free trial, a full discount: no money came */
    for (size_t i = 0; i < given; i++)
        if (p->ref[i].n)
            names[n++] = p->ref[i];
    for (size_t i = 0; !rc && i < given; i++)
        if (p->ref[i].n)
            rc = linked(tx, p->ref[i], &arena, names, sizeof names / sizeof *names, &n, e);
    if (!rc)
        rc = find(tx, names, n, &id, e);
    if (!rc) {
        id = mr_id_new();
        rc = add_new(b, tx, p, id, e);
    }
    return rc < 0 ? rc : name_payment(b, tx, id, names, n, e);
}
