#include "core/usage/sketch.h"

#include <endian.h>
#include <math.h>

enum { MAX_RANK = 64 - MR_SKETCH_BITS + 1 };

void mr_sketch_clear(struct mr_sketch *s) {
    s->dense = false;
    s->n = 0;
}

static void add_dense(struct mr_sketch *s, uint64_t hash) {
    /* the callers' hashes need not be uniform (murmur3's finaliser) */
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdu;
    hash ^= hash >> 33;
    hash *= 0xc4ceb9fe1a85ec53u;
    hash ^= hash >> 33;
    uint32_t i = (uint32_t)(hash >> (64 - MR_SKETCH_BITS));
    uint64_t rest = hash << MR_SKETCH_BITS;
    uint8_t rank = rest ? (uint8_t)(__builtin_clzll(rest) + 1) : MAX_RANK;
    if (rank > s->reg[i])
        s->reg[i] = rank;
}

static void make_dense(struct mr_sketch *s) {
    uint64_t old[MR_SKETCH_EXACT];
    uint32_t n = s->n;
    memcpy(old, s->set, n * sizeof *old);
    s->dense = true;
    s->n = 0;
    memset(s->reg, 0, sizeof s->reg);
    for (uint32_t i = 0; i < n; i++)
        add_dense(s, old[i]);
}

void mr_sketch_add(struct mr_sketch *s, uint64_t hash) {
    if (s->dense) {
        add_dense(s, hash);
        return;
    }
    uint32_t lo = 0, hi = s->n;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (s->set[mid] < hash)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < s->n && s->set[lo] == hash)
        return;
    if (s->n == MR_SKETCH_EXACT) {
        make_dense(s);
        add_dense(s, hash);
        return;
    }
    memmove(s->set + lo + 1, s->set + lo, (s->n - lo) * sizeof *s->set);
    s->set[lo] = hash;
    s->n++;
}

void mr_sketch_encode(const struct mr_sketch *s, struct mr_buf *b) {
    mr_buf_char(b, s->dense ? 2 : 1);
    if (s->dense) {
        mr_buf_add(b, s->reg, sizeof s->reg);
        return;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        uint64_t le = htole64(s->set[i]);
        mr_buf_add(b, &le, sizeof le);
    }
}

static uint64_t entry(struct mr_str set, size_t i) {
    uint64_t le;
    memcpy(&le, set.p + 8 * i, 8);
    return le64toh(le);
}

static bool merge_set(struct mr_sketch *s, struct mr_str set) {
    size_t n = set.n / 8;
    if (set.n % 8 || n > MR_SKETCH_EXACT)
        return false;
    for (size_t i = 1; i < n; i++)
        if (entry(set, i) <= entry(set, i - 1))
            return false;
    for (size_t i = 0; i < n; i++)
        mr_sketch_add(s, entry(set, i));
    return true;
}

static void merge_dense(struct mr_sketch *s, const uint8_t *reg) {
    if (!s->dense)
        make_dense(s);
    for (uint32_t i = 0; i < MR_SKETCH_REGS; i++)
        if (reg[i] > s->reg[i])
            s->reg[i] = reg[i];
}

void mr_sketch_merge(struct mr_sketch *s, const struct mr_sketch *other) {
    if (other->dense)
        merge_dense(s, other->reg);
    else
        for (uint32_t i = 0; i < other->n; i++)
            mr_sketch_add(s, other->set[i]);
}

bool mr_sketch_merge_blob(struct mr_sketch *s, struct mr_str blob) {
    if (blob.n == 0)
        return true;
    struct mr_str rest = {blob.p + 1, blob.n - 1};
    if (blob.p[0] == 1)
        return merge_set(s, rest);
    if (blob.p[0] != 2 || rest.n != MR_SKETCH_REGS)
        return false;
    const uint8_t *reg = (const uint8_t *)rest.p;
    for (uint32_t i = 0; i < MR_SKETCH_REGS; i++)
        if (reg[i] > MAX_RANK)
            return false;
    merge_dense(s, reg);
    return true;
}

static double sigma(double x) {
    double y = 1, z = x, before;
    if (x == 1)
        return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double tau(double x) {
    double y = 1, z = 1 - x, before;
    if (x == 0 || x == 1)
        return 0;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

int64_t mr_sketch_count(const struct mr_sketch *s) {
    if (!s->dense)
        return s->n;
    const double m = MR_SKETCH_REGS;
    double c[MAX_RANK + 1] = {0};
    for (uint32_t i = 0; i < MR_SKETCH_REGS; i++)
        c[s->reg[i]]++;
    double z = m * tau(1 - c[MAX_RANK] / m);
    for (int k = MAX_RANK - 1; k >= 1; k--)
        z = 0.5 * (z + c[k]);
    z += m * sigma(c[0] / m);
    return (int64_t)llround(m * m / (2 * M_LN2 * z));
}
