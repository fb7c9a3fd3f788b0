/* What tokens cost: dated rows from TOML files (data/prices/ embedded in the program, then the
 * operator's `prices_dir` over them), found by provider, model and time. Files that change are
 * read again without a restart; a broken file changes nothing and says why in the log.
 *
 * Prices are nano-dollars for a million tokens, so that a cost is
 *   request + sum(tokens_k * price_k) / 1,000,000, computed in 128 bits and rounded half up once.
 * Where the provider has no price of its own for cached or cache-write tokens they cost what input
 * costs. A version names the exact row a charge was made with
 * ("openai/gpt-4o-mini@2024-07-18#<hash8>"); the hash covers the row's figures. */
#ifndef MR_CORE_MONEY_PRICES_H
#define MR_CORE_MONEY_PRICES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_usage_tokens {
    int64_t input;       /* all prompt tokens, cached and cache-write included */
    int64_t cached;      /* of them read from the provider's cache */
    int64_t cache_write; /* of them written to it */
    int64_t output;      /* reasoning included */
};

enum mr_price_tier { MR_TIER_STANDARD, MR_TIER_BATCH, MR_TIER_FLEX, MR_TIER_PRIORITY };
#define MR_PRICE_TIERS 4

struct mr_price {
    struct mr_str provider, model; /* what the row is of, after aliases */
    struct mr_str version;
    int64_t from_us;                            /* valid from */
    int64_t input, cached, cache_write, output; /* nano-dollars a million tokens */
    int64_t request; /* nano-dollars a request, whatever its tokens; of a vision model: an image */
    int64_t long_over; /* prompts above this many tokens; 0 = no tier */
    int64_t long_input, long_cached, long_cache_write, long_output;
    /* Batch, flex, priority by enum mr_price_tier: what replaces input and output (cached and
     * cache-write follow input); -1 = the provider sells no such tier. [0] is unused. */
    int64_t tier_input[MR_PRICE_TIERS], tier_output[MR_PRICE_TIERS];
    int64_t max_input, max_output; /* tokens; 0 = unknown */
    int64_t retires_us;            /* 0 = no date */
    struct mr_str source;          /* where the figures come from */
};

struct mr_price_book;
/* dir NULL: only the embedded files. MR_EFIELD / MR_EINVAL name file and line. */
int mr_price_book_open(const char *dir, const struct mr_log *log, struct mr_price_book **ret,
                       struct mr_err *e);
void mr_price_book_free(struct mr_price_book *b);
/* Reads again when a file of dir changed (looked at once a second at most). Cheap otherwise. */
void mr_price_book_refresh(struct mr_price_book *b);
/* The row in force at `at_us` (before a model's first row, that one); strings are copied into the
 * arena. MR_ENOTFOUND says that the model has no price and how to add one: an unpriced model is
 * never run. Providers of kind "local" cost nothing only when a row says so ("*" as the model
 * matches all of a provider). */
int mr_price_find(struct mr_price_book *b, struct mr_str provider, struct mr_str model,
                  int64_t at_us, struct mr_arena *arena, struct mr_price *ret, struct mr_err *e);
/* The row a charge was made with, also when newer ones are in force. MR_ENOTFOUND. */
int mr_price_version(struct mr_price_book *b, struct mr_str version, struct mr_arena *arena,
                     struct mr_price *ret, struct mr_err *e);
/* All rows, sorted by provider, model, from. */
int mr_price_list(struct mr_price_book *b, struct mr_arena *arena, struct mr_price **ret,
                  size_t *ret_n, struct mr_err *e);
/* A million tokens of each kind for a request of that size: long-context and tier applied.
 * MR_EUNSUPPORTED when the model has no such tier. */
struct mr_price_rates {
    int64_t input, cached, cache_write, output;
};
int mr_price_rates(const struct mr_price *p, enum mr_price_tier tier, int64_t input_tokens,
                   struct mr_price_rates *ret, struct mr_err *e);
/* MR_EINVAL when the counts contradict each other (negative, cached + cache_write > input) or the
 * cost does not fit. */
int mr_price_cost(const struct mr_price *p, enum mr_price_tier tier,
                  const struct mr_usage_tokens *u, int64_t *ret_nano, struct mr_err *e);

#endif
