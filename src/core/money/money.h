/* Money is an integer number of nano-units of a currency (1 USD = 1,000,000,000). Never a double,
 * except where a reply prints one. Pure; thread-safe. */
#ifndef MR_CORE_MONEY_MONEY_H
#define MR_CORE_MONEY_MONEY_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_NANO INT64_C(1000000000)

/* "12.5", "-0.000000001": at most nine decimals, no exponent, whole slice; false when it does not
 * fit int64. */
bool mr_money_parse(struct mr_str s, int64_t *ret_nano);
/* Exact decimal without trailing zeros, as a JSON number: 1500000000 -> "1.5", 0 -> "0.0". */
void mr_money_print(struct mr_buf *b, int64_t nano);
/* a + b, a - b; false on overflow. */
bool mr_money_add(int64_t a, int64_t b, int64_t *ret);
/* An amount in the smallest unit that Stripe uses for the currency (ISO 4217, lower case) in
 * nanos: 1999 "usd" -> 19.99, 500 "jpy" -> 500, three-decimal currencies divide by 1000. */
bool mr_money_from_minor(int64_t minor, struct mr_str currency, int64_t *ret_nano);

#endif
