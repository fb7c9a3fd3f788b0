/* The ledger: what every family charges against.
 *
 * A charge is reserved before the work runs, and settled (cost known) or released (nothing was
 * used) exactly once afterwards, also when the client hangs up, the upstream fails or the server is
 * killed: what is open at start is recovered. Entries are append-only; one entry debits one ledger
 * account and credits another by the same amount, so the books balance by construction. Entries are
 * folded into quarter-hour roll-ups (every zone's day begins on one) whose fold position commits in
 * the same transaction; reads fold first. The ledger equals the roll-ups equals the reports.
 *
 * Threads: everything may be called from any thread unless said. Functions with a `tx` run inside
 * a write transaction (mr_db_write*), on the writer thread, so that callers commit their own rows
 * together with the money. */
#ifndef MR_CORE_MONEY_LEDGER_H
#define MR_CORE_MONEY_LEDGER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "core/money/prices.h"
#include "core/money/zone.h"
#include "core/principal.h"
#include "store/db.h"

struct mr_events;
struct mr_ledger;

struct mr_ledger_config {
    struct mr_db *db;
    struct mr_price_book *prices; /* borrowed */
    struct mr_events *events;     /* budget alerts; may be NULL */
    const struct mr_zone *zone;   /* the operator's: accounts without a zone of their own */
    const struct mr_log *log;
};
/* Open charges of an earlier process stay open until mr_ledger_recover. */
int mr_ledger_open(const struct mr_ledger_config *c, struct mr_ledger **ret, struct mr_err *e);
void mr_ledger_free(struct mr_ledger *l); /* folds, then ends */

/* --- the two sides of an entry ------------------------------------------------------------ */
enum mr_book {
    MR_BOOK_PROVIDER_PAYABLE = 1, /* liability: owed to upstream providers */
    MR_BOOK_API_COST = 2,         /* expense */
    MR_BOOK_STRIPE = 3,           /* asset: paid in through Stripe */
    MR_BOOK_SUBSCRIPTION = 4,     /* income */
    MR_BOOK_MICRO_PAYMENT = 5,    /* income */
    MR_BOOK_LOCAL_COMPUTE = 6,    /* counterpart of local models' charges */
};
enum mr_entry_kind {
    MR_ENTRY_CHARGE = 1,      /* Dr API_COST       Cr PROVIDER_PAYABLE (or LOCAL_COMPUTE) */
    MR_ENTRY_INCOME = 2,      /* Dr STRIPE         Cr SUBSCRIPTION or MICRO_PAYMENT */
    MR_ENTRY_REFUND = 3,      /* Dr SUBSCRIPTION or MICRO_PAYMENT   Cr STRIPE */
    MR_ENTRY_DISPUTE = 4,     /* as a refund, while Stripe holds the money */
    MR_ENTRY_DISPUTE_WON = 5, /* as income: what the dispute took comes back */
};

/* --- charges ------------------------------------------------------------------------------ */
enum mr_charge_state { MR_CHARGE_OPEN = 0, MR_CHARGE_SETTLED = 1, MR_CHARGE_RELEASED = 2 };

/* An admission: budget held in memory for one request, then in the database. Plain value. */
struct mr_hold {
    int64_t charge; /* id, unique on this server, > 0 */
    struct mr_id account, key;
    int64_t reserved_nano;
    int64_t at_us;
    bool active;
};
struct mr_reserve {
    const struct mr_principal *who;
    const char *family;            /* "tasks" */
    struct mr_str provider, model; /* as priced */
    int64_t end_user;              /* mr_end_user_*; 0 = none */
    int64_t reserved_nano;         /* the most it may cost */
    struct mr_str price_version;
};
/* Checks the budgets of account and key (this month, open reservations included) and holds the
 * amount in memory. Does not block once the account was seen; its first call of a month reads the
 * database, so not on a loop thread unless mr_ledger_warm says true. MR_ELIMIT naming the budget,
 * its limit and when it renews. */
int mr_hold_take(struct mr_ledger *l, const struct mr_reserve *r, struct mr_hold *ret,
                 struct mr_err *e);
bool mr_ledger_warm(struct mr_ledger *l, const struct mr_principal *who);
/* Writes the open charge. After its commit the reservation survives a crash. */
int mr_charge_open_in(struct mr_ledger *l, struct mr_tx *tx, const struct mr_hold *h,
                      const struct mr_reserve *r, struct mr_err *e);
struct mr_settle {
    struct mr_str provider, model; /* who answered: may differ after a fallback */
    struct mr_str price_version;
    struct mr_usage_tokens tokens;
    bool estimated; /* the upstream sent no usage: counted here (docs say how) */
    int64_t cost_nano;
};
/* Settles: one entry, one update. MR_ECONFLICT when it is not open any more. A cost above the
 * reservation is booked in full. Idempotent callers check the state first. */
int mr_charge_settle_in(struct mr_ledger *l, struct mr_tx *tx, int64_t charge,
                        const struct mr_settle *s, struct mr_err *e);
int mr_charge_release_in(struct mr_ledger *l, struct mr_tx *tx, int64_t charge, struct mr_err *e);
/* After the settling transaction committed (or the opening one failed): frees the held budget and
 * counts `cost_nano` (0 for a release). Exactly once a hold; no-op on an inactive one. */
void mr_hold_end(struct mr_ledger *l, struct mr_hold *h, int64_t cost_nano);

/* At start, before requests: calls fn for every open charge inside a write transaction; fn settles
 * or releases it with its own rows. */
struct mr_open_charge {
    int64_t charge;
    struct mr_id account;
    struct mr_str family, provider, model, price_version;
    int64_t reserved_nano, at_us;
};
int mr_ledger_recover(struct mr_ledger *l, const char *family,
                      int (*fn)(struct mr_tx *tx, const struct mr_open_charge *c, void *arg,
                                struct mr_err *e),
                      void *arg, struct mr_err *e);

/* Income, refund, dispute, dispute won: amount > 0 in nanos of `currency` ("usd"). `ref` names the
 * object at Stripe. */
struct mr_posting {
    enum mr_entry_kind kind;
    enum mr_book income; /* SUBSCRIPTION or MICRO_PAYMENT */
    struct mr_id account;
    int64_t end_user;
    int64_t amount_nano;
    struct mr_str currency, ref;
    int64_t at_us; /* 0 = now */
};
int mr_ledger_post_in(struct mr_ledger *l, struct mr_tx *tx, const struct mr_posting *p,
                      struct mr_err *e);

/* --- end users of an account: a string or an integer, made on first sight ----------------- */
/* name: e-mail, user name, or decimal text for integers. MR_EFIELD over 256 bytes. */
int mr_end_user_in(struct mr_ledger *l, struct mr_tx *tx, struct mr_id account, struct mr_str name,
                   int64_t *ret, struct mr_err *e);
/* 0 with *ret 0 when it was never seen. */
int mr_end_user_find(struct mr_ledger *l, struct mr_id account, struct mr_str name, int64_t *ret,
                     struct mr_err *e);

/* --- budgets ------------------------------------------------------------------------------ */
struct mr_budget {
    int64_t limit_nano;    /* a month; -1 = none */
    int64_t spent_nano;    /* settled this month */
    int64_t reserved_nano; /* held now */
    int64_t renews_us;     /* first moment of the next month in the account's zone */
    char zone[64];
};
int mr_budget_account(struct mr_ledger *l, struct mr_id account, struct mr_budget *ret,
                      struct mr_err *e);
int mr_budget_key(struct mr_ledger *l, struct mr_id account, struct mr_id key,
                  struct mr_budget *ret, struct mr_err *e);
/* limit -1 = none; zone p == NULL leaves it. MR_EFIELD for an unknown zone. */
int mr_budget_set(struct mr_ledger *l, struct mr_id account, int64_t limit_nano, struct mr_str zone,
                  struct mr_err *e);

/* --- reports ------------------------------------------------------------------------------ */
struct mr_report_query {
    struct mr_id account;
    int64_t from_us, to_us; /* [from, to); both on quarter hours */
    bool one_end_user;
    int64_t end_user;
};
struct mr_report_line { /* sums over the range, one a (day | model | end user | …) */
    struct mr_str provider, model, currency, end_user; /* those that the grouping keeps */
    int64_t period_us;                                 /* first moment; by day only */
    int64_t requests, income_nano, subscription_nano, micro_nano, expense_nano;
    struct mr_usage_tokens tokens;
};
enum mr_report_by { MR_BY_TOTAL, MR_BY_DAY, MR_BY_MODEL, MR_BY_END_USER };
/* Lines in a currency each (USD first); refunds and disputes count negative in income. By day: days
 * of the account's zone, empty ones left out. */
int mr_report(struct mr_ledger *l, const struct mr_report_query *q, enum mr_report_by by,
              struct mr_arena *arena, struct mr_report_line **ret, size_t *ret_n, struct mr_err *e);

struct mr_charge {
    int64_t id;
    struct mr_str family, provider, model, price_version, end_user;
    struct mr_id key;
    enum mr_charge_state state;
    int64_t reserved_nano, cost_nano, created_us, settled_us;
    struct mr_usage_tokens tokens;
    bool estimated;
};
/* MR_ENOTFOUND, also for another account's. */
int mr_charge_get(struct mr_ledger *l, struct mr_id account, int64_t charge, struct mr_arena *arena,
                  struct mr_charge *ret, struct mr_err *e);
/* Proof for tests, doctor and the crash suite: sums of entries, charges and roll-ups and whether
 * they agree; MR_EINTERNAL says which do not. */
int mr_ledger_check(struct mr_ledger *l, struct mr_err *e);
/* The same without folding first, of a database that nobody serves or that was opened read-only. */
int mr_ledger_check_db(struct mr_db *db, struct mr_err *e);
/* The zone that this account's months and reports follow. */
int mr_ledger_zone(struct mr_ledger *l, struct mr_id account, const struct mr_zone **ret,
                   struct mr_err *e);

#endif
