#include "base/clock.h"
#include "core/money/ledger_priv.h"

int mr_ledger_add_entry(struct mr_ledger *l, struct mr_tx *tx, const struct mr_entry *n,
                        int64_t *ret_id, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO ledger(id, at, kind, debit, credit, amount, currency, "
                           "account, key_id, end_user, provider, model, price_version, charge, "
                           "input, cached, cache_write, output, estimated, ref) VALUES(?1, ?2, ?3, "
                           "?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, "
                           "?19, ?20)",
                           &s, e);
    if (rc)
        return rc;
    int64_t id = atomic_fetch_add(&l->next_entry, 1);
    mr_db_bind_i64(s, 1, id);
    mr_db_bind_i64(s, 2, n->at_us);
    mr_db_bind_i64(s, 3, n->kind);
    mr_db_bind_i64(s, 4, n->debit);
    mr_db_bind_i64(s, 5, n->credit);
    mr_db_bind_i64(s, 6, n->amount);
    mr_db_bind_static(s, 7, n->currency);
    mr_db_bind_id(s, 8, n->account);
    mr_db_bind_id(s, 9, n->key);
    mr_db_bind_i64(s, 10, n->end_user);
    mr_db_bind_static(s, 11, n->provider);
    mr_db_bind_static(s, 12, n->model);
    mr_db_bind_static(s, 13, n->price_version);
    mr_db_bind_i64(s, 14, n->charge);
    mr_db_bind_i64(s, 15, n->tokens.input);
    mr_db_bind_i64(s, 16, n->tokens.cached);
    mr_db_bind_i64(s, 17, n->tokens.cache_write);
    mr_db_bind_i64(s, 18, n->tokens.output);
    mr_db_bind_i64(s, 19, n->estimated);
    mr_db_bind_static(s, 20, n->ref);
    rc = mr_db_exec(s, e);
    if (rc == 0 && ret_id)
        *ret_id = id;
    return rc;
}

int mr_ledger_post_in(struct mr_ledger *l, struct mr_tx *tx, const struct mr_posting *p,
                      struct mr_err *e) {
    bool in = p->kind == MR_ENTRY_INCOME || p->kind == MR_ENTRY_DISPUTE_WON;
    if (!in && p->kind != MR_ENTRY_REFUND && p->kind != MR_ENTRY_DISPUTE)
        return mr_fail(e, MR_EINTERNAL, "ledger: entry kind %d is not posted", p->kind);
    if (p->income != MR_BOOK_SUBSCRIPTION && p->income != MR_BOOK_MICRO_PAYMENT)
        return mr_fail(e, MR_EINTERNAL, "ledger: book %d is no income", p->income);
    if (p->amount_nano <= 0)
        return mr_fail_field(e, MR_EFIELD, "amount", "an amount must be positive");
    if (p->currency.n != 3)
        return mr_fail_field(e, MR_EFIELD, "currency", "a currency has three letters");
    for (size_t i = 0; i < 3; i++)
        if (p->currency.p[i] < 'a' || p->currency.p[i] > 'z')
            return mr_fail_field(e, MR_EFIELD, "currency", "a currency is lower case: usd");
    struct mr_entry n = {.at_us = p->at_us ? p->at_us : mr_now_us(),
                         .amount = p->amount_nano,
                         .end_user = p->end_user,
                         .kind = p->kind,
                         .debit = in ? MR_BOOK_STRIPE : p->income,
                         .credit = in ? p->income : MR_BOOK_STRIPE,
                         .currency = p->currency,
                         .provider = MR_LIT(""),
                         .model = MR_LIT(""),
                         .price_version = MR_LIT(""),
                         .ref = p->ref.p ? p->ref : MR_LIT(""),
                         .account = p->account};
    return mr_ledger_add_entry(l, tx, &n, NULL, e);
}
