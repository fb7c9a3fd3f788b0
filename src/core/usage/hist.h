/* A mergeable histogram of 32-bit values, log-linear: 128 equal buckets for each power of two, so a
 * quantile (its bucket's middle) is within 0.4 % of the true value; values below 256 are exact.
 * Blob: 0x01, then for each non-empty bucket in ascending order two LEB128 numbers, the distance
 * from the bucket before (the first: its index) and the count. Not thread-safe. */
#ifndef MR_CORE_USAGE_HIST_H
#define MR_CORE_USAGE_HIST_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_HIST_BUCKETS (128 * 26)

/* All zero bytes is an empty one. */
struct mr_hist {
    uint64_t n;
    uint64_t used[MR_HIST_BUCKETS / 64]; /* a bit a non-empty bucket: most have a handful */
    uint64_t count[MR_HIST_BUCKETS];
};

void mr_hist_clear(struct mr_hist *h);
void mr_hist_add(struct mr_hist *h, uint32_t v);
void mr_hist_merge(struct mr_hist *h, const struct mr_hist *other);
void mr_hist_encode(const struct mr_hist *h, struct mr_buf *b);
/* Adds a blob's counts; an empty blob is an empty histogram. False, with h unchanged, when it is
 * damaged. */
bool mr_hist_merge_blob(struct mr_hist *h, struct mr_str blob);
/* q in [0, 1], nearest rank; 0 when empty. */
double mr_hist_quantile(const struct mr_hist *h, double q);

#endif
