#include "engine/internal.h"

#include "base/alloc.h"

static uint32_t name_hash(struct mr_str s) {
    uint32_t h = 2166136261u; /* FNV-1a; the keys are few and the probe length is bounded below */
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 16777619u;
    return h ^ h >> 15;
}

int mr_names_init(struct mr_names *m, const struct mr_str *name, uint32_t n, struct mr_err *e) {
    *m = (struct mr_names){.n = n};
    if (!name)
        return 0;
    uint32_t slots = 4;
    while (slots < n * 2 && slots < 1u << 30)
        slots *= 2;
    m->slot = mr_calloc(slots, sizeof *m->slot);
    if (!m->slot)
        return mr_fail(e, MR_ENOMEM, "out of memory for %u feature names", n);
    m->name = name;
    m->mask = slots - 1;
    for (uint32_t i = 0; i < n; i++) {
        if (mr_names_find(m, name[i]) != UINT32_MAX)
            continue; /* a repeated name keeps its first column */
        uint32_t at = name_hash(name[i]) & m->mask;
        while (m->slot[at])
            at = (at + 1) & m->mask;
        m->slot[at] = i + 1;
    }
    return 0;
}

void mr_names_release(struct mr_names *m) {
    mr_free(m->slot);
    *m = (struct mr_names){0};
}

uint32_t mr_names_find(const struct mr_names *m, struct mr_str name) {
    if (!m->name)
        return UINT32_MAX;
    for (uint32_t at = name_hash(name) & m->mask; m->slot[at]; at = (at + 1) & m->mask)
        if (mr_str_eq(m->name[m->slot[at] - 1], name))
            return m->slot[at] - 1;
    return UINT32_MAX;
}

/* Levenshtein distance of short names; capped at 64 bytes each. */
static unsigned distance(struct mr_str a, struct mr_str b) {
    if (a.n > 64 || b.n > 64)
        return UINT32_MAX;
    unsigned row[65];
    for (size_t j = 0; j <= b.n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned keep = row[j];
            unsigned best = diagonal + ((a.p[i - 1] | 32) != (b.p[j - 1] | 32));
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = keep;
        }
    }
    return row[b.n];
}

uint32_t mr_names_nearest(const struct mr_names *m, struct mr_str name) {
    uint32_t best = UINT32_MAX;
    unsigned best_d = 1 + (unsigned)(name.n < 60 ? name.n : 60) / 3;
    for (uint32_t i = 0; m->name && i < m->n && i < 4096; i++) {
        unsigned d = distance(name, m->name[i]);
        if (d < best_d) {
            best_d = d;
            best = i;
        }
    }
    return best;
}
