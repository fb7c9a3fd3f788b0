#include "core/money/ledger_priv.h"

/* Each query finds what must not be there; its first column says which. */
static const struct {
    const char *what, *sql;
} rules[] = {
    {"an entry's books do not fit its kind: entry",
     "SELECT id FROM ledger WHERE amount < 0 OR NOT ("
     "(kind = 1 AND debit = 2 AND credit IN (1, 6) AND charge > 0 AND currency = 'usd') OR "
     "(kind IN (2, 5) AND debit = 3 AND credit IN (4, 5) AND charge = 0) OR "
     "(kind IN (3, 4) AND debit IN (4, 5) AND credit = 3 AND charge = 0)) LIMIT 1"},
    {"a charge has more than one entry: charge",
     "SELECT charge FROM ledger WHERE charge > 0 GROUP BY charge HAVING COUNT(*) > 1 LIMIT 1"},
    {"an entry is of a charge that does not know it: entry",
     "SELECT l.id FROM ledger l LEFT JOIN charges c ON c.id = l.charge WHERE l.charge > 0 AND "
     "(c.id IS NULL OR c.state <> 1 OR c.entry <> l.id OR c.account <> l.account OR "
     "c.key_id <> l.key_id OR c.end_user <> l.end_user) LIMIT 1"},
    {"a settled charge has no entry: charge",
     "SELECT c.id FROM charges c LEFT JOIN ledger l ON l.id = c.entry WHERE c.state = 1 AND "
     "(l.id IS NULL OR l.charge <> c.id) LIMIT 1"},
    {"a charge that is not settled has an entry: charge",
     "SELECT id FROM charges WHERE state <> 1 AND entry > 0 LIMIT 1"},
    {"an open charge is below the mark under which all are closed: charge",
     "SELECT id FROM charges WHERE state = 0 AND id < (SELECT closed_below FROM ledger_state "
     "WHERE id = 1) LIMIT 1"},
    {"roll-ups differ from the ledger in the quarter",
     "SELECT quarter FROM ("
     "SELECT account, quarter, kind, book, currency, provider, model, end_user, key_id, n, amount, "
     "input, cached, cache_write, output FROM spend_quarters UNION ALL "
     "SELECT account, at / 900000000, kind, CASE WHEN kind IN (3, 4) THEN debit ELSE credit END, "
     "currency, provider, model, end_user, key_id, -1, -amount, -input, -cached, -cache_write, "
     "-output FROM ledger WHERE id <= (SELECT folded FROM ledger_state WHERE id = 1)) AS both "
     "GROUP BY account, quarter, kind, book, currency, provider, model, end_user, key_id "
     "HAVING SUM(n) <> 0 OR SUM(amount) <> 0 OR SUM(input) <> 0 OR SUM(cached) <> 0 OR "
     "SUM(cache_write) <> 0 OR SUM(output) <> 0 LIMIT 1"},
};

static int check_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)arg;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct mr_stmt *s;
        int rc = mr_db_prepare(tx, rules[i].sql, &s, e);
        if (rc)
            return rc;
        rc = mr_db_step(s, e);
        if (rc < 0)
            return rc;
        if (rc == 1) {
            rc = mr_fail(e, MR_EINTERNAL, "ledger: %s %lld", rules[i].what,
                         (long long)mr_db_i64(s, 0));
            mr_db_done(s);
            return rc;
        }
    }
    return 0;
}

int mr_ledger_check_db(struct mr_db *db, struct mr_err *e) {
    return mr_db_read(db, check_tx, NULL, e);
}

int mr_ledger_check(struct mr_ledger *l, struct mr_err *e) {
    int rc = mr_ledger_fold(l, e);
    return rc ? rc : mr_ledger_check_db(l->db, e);
}
