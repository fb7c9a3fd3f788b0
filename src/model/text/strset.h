/* A read-only set of strings with their positions: vocabulary and stop words. */
#ifndef MR_MODEL_TEXT_STRSET_H
#define MR_MODEL_TEXT_STRSET_H

#include "base/err.h"
#include "model/program.h"

/* Open addressing, at most half full. The strings stay where the table says they are. */
struct mr_strset {
    struct {
        uint32_t tag; /* high half of the hash */
        uint32_t pos; /* position + 1; 0 = free */
    } * slot;
    uint64_t mask;
    uint64_t seed; /* per process, so that a model cannot carry colliding words */
    struct mr_strtab tab;
};

/* Indexes all strings of `tab`, which must outlive the set. A repeated string is MR_EREFUSED. */
int mr_strset_init(struct mr_strset *s, const struct mr_strtab *tab, struct mr_err *e);
void mr_strset_release(struct mr_strset *s);

static inline uint64_t mr_strset_mix(uint64_t a, uint64_t b) {
    unsigned __int128 r = (unsigned __int128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static inline uint64_t mr_strset_hash(uint64_t seed, const char *p, size_t n) {
    uint64_t h = seed ^ n, w;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&w, p, 8);
        h = mr_strset_mix(h ^ w, 0x9e3779b97f4a7c15u ^ seed);
    }
    w = 0;
    if (n >= 4) { /* two overlapping halves cover 4-7 bytes */
        uint32_t lo, hi;
        memcpy(&lo, p, 4);
        memcpy(&hi, p + n - 4, 4);
        w = (uint64_t)hi << 32 | lo;
    } else if (n) {
        w = (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1];
    }
    return mr_strset_mix(h ^ w, 0xd6e8feb86659fd93u);
}

/* Position of the string, or -1. */
static inline int64_t mr_strset_find(const struct mr_strset *s, const char *p, size_t n) {
    uint64_t h = mr_strset_hash(s->seed, p, n);
    for (uint64_t i = h & s->mask;; i = (i + 1) & s->mask) {
        if (!s->slot[i].pos)
            return -1;
        if (s->slot[i].tag != (uint32_t)(h >> 32))
            continue;
        struct mr_str t = mr_strtab_at(&s->tab, s->slot[i].pos - 1);
        if (t.n == n && memcmp(t.p, p, n) == 0)
            return (int64_t)s->slot[i].pos - 1;
    }
}

#endif
