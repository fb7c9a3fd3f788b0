/* Shared by the deployments*.c files only. */
#ifndef MR_CORE_DEPLOYMENTS_PRIV_H
#define MR_CORE_DEPLOYMENTS_PRIV_H

#include "core/programs.h"
#include "io/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define MR_DEP_SHARDS 64u

/* What the registry holds for a deployment, as one transaction left its rows. `seq` grows in the
 * order of the transactions: whoever arrives late with an older state is ignored. */
struct mr_dep_state {
    bool deleted;
    bool serving; /* program is set */
    struct mr_dep_program program;
    uint64_t seq;
    struct mr_dep_config config;
};

/* A registry entry. Lives until the registry is freed: deletion only marks it, so that pointers
 * found under a shard lock stay good. Ordered so that a prediction touches the first two cache
 * lines only; entries are aligned to them. */
struct mr_dep {
    struct mr_dep *next; /* in its bucket */
    struct mr_id id, account;
    struct mr_instance *instance; /* loaded's; guarded by lock, as all below */
    int64_t used_ns;
    int64_t error_tokens_ns; /* prediction.error budget: next moment one is due */
    pthread_mutex_t lock;    /* at byte 64 */
    struct mr_dep_state now;
    struct mr_loaded *loaded;  /* a hold on now.program; NULL: not in memory */
    struct mr_dep *preload;    /* next one that start-up loads */
    pthread_mutex_t load_lock; /* one loader at a time */
    bool unloaded;             /* by its owner: without an instance it stays so until mr_dep_load */
};
_Static_assert(offsetof(struct mr_dep, lock) == 64 && sizeof(pthread_mutex_t) <= 40 &&
                   offsetof(struct mr_dep, now.program.kind) <= 128,
               "what a prediction touches");

struct mr_dep_shard {
    pthread_rwlock_t lock;
    struct mr_dep **bucket;
    size_t n_bucket, n;
};

/* A transaction that has to be written some time, although it just failed. */
struct mr_dep_retry {
    int (*fn)(struct mr_tx *tx, void *arg, struct mr_err *e);
    void *arg;
    /* Exactly once: written, or (false) the server stops before. */
    void (*done)(void *arg, bool written);
    struct mr_dep_retry *next;
    int64_t at_ns, delay_ns;
};

struct mr_deploy_job;
struct mr_intake_crew;

/* A pass over the blob store takes MR_BLOB_SWEEPS steps, one sweep each. */
struct mr_blob_pass {
    unsigned step;
    int64_t next_ns;          /* mr_mono_ns of the next step */
    struct mr_blob_swept sum; /* of this pass */
};

struct mr_deployments {
    struct mr_deployments_config c;
    struct mr_pool *intake;
    struct mr_intake_crew *crew;
    struct mr_deploy_job *recover; /* versions that an earlier process did not finish */
    atomic_uint running;           /* jobs of the intake pool that are at work */
    struct mr_dep_shard shard[MR_DEP_SHARDS];
    atomic_uint_least64_t seq; /* of the latest mr_dep_state */
    pthread_t janitor;
    bool janitor_on;
    pthread_mutex_t stop_lock;
    pthread_cond_t stop_cond;
    bool stopping;
    struct mr_dep_retry *retries; /* under stop_lock; the janitor writes them */
    struct mr_dep *preload;       /* kept loaded by min_instances; loaded after the start */
    atomic_bool closing;
    struct mr_programs programs;
    pthread_mutex_t sweep_lock;
    uint64_t sweeps; /* under sweep_lock */
    atomic_uint_least64_t loads, evictions, intakes, intake_failures;
    struct mr_blob_pass gc; /* the janitor's */
    atomic_uint_least64_t blobs_deleted, blob_bytes_deleted;
};

/* registry.c; mr_dep_retry*: dep_retry.c */
int mr_registry_init(struct mr_deployments *d, struct mr_err *e);
void mr_registry_release(struct mr_deployments *d);
struct mr_dep *mr_registry_find(struct mr_deployments *d, struct mr_id id);
/* An entry that is not in the registry yet, and then its way in (which cannot fail). */
struct mr_dep *mr_registry_entry_new(void);
void mr_registry_entry_free(struct mr_dep *dep);
void mr_registry_add(struct mr_deployments *d, struct mr_dep *dep, struct mr_id id,
                     struct mr_id account);
/* Switches to the state of a committed transaction. `loaded` (NULL: load on demand) is a hold on
 * its program and is taken over; one on what no longer serves is given back. */
void mr_registry_set(struct mr_deployments *d, struct mr_dep *dep, const struct mr_dep_state *s,
                     struct mr_loaded *loaded);
/* Loads what serves again under its present limits; nothing happens when it is not in memory. */
int mr_registry_reload(struct mr_deployments *d, struct mr_dep *dep, struct mr_err *e);
/* Loads what serves when it is not in memory; ret_loaded (may be NULL): this call did it, and did
 * not merely take what another deployment has in memory. */
int mr_registry_load(struct mr_deployments *d, struct mr_dep *dep, bool *ret_loaded,
                     struct mr_err *e);
/* The janitor's pass: unloads what is idle at now_ns (mr_mono_ns), then what the cache is over its
 * size by. */
void mr_registry_sweep(struct mr_deployments *d, int64_t now_ns);
/* blob_gc.c: deletes what nothing refers to and was committed longer than grace_us ago, of the
 * blobs whose names begin with this digit (below MR_BLOB_SWEEPS); adds it to *sum. MR_ECONFLICT:
 * another thread is at it. */
int mr_blob_gc(struct mr_deployments *d, unsigned digit, int64_t grace_us,
               struct mr_blob_swept *sum, struct mr_err *e);
/* The next step of a pass, by the janitor's thread alone. An error is logged and ends the pass. */
void mr_blob_gc_step(struct mr_deployments *d, int64_t grace_us);
/* mr_programs_hold on this store. A program that is not in the store (it is only stored after its
 * version serves, see deploy.c) is made again from the upload; *p then names the new one. */
int mr_program_load(struct mr_deployments *d, struct mr_dep_program *p,
                    const struct mr_dep_config *config, struct mr_loaded **ret, bool *ret_fresh,
                    struct mr_err *e);
/* Has the janitor write it, again and again until it succeeds or the server stops. `r` (fn, arg and
 * done are set) is borrowed until done was called. */
void mr_dep_retry(struct mr_deployments *d, struct mr_dep_retry *r);
/* For the janitor, under stop_lock: how long to sleep at most, and writing what is due (the lock is
 * released meanwhile). */
int64_t mr_dep_retry_wait(const struct mr_deployments *d, int64_t longest_ns);
void mr_dep_retry_due(struct mr_deployments *d);
void mr_dep_retry_drop(struct mr_deployments *d); /* when every other thread has ended */

/* deploy_recover.c */
/* In a write transaction, before anything is served: what half-built rows become; lists in
 * d->recover (arg is d) those that mr_deploy_recover builds. */
int mr_deploy_repair(struct mr_tx *tx, void *arg, struct mr_err *e);
void mr_deploy_recover(void *deployments); /* on the intake pool */

/* rebuild.c */
/* Makes the program of a version again from its upload, stores it and opens it for reading. */
int mr_program_rebuild(struct mr_deployments *d, struct mr_dep_program *p, int *ret_fd,
                       struct mr_err *e);

/* deployments_sql.c: statements shared by reads and writes */
/* Joined as d (deployments) and v (its current, else newest version). */
#define MR_DEP_SELECT                                                                              \
    "SELECT d.id, d.account_id, d.name, d.status, d.framework, v.n, v.metadata, v.error, "         \
    "d.memory_mb, d.timeout_s, d.min_instances, d.max_instances, d.created_at, d.updated_at "      \
    "FROM deployments d JOIN versions v ON v.deployment_id = d.id AND v.n = "                      \
    "(CASE WHEN d.current_version > 0 THEN d.current_version ELSE (SELECT max(n) FROM versions w " \
    "WHERE w.deployment_id = d.id) END) "
int mr_dep_row(struct mr_stmt *s, struct mr_arena *a, struct mr_deployment *ret, struct mr_err *e);
/* The state after this transaction's changes. Writer thread only, so that seq is in order. */
int mr_dep_state_read(struct mr_deployments *d, struct mr_tx *tx, struct mr_id id,
                      struct mr_dep_state *ret, struct mr_err *e);
int mr_dep_select(struct mr_tx *tx, struct mr_id account, struct mr_id id, struct mr_arena *a,
                  struct mr_deployment *ret, struct mr_err *e);
/* Whether the database says that the account's deployment serves. */
bool mr_dep_serves(struct mr_deployments *d, struct mr_id account, struct mr_id id);
int mr_dep_set_status(struct mr_tx *tx, struct mr_id id, const char *status, struct mr_err *e);
/* {"deployment_id":…,"name":…,"endpoint_url":…} plus an optional reason. */
int mr_dep_event(struct mr_deployments *d, struct mr_tx *tx, const char *event,
                 const struct mr_deployment *dep, struct mr_str base_url, struct mr_str error,
                 struct mr_err *e);

#endif
