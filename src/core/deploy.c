/* A model's way: upload blob -> row and events -> intake -> program blob -> active and event.
 *
 * Intake runs on its own pool beside the first commit; the caller waits up to 2 s for it and then
 * answers with what is known. Whatever happens is written to the version's row. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/codec.h"
#include "core/deployments_priv.h"
#include "core/metadata.h"
#include "engine/intake.h"

#include <unistd.h>

#define WAIT_S 2

struct job {
    struct mr_deployments *d;
    struct mr_arena arena;        /* inputs and the first transaction */
    struct mr_arena intake_arena; /* the pool's: intake runs beside that transaction */
    atomic_int refs;              /* the caller's and the pool's */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool inserted, refused, done; /* row written; row not written; outcome written */
    int rc;
    struct mr_err err;
    /* inputs, copied */
    struct mr_str name, changes, file_name, requirements, base_url, idem;
    bool named;
    int64_t memory_mb, timeout_s;
    struct mr_id account;
    struct mr_blob_name source;
    uint64_t size;
    uint8_t request_hash[MR_SHA256_LEN];
    /* set by the insert */
    struct mr_deployment dep;
    bool fresh; /* a new deployment, not a next version */
    bool replayed;
    struct mr_dep *spare; /* becomes the entry of a new deployment */
    struct mr_dep *entry;
    /* set by intake */
    struct mr_dep_program program;
    struct mr_str metadata, framework;
    struct mr_loaded *loaded;  /* a hold, until the registry takes it */
    struct mr_dep_state state; /* after the second transaction */
};

static void job_unref(struct job *j) {
    if (atomic_fetch_sub(&j->refs, 1) != 1)
        return;
    mr_programs_drop(&j->d->programs, j->loaded);
    mr_registry_entry_free(j->spare);
    mr_arena_release(&j->intake_arena);
    mr_arena_release(&j->arena);
    pthread_cond_destroy(&j->cond);
    pthread_mutex_destroy(&j->lock);
    mr_free(j);
}

/* --- the first transaction --------------------------------------------------------------- */

/* The version that the earlier call made, which need not be the current one. */
static int select_version(struct mr_tx *tx, struct job *j, uint32_t n, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT status, metadata, error FROM versions WHERE deployment_id = ?1 "
                           "AND n = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->dep.id);
    mr_db_bind_i64(s, 2, n);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_EINTERNAL, "the version is not in the store");
    j->dep.version = n;
    if (mr_str_is(mr_db_str(s, 0), "failed"))
        j->dep.status = MR_LIT("failed");
    j->dep.metadata = mr_arena_keep(&j->arena, mr_db_str(s, 1));
    j->dep.error = mr_arena_keep(&j->arena, mr_db_str(s, 2));
    mr_db_done(s);
    return j->dep.metadata.p && j->dep.error.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static int find_replay(struct mr_tx *tx, struct job *j, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT request_hash, deployment_id, version FROM idempotency WHERE "
                           "account_id = ?1 AND key = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->account);
    mr_db_bind_str(s, 2, j->idem);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    struct mr_str hash = mr_db_blob(s, 0);
    bool same = hash.n == MR_SHA256_LEN && !memcmp(hash.p, j->request_hash, MR_SHA256_LEN);
    struct mr_id id;
    mr_db_id(s, 1, &id);
    uint32_t version = (uint32_t)mr_db_i64(s, 2);
    mr_db_done(s);
    if (!same)
        return mr_fail_field(e, MR_EFIELD, "Idempotency-Key",
                             "this key was used for a different request");
    j->replayed = true;
    rc = mr_dep_select(tx, j->account, id, &j->arena, &j->dep, e);
    return rc ? rc : select_version(tx, j, version, e);
}

static int find_named(struct mr_tx *tx, struct job *j, struct mr_err *e) {
    struct mr_stmt *s;
    struct mr_id id;
    int rc = mr_db_prepare(tx,
                           "SELECT id FROM deployments WHERE account_id = ?1 AND name = ?2 AND "
                           "named = 1 AND deleted_at = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->account);
    mr_db_bind_str(s, 2, j->name);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    mr_db_id(s, 0, &id);
    mr_db_done(s);
    j->fresh = false;
    rc = mr_dep_select(tx, j->account, id, &j->arena, &j->dep, e);
    if (rc)
        return rc;
    rc = mr_db_prepare(tx, "SELECT max(n) FROM versions WHERE deployment_id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    j->dep.version = (uint32_t)mr_db_i64(s, 0) + 1;
    mr_db_done(s);
    if (j->memory_mb > 0)
        j->dep.config.memory_mb = j->memory_mb;
    if (j->timeout_s > 0)
        j->dep.config.timeout_s = j->timeout_s;
    return 0;
}

static int insert_deployment(struct mr_tx *tx, struct job *j, struct mr_err *e) {
    struct mr_stmt *s;
    const struct mr_deployment *dep = &j->dep;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO deployments (id, account_id, name, named, status, "
                           "current_version, framework, memory_mb, timeout_s, min_instances, "
                           "max_instances, created_at, updated_at, deleted_at) VALUES (?1, ?2, ?3, "
                           "?4, 'building', 0, '', ?5, ?6, ?7, ?8, ?9, ?9, 0)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, dep->id);
    mr_db_bind_id(s, 2, j->account);
    mr_db_bind_str(s, 3, dep->name);
    mr_db_bind_i64(s, 4, j->named);
    mr_db_bind_i64(s, 5, dep->config.memory_mb);
    mr_db_bind_i64(s, 6, dep->config.timeout_s);
    mr_db_bind_i64(s, 7, dep->config.min_instances);
    mr_db_bind_i64(s, 8, dep->config.max_instances);
    mr_db_bind_i64(s, 9, dep->created_us);
    return mr_db_exec(s, e);
}

/* The new limits come with the version, when it is ready: one that fails changes nothing. */
static int update_deployment(struct mr_tx *tx, struct job *j, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE deployments SET updated_at = ?1, status = CASE WHEN "
                           "current_version > 0 THEN status ELSE 'building' END WHERE id = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, mr_now_us());
    mr_db_bind_id(s, 2, j->dep.id);
    return mr_db_exec(s, e);
}

static int insert_version(struct mr_tx *tx, struct job *j, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO versions (deployment_id, n, status, engine, source_blob, "
                           "metadata, changes, error, created_at) VALUES (?1, ?2, 'building', 0, "
                           "?3, ?4, ?5, '', ?6)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->dep.id);
    mr_db_bind_i64(s, 2, j->dep.version);
    mr_db_bind_blob(s, 3, j->source.sha, MR_SHA256_LEN);
    mr_db_bind_str(s, 4, j->dep.metadata);
    mr_db_bind_str(s, 5, j->changes);
    mr_db_bind_i64(s, 6, mr_now_us());
    rc = mr_db_exec(s, e);
    if (rc || !j->idem.p)
        return rc;
    rc = mr_db_prepare(tx,
                       "INSERT INTO idempotency (account_id, key, request_hash, deployment_id, "
                       "version, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->account);
    mr_db_bind_str(s, 2, j->idem);
    mr_db_bind_blob(s, 3, j->request_hash, MR_SHA256_LEN);
    mr_db_bind_id(s, 4, j->dep.id);
    mr_db_bind_i64(s, 5, j->dep.version);
    mr_db_bind_i64(s, 6, mr_now_us());
    return mr_db_exec(s, e);
}

/* On the writer thread, so that a second deploy of the name in the same commit finds the entry. */
static int enter(struct job *j, struct mr_err *e) {
    if (j->fresh) {
        mr_registry_add(j->d, j->spare, j->dep.id, j->account);
        j->entry = j->spare;
        j->spare = NULL;
    } else
        j->entry = mr_registry_find(j->d, j->dep.id);
    return j->entry ? 0 : mr_fail(e, MR_EINTERNAL, "the deployment is not in the registry");
}

static int write_insert(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct job *j = arg;
    int rc = j->idem.p ? find_replay(tx, j, e) : 0;
    if (rc || j->replayed)
        return rc;
    j->fresh = true;
    j->dep = (struct mr_deployment){.id = mr_id_new(),
                                    .account = j->account,
                                    .name = j->name,
                                    .status = MR_LIT("building"),
                                    .version = 1,
                                    .created_us = mr_now_us()};
    j->dep.config = (struct mr_dep_config){.memory_mb = j->memory_mb > 0 ? j->memory_mb : 1024,
                                           .timeout_s = j->timeout_s > 0 ? j->timeout_s : 30,
                                           .max_instances = 10};
    if (j->named)
        rc = find_named(tx, j, e);
    j->dep.metadata = mr_metadata_initial(&j->arena, j->file_name, j->size, &j->source);
    if (!rc && !j->dep.metadata.p)
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    if (!rc)
        rc = j->fresh ? insert_deployment(tx, j, e) : update_deployment(tx, j, e);
    if (!rc)
        rc = insert_version(tx, j, e);
    if (!rc)
        rc =
            mr_dep_event(j->d, tx, "deployment.created", &j->dep, j->base_url, mr_strn(NULL, 0), e);
    if (!rc)
        rc = mr_dep_event(j->d, tx, "deployment.building", &j->dep, j->base_url, mr_strn(NULL, 0),
                          e);
    return rc ? rc : enter(j, e);
}

/* --- the second transaction -------------------------------------------------------------- */

/* A ready version serves, unless a later one was ready first. */
static int write_outcome(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct job *j = arg;
    struct mr_stmt *s;
    bool ok = j->rc == 0;
    int rc = mr_db_prepare(tx,
                           "UPDATE versions SET status = ?1, engine = ?2, program_blob = ?3, "
                           "metadata = ?4, error = ?5 WHERE deployment_id = ?6 AND n = ?7",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, ok ? MR_LIT("ready") : MR_LIT("failed"));
    mr_db_bind_i64(s, 2, j->program.kind);
    if (ok)
        mr_db_bind_blob(s, 3, j->program.blob.sha, MR_SHA256_LEN);
    else
        mr_db_bind_null(s, 3);
    mr_db_bind_str(s, 4, j->metadata);
    mr_db_bind_str(s, 5, ok ? MR_LIT("") : mr_str(j->err.msg));
    mr_db_bind_id(s, 6, j->dep.id);
    mr_db_bind_i64(s, 7, j->dep.version);
    rc = mr_db_exec(s, e);
    if (rc)
        return rc;
    if (ok)
        rc = mr_db_prepare(tx,
                           "UPDATE deployments SET status = 'active', current_version = ?1, "
                           "framework = ?2, updated_at = ?3, memory_mb = CASE WHEN ?5 > 0 THEN ?5 "
                           "ELSE memory_mb END, timeout_s = CASE WHEN ?6 > 0 THEN ?6 ELSE "
                           "timeout_s END WHERE id = ?4 AND deleted_at = 0 AND NOT EXISTS (SELECT "
                           "1 FROM versions v WHERE v.deployment_id = ?4 AND v.n > ?1 AND v.status "
                           "= 'ready')",
                           &s, e);
    else
        rc = mr_db_prepare(tx,
                           "UPDATE deployments SET status = CASE WHEN current_version > 0 THEN "
                           "'active' ELSE 'failed' END, framework = CASE WHEN current_version > 0 "
                           "THEN framework ELSE ?2 END, updated_at = ?3 WHERE id = ?4 AND "
                           "deleted_at = 0 AND ?1 > 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, j->dep.version);
    mr_db_bind_str(s, 2, j->framework.p ? j->framework : MR_LIT(""));
    mr_db_bind_i64(s, 3, mr_now_us());
    mr_db_bind_id(s, 4, j->dep.id);
    if (ok) {
        mr_db_bind_i64(s, 5, j->memory_mb);
        mr_db_bind_i64(s, 6, j->timeout_s);
    }
    rc = mr_db_exec(s, e);
    if (!rc)
        rc = mr_dep_state_read(j->d, tx, j->dep.id, &j->state, e);
    if (rc || j->state.deleted)
        return rc;
    return mr_dep_event(j->d, tx, ok ? "deployment.ready" : "deployment.failed", &j->dep,
                        j->base_url, ok ? mr_strn(NULL, 0) : mr_str(j->err.msg), e);
}

/* --- intake ------------------------------------------------------------------------------ */

static int take_in(struct job *j, struct mr_err *e) {
    struct mr_deployments *d = j->d;
    struct mr_intake_config ic = {.self_exe = d->c.self_exe};
    struct mr_intake_result found = {0};
    struct mr_blob_writer *out = NULL;
    uint64_t size;
    int fd = -1;
    int rc = mr_blob_open(d->c.blobs, &j->source, &fd, &size, e);
    if (!rc)
        rc = mr_blob_begin_write(d->c.blobs, &out, e);
    if (!rc)
        rc = mr_intake_run(&ic, fd, j->file_name, mr_blob_writer_fd(out), &j->intake_arena, &found,
                           e);
    if (!rc) {
        j->program.kind = found.kind;
        j->metadata = mr_metadata_final(&j->intake_arena, found.metadata, j->file_name, j->size,
                                        &j->source, j->requirements, &j->framework);
        if (!j->metadata.p)
            rc = mr_fail(e, MR_ENOMEM, "out of memory");
    }
    if (!rc) {
        if (found.kind == MR_ENGINE_ONNX)
            j->program.blob = j->source; /* ONNX Runtime reads the file itself */
        else {
            rc = mr_blob_rescan(out, e); /* the child wrote it, not us */
            if (!rc)
                rc = mr_blob_commit(out, &j->program.blob, e);
        }
    }
    mr_blob_writer_free(out);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* True once the row is there, false when it never will be. */
static bool wait_inserted(struct job *j) {
    pthread_mutex_lock(&j->lock);
    while (!j->inserted && !j->refused)
        pthread_cond_wait(&j->cond, &j->lock);
    bool ok = j->inserted;
    pthread_mutex_unlock(&j->lock);
    return ok;
}

/* Whether what was loaded is what serves now: not deleted, overtaken or given other limits. */
static bool usable(const struct job *j) {
    const struct mr_dep_state *s = &j->state;
    return s->serving && s->program.version == j->program.version &&
           s->config.memory_mb == j->dep.config.memory_mb &&
           s->config.timeout_s == j->dep.config.timeout_s;
}

static void finish(struct job *j) {
    struct mr_deployments *d = j->d;
    struct mr_err err;
    j->program.version = j->dep.version;
    if (!j->rc)
        j->rc = mr_program_load(d, &j->program, &j->dep.config, &j->loaded, &j->err);
    if (j->rc && !j->metadata.p)
        j->metadata = j->dep.metadata;
    if (j->rc)
        atomic_fetch_add(&d->intake_failures, 1);
    int rc = mr_db_write(d->c.db, write_outcome, j, &err);
    if (rc) {
        mr_log_msg(d->c.log, MR_LOG_ERROR, "deploy", "%s", err.msg);
        if (!j->rc) {
            j->rc = rc;
            j->err = err;
        }
    }
    if (!j->rc) {
        struct mr_loaded *serves = usable(j) ? j->loaded : NULL;
        mr_registry_set(d, j->entry, &j->state, serves);
        if (serves)
            j->loaded = NULL;
    }
}

static void run_job(void *arg) {
    struct job *j = arg;
    atomic_fetch_add(&j->d->intakes, 1);
    j->rc = take_in(j, &j->err);
    if (wait_inserted(j))
        finish(j);
    pthread_mutex_lock(&j->lock);
    j->done = true;
    pthread_cond_broadcast(&j->cond);
    pthread_mutex_unlock(&j->lock);
    job_unref(j);
}

static void hash_part(struct mr_sha256 *h, struct mr_str s) {
    uint64_t n = s.p ? s.n + 1 : 0; /* absent and empty differ */
    mr_sha256_add(h, &n, sizeof n);
    mr_sha256_add(h, s.p ? s.p : "", s.n);
}

static int hash_request(struct job *j, struct mr_err *e) {
    struct mr_sha256 *h = mr_sha256_new();
    if (!h)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    hash_part(h, j->named ? j->name : mr_strn(NULL, 0));
    hash_part(h, j->changes);
    hash_part(h, j->requirements);
    mr_sha256_add(h, &j->memory_mb, sizeof j->memory_mb);
    mr_sha256_add(h, &j->timeout_s, sizeof j->timeout_s);
    mr_sha256_add(h, j->source.sha, MR_SHA256_LEN);
    mr_sha256_end(h, j->request_hash);
    mr_sha256_free(h);
    return 0;
}

static bool lost(struct mr_str given, struct mr_str kept) {
    return given.p && !kept.p;
}

static int job_new(struct mr_deployments *d, const struct mr_principal *who,
                   const struct mr_deploy *in, struct job **ret, struct mr_err *e) {
    struct job *j = mr_calloc(1, sizeof *j);
    if (!j)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    j->d = d;
    mr_arena_init(&j->arena, 64u << 20);
    mr_arena_init(&j->intake_arena, 64u << 20);
    j->spare = mr_registry_entry_new();
    atomic_init(&j->refs, 1);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->cond, NULL);
    j->account = who->account;
    j->named = in->name.p != NULL;
    j->file_name = mr_arena_keep(&j->arena, in->file_name);
    j->name = in->name.p ? mr_arena_keep(&j->arena, in->name)
                         : mr_metadata_stem(&j->arena, in->file_name);
    j->changes = mr_arena_keep(&j->arena, in->changes.p ? in->changes : MR_LIT(""));
    j->requirements = mr_arena_keep(&j->arena, in->requirements);
    j->base_url = mr_arena_keep(&j->arena, in->base_url);
    j->idem = mr_arena_keep(&j->arena, in->idempotency_key);
    j->memory_mb = in->memory_mb;
    j->timeout_s = in->timeout_s;
    j->size = mr_blob_written(in->model);
    bool whole = j->spare && j->name.p && j->changes.p && !lost(in->file_name, j->file_name) &&
                 !lost(in->requirements, j->requirements) && !lost(in->base_url, j->base_url) &&
                 !lost(in->idempotency_key, j->idem);
    int rc =
        whole ? mr_blob_commit(in->model, &j->source, e) : mr_fail(e, MR_ENOMEM, "out of memory");
    if (!rc)
        rc = hash_request(j, e);
    if (rc)
        job_unref(j);
    else
        *ret = j;
    return rc;
}

/* The row and the registry's entry; then tells the job. */
static int insert(struct job *j, struct mr_err *e) {
    int rc = mr_db_write(j->d->c.db, write_insert, j, e);
    if (rc && j->fresh && j->entry) { /* entered, but then the commit failed */
        struct mr_dep_state gone = {.seq = atomic_fetch_add(&j->d->seq, 1) + 1, .deleted = true};
        mr_registry_set(j->d, j->entry, &gone, NULL);
    }
    pthread_mutex_lock(&j->lock);
    j->inserted = !rc && !j->replayed;
    j->refused = !j->inserted;
    pthread_cond_broadcast(&j->cond);
    pthread_mutex_unlock(&j->lock);
    return rc;
}

static void wait_done(struct job *j) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&j->lock);
    while (!j->done && !pthread_cond_timedwait(&j->cond, &j->lock, &until))
        ;
    pthread_mutex_unlock(&j->lock);
}

/* What is wrong with the file is one kind of failure, whatever step found it; what is wrong with
 * the server stays what it is. */
static int outcome_error(const struct job *j, struct mr_err *e) {
    switch (j->rc) {
    case MR_ENOMEM:
    case MR_EIO:
    case MR_ENOSPC:
    case MR_EUNAVAIL:
    case MR_EINTERNAL:
        if (e)
            *e = j->err;
        return j->rc;
    default:
        return mr_fail(e, MR_EREFUSED, "%s", j->err.msg);
    }
}

int mr_deploy(struct mr_deployments *d, const struct mr_principal *who, struct mr_deploy *in,
              struct mr_arena *arena, struct mr_deployment *ret, bool *ret_replayed,
              struct mr_err *e) {
    struct job *j;
    int rc = job_new(d, who, in, &j, e);
    mr_blob_writer_free(in->model);
    in->model = NULL;
    if (rc)
        return rc;
    atomic_fetch_add(&j->refs, 1);
    if (mr_pool_submit(d->intake, run_job, j)) {
        job_unref(j);
        job_unref(j);
        return mr_fail(e, MR_EUNAVAIL, "too many deployments are being built: try again later");
    }
    rc = insert(j, e);
    if (!rc) {
        if (!j->replayed)
            wait_done(j);
        pthread_mutex_lock(&j->lock);
        bool done = j->done && !j->replayed;
        pthread_mutex_unlock(&j->lock);
        *ret = j->dep;
        ret->name = mr_arena_keep(arena, j->dep.name);
        ret->status = j->replayed ? mr_arena_keep(arena, j->dep.status) : MR_LIT("building");
        ret->metadata = mr_arena_keep(arena, done && j->metadata.p ? j->metadata : j->dep.metadata);
        ret->error = mr_strn(NULL, 0);
        ret->framework = mr_strn(NULL, 0);
        *ret_replayed = j->replayed;
        if (done && j->rc)
            rc = outcome_error(j, e);
        else if (j->replayed && mr_str_is(j->dep.status, "failed"))
            rc = mr_fail(e, MR_EREFUSED, "%.*s", (int)j->dep.error.n, j->dep.error.p);
    }
    job_unref(j);
    return rc;
}
