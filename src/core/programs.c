#include "core/programs.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <unistd.h>

#define FIRST_BUCKETS 256u

int mr_programs_init(struct mr_programs *p, struct mr_err *e) {
    pthread_mutex_init(&p->lock, NULL);
    p->n_bucket = FIRST_BUCKETS;
    p->bucket = mr_calloc(p->n_bucket, sizeof(struct mr_loaded *));
    return p->bucket ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

void mr_programs_release(struct mr_programs *p) {
    mr_free(p->bucket);
    pthread_mutex_destroy(&p->lock);
}

static size_t bucket_of(const struct mr_programs *p, const struct mr_blob_name *blob) {
    uint64_t h;
    memcpy(&h, blob->sha, sizeof h); /* a hash already */
    return h & (p->n_bucket - 1);
}

/* --- under the lock ---------------------------------------------------------------------- */

static struct mr_loaded **find(struct mr_programs *p, const struct mr_blob_name *blob,
                               int64_t timeout_s) {
    struct mr_loaded **at = &p->bucket[bucket_of(p, blob)];
    while (*at && (!(*at)->shared || (*at)->timeout_s != timeout_s ||
                   memcmp((*at)->blob.sha, blob->sha, MR_SHA256_LEN) != 0))
        at = &(*at)->next;
    return at;
}

static void grow(struct mr_programs *p) {
    size_t old = p->n_bucket;
    struct mr_loaded **bucket = p->bucket, **fresh = mr_calloc(old * 2, sizeof *fresh);
    if (!fresh)
        return; /* longer chains, still right */
    p->bucket = fresh;
    p->n_bucket = old * 2;
    for (size_t i = 0; i < old; i++)
        for (struct mr_loaded *l = bucket[i], *next; l; l = next) {
            next = l->next;
            struct mr_loaded **at = &fresh[bucket_of(p, &l->blob)];
            l->next = *at;
            *at = l;
        }
    mr_free(bucket);
}

static void add(struct mr_programs *p, struct mr_loaded *l) {
    if (p->n >= p->n_bucket)
        grow(p);
    struct mr_loaded **at = &p->bucket[bucket_of(p, &l->blob)];
    l->next = *at;
    *at = l;
    p->n++;
}

/* ----------------------------------------------------------------------------------------- */

static struct mr_loaded *hold_loaded(struct mr_programs *p, const struct mr_dep_program *program,
                                     int64_t timeout_s) {
    pthread_mutex_lock(&p->lock);
    struct mr_loaded *l = *find(p, &program->blob, timeout_s);
    if (l)
        l->holders++;
    pthread_mutex_unlock(&p->lock);
    return l;
}

static void leave(struct mr_programs *p, struct mr_loaded *l) {
    atomic_fetch_sub(&p->loaded, 1);
    atomic_fetch_sub(&p->loaded_bytes, mr_instance_memory(l->instance));
    mr_instance_unref(l->instance);
    mr_free(l);
}

static int load(struct mr_programs *p, mr_program_open_fn *open, void *ctx,
                struct mr_dep_program *program, const struct mr_dep_config *config,
                struct mr_loaded **ret, struct mr_err *e) {
    struct mr_model_spec spec = {.kind = program->kind,
                                 .memory_limit = (uint64_t)config->memory_mb << 20,
                                 .timeout_ms = config->timeout_s * 1000};
    MR_AUTO_CLOSE int fd = -1;
    int rc = open(ctx, program, &fd, e);
    if (rc)
        return rc;
    MR_AUTO_FREE struct mr_loaded *l = mr_calloc(1, sizeof *l);
    if (!l)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    rc = mr_instance_load(&spec, fd, &l->instance, e);
    if (rc)
        return rc;
    l->blob = program->blob;
    l->timeout_s = config->timeout_s;
    l->holders = 1;
    l->shared = program->kind == MR_ENGINE_NATIVE;
    atomic_fetch_add(&p->loaded, 1);
    atomic_fetch_add(&p->loaded_bytes, mr_instance_memory(l->instance));
    *ret = MR_TAKE(l);
    return 0;
}

/* Into the table, or gives way to one that another call loaded meanwhile. */
static struct mr_loaded *enter(struct mr_programs *p, struct mr_loaded *fresh) {
    struct mr_loaded *l = NULL;
    pthread_mutex_lock(&p->lock);
    if (fresh->shared)
        l = *find(p, &fresh->blob, fresh->timeout_s);
    if (l)
        l->holders++;
    else
        add(p, fresh);
    pthread_mutex_unlock(&p->lock);
    if (!l)
        return fresh;
    leave(p, fresh);
    return l;
}

int mr_programs_hold(struct mr_programs *p, mr_program_open_fn *open, void *ctx,
                     struct mr_dep_program *program, const struct mr_dep_config *config,
                     struct mr_loaded **ret, bool *ret_fresh, struct mr_err *e) {
    struct mr_loaded *l = NULL;
    bool native = program->kind == MR_ENGINE_NATIVE;
    if (native)
        l = hold_loaded(p, program, config->timeout_s);
    bool fresh = !l;
    if (fresh) {
        int rc = load(p, open, ctx, program, config, &l, e);
        if (rc)
            return rc;
        l = enter(p, l);
    }
    /* Whoever loaded it may have had a larger limit. */
    int rc = native ? mr_instance_fits(l->instance, (uint64_t)config->memory_mb << 20, e) : 0;
    if (rc) {
        mr_programs_drop(p, l);
        return rc;
    }
    *ret = l;
    if (ret_fresh)
        *ret_fresh = fresh;
    return 0;
}

bool mr_programs_drop(struct mr_programs *p, struct mr_loaded *l) {
    if (!l)
        return false;
    pthread_mutex_lock(&p->lock);
    bool last = --l->holders == 0;
    if (last) {
        struct mr_loaded **at = &p->bucket[bucket_of(p, &l->blob)];
        while (*at != l)
            at = &(*at)->next;
        *at = l->next;
        p->n--;
    }
    pthread_mutex_unlock(&p->lock);
    if (last)
        leave(p, l);
    return last;
}

int64_t mr_programs_oldest(struct mr_programs *p, uint64_t sweep) {
    int64_t oldest = INT64_MAX;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n_bucket; i++)
        for (const struct mr_loaded *l = p->bucket[i]; l; l = l->next)
            if (l->sweep == sweep && !l->kept && l->used_ns < oldest)
                oldest = l->used_ns;
    pthread_mutex_unlock(&p->lock);
    return oldest;
}
