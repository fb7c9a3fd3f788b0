/* Deployments: what is served under an id, its versions, and the registry that predictions go
 * through. Thread-safe; calls may block unless said otherwise. */
#ifndef MR_CORE_DEPLOYMENTS_H
#define MR_CORE_DEPLOYMENTS_H

#include "base/arena.h"
#include "base/log.h"
#include "core/principal.h"
#include "engine/engine.h"
#include "store/blobs.h"
#include "store/db.h"

struct mr_deployments;
struct mr_events;

struct mr_deployments_config {
    struct mr_db *db;
    struct mr_blobs *blobs;
    struct mr_events *events;
    const struct mr_log *log;
    const char *self_exe;     /* for the intake child */
    uint64_t model_cache_max; /* bytes of loaded models; idle ones leave first */
    int64_t idle_unload_s;    /* a model with min_instances 0 leaves after so long unused */
    unsigned intake_threads;  /* 0 = 2 */
    int64_t stop_ms;          /* builds under way get so long when closing; 0 = 10,000 */
    int64_t blob_grace_s;     /* files that nothing refers to stay so long; 0 = 3600 */
};
/* Reads the registry; versions that an earlier process left half-built are built from now on, in
 * the background. */
int mr_deployments_open(const struct mr_deployments_config *c, struct mr_deployments **ret,
                        struct mr_err *e);
/* Waits for builds that are under way, but not long; those, and what is queued, are left to the
 * next start. */
void mr_deployments_free(struct mr_deployments *d);

#define MR_DEP_PREFIX "dep-"

struct mr_dep_config {
    int64_t memory_mb, timeout_s, min_instances, max_instances;
};

/* One deployment as stored; slices live in the caller's arena. */
struct mr_deployment {
    struct mr_id id, account;
    struct mr_str name, status, framework;
    uint32_t version;       /* current one, or the newest when none serves */
    struct mr_str metadata; /* JSON object of that version */
    struct mr_str error;    /* why that version failed, or "" */
    struct mr_dep_config config;
    int64_t created_us, updated_us;
};

struct mr_deploy {
    struct mr_str name; /* p == NULL: a new deployment named after the file */
    struct mr_str changes;
    struct mr_str file_name;
    struct mr_str requirements; /* text of requirements.txt, or absent */
    int64_t memory_mb, timeout_s;
    struct mr_str idempotency_key; /* p == NULL: none */
    struct mr_blob_writer *model;  /* taken over */
    struct mr_str base_url;        /* for event payloads */
};
/* Waits for intake up to 2 s; ret->status is then "building" although it may already serve. A
 * refused file is MR_EREFUSED / MR_EUNSUPPORTED / MR_EINVAL / MR_ETOOBIG with the reason; its row
 * stays as failed. ret_replayed: an idempotent repetition of an earlier call. */
int mr_deploy(struct mr_deployments *d, const struct mr_principal *who, struct mr_deploy *in,
              struct mr_arena *arena, struct mr_deployment *ret, bool *ret_replayed,
              struct mr_err *e);

struct mr_dep_filter {
    int64_t limit, offset;
    struct mr_str status, framework, search; /* p == NULL: any */
};
int mr_deployments_list(struct mr_deployments *d, struct mr_id account,
                        const struct mr_dep_filter *f, struct mr_arena *arena,
                        struct mr_deployment **ret, size_t *ret_n, int64_t *ret_total,
                        struct mr_err *e);
int64_t mr_deployments_count(struct mr_deployments *d, struct mr_id account);
int mr_deployments_get(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                       struct mr_arena *arena, struct mr_deployment *ret, struct mr_err *e);
/* By the name that the user gave; where none has it, the newest that is called so. */
int mr_deployments_find(struct mr_deployments *d, struct mr_id account, struct mr_str name,
                        struct mr_arena *arena, struct mr_deployment *ret, struct mr_err *e);

struct mr_dep_change {
    struct mr_str name;                                         /* p == NULL: keep */
    int64_t memory_mb, timeout_s, min_instances, max_instances; /* -1: keep */
};
int mr_deployments_update(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                          const struct mr_dep_change *ch, struct mr_arena *arena,
                          struct mr_deployment *ret, struct mr_err *e);
/* base_url: for the event's payload. */
int mr_deployments_delete(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                          struct mr_str base_url, struct mr_err *e);

struct mr_version {
    uint32_t n;
    struct mr_str status, changes, error;
    int64_t created_us;
    bool current;
};
int mr_versions_list(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                     struct mr_arena *arena, struct mr_version **ret, size_t *ret_n,
                     struct mr_err *e);
/* In-flight predictions finish on their version. */
int mr_versions_rollback(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                         uint32_t version, uint32_t *ret_previous, struct mr_err *e);

/* --- predictions ------------------------------------------------------------------------- */
struct mr_dep_use {
    struct mr_instance *instance; /* a reference; give it back with mr_instance_unref */
    uint32_t version;
    struct mr_id account;
    bool cold; /* this call had to load it; not: it found another deployment's copy in memory */
};
/* Finds what serves `id` for the account. MR_ENOTFOUND, MR_ECONFLICT (not active), MR_ENOTLOADED
 * (mr_dep_unload). When the model
 * is not in memory: with may_load false answers MR_EUNAVAIL without blocking (call again from a
 * pool thread), else loads it. */
int mr_dep_acquire(struct mr_deployments *d, struct mr_id account, struct mr_id id, bool may_load,
                   struct mr_dep_use *ret, struct mr_err *e);
/* Takes it out of memory, and requests for it are MR_ENOTLOADED, until mr_dep_load, a new version,
 * a rollback that loads, or a restart. Requests under way finish. */
int mr_dep_unload(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                  struct mr_err *e);
int mr_dep_load(struct mr_deployments *d, struct mr_id account, struct mr_id id, struct mr_err *e);
bool mr_dep_unloaded(struct mr_deployments *d, struct mr_id account, struct mr_id id);
/* Has the processor fetch what mr_dep_acquire will read of this id, which is not in its caches when
 * thousands of deployments take turns: first where to find it, then, some hundred nanoseconds
 * later, the entry itself. Never blocks; any id will do. */
enum mr_dep_ahead { MR_DEP_AHEAD_PLACE, MR_DEP_AHEAD_ENTRY };
void mr_dep_ahead(struct mr_deployments *d, struct mr_id id, enum mr_dep_ahead step);
/* Whether a prediction.error event is due (bounded per deployment). */
bool mr_dep_error_due(struct mr_deployments *d, struct mr_id id);

struct mr_deployments_stats {
    uint64_t deployments, loaded, loaded_bytes, loads, evictions, intakes, intake_failures;
    uint64_t blobs_deleted, blob_bytes_deleted; /* files that nothing referred to */
};
void mr_deployments_stats(struct mr_deployments *d, struct mr_deployments_stats *ret);

/* What a collection with this grace period would delete, without a server and without deleting. */
int mr_blob_gc_look(struct mr_db *db, struct mr_blobs *blobs, int64_t grace_us,
                    void (*each)(void *arg, const struct mr_blob_name *name, uint64_t size),
                    void *arg, struct mr_blob_swept *ret, struct mr_err *e);

#endif
