#include "core/usage/infer_stats.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <pthread.h>
#include <string.h>

#define BUCKETS 4096u

struct entry {
    struct entry *next;
    struct mr_id account;
    char model[96];
    uint32_t version;
    struct mr_infer_totals t;
};
struct mr_infer_stats {
    pthread_mutex_t lock;
    struct entry *bucket[BUCKETS];
    unsigned n;
};

int mr_infer_stats_new(struct mr_infer_stats **ret, struct mr_err *e) {
    struct mr_infer_stats *s = mr_calloc(1, sizeof *s);
    if (!s)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    *ret = s;
    return 0;
}

void mr_infer_stats_free(struct mr_infer_stats *s) {
    if (!s)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct entry *x = s->bucket[i], *next; x; x = next) {
            next = x->next;
            mr_free(x);
        }
    pthread_mutex_destroy(&s->lock);
    mr_free(s);
}

static unsigned hash(const struct mr_infer_key *k) {
    uint32_t h = 2166136261u ^ k->version; /* FNV-1a */
    for (size_t i = 0; i < sizeof k->account.b; i++)
        h = (h ^ k->account.b[i]) * 16777619u;
    for (size_t i = 0; i < k->model.n; i++)
        h = (h ^ (unsigned char)k->model.p[i]) * 16777619u;
    return h % BUCKETS;
}

/* Under the lock. */
static struct entry *find(const struct mr_infer_stats *s, const struct mr_infer_key *k,
                          unsigned at) {
    for (struct entry *x = s->bucket[at]; x; x = x->next)
        if (x->version == k->version && mr_id_eq(x->account, k->account) &&
            mr_str_is(k->model, x->model))
            return x;
    return NULL;
}

static struct entry *make(struct mr_infer_stats *s, const struct mr_infer_key *k, unsigned at) {
    struct entry *x = NULL;
    if (s->n < MR_INFER_MODELS_MAX && k->model.n < sizeof x->model)
        x = mr_calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->account = k->account;
    x->version = k->version;
    memcpy(x->model, k->model.p, k->model.n);
    x->next = s->bucket[at];
    s->bucket[at] = x;
    s->n++;
    return x;
}

void mr_infer_stats_add(struct mr_infer_stats *s, const struct mr_infer_key *k,
                        const struct mr_infer_sample *x) {
    int64_t now = mr_now_us(), all = x->queue_ns + x->input_ns + x->infer_ns + x->output_ns;
    unsigned at = hash(k);
    pthread_mutex_lock(&s->lock);
    struct entry *n = find(s, k, at);
    if (!n)
        n = make(s, k, at);
    if (n && x->ok) {
        n->t.ok++;
        n->t.rows += x->rows;
        n->t.ok_ns += (uint64_t)all;
        n->t.queue_ns += (uint64_t)x->queue_ns;
        n->t.input_ns += (uint64_t)x->input_ns;
        n->t.infer_ns += (uint64_t)x->infer_ns;
        n->t.output_ns += (uint64_t)x->output_ns;
    } else if (n) {
        n->t.failed++;
        n->t.failed_ns += (uint64_t)all;
    }
    if (n)
        n->t.last_us = now;
    pthread_mutex_unlock(&s->lock);
}

void mr_infer_stats_get(struct mr_infer_stats *s, const struct mr_infer_key *k,
                        struct mr_infer_totals *ret) {
    pthread_mutex_lock(&s->lock);
    const struct entry *x = find(s, k, hash(k));
    *ret = x ? x->t : (struct mr_infer_totals){0};
    pthread_mutex_unlock(&s->lock);
}
