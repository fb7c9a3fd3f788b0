/* Distinct counts, mergeable: the exact set of 64-bit hashes up to 512, HyperLogLog with 4096
 * registers beyond (standard error 1.04/sqrt(4096) = 1.6 %; estimator: O. Ertl, "New cardinality
 * estimation algorithms for HyperLogLog sketches", 2017, algorithm 6).
 * Blob: 0x01 and the hashes ascending, 8 bytes little-endian each; or 0x02 and 4096 registers of
 * one byte. Not thread-safe. */
#ifndef MR_CORE_USAGE_SKETCH_H
#define MR_CORE_USAGE_SKETCH_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_SKETCH_EXACT 512
#define MR_SKETCH_BITS  12
#define MR_SKETCH_REGS  (1u << MR_SKETCH_BITS)

struct mr_sketch {
    bool dense;
    uint32_t n; /* exact: entries */
    union {
        uint64_t set[MR_SKETCH_EXACT]; /* ascending */
        uint8_t reg[MR_SKETCH_REGS];
    };
};

void mr_sketch_clear(struct mr_sketch *s);
void mr_sketch_add(struct mr_sketch *s, uint64_t hash);
void mr_sketch_merge(struct mr_sketch *s, const struct mr_sketch *other);
void mr_sketch_encode(const struct mr_sketch *s, struct mr_buf *b);
/* False, with s unchanged, when the blob is damaged; an empty blob is an empty sketch. */
bool mr_sketch_merge_blob(struct mr_sketch *s, struct mr_str blob);
int64_t mr_sketch_count(const struct mr_sketch *s);

#endif
