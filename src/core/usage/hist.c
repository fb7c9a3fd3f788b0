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

void mr_hist_clear(struct mr_hist *h) {
    memset(h, 0, sizeof *h);
}

void mr_hist_add(struct mr_hist *h, uint32_t v) {
    h->count[index_of(v)]++;
    h->n++;
}

void mr_hist_merge(struct mr_hist *h, const struct mr_hist *other) {
    for (unsigned i = 0; i < MR_HIST_BUCKETS; i++)
        h->count[i] += other->count[i];
    h->n += other->n;
}

void mr_hist_encode(const struct mr_hist *h, struct mr_buf *b) {
    unsigned last = 0;
    mr_buf_char(b, 1);
    for (unsigned i = 0; i < MR_HIST_BUCKETS; i++) {
        if (!h->count[i])
            continue;
        mr_varint_add(b, i - last);
        mr_varint_add(b, h->count[i]);
        last = i;
    }
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
        if (h) {
            h->count[at] += n;
            h->n += n;
        }
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
    for (unsigned i = 0; i < MR_HIST_BUCKETS; i++) {
        if (!h->count[i])
            continue;
        last = i;
        seen += h->count[i];
        if (seen >= rank)
            break;
    }
    return middle_of(last);
}
