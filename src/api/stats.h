/* Counters and latency histograms of each route, for /metrics. Thread-safe, relaxed atomics. */
#ifndef MR_API_STATS_H
#define MR_API_STATS_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MR_STAT_BUCKETS 16

struct mr_row_stats {
    atomic_uint_least64_t by_class[6]; /* status / 100; 0 = client gone before a reply */
    atomic_uint_least64_t bucket[MR_STAT_BUCKETS + 1];
    atomic_uint_least64_t sum_ns, bytes_in, bytes_out;
};

extern const double mr_stat_bounds_s[MR_STAT_BUCKETS]; /* upper bounds, seconds */
void mr_stats_add(struct mr_row_stats *s, int status, int64_t duration_ns, uint64_t bytes_in,
                  uint64_t bytes_out);

struct mr_api;
/* The whole exposition in Prometheus text format 0.0.4. */
void mr_stats_render(struct mr_api *a, struct mr_buf *out);

#endif
