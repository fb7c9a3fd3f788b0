/* Counters of inference by model and version since the start, with the time that each part took: in
 * the form that the KServe statistics extension reports. In memory. Thread-safe, never blocks
 * long. */
#ifndef MR_CORE_USAGE_INFER_STATS_H
#define MR_CORE_USAGE_INFER_STATS_H

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_INFER_MODELS_MAX 65536u /* what is used beyond is not counted */

struct mr_infer_stats;
int mr_infer_stats_new(struct mr_infer_stats **ret, struct mr_err *e);
void mr_infer_stats_free(struct mr_infer_stats *s);

/* Whose model: account, its id as text (at most 95 bytes), version. */
struct mr_infer_key {
    struct mr_id account;
    struct mr_str model;
    uint32_t version;
};
struct mr_infer_sample {
    bool ok;
    uint64_t rows;
    /* From the request's first byte to its handling; reading inputs; the model; writing outputs. */
    int64_t queue_ns, input_ns, infer_ns, output_ns;
};
void mr_infer_stats_add(struct mr_infer_stats *s, const struct mr_infer_key *k,
                        const struct mr_infer_sample *x);

struct mr_infer_totals {
    uint64_t ok, failed, rows; /* requests that succeeded or failed; rows of the former */
    uint64_t ok_ns, failed_ns; /* whole requests */
    uint64_t queue_ns, input_ns, infer_ns, output_ns; /* of those that succeeded */
    int64_t last_us;                                  /* wall time of the last one, 0 = never */
};
/* Zeros when it was never used. */
void mr_infer_stats_get(struct mr_infer_stats *s, const struct mr_infer_key *k,
                        struct mr_infer_totals *ret);

#endif
