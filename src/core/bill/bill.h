/* What uses of catalogue models cost, other than generated text (core/text): one bill a request or
 * a job's item, one charge for each model that it names. The way is that of all charges: hold the
 * budget -> open the charge -> run -> settle, or release when the request fails. Models that cost
 * nothing (the default, data/prices/local.toml) are recorded behind the reply, so that no request
 * waits for the disk; a kill loses at most those. */
#ifndef MR_CORE_BILL_BILL_H
#define MR_CORE_BILL_BILL_H

#include "core/catalog/residency.h"
#include "core/money/ledger.h"

struct mr_biller {
    struct mr_db *db;
    struct mr_ledger *ledger;
    struct mr_price_book *prices;
    struct mr_residency *residency;
    const struct mr_catalog *catalog;
    const struct mr_log *log;
};
/* Releases what an earlier process left open under `family`; families of core/text are recovered
 * there. */
int mr_biller_recover(const struct mr_biller *m, const char *family, struct mr_err *e);

/* Waits for what is recorded behind replies; before the ledger goes. */
void mr_biller_flush(const struct mr_biller *m);

#define MR_BILL_MAX 8 /* models a bill */

struct mr_bill_item {
    struct mr_str provider, model; /* "local" and a catalogue id, or a provider's */
    struct mr_price price;
    struct mr_hold hold;
    bool opened; /* the open charge is in the database */
    struct mr_usage_tokens tokens;
    bool estimated;
    int64_t cost_nano;
};
/* Zero but for the first four. One thread. */
struct mr_bill {
    const struct mr_biller *biller;
    const struct mr_principal *who;
    const char *family;     /* static */
    struct mr_arena *arena; /* for the strings of prices */
    struct mr_bill_item item[MR_BILL_MAX];
    size_t n;
    int64_t cost_nano;              /* after mr_bill_close */
    int64_t paid_nano, paid_charge; /* of text that core/text charged: shown with it */
};
/* Admits a use of a priced thing: price, budget, open charge. `most`: the most tokens it may take.
 * MR_ENOTFOUND: no price; MR_ELIMIT: the budget. Blocks. *ret may be NULL. */
int mr_bill_add(struct mr_bill *b, struct mr_str provider, struct mr_str model, int64_t most,
                struct mr_bill_item **ret, struct mr_err *e);
/* The same for a catalogue model (as mr_use_begin finds it), then begins its use. A model that is
 * on the bill already is not charged twice; its tokens are set by its last use. */
int mr_bill_use(struct mr_bill *b, struct mr_str name, enum mr_model_kind kind, int64_t most,
                struct mr_use *use, struct mr_bill_item **ret, struct mr_err *e);
/* The most tokens that texts are to an embedder: a byte has at most one, a text two marks. */
int64_t mr_embed_most(const struct mr_str *text, size_t n);
/* Once, at the end. rc != 0: nothing is charged, but for items with tokens.input set that were
 * bought from a provider. Its own failure (the charge cannot be recorded) is returned. */
int mr_bill_close(struct mr_bill *b, int rc, struct mr_err *e);

#endif
