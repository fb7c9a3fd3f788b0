/* The in-memory side of deployments: id -> what serves, loading, idle models leaving. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/deployments_priv.h"

#include <unistd.h>

#define FIRST_BUCKETS    64u
#define JANITOR_PERIOD_S 5
#define BLOB_GRACE_S     3600
#define SWEEP_BATCH      64u
#define CACHE_LINE       64u
#define ERROR_EVENT_NS   1000000000ll /* at most one prediction.error a second and deployment */

static struct mr_dep_shard *shard_of(struct mr_deployments *d, struct mr_id id) {
    return &d->shard[id.b[15] % MR_DEP_SHARDS]; /* the tail of a UUIDv7 is random */
}

static size_t bucket_of(const struct mr_dep_shard *s, struct mr_id id) {
    uint32_t h;
    memcpy(&h, id.b + 11, 4);
    return h & (s->n_bucket - 1);
}

struct mr_dep *mr_registry_find(struct mr_deployments *d, struct mr_id id) {
    struct mr_dep_shard *s = shard_of(d, id);
    pthread_rwlock_rdlock(&s->lock);
    struct mr_dep *dep = s->bucket[bucket_of(s, id)];
    while (dep && !mr_id_eq(dep->id, id))
        dep = dep->next;
    pthread_rwlock_unlock(&s->lock);
    return dep;
}

static void grow(struct mr_dep_shard *s) {
    size_t n = s->n_bucket * 2, old = s->n_bucket;
    struct mr_dep **fresh = mr_calloc(n, sizeof *fresh), **bucket = s->bucket;
    if (!fresh)
        return; /* longer chains, still right */
    s->n_bucket = n;
    s->bucket = fresh;
    for (size_t i = 0; i < old; i++)
        for (struct mr_dep *dep = bucket[i], *next; dep; dep = next) {
            next = dep->next;
            size_t b = bucket_of(s, dep->id);
            dep->next = fresh[b];
            fresh[b] = dep;
        }
    mr_free(bucket);
}

struct mr_dep *mr_registry_entry_new(void) {
    struct mr_dep *dep = mr_aligned(CACHE_LINE, sizeof *dep);
    if (!dep)
        return NULL;
    memset(dep, 0, sizeof *dep);
    pthread_mutex_init(&dep->lock, NULL);
    pthread_mutex_init(&dep->load_lock, NULL);
    return dep;
}

void mr_registry_entry_free(struct mr_dep *dep) {
    if (!dep)
        return;
    pthread_mutex_destroy(&dep->lock);
    pthread_mutex_destroy(&dep->load_lock);
    mr_free(dep);
}

void mr_registry_add(struct mr_deployments *d, struct mr_dep *dep, struct mr_id id,
                     struct mr_id account) {
    struct mr_dep_shard *s = shard_of(d, id);
    dep->id = id;
    dep->account = account;
    pthread_rwlock_wrlock(&s->lock);
    if (s->n >= s->n_bucket)
        grow(s);
    size_t b = bucket_of(s, id);
    dep->next = s->bucket[b];
    s->bucket[b] = dep;
    s->n++;
    pthread_rwlock_unlock(&s->lock);
}

/* Under dep->lock: sets what is loaded and returns the old hold, for the caller to drop when it has
 * left the lock. */
static struct mr_loaded *swap(struct mr_dep *dep, struct mr_loaded *loaded) {
    struct mr_loaded *old = dep->loaded;
    dep->loaded = loaded;
    dep->instance = loaded ? loaded->instance : NULL;
    dep->used_ns = mr_mono_ns();
    return old;
}

void mr_registry_set(struct mr_deployments *d, struct mr_dep *dep, const struct mr_dep_state *s,
                     struct mr_loaded *loaded) {
    struct mr_loaded *old = loaded; /* too late: not needed */
    pthread_mutex_lock(&dep->lock);
    if (s->seq > dep->now.seq) {
        bool same =
            s->serving && dep->now.serving && s->program.version == dep->now.program.version;
        dep->now = *s;
        old = NULL;
        if (loaded || !same)
            old = swap(dep, loaded);
    }
    pthread_mutex_unlock(&dep->lock);
    mr_programs_drop(&d->programs, old);
}

static int open_stored(void *ctx, struct mr_dep_program *p, int *ret_fd, struct mr_err *e) {
    struct mr_deployments *d = ctx;
    int rc = mr_blob_open(d->c.blobs, &p->blob, ret_fd, NULL, e);
    if (rc != MR_ENOTFOUND)
        return rc;
    if (p->kind == MR_ENGINE_NATIVE)
        return mr_program_rebuild(d, p, ret_fd, e);
    return mr_fail(e, MR_EINTERNAL, "the model's file is missing from the store");
}

int mr_program_load(struct mr_deployments *d, struct mr_dep_program *p,
                    const struct mr_dep_config *config, struct mr_loaded **ret, bool *ret_fresh,
                    struct mr_err *e) {
    return mr_programs_hold(&d->programs, open_stored, d, p, config, ret, ret_fresh, e);
}

/* Under load_lock. ret_loaded (may be NULL): not taken from another deployment. */
static int load_now(struct mr_deployments *d, struct mr_dep *dep, bool *ret_loaded,
                    struct mr_err *e) {
    struct mr_loaded *fresh;
    bool read;
    pthread_mutex_lock(&dep->lock);
    struct mr_dep_state s = dep->now;
    pthread_mutex_unlock(&dep->lock);
    int rc = mr_program_load(d, &s.program, &s.config, &fresh, &read, e);
    if (rc)
        return rc;
    struct mr_loaded *old = fresh;
    pthread_mutex_lock(&dep->lock);
    /* What changed meanwhile brings its own instance, or the next request loads it. */
    if (dep->now.seq == s.seq && dep->now.serving && !dep->unloaded) {
        dep->now.program.blob = s.program.blob; /* another one when it was built again */
        old = swap(dep, fresh);
    }
    pthread_mutex_unlock(&dep->lock);
    mr_programs_drop(&d->programs, old);
    if (read)
        atomic_fetch_add(&d->loads, 1);
    if (read && ret_loaded)
        *ret_loaded = true;
    return 0;
}

int mr_registry_load(struct mr_deployments *d, struct mr_dep *dep, bool *ret_loaded,
                     struct mr_err *e) {
    int rc = 0;
    pthread_mutex_lock(&dep->load_lock);
    pthread_mutex_lock(&dep->lock);
    bool want = dep->now.serving && !dep->instance;
    pthread_mutex_unlock(&dep->lock);
    if (want)
        rc = load_now(d, dep, ret_loaded, e);
    pthread_mutex_unlock(&dep->load_lock);
    return rc;
}

int mr_registry_reload(struct mr_deployments *d, struct mr_dep *dep, struct mr_err *e) {
    int rc = 0;
    pthread_mutex_lock(&dep->load_lock);
    pthread_mutex_lock(&dep->lock);
    bool want = dep->now.serving &&
                (dep->instance || (dep->now.config.min_instances > 0 && !dep->unloaded));
    pthread_mutex_unlock(&dep->lock);
    if (want)
        rc = load_now(d, dep, NULL, e);
    pthread_mutex_unlock(&dep->load_lock);
    return rc;
}

/* Null when the account has no such deployment. */
static struct mr_dep *own(struct mr_deployments *d, struct mr_id account, struct mr_id id) {
    struct mr_dep *dep = mr_registry_find(d, id);
    return dep && mr_id_eq(dep->account, account) ? dep : NULL;
}

int mr_dep_load(struct mr_deployments *d, struct mr_id account, struct mr_id id, struct mr_err *e) {
    struct mr_dep_use use;
    struct mr_dep *dep = own(d, account, id);
    if (dep) {
        pthread_mutex_lock(&dep->lock);
        dep->unloaded = false;
        pthread_mutex_unlock(&dep->lock);
    }
    int rc = mr_dep_acquire(d, account, id, true, &use, e);
    if (!rc)
        mr_instance_unref(use.instance);
    return rc;
}

int mr_dep_unload(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                  struct mr_err *e) {
    struct mr_dep *dep = own(d, account, id);
    struct mr_loaded *old = NULL;
    int rc = dep ? 0 : MR_ENOTFOUND;
    if (dep) {
        pthread_mutex_lock(&dep->lock);
        if (dep->now.deleted)
            rc = MR_ENOTFOUND;
        else {
            dep->unloaded = true;
            old = swap(dep, NULL);
        }
        pthread_mutex_unlock(&dep->lock);
    }
    mr_programs_drop(&d->programs, old);
    return rc ? mr_fail(e, rc, "no such deployment") : 0;
}

bool mr_dep_unloaded(struct mr_deployments *d, struct mr_id account, struct mr_id id) {
    struct mr_dep *dep = own(d, account, id);
    if (!dep)
        return false;
    pthread_mutex_lock(&dep->lock);
    bool unloaded = dep->unloaded && !dep->instance;
    pthread_mutex_unlock(&dep->lock);
    return unloaded;
}

#define CATCH_UP_MS 2000

static int take(struct mr_dep *dep, struct mr_id account, struct mr_dep_use *u, struct mr_err *e) {
    int rc = 0;
    pthread_mutex_lock(&dep->lock);
    if (dep->now.deleted || !mr_id_eq(dep->account, account))
        rc = MR_ENOTFOUND;
    else if (!dep->now.serving)
        rc = MR_ECONFLICT;
    else if (!dep->instance)
        rc = dep->unloaded ? MR_ENOTLOADED : MR_EUNAVAIL;
    else {
        u->instance = mr_instance_ref(dep->instance);
        u->version = dep->now.program.version;
        u->account = account;
        dep->used_ns = mr_mono_ns();
    }
    pthread_mutex_unlock(&dep->lock);
    if (rc == MR_ENOTFOUND)
        return mr_fail(e, rc, "no such deployment");
    if (rc == MR_ECONFLICT)
        return mr_fail(e, rc, "the deployment is not active: no version of it has been built");
    if (rc == MR_ENOTLOADED)
        return mr_fail(e, rc, "the deployment was unloaded: load it again to use it");
    return rc;
}

static int acquire(struct mr_deployments *d, struct mr_id account, struct mr_id id, bool may_load,
                   struct mr_dep_use *ret, struct mr_err *e) {
    struct mr_dep *dep = mr_registry_find(d, id);
    struct mr_dep_use u = {0};
    if (!dep)
        return mr_fail(e, MR_ENOTFOUND, "no such deployment");
    int rc = take(dep, account, &u, e);
    for (int tries = 0; rc == MR_EUNAVAIL && may_load && tries < 3; tries++) {
        rc = mr_registry_load(d, dep, &u.cold, e);
        if (rc)
            return rc;
        rc = take(dep, account, &u, e);
    }
    if (rc == MR_EUNAVAIL && may_load)
        mr_fail(e, rc, "the model was switched while it was loading: try again");
    if (!rc)
        *ret = u;
    return rc;
}

/* The registry follows a commit after some microseconds: who saw the deployment active in the
 * database meanwhile is not told that it is not. */
int mr_dep_acquire(struct mr_deployments *d, struct mr_id account, struct mr_id id, bool may_load,
                   struct mr_dep_use *ret, struct mr_err *e) {
    for (int waited = 0;; waited++) {
        int rc = acquire(d, account, id, may_load, ret, e);
        if (rc != MR_ECONFLICT && rc != MR_ENOTFOUND)
            return rc;
        if (!may_load)
            return mr_fail(e, MR_EUNAVAIL, "whether it serves by now is asked off the loop");
        if (waited == CATCH_UP_MS || (!waited && !mr_dep_serves(d, account, id)))
            return rc;
        usleep(1000);
    }
}

void mr_dep_ahead(struct mr_deployments *d, struct mr_id id, enum mr_dep_ahead step) {
    struct mr_dep_shard *s = shard_of(d, id);
    pthread_rwlock_rdlock(&s->lock);
    struct mr_dep **at = &s->bucket[bucket_of(s, id)];
    if (step == MR_DEP_AHEAD_PLACE)
        __builtin_prefetch(at);
    else if (*at) { /* chains are short */
        __builtin_prefetch(*at);
        __builtin_prefetch(&(*at)->lock, 1);
    }
    pthread_rwlock_unlock(&s->lock);
}

bool mr_dep_error_due(struct mr_deployments *d, struct mr_id id) {
    struct mr_dep *dep = mr_registry_find(d, id);
    if (!dep)
        return false;
    int64_t now = mr_mono_ns();
    pthread_mutex_lock(&dep->lock);
    bool due = now >= dep->error_tokens_ns;
    if (due)
        dep->error_tokens_ns = now + ERROR_EVENT_NS;
    pthread_mutex_unlock(&dep->lock);
    return due;
}

/* --- idle models leave ------------------------------------------------------------------- */

/* A program stays while one of its deployments is in use: that the others let go would free
 * nothing. So a sweep notes each program's latest use first, and then its holders leave together.
 */
static void note_use(struct mr_deployments *d, const struct mr_dep *dep) {
    struct mr_loaded *l = dep->loaded;
    if (l->sweep != d->sweeps) {
        l->sweep = d->sweeps;
        l->used_ns = 0;
        l->kept = false;
    }
    if (dep->used_ns > l->used_ns)
        l->used_ns = dep->used_ns;
    l->kept |= dep->now.config.min_instances > 0;
}

/* The oldest use of a program that may leave; INT64_MAX: none may. */
static int64_t note_all(struct mr_deployments *d) {
    d->sweeps++;
    for (unsigned i = 0; i < MR_DEP_SHARDS; i++) {
        struct mr_dep_shard *s = &d->shard[i];
        pthread_rwlock_rdlock(&s->lock);
        for (size_t b = 0; b < s->n_bucket; b++)
            for (struct mr_dep *dep = s->bucket[b]; dep; dep = dep->next) {
                pthread_mutex_lock(&dep->lock);
                if (dep->loaded)
                    note_use(d, dep);
                pthread_mutex_unlock(&dep->lock);
            }
        pthread_rwlock_unlock(&s->lock);
    }
    return mr_programs_oldest(&d->programs, d->sweeps);
}

/* A program loaded or taken by another deployment since the notes counts as in use. */
static bool may_leave(const struct mr_deployments *d, const struct mr_dep *dep, int64_t before_ns) {
    const struct mr_loaded *l = dep->loaded;
    return l && l->sweep == d->sweeps && !l->kept && l->used_ns < before_ns &&
           dep->used_ns < before_ns && dep->now.config.min_instances == 0;
}

/* True when more may leave than one pass takes. What leaves is freed outside the lock, which the
 * database's writer waits for: ending a worker process can take a while. */
static bool sweep_shard(struct mr_deployments *d, struct mr_dep_shard *s, int64_t before_ns) {
    struct mr_loaded *gone[SWEEP_BATCH];
    size_t n = 0;
    bool more = false;
    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; i < s->n_bucket; i++)
        for (struct mr_dep *dep = s->bucket[i]; dep; dep = dep->next) {
            pthread_mutex_lock(&dep->lock);
            if (may_leave(d, dep, before_ns)) {
                more |= n == SWEEP_BATCH;
                if (n < SWEEP_BATCH)
                    gone[n++] = swap(dep, NULL);
            }
            pthread_mutex_unlock(&dep->lock);
        }
    pthread_rwlock_unlock(&s->lock);
    for (size_t i = 0; i < n; i++)
        if (mr_programs_drop(&d->programs, gone[i]))
            atomic_fetch_add(&d->evictions, 1);
    return more;
}

static void sweep_all(struct mr_deployments *d, int64_t before_ns) {
    for (unsigned i = 0; i < MR_DEP_SHARDS; i++)
        while (sweep_shard(d, &d->shard[i], before_ns))
            ;
}

void mr_registry_sweep(struct mr_deployments *d, int64_t now_ns) {
    pthread_mutex_lock(&d->sweep_lock);
    int64_t oldest = note_all(d), bar = now_ns - d->c.idle_unload_s * 1000000000ll;
    if (oldest < bar) {
        sweep_all(d, bar);
        oldest = note_all(d);
    }
    /* Over the cache's size: raise the bar until enough has left. */
    for (int rounds = 0; rounds < 64 && oldest != INT64_MAX &&
                         atomic_load(&d->programs.loaded_bytes) > d->c.model_cache_max;
         rounds++) {
        sweep_all(d, oldest + 1 + (now_ns > oldest ? (now_ns - oldest) / 16 : 0));
        oldest = note_all(d);
    }
    pthread_mutex_unlock(&d->sweep_lock);
}

static void *janitor(void *arg) {
    struct mr_deployments *d = arg;
    (void)pthread_setname_np(pthread_self(), "janitor");
    int64_t period = (d->c.idle_unload_s < JANITOR_PERIOD_S ? 1 : JANITOR_PERIOD_S) * 1000000000ll;
    int64_t grace_us = (d->c.blob_grace_s > 0 ? d->c.blob_grace_s : BLOB_GRACE_S) * 1000000;
    int64_t next = mr_mono_ns() + period;
    d->gc.next_ns = next; /* after the start's own work */
    pthread_mutex_lock(&d->stop_lock);
    while (!d->stopping) {
        int64_t now = mr_mono_ns(), wake = next < d->gc.next_ns ? next : d->gc.next_ns;
        int64_t at = now + mr_dep_retry_wait(d, wake > now ? wake - now : 0);
        struct timespec until = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
        pthread_cond_timedwait(&d->stop_cond, &d->stop_lock, &until);
        mr_dep_retry_due(d);
        if (d->stopping || mr_mono_ns() < wake)
            continue;
        pthread_mutex_unlock(&d->stop_lock);
        if (mr_mono_ns() >= next) {
            mr_registry_sweep(d, mr_mono_ns());
            next = mr_mono_ns() + period;
        }
        if (mr_mono_ns() >= d->gc.next_ns)
            mr_blob_gc_step(d, grace_us);
        pthread_mutex_lock(&d->stop_lock);
    }
    pthread_mutex_unlock(&d->stop_lock);
    return NULL;
}

int mr_registry_init(struct mr_deployments *d, struct mr_err *e) {
    pthread_mutex_init(&d->stop_lock, NULL);
    pthread_mutex_init(&d->sweep_lock, NULL);
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&d->stop_cond, &a);
    pthread_condattr_destroy(&a);
    int rc = mr_programs_init(&d->programs, e);
    if (rc)
        return rc;
    for (unsigned i = 0; i < MR_DEP_SHARDS; i++) {
        struct mr_dep_shard *s = &d->shard[i];
        pthread_rwlock_init(&s->lock, NULL);
        s->n_bucket = FIRST_BUCKETS;
        s->bucket = mr_calloc(s->n_bucket, sizeof(struct mr_dep *));
        if (!s->bucket)
            return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    if (pthread_create(&d->janitor, NULL, janitor, d))
        return mr_fail(e, MR_EIO, "cannot start a thread");
    d->janitor_on = true;
    return 0;
}

void mr_registry_release(struct mr_deployments *d) {
    if (d->janitor_on) {
        pthread_mutex_lock(&d->stop_lock);
        d->stopping = true;
        pthread_cond_signal(&d->stop_cond);
        pthread_mutex_unlock(&d->stop_lock);
        pthread_join(d->janitor, NULL);
    }
    mr_dep_retry_drop(d);
    for (unsigned i = 0; i < MR_DEP_SHARDS; i++) {
        struct mr_dep_shard *s = &d->shard[i];
        for (size_t b = 0; s->bucket && b < s->n_bucket; b++)
            for (struct mr_dep *dep = s->bucket[b], *next; dep; dep = next) {
                next = dep->next;
                mr_programs_drop(&d->programs, dep->loaded);
                mr_registry_entry_free(dep);
            }
        mr_free(s->bucket);
        pthread_rwlock_destroy(&s->lock);
    }
    mr_programs_release(&d->programs);
    pthread_cond_destroy(&d->stop_cond);
    pthread_mutex_destroy(&d->stop_lock);
    pthread_mutex_destroy(&d->sweep_lock);
}

void mr_deployments_stats(struct mr_deployments *d, struct mr_deployments_stats *ret) {
    *ret = (struct mr_deployments_stats){.loaded = atomic_load(&d->programs.loaded),
                                         .loaded_bytes = atomic_load(&d->programs.loaded_bytes),
                                         .loads = atomic_load(&d->loads),
                                         .evictions = atomic_load(&d->evictions),
                                         .intakes = atomic_load(&d->intakes),
                                         .intake_failures = atomic_load(&d->intake_failures),
                                         .blobs_deleted = atomic_load(&d->blobs_deleted),
                                         .blob_bytes_deleted = atomic_load(&d->blob_bytes_deleted)};
    for (unsigned i = 0; i < MR_DEP_SHARDS; i++) {
        pthread_rwlock_rdlock(&d->shard[i].lock);
        ret->deployments += d->shard[i].n;
        pthread_rwlock_unlock(&d->shard[i].lock);
    }
}
