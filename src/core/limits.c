#include "core/limits.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <pthread.h>

#define SHARDS 64u
#define WAYS   8u

struct slot {
    uint64_t key;     /* hash of subject and class; 0 = empty */
    int64_t start_us; /* of the window that the count belongs to */
    uint32_t count;
    uint32_t pad;
};

struct shard {
    pthread_mutex_t lock;
    struct slot *slots; /* buckets * WAYS, a small set-associative table */
};

struct mr_limits {
    size_t buckets; /* a shard; a power of two */
    struct shard shard[SHARDS];
};

int mr_limits_new(size_t max_subjects, struct mr_limits **ret, struct mr_err *e) {
    struct mr_limits *l = mr_calloc(1, sizeof *l);
    if (!l)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    l->buckets = 1;
    while (l->buckets * SHARDS * WAYS < max_subjects)
        l->buckets *= 2;
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&l->shard[i].lock, NULL);
        l->shard[i].slots = mr_calloc(l->buckets * WAYS, sizeof(struct slot));
        if (!l->shard[i].slots) {
            mr_limits_free(l);
            return mr_fail(e, MR_ENOMEM, "out of memory");
        }
    }
    *ret = l;
    return 0;
}

void mr_limits_free(struct mr_limits *l) {
    if (!l)
        return;
    for (unsigned i = 0; i < SHARDS; i++) {
        mr_free(l->shard[i].slots);
        pthread_mutex_destroy(&l->shard[i].lock);
    }
    mr_free(l);
}

/* The subject's slot, or the one whose window began first: a table under attack forgets the stalest
 * counters first and never grows. */
static struct slot *find(struct slot *set, uint64_t key) {
    struct slot *oldest = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (!set[i].key || set[i].start_us < oldest->start_us)
            oldest = &set[i];
        if (!set[i].key)
            break;
    }
    *oldest = (struct slot){.key = key, .start_us = INT64_MIN};
    return oldest;
}

struct mr_rate_state mr_limits_take(struct mr_limits *l, struct mr_str subject, uint32_t cls,
                                    struct mr_rate_rule rule, int64_t now_us, bool count) {
    uint64_t key = (mr_hash64(subject) ^ cls * 0x9E3779B97F4A7C15ull) | 1;
    struct shard *shard = &l->shard[key >> 58];
    int64_t window_us = (int64_t)rule.window_s * 1000000;
    struct mr_rate_state st = {.limit = rule.limit, .allowed = true};
    pthread_mutex_lock(&shard->lock);
    struct slot *s = find(shard->slots + (key >> 8 & (l->buckets - 1)) * WAYS, key);
    /* A window begins with its first request; a clock that jumped back begins a new one too. */
    if (s->start_us > now_us || now_us - window_us >= s->start_us) {
        s->start_us = now_us;
        s->count = 0;
    }
    if (s->count >= rule.limit)
        st.allowed = !count;
    else if (count)
        s->count++;
    st.remaining = rule.limit - s->count;
    int64_t end_us = s->start_us + window_us;
    pthread_mutex_unlock(&shard->lock);
    st.reset_s = (end_us + 999999) / 1000000;
    int64_t left = st.reset_s - now_us / 1000000;
    st.retry_s = left < 1 ? 1 : (uint32_t)left;
    return st;
}
