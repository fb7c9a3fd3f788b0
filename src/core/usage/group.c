#include "core/usage/internal.h"

#include "base/alloc.h"

#include <stdlib.h>

#define MINUTE_US 60000000

static uint32_t hash_of(const struct mr_id *account, const struct mr_id *deployment,
                        int64_t minute) {
    uint64_t w[4], h = (uint64_t)minute;
    memcpy(w, account->b, 16);
    memcpy(w + 2, deployment->b, 16);
    for (int i = 0; i < 4; i++) {
        h = (h ^ w[i]) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    return (uint32_t)h;
}

static int grow_slots(struct mr_fold_batch *b) {
    uint32_t n = b->n_slot ? b->n_slot * 2 : 1024;
    uint32_t *slot = mr_calloc(n, sizeof *slot);
    if (!slot)
        return MR_ENOMEM;
    for (uint32_t g = 0; g < b->n_group; g++) {
        const struct mr_fold_group *x = &b->group[g];
        uint32_t i = hash_of(&x->account, &x->deployment, x->minute) & (n - 1);
        while (slot[i])
            i = (i + 1) & (n - 1);
        slot[i] = g + 1;
    }
    mr_free(b->slot);
    b->slot = slot;
    b->n_slot = n;
    return 0;
}

static int add(struct mr_fold_batch *b, const struct mr_id *account, const struct mr_id *deployment,
               int64_t minute, uint32_t record, uint32_t *next) {
    if (2 * (b->n_group + 1) > b->n_slot && grow_slots(b))
        return MR_ENOMEM;
    uint32_t i = hash_of(account, deployment, minute) & (b->n_slot - 1);
    for (; b->slot[i]; i = (i + 1) & (b->n_slot - 1)) {
        struct mr_fold_group *g = &b->group[b->slot[i] - 1];
        if (g->minute == minute && mr_id_eq(g->account, *account) &&
            mr_id_eq(g->deployment, *deployment)) {
            next[record] = g->head;
            g->head = record;
            return 0;
        }
    }
    if (b->n_group == b->cap_group) {
        uint32_t cap = b->cap_group ? b->cap_group * 2 : 256;
        void *p = mr_reallocarray(b->group, cap, sizeof *b->group);
        if (!p)
            return MR_ENOMEM;
        b->group = p;
        b->cap_group = cap;
    }
    b->group[b->n_group] = (struct mr_fold_group){*account, *deployment, minute, record};
    b->slot[i] = ++b->n_group;
    next[record] = UINT32_MAX;
    return 0;
}

/* In the order of the tables' keys, so that neighbours in a page are written together. */
static int compare(const void *a, const void *b) {
    const struct mr_fold_group *x = a, *y = b;
    int c = memcmp(x->account.b, y->account.b, sizeof x->account.b);
    if (!c)
        c = memcmp(x->deployment.b, y->deployment.b, sizeof x->deployment.b);
    return c ? c : (x->minute > y->minute) - (x->minute < y->minute);
}

int mr_fold_group(struct mr_fold_batch *b, struct mr_err *e) {
    b->n_group = 0;
    if (b->n_slot)
        memset(b->slot, 0, b->n_slot * sizeof *b->slot);
    for (uint32_t i = 0; i < b->n; i++) {
        const struct mr_spool_record *r = b->rec[i];
        int64_t minute = r->time_us / MINUTE_US;
        if (add(b, &r->account, &r->deployment, minute, i, b->next[0]) ||
            add(b, &r->account, &mr_usage_all, minute, i, b->next[1]))
            return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    if (b->n_group) /* the slots are of no use from here on */
        qsort(b->group, b->n_group, sizeof *b->group, compare);
    return 0;
}
