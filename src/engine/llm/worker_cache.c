#include "base/alloc.h"
#include "engine/llm/worker.h"

static void drop(struct mr_lw *w, unsigned k) {
    struct mr_lw_slot *s = &w->slot[k];
    w->api.llama_memory_seq_rm(w->memory, (llama_seq_id)k, -1, -1);
    mr_free(s->token);
    *s = (struct mr_lw_slot){0};
}

bool mr_lw_evict(struct mr_lw *w) {
    int oldest = -1;
    for (unsigned k = 0; k < w->n_slots; k++)
        if (!w->slot[k].owner && w->slot[k].n &&
            (oldest < 0 || w->slot[k].used < w->slot[oldest].used))
            oldest = (int)k;
    if (oldest >= 0)
        drop(w, (unsigned)oldest);
    return oldest >= 0;
}

void mr_lw_forget_adapter(struct mr_lw *w, uint64_t adapter) {
    for (unsigned k = 0; k < w->n_slots; k++)
        if (!w->slot[k].owner && w->slot[k].n && w->slot[k].adapter == adapter)
            drop(w, k);
}

bool mr_lw_take_slot(struct mr_lw *w, struct mr_lw_request *q) {
    for (int again = 0; again < 2; again++) {
        for (unsigned k = 0; k < w->n_slots; k++) {
            struct mr_lw_slot *s = &w->slot[k];
            if (s->owner || s->n)
                continue;
            *s = (struct mr_lw_slot){.adapter = q->ask.adapter,
                                     .scale = q->ask.adapter_scale,
                                     .owner = q,
                                     .used = w->turn};
            q->slot = (int)k;
            q->n_done = 0;
            q->matched = false;
            return true;
        }
        if (!mr_lw_evict(w))
            return false;
    }
    return false;
}

/* How many tokens of the request's start the slot has computed. */
static size_t common(const struct mr_lw_slot *s, const struct mr_lw_request *q) {
    const int32_t *t = s->owner ? s->owner->token : s->token;
    size_t n = s->owner ? s->owner->n_done : s->n, k = 0;
    if (s->owner == q || s->adapter != q->ask.adapter || s->scale != q->ask.adapter_scale)
        return 0;
    if (n > q->n - 1) /* the last one is computed in any case: its scores are needed */
        n = q->n - 1;
    while (k < n && t[k] == q->token[k])
        k++;
    return k;
}

void mr_lw_match(struct mr_lw *w, struct mr_lw_request *q) {
    q->matched = true;
    size_t best = 0;
    unsigned from = 0;
    for (unsigned k = 0; w->shares && k < w->n_slots; k++) {
        size_t n = common(&w->slot[k], q);
        if (n > best)
            best = n, from = k;
    }
    if (!best)
        return;
    w->api.llama_memory_seq_cp(w->memory, (llama_seq_id)from, (llama_seq_id)q->slot, 0,
                               (llama_pos)best);
    w->slot[from].used = w->turn;
    q->n_done = best;
    if (best <= q->n_prompt)
        q->cached = (uint32_t)best;
}

void mr_lw_leave_slot(struct mr_lw *w, struct mr_lw_request *q) {
    if (q->slot < 0)
        return;
    unsigned mine = (unsigned)q->slot;
    struct mr_lw_slot *s = &w->slot[mine];
    q->slot = -1;
    if (!w->shares || !q->n_done) {
        s->owner = NULL;
        drop(w, mine);
        return;
    }
    /* What another cached slot has of the same start and no more is worth nothing now. */
    for (unsigned k = 0; k < w->n_slots; k++) {
        const struct mr_lw_slot *o = &w->slot[k];
        if (k != mine && !o->owner && o->n && o->n <= q->n_done && common(o, q) == o->n)
            drop(w, k);
    }
    s->token = q->token;
    s->n = q->n_done;
    s->owner = NULL;
    s->used = w->turn;
    q->token = NULL;
}
