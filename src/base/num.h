/* Numbers to and from text. */
#ifndef MR_BASE_NUM_H
#define MR_BASE_NUM_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define MR_F64_LEN 32
/* Writes the shortest decimal that reads back as the same double, in JSON syntax ("0.98", "1.0",
 * "1e-7", "-0.0"); NaN and infinities as "null". Digits, and the choice between fixed and exponent
 * form (below 1e-4 and from 1e16), are those of Python's repr; exponents have no '+' and no leading
 * zero. No NUL. Returns the length (< MR_F64_LEN).
 * Thread-safe. */
size_t mr_f64_print(double v, char *out);
/* The same for single precision: the shortest decimal that reads back as the same float. */
size_t mr_f32_print(float v, char *out);
/* Whole slice as a decimal floating point number (strtod's rounding, no hex, no inf/nan, at most
 * 400 characters). Locale-independent. */
bool mr_f64_parse(struct mr_str s, double *ret);

#endif
