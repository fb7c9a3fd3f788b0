#include "base/alloc.h"
#include "engine/nlp/ner_internal.h"

static uint32_t find(const struct mr_ner_map *m, uint64_t key) {
    uint32_t i = (uint32_t)(key ^ key >> 32) & (m->cap - 1);
    while (m->used[i] && m->slot[2 * (size_t)i] != key)
        i = (i + 1) & (m->cap - 1);
    return i;
}

static int grow(struct mr_ner_map *m) {
    struct mr_ner_map to = {.cap = m->cap ? m->cap * 2 : 64, .n = m->n};
    to.slot = mr_calloc(to.cap, 2 * sizeof *to.slot);
    to.used = mr_calloc(to.cap, 1);
    if (!to.slot || !to.used) {
        mr_ner_map_release(&to);
        return MR_ENOMEM;
    }
    for (uint32_t i = 0; i < m->cap; i++) {
        if (!m->used[i])
            continue;
        uint32_t at = find(&to, m->slot[2 * (size_t)i]);
        to.used[at] = 1;
        to.slot[2 * (size_t)at] = m->slot[2 * (size_t)i];
        to.slot[2 * (size_t)at + 1] = m->slot[2 * (size_t)i + 1];
    }
    mr_ner_map_release(m);
    *m = to;
    return 0;
}

int mr_ner_map_put(struct mr_ner_map *m, uint64_t key, uint64_t value) {
    if (m->n >= m->cap / 2 && grow(m) < 0)
        return MR_ENOMEM;
    uint32_t i = find(m, key);
    m->n += !m->used[i];
    m->used[i] = 1;
    m->slot[2 * (size_t)i] = key;
    m->slot[2 * (size_t)i + 1] = value;
    return 0;
}

bool mr_ner_map_get(const struct mr_ner_map *m, uint64_t key, uint64_t *ret) {
    if (!m->cap)
        return false;
    uint32_t i = find(m, key);
    if (!m->used[i])
        return false;
    *ret = m->slot[2 * (size_t)i + 1];
    return true;
}

void mr_ner_map_release(struct mr_ner_map *m) {
    mr_free(m->slot);
    mr_free(m->used);
    *m = (struct mr_ner_map){0};
}

uint64_t mr_ner_hash(const char *p, size_t n) {
    const uint64_t mul = 0xc6a4a7935bd1e995;
    uint64_t h = 1 ^ (n * mul);
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t k;
        memcpy(&k, p, 8);
        k *= mul;
        k ^= k >> 47;
        h = (h ^ k * mul) * mul;
    }
    if (n) {
        uint64_t k = 0;
        memcpy(&k, p, n);
        h = (h ^ k) * mul;
    }
    h = (h ^ h >> 47) * mul;
    return h ^ h >> 47;
}
