/* Inside of the ledger: budgets in memory, holds, the fold thread. */
#ifndef MR_CORE_MONEY_LEDGER_PRIV_H
#define MR_CORE_MONEY_LEDGER_PRIV_H

#include "core/money/ledger.h"

#include <pthread.h>
#include <stdatomic.h>

#define MR_QUARTER_US  INT64_C(900000000)
#define MR_HOLD_SLOTS  4096
#define MR_KNOWN_USERS 1024

/* A cost counted while its subject was not loaded: what is loaded then may have it in it. */
struct mr_late_cost {
    int64_t entry, cost, at_us;
};

/* Whose money: an account or a key. Never freed before the ledger, so holds point to it. */
struct mr_subject {
    struct mr_subject *next;
    struct mr_id id, account;
    bool is_key;
    bool loaded;
    bool alerted;     /* this month's 80 % alert is committed */
    int64_t limit;    /* -1 = none */
    int64_t spent;    /* settled in [from_us, to_us) */
    int64_t held;     /* by this process's holds */
    int64_t stale;    /* open charges of an earlier process */
    int64_t settling; /* settled inside transactions whose hold has not ended */
    int64_t seen;     /* entries up to this one were there when `spent` was read */
    struct mr_late_cost *late;
    size_t n_late, cap_late;
    int64_t from_us, to_us; /* the month */
    const struct mr_zone *zone;
    char label[140]; /* "the account 'acme'" */
};

struct mr_open_hold {
    struct mr_open_hold *next;
    int64_t charge, reserved, end_user;
    struct mr_subject *account, *key; /* key may be NULL */
    int64_t settled_us, cost, entry;  /* by the last mr_charge_settle_in */
    bool alerted[2];                  /* account, key: its transaction wrote the alert */
};

struct mr_zone_kept {
    struct mr_zone_kept *next;
    struct mr_zone *zone;
};

/* An end user seen lately. Only what an earlier transaction created: this one may be undone. End
 * users are never deleted. */
struct mr_known_user {
    struct mr_id account;
    int64_t id; /* 0 = empty */
    size_t name_n;
    char name[72];
};

struct mr_ledger {
    struct mr_known_user known[MR_KNOWN_USERS]; /* writer thread only, as the next two */
    uint64_t fresh_serial;                      /* the transaction that created end users last */
    int64_t fresh_user;                         /* the first of those */
    struct mr_db *db;
    struct mr_price_book *prices;
    struct mr_events *events;
    const struct mr_zone *zone;
    const struct mr_log *log;
    int64_t first_charge; /* ids from here on are this process's */
    _Atomic int64_t next_charge, next_entry, next_user;

    pthread_mutex_t mu; /* everything below; never held during a database call */
    struct mr_subject **subject;
    size_t n_subject, cap_subject; /* a power of two */
    struct mr_open_hold *hold[MR_HOLD_SLOTS], *spare;
    size_t n_hold;
    struct mr_zone_kept *zones;
    bool stopping;
    pthread_cond_t cond;
    pthread_t thread;
    bool started;
};

/* ledger_budget.c */
/* The subject, ready for `now`: loaded, its month the current one. `key` zero: the account itself.
 * Takes mu and returns with it held when 0. Reads the database where needed. */
int mr_subject_lock(struct mr_ledger *l, struct mr_id account, struct mr_id key, int64_t now_us,
                    struct mr_subject **ret, struct mr_err *e);
/* With mu held. NULL when it is not in memory. */
struct mr_subject *mr_subject_find(struct mr_ledger *l, struct mr_id id);
/* With mu held: moves on to the month that holds `at_us` when that is a later one. */
void mr_subject_roll(struct mr_subject *s, int64_t at_us);
/* With mu held: a cost whose entry (0: none) is committed; counted unless `spent` has it already.
 */
void mr_subject_spend(struct mr_subject *s, int64_t entry, int64_t cost, int64_t at_us);
/* With mu held: MR_ELIMIT when `more` does not fit. */
int mr_subject_check(const struct mr_subject *s, int64_t more, struct mr_err *e);
/* Inside the settling transaction: writes the alert when this settlement passes 80 %. */
int mr_subject_alert_in(struct mr_ledger *l, struct mr_tx *tx, struct mr_open_hold *h, int64_t cost,
                        int64_t at_us, struct mr_err *e);
/* With mu held: the next use reads the database again. */
void mr_subjects_forget(struct mr_ledger *l);
int mr_ledger_zone_of(struct mr_ledger *l, struct mr_str name, const struct mr_zone **ret,
                      struct mr_err *e);

/* ledger_charges.c; find: with mu held */
struct mr_open_hold *mr_hold_find(struct mr_ledger *l, int64_t charge);
/* mr_charge_settle_in at another time than now, for tests of a year. */
int mr_charge_settle_at(struct mr_ledger *l, struct mr_tx *tx, int64_t charge,
                        const struct mr_settle *st, int64_t at_us, struct mr_err *e);

/* ledger_entry.c: one row of the ledger. */
struct mr_entry {
    int64_t at_us, amount, end_user, charge;
    enum mr_entry_kind kind;
    enum mr_book debit, credit;
    struct mr_str currency, provider, model, price_version, ref;
    struct mr_id account, key;
    struct mr_usage_tokens tokens;
    bool estimated;
};
int mr_ledger_add_entry(struct mr_ledger *l, struct mr_tx *tx, const struct mr_entry *n,
                        int64_t *ret_id, struct mr_err *e);

/* ledger_fold.c */
/* Everything committed before the call is in the roll-ups afterwards. Not on the writer thread. */
int mr_ledger_fold(struct mr_ledger *l, struct mr_err *e);
void *mr_ledger_fold_main(void *arg);

#endif
