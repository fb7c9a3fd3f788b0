#include "core/usage/hist.h"

#include "core/usage/varint.h"

#include <math.h>

enum { SUB_BITS = 7, SUB = 1 << SUB_BITS };

static unsigned index_of(uint32_t v) {
    if (v < 2 * SUB)
        return v;
    unsigned shift = 31u - (unsigned)__builtin_clz(v) - SUB_BITS;
    return shift * SUB + (v >> shift);
}

static double middle_of(unsigned i) {
    if (i < 2 * SUB)
        return i;
    unsigned shift = i / SUB - 1;
    double low = ldexp((double)(i - shift * SUB), (int)shift);
    return low + (ldexp(1, (int)shift) - 1) / 2;
}

enum { WORDS = MR_HIST_BUCKETS / 64 };
_Static_assert(MR_HIST_BUCKETS % 64 == 0, "whole words");

static void put(struct mr_hist *h, unsigned i, uint64_t n) {
    h->used[i / 64] |= 1ull << i % 64;
    h->count[i] += n;
    h->n += n;
}

/* The first non-empty bucket from i on; MR_HIST_BUCKETS: none. */
static unsigned next_used(const struct mr_hist *h, unsigned i) {
    if (i >= MR_HIST_BUCKETS)
        return MR_HIST_BUCKETS;
    unsigned w = i / 64;
    uint64_t bits = h->used[w] & ~0ull << i % 64;
    while (!bits && ++w < WORDS)
        bits = h->used[w];
    return bits ? w * 64 + (unsigned)__builtin_ctzll(bits) : MR_HIST_BUCKETS;
}

#define EACH_USED(h, i)                                                                            \
    for (unsigned i = next_used(h, 0); i < MR_HIST_BUCKETS; i = next_used(h, i + 1))

void mr_hist_clear(struct mr_hist *h) {
    EACH_USED(h, i)
    h->count[i] = 0;
    memset(h->used, 0, sizeof h->used);
    h->n = 0;
}

void mr_hist_add(struct mr_hist *h, uint32_t v) {
    put(h, index_of(v), 1);
}

void mr_hist_merge(struct mr_hist *h, const struct mr_hist *other) {
    EACH_USED(other, i)
    put(h, i, other->count[i]);
}

void mr_hist_encode(const struct mr_hist *h, struct mr_buf *b) {
    unsigned last = 0;
    char some[512] = {1};
    size_t n = 1;
    EACH_USED(h, i) {
        if (n > sizeof some - 2 * MR_VARINT_MAX) {
            mr_buf_add(b, some, n);
            n = 0;
        }
        n += mr_varint_put(some + n, i - last);
        n += mr_varint_put(some + n, h->count[i]);
        last = i;
    }
    mr_buf_add(b, some, n);
}

/* Checks the blob (h NULL) or adds it. */
static bool walk(struct mr_hist *h, struct mr_str blob) {
    if (blob.n == 0)
        return true;
    if (blob.p[0] != 1)
        return false;
    blob.p++, blob.n--;
    uint64_t at = 0, total = 0;
    for (bool first = true; blob.n > 0; first = false) {
        uint64_t step, n;
        if (!mr_varint_get(&blob, &step) || !mr_varint_get(&blob, &n))
            return false;
        if (step >= MR_HIST_BUCKETS || (step == 0 && !first) || n == 0 || n > INT64_MAX - total)
            return false;
        at += step;
        total += n;
        if (at >= MR_HIST_BUCKETS)
            return false;
        if (h)
            put(h, (unsigned)at, n);
    }
    return true;
}

bool mr_hist_merge_blob(struct mr_hist *h, struct mr_str blob) {
    return walk(NULL, blob) && walk(h, blob);
}

double mr_hist_quantile(const struct mr_hist *h, double q) {
    if (h->n == 0)
        return 0;
    double want = ceil(q * (double)h->n);
    uint64_t rank = want < 1 ? 1 : (uint64_t)want, seen = 0;
    unsigned last = 0;
    EACH_USED(h, i) {
        last = i;
        seen += h->count[i];
        if (seen >= rank)
            break;
    }
    return middle_of(last);
}
