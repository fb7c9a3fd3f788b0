/* Powers of ten for printing doubles; generated, see tools/gen_pow10.py. */
#ifndef MR_BASE_POW10_TABLE_H
#define MR_BASE_POW10_TABLE_H

#include <stdint.h>

#define MR_POW10_MIN (-292)
#define MR_POW10_MAX 324
/* Entry [e - MR_POW10_MIN] is floor(10^e * 2^(127 - floor(log2 10^e))) + 1 as {high, low}. */
extern const uint64_t mr_pow10_table[MR_POW10_MAX - MR_POW10_MIN + 1][2];

#endif
