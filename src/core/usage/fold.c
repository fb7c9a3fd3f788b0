#include "core/usage/internal.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <unistd.h>

enum { HOLE_TRIES = 20000 }; /* x 50 us: how long a pass waits for a record being written */

/* Each row touched costs about the same whether it takes one record or a hundred. So a fold that
 * took long is followed by a rest of REST times as long, during which records gather. */
#define REST        50
#define REST_MAX_NS 10000000000

/* Takes records of one segment into the batch. False: one is still being written. */
static bool collect(struct mr_usage *u, struct mr_segment *g) {
    struct mr_fold_batch *b = &u->batch;
    uint64_t end = atomic_load_explicit(&g->next, memory_order_acquire);
    if (end > g->capacity)
        end = g->capacity;
    g->upto = g->folded;
    for (int tries = 0; g->upto < end && b->n < MR_FOLD_MAX;) {
        if (mr_spool_valid(g, g->upto)) {
            b->rec[b->n++] = &g->rec[g->upto++];
        } else if (g->recovered) {
            g->upto++; /* taken, never written: its prediction was not answered */
        } else if (++tries > HOLE_TRIES) {
            return false;
        } else {
            usleep(50);
        }
    }
    return true;
}

static int note_gone(struct mr_usage *u, struct mr_id id) {
    if (u->n_gone == u->cap_gone) {
        size_t cap = u->cap_gone ? 2 * u->cap_gone : 16;
        void *p = mr_reallocarray(u->gone, cap, sizeof *u->gone);
        if (!p)
            return MR_ENOMEM;
        u->gone = p;
        u->cap_gone = cap;
    }
    u->gone[u->n_gone++] = id;
    return 0;
}

/* After the commit: files that are used up go. Their offsets go with the next fold, when the
 * removal is durable: an offset that went first would have the file folded again. */
static void retire(struct mr_usage *u, bool all) {
    bool dropped = false;
    struct mr_segment *next, *g = mr_spool_next(&u->spool, NULL);
    for (; g; g = next) {
        next = mr_spool_next(&u->spool, g);
        uint64_t handed = atomic_load(&g->next);
        bool done = g->folded == g->capacity || (all && g->folded == handed);
        if (done && (all || g != atomic_load(&u->spool.cur)) && note_gone(u, g->id) == 0) {
            mr_spool_drop(&u->spool, g);
            dropped = true;
        }
    }
    if (dropped && mr_spool_sync_dir(&u->spool, NULL))
        u->n_gone = 0; /* the offsets stay; opening again forgets them */
}

static void settle(struct mr_usage *u) {
    for (struct mr_segment *g = NULL; (g = mr_spool_next(&u->spool, g));)
        g->folded = g->upto;
}

/* One transaction. *ret_more: there is more to fold. */
static int fold_once(struct mr_usage *u, bool *ret_more, bool *ret_stuck, struct mr_err *e) {
    struct mr_fold_batch *b = &u->batch;
    b->n = 0;
    bool moved = false;
    for (struct mr_segment *g = NULL; (g = mr_spool_next(&u->spool, g));) {
        if (!collect(u, g))
            *ret_stuck = true;
        moved = moved || g->upto > g->folded;
    }
    *ret_more = b->n == MR_FOLD_MAX;
    if (!moved && u->n_gone == 0)
        return 0;
    int rc = mr_fold_group(b, e);
    if (rc)
        return rc;
    int64_t t0 = mr_mono_ns();
    rc = mr_db_write(u->db, mr_fold_tx, u, e);
    int64_t took = mr_mono_ns() - t0;
    if (rc == MR_ECONFLICT) { /* an earlier commit that seemed to fail had happened */
        rc = mr_spool_sync_dir(&u->spool, e);
        if (rc == 0)
            rc = mr_db_write(u->db, mr_fold_load_tx, u, e);
        *ret_more = true;
    } else if (rc == 0) {
        u->n_gone = 0;
        settle(u);
        retire(u, false);
    }
    pthread_mutex_lock(&u->mu);
    u->stats.last_fold_ns = took;
    if (took > u->stats.max_fold_ns)
        u->stats.max_fold_ns = took;
    if (rc == 0) {
        u->stats.folds++;
        u->stats.folded += b->n;
    } else {
        u->stats.fold_errors++;
    }
    pthread_mutex_unlock(&u->mu);
    return rc;
}

int mr_fold_all(struct mr_usage *u) {
    struct mr_err e = {0};
    int64_t t0 = mr_mono_ns();
    bool more = true, stuck = false;
    int rc = 0;
    while (rc == 0 && more) {
        more = false;
        rc = fold_once(u, &more, &stuck, &e);
    }
    if (rc == 0 && stuck)
        rc = mr_fail(&e, MR_ETIMEOUT, "a record is being written for over a second");
    if (rc)
        mr_log_msg(u->log, MR_LOG_ERROR, "usage.fold", "%s (%s)", e.msg, mr_code_name(rc));
    int64_t end = mr_mono_ns(), rest = (end - t0) * REST;
    pthread_mutex_lock(&u->mu);
    u->rest_until_ns = end + (rest < REST_MAX_NS ? rest : REST_MAX_NS);
    pthread_mutex_unlock(&u->mu);
    return rc;
}

static uint64_t unfolded(struct mr_usage *u) {
    uint64_t n = 0;
    for (struct mr_segment *g = NULL; (g = mr_spool_next(&u->spool, g));) {
        uint64_t end = atomic_load_explicit(&g->next, memory_order_acquire);
        end = end < g->capacity ? end : g->capacity;
        n += end > g->folded ? end - g->folded : 0;
    }
    return n;
}

static bool resting(struct mr_usage *u) {
    pthread_mutex_lock(&u->mu);
    bool rest = mr_mono_ns() < u->rest_until_ns;
    pthread_mutex_unlock(&u->mu);
    return rest && unfolded(u) < MR_FOLD_MAX;
}

/* While folds rest, a power cut still loses no more than fold_ms. */
static void sync_spool(struct mr_usage *u) {
    struct mr_err e = {0};
    if (mr_spool_sync(&u->spool, &e))
        mr_log_msg(u->log, MR_LOG_ERROR, "usage.sync", "%s", e.msg);
}

static void prune(struct mr_usage *u) {
    int64_t now = mr_now_us();
    if (now - u->pruned_us < 3600000000)
        return;
    if (mr_db_write(u->db, mr_fold_prune_tx, u, NULL) == 0)
        u->pruned_us = now;
}

static void wait_for_work(struct mr_usage *u) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + (int64_t)u->fold_ms * 1000000;
    at.tv_sec += ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    while (!u->waiting && !u->stopping && !u->spare_wanted)
        if (pthread_cond_timedwait(&u->cond, &u->mu, &at))
            break;
}

void *mr_fold_main(void *arg) {
    struct mr_usage *u = arg;
    (void)pthread_setname_np(pthread_self(), "usage-fold");
    for (bool end = false; !end;) {
        pthread_mutex_lock(&u->mu);
        wait_for_work(u);
        struct mr_usage_wait *list = u->waiting;
        u->waiting = NULL;
        end = u->stopping;
        u->spare_wanted = false;
        pthread_mutex_unlock(&u->mu);
        /* When it fails mr_usage_record tries for itself, and folding makes room. */
        bool short_of_room = !end && mr_spool_prepare(&u->spool, NULL);
        int rc = 0;
        if (list || end || short_of_room || !resting(u))
            rc = mr_fold_all(u);
        else
            sync_spool(u);
        while (list) {
            struct mr_usage_wait *w = list;
            list = w->next; /* done may free w */
            w->done(w, rc);
        }
        if (!end)
            prune(u);
        else if (rc == 0)
            retire(u, true);
    }
    if (u->n_gone > 0) {
        u->batch.n = u->batch.n_group = 0;
        mr_db_write(u->db, mr_fold_tx, u, NULL);
    }
    return NULL;
}
