#include "core/usage/usage.h"

#include "base/alloc.h"
#include "core/usage/internal.h"

const struct mr_id mr_usage_all;

static int alloc_batch(struct mr_fold_batch *b) {
    b->rec = mr_reallocarray(NULL, MR_FOLD_MAX, sizeof *b->rec);
    b->next[0] = mr_reallocarray(NULL, MR_FOLD_MAX, sizeof **b->next);
    b->next[1] = mr_reallocarray(NULL, MR_FOLD_MAX, sizeof **b->next);
    return b->rec && b->next[0] && b->next[1] ? 0 : MR_ENOMEM;
}

static void free_usage(struct mr_usage *u) {
    mr_spool_release(&u->spool);
    mr_free(u->batch.rec);
    mr_free(u->batch.next[0]);
    mr_free(u->batch.next[1]);
    mr_free(u->batch.group);
    mr_free(u->batch.slot);
    mr_free(u->gone);
    mr_buf_release(&u->hist_buf);
    mr_buf_release(&u->users_buf);
    pthread_mutex_destroy(&u->mu);
    pthread_cond_destroy(&u->cond);
    mr_free(u);
}

static void spare_wanted(void *arg) {
    struct mr_usage *u = arg;
    pthread_mutex_lock(&u->mu);
    u->spare_wanted = true;
    pthread_cond_signal(&u->cond);
    pthread_mutex_unlock(&u->mu);
}

static int or_default(int v, int otherwise) {
    return v > 0 ? v : otherwise;
}

int mr_usage_open(const struct mr_usage_config *c, struct mr_usage **ret, struct mr_err *e) {
    struct mr_usage *u = mr_calloc(1, sizeof *u);
    if (!u)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    u->db = c->db;
    u->log = c->log;
    u->sync = c->sync;
    u->fold_ms = or_default(c->fold_ms, 1000);
    u->read_wait_ms = or_default(c->read_wait_ms, 2000);
    u->minute_keep_days = or_default(c->minute_keep_days, 8);
    u->hour_keep_days = or_default(c->hour_keep_days, 400);
    mr_buf_init(&u->hist_buf, 1 << 17);
    mr_buf_init(&u->users_buf, 1 << 14);
    pthread_mutex_init(&u->mu, NULL);
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&u->cond, &a);
    pthread_condattr_destroy(&a);
    char dir[4096];
    int n = snprintf(dir, sizeof dir, "%s/spool", c->data_dir ? c->data_dir : "");
    int rc = n < 0 || (size_t)n >= sizeof dir
                 ? mr_fail(e, MR_ETOOBIG, "the data directory's path is too long")
                 : 0;
    if (rc) {
        mr_free(u);
        return rc;
    }
    rc = mr_spool_open(&u->spool, c->data_dir ? dir : NULL,
                       c->segment_records ? c->segment_records : 32768,
                       c->segments_max ? c->segments_max : 256, e);
    u->spool.wanted = spare_wanted;
    u->spool.wanted_arg = u;
    if (rc == 0 && alloc_batch(&u->batch))
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    if (rc == 0) /* before offsets of removed files are forgotten */
        rc = mr_spool_sync_dir(&u->spool, e);
    if (rc == 0)
        rc = mr_db_write(u->db, mr_fold_load_tx, u, e);
    /* Processes that died young, one after another, leave files behind that none of them folded. */
    if (rc == 0 && u->spool.n >= u->spool.max / 2 && mr_fold_all(u))
        rc = mr_fail(e, MR_EUNAVAIL, "the metering of earlier runs cannot be folded: see the log");
    if (rc == 0)
        rc = mr_spool_prepare(&u->spool, e);
    if (rc == 0) {
        int err = pthread_create(&u->thread, NULL, mr_fold_main, u);
        if (err)
            rc = mr_fail(e, MR_EUNAVAIL, "cannot start the fold thread: %s", strerror(err));
    }
    if (rc) {
        free_usage(u);
        return rc;
    }
    *ret = u;
    return 0;
}

void mr_usage_free(struct mr_usage *u) {
    if (!u)
        return;
    pthread_mutex_lock(&u->mu);
    u->stopping = true;
    pthread_cond_signal(&u->cond);
    pthread_mutex_unlock(&u->mu);
    pthread_join(u->thread, NULL);
    free_usage(u);
}

int mr_usage_record(struct mr_usage *u, const struct mr_usage_record *r) {
    int rc = mr_spool_add(&u->spool, r);
    return rc || !u->sync ? rc : mr_usage_flush(u, 30000, NULL);
}

uint64_t mr_usage_user_hash(struct mr_str who) {
    uint64_t h = 0x6d696c6c72616365u ^ (who.n * 0x9E3779B97F4A7C15u);
    while (who.n > 0) {
        uint64_t w = 0;
        size_t k = who.n < 8 ? who.n : 8;
        memcpy(&w, who.p, k);
        h = (h ^ w) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
        who.p += k;
        who.n -= k;
    }
    h *= 0xc4ceb9fe1a85ec53u;
    h ^= h >> 29;
    return h ? h : 1;
}

void mr_usage_flush_async(struct mr_usage *u, struct mr_usage_wait *w) {
    pthread_mutex_lock(&u->mu);
    w->next = u->waiting;
    u->waiting = w;
    pthread_cond_signal(&u->cond);
    pthread_mutex_unlock(&u->mu);
}

/* Shared by the waiting thread and the fold thread; whoever is last frees it. */
struct flush {
    struct mr_usage_wait w;
    pthread_mutex_t mu;
    pthread_cond_t cond;
    int rc, refs;
    bool finished;
};

static void flush_unref(struct flush *f) { /* with f->mu held */
    bool last = --f->refs == 0;
    pthread_mutex_unlock(&f->mu);
    if (!last)
        return;
    pthread_mutex_destroy(&f->mu);
    pthread_cond_destroy(&f->cond);
    mr_free(f);
}

static void flush_done(struct mr_usage_wait *w, int rc) {
    struct flush *f = (struct flush *)w;
    pthread_mutex_lock(&f->mu);
    f->rc = rc;
    f->finished = true;
    pthread_cond_signal(&f->cond);
    flush_unref(f);
}

int mr_usage_flush(struct mr_usage *u, int timeout_ms, struct mr_err *e) {
    struct flush *f = mr_calloc(1, sizeof *f);
    if (!f)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    pthread_mutex_init(&f->mu, NULL);
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&f->cond, &a);
    pthread_condattr_destroy(&a);
    f->w.done = flush_done;
    f->refs = 2;
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + (int64_t)timeout_ms * 1000000;
    at.tv_sec += ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    mr_usage_flush_async(u, &f->w);
    pthread_mutex_lock(&f->mu);
    while (!f->finished)
        if (pthread_cond_timedwait(&f->cond, &f->mu, &at))
            break;
    int rc = f->finished ? f->rc : MR_ETIMEOUT;
    flush_unref(f);
    return rc ? mr_fail(e, rc, "the usage records could not be stored in time") : 0;
}

void mr_usage_stats(struct mr_usage *u, struct mr_usage_stats *ret) {
    pthread_mutex_lock(&u->mu);
    *ret = u->stats;
    pthread_mutex_unlock(&u->mu);
    ret->refused = atomic_load(&u->spool.refused);
    ret->damaged = atomic_load(&u->spool.damaged);
    ret->recorded = mr_spool_recorded(&u->spool);
    pthread_mutex_lock(&u->spool.mu);
    ret->segments = u->spool.n;
    pthread_mutex_unlock(&u->spool.mu);
}
