#include "core/usage/spool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

static uint64_t mark_of(const struct mr_spool_record *r, uint64_t seed, uint64_t place) {
    uint64_t w[9], h = mix(seed, place);
    memcpy(w, r, sizeof w);
    for (int i = 0; i < 9; i++)
        h = mix(h, w[i]);
    return h ? h : 1;
}

bool mr_spool_valid(const struct mr_segment *g, uint64_t i) {
    const struct mr_spool_record *r = &g->rec[i];
    uint64_t mark = atomic_load_explicit(&r->mark, memory_order_acquire);
    if (!g->recovered || mark == 0)
        return mark != 0;
    return mark == mark_of(r, g->seed, i);
}

/* The current segment is full: the next one takes over. */
static int rotate(struct mr_spool *s, struct mr_segment *full) {
    int rc = 0;
    bool took = false;
    pthread_mutex_lock(&s->mu);
    if (atomic_load(&s->cur) == full && atomic_load(&full->next) >= full->capacity) {
        struct mr_segment *next = s->spare;
        s->spare = NULL;
        if (!next) { /* the fold thread fell behind */
            pthread_mutex_unlock(&s->mu);
            rc = mr_spool_prepare(s, NULL);
            pthread_mutex_lock(&s->mu);
            if (rc == 0 && atomic_load(&s->cur) == full &&
                atomic_load(&full->next) >= full->capacity) {
                next = s->spare;
                s->spare = NULL;
            }
        }
        if (next)
            atomic_store(&s->cur, next);
        took = next != NULL;
    }
    pthread_mutex_unlock(&s->mu);
    if (took && s->wanted)
        s->wanted(s->wanted_arg);
    return rc;
}

int mr_spool_add(struct mr_spool *s, const struct mr_usage_record *ev) {
    for (;;) {
        struct mr_segment *g = atomic_load_explicit(&s->cur, memory_order_acquire);
        uint64_t i = atomic_fetch_add_explicit(&g->next, 1, memory_order_acq_rel);
        if (i < g->capacity) {
            struct mr_spool_record *r = &g->rec[i];
            r->time_us = ev->time_us;
            r->account = ev->account;
            r->deployment = ev->deployment;
            r->user = ev->user_hash;
            r->latency_us = ev->latency_us;
            r->rows = ev->rows;
            r->bytes_in = ev->bytes_in;
            r->bytes_out = ev->bytes_out;
            r->version = ev->version;
            r->flags =
                (ev->error ? MR_SPOOL_ERROR : 0) | (ev->cold_start ? MR_SPOOL_COLD_START : 0);
            atomic_store_explicit(&r->mark, mark_of(r, g->seed, i), memory_order_release);
            return 0;
        }
        int rc = rotate(s, g);
        if (rc) {
            atomic_fetch_add(&s->refused, 1);
            return rc;
        }
    }
}

static uint64_t handed_out(const struct mr_segment *g) {
    uint64_t n = g->recovered ? 0 : atomic_load(&g->next);
    if (n > UINT64_MAX / 4)
        return 0; /* never in use */
    return n < g->capacity ? n : g->capacity;
}

struct mr_segment *mr_spool_next(struct mr_spool *s, const struct mr_segment *g) {
    pthread_mutex_lock(&s->mu);
    struct mr_segment *next = g ? g->link : s->first;
    pthread_mutex_unlock(&s->mu);
    return next;
}

uint64_t mr_spool_recorded(struct mr_spool *s) {
    pthread_mutex_lock(&s->mu);
    uint64_t n = s->retired;
    for (const struct mr_segment *g = s->first; g; g = g->link)
        n += handed_out(g);
    pthread_mutex_unlock(&s->mu);
    return n;
}

void mr_spool_unmap(struct mr_spool *s, struct mr_segment *g) {
    char name[64];
    if (s->dir && mr_id_print("", g->id, name, sizeof name - 8)) {
        memcpy(name + strlen(name), ".spool", 7);
        unlinkat(s->dir_fd, name, 0);
    }
    munmap(g->map, g->map_len);
}

void mr_spool_drop(struct mr_spool *s, struct mr_segment *g) {
    mr_spool_unmap(s, g);
    pthread_mutex_lock(&s->mu);
    for (struct mr_segment **at = &s->first; *at; at = &(*at)->link) {
        if (*at != g)
            continue;
        *at = g->link;
        if (!*at)
            s->last = at;
        break;
    }
    s->n--;
    s->retired += handed_out(g);
    if (s->spare == g)
        s->spare = NULL;
    /* A thread that was held up may still count up g->next, so the structure itself stays. */
    g->link = s->unused;
    s->unused = g;
    pthread_mutex_unlock(&s->mu);
}

int mr_spool_sync_dir(struct mr_spool *s, struct mr_err *e) {
    if (s->dir && fsync(s->dir_fd))
        return mr_fail_errno(e, "cannot sync the spool folder");
    return 0;
}

/* The pages of records [synced, end), and the header's before the first. A record that is still
 * being written is tried again by the next call. */
static int sync_segment(struct mr_segment *g, uint64_t end, struct mr_err *e) {
    uint64_t whole = g->synced;
    while (whole < end && mr_spool_valid(g, whole))
        whole++;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map = g->map, *first = (char *)&g->rec[g->synced];
    size_t from = g->synced ? (size_t)(first - map) / page * page : 0;
    size_t to = (size_t)((char *)&g->rec[end] - map);
    if (msync(map + from, to - from, MS_SYNC))
        return mr_fail_errno(e, "cannot write the usage spool to disk");
    g->synced = whole;
    return 0;
}

int mr_spool_sync(struct mr_spool *s, struct mr_err *e) {
    if (!s->dir)
        return 0;
    bool some = false;
    for (struct mr_segment *g = NULL; (g = mr_spool_next(s, g));) {
        uint64_t end = handed_out(g); /* those of a dead process are not its own concern */
        if (end <= g->synced || end <= g->folded)
            continue;
        int rc = sync_segment(g, end, e);
        if (rc)
            return rc;
        some = true;
    }
    return some ? mr_spool_sync_dir(s, e) : 0;
}
