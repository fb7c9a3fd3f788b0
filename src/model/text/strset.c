#include "model/text/strset.h"

#include "base/alloc.h"
#include "base/hash.h"

int mr_strset_init(struct mr_strset *s, const struct mr_strtab *tab, struct mr_err *e) {
    memset(s, 0, sizeof *s);
    uint64_t size = 16;
    while (size < (uint64_t)tab->n * 2 + 1)
        size *= 2;
    s->slot = mr_calloc(size, sizeof *s->slot);
    if (!s->slot)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    s->mask = size - 1;
    s->seed = mr_hash64(MR_LIT("strset"));
    s->tab = *tab;
    for (uint32_t k = 0; k < tab->n; k++) {
        struct mr_str t = mr_strtab_at(tab, k);
        if (mr_strset_find(s, t.p, t.n) >= 0) {
            mr_strset_release(s);
            return mr_fail(e, MR_EREFUSED, "the string table holds a string twice");
        }
        uint64_t h = mr_strset_hash(s->seed, t.p, t.n), i = h & s->mask;
        while (s->slot[i].pos)
            i = (i + 1) & s->mask;
        s->slot[i].tag = (uint32_t)(h >> 32);
        s->slot[i].pos = k + 1;
    }
    return 0;
}

void mr_strset_release(struct mr_strset *s) {
    mr_free(s->slot);
    memset(s, 0, sizeof *s);
}
