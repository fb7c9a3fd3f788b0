/* Inside of the price book: one generation of rows, replaced as a whole. */
#ifndef MR_CORE_MONEY_PRICES_PRIV_H
#define MR_CORE_MONEY_PRICES_PRIV_H

#include "core/money/prices.h"

/* Files of data/prices/, embedded by cmake/embed_files.cmake. */
struct mr_price_file {
    const char *name, *text;
};
extern const struct mr_price_file mr_price_files[]; /* name NULL ends it */

struct mr_price_alias {
    struct mr_str provider, name, model;
    bool own; /* the operator's: wins over an embedded one */
};
struct mr_price_set {
    struct mr_arena arena;
    struct mr_price *row; /* in force or once in force: sorted by provider, model, from */
    size_t n_row, cap_row;
    size_t n_hidden; /* behind row[n_row]: embedded rows of models that the operator prices */
    struct mr_price_alias *alias; /* sorted by provider, name */
    size_t n_alias, cap_alias;
    bool own; /* what is added from now on is the operator's */
};
struct mr_price_set *mr_price_set_new(void);
void mr_price_set_free(struct mr_price_set *s);
/* Appends a file's rows. `name` is for messages. */
int mr_price_set_add(struct mr_price_set *s, const char *name, struct mr_str text,
                     struct mr_err *e);
/* Sorts; rows [0, n_base) are embedded and give way to the operator's. Refuses duplicates and
 * aliases without a price. */
int mr_price_set_finish(struct mr_price_set *s, size_t n_base, struct mr_err *e);
/* By provider, then model. */
int mr_price_order(struct mr_str provider, struct mr_str model, const struct mr_price *row);

#endif
