/* A model's way: upload -> row and events -> intake -> active and event -> stored program.
 *
 * Two strands run side by side, and the caller waits up to 2 s for both:
 *   the caller's thread    upload to disk and named (fsync, link, fsync) -> row 'building'
 * committed the intake pool        a child reads the upload -> (row is there) -> load -> row
 * 'ready' committed What holds at every moment, whatever is killed or loses power then:
 *   - A name in the blob store belongs to bytes that are durable (store/blobs.h).
 *   - A row names an upload that was durable before the row: it can be built again. The job keeps
 *     the upload's writer until the row is committed, so that it is not collected (blob_gc.c).
 *   - Nobody is told of a version before its row is committed, nor that it serves before the
 * outcome is.
 *   - The program is only derived: it is stored after the outcome, without anybody waiting for the
 *     disk. When it is missing under its name, it is made again from the upload (rebuild.c).
 *   - A row that is still 'building' at the start is taken up again (deploy_recover.c): after a
 * kill, after a stop with a full queue, and when its outcome could not be written. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/codec.h"
#include "core/deploy_priv.h"
#include "core/metadata.h"
#include "engine/intake.h"

#include <fcntl.h>
#include <unistd.h>

#define WAIT_S 2

void mr_deploy_job_unref(struct mr_deploy_job *j) {
    if (atomic_fetch_sub(&j->refs, 1) != 1)
        return;
    mr_programs_drop(&j->d->programs, j->loaded);
    mr_registry_entry_free(j->spare);
    mr_blob_writer_free(j->upload);
    mr_blob_writer_free(j->out);
    if (j->source_fd >= 0)
        close(j->source_fd);
    mr_arena_release(&j->intake_arena);
    mr_arena_release(&j->arena);
    pthread_cond_destroy(&j->cond);
    pthread_mutex_destroy(&j->lock);
    mr_free(j);
}

/* --- intake ------------------------------------------------------------------------------ */

static int open_source(struct mr_deploy_job *j, struct mr_err *e) {
    if (j->source_fd >= 0)
        return 0;
    int rc = mr_blob_open(j->d->c.blobs, &j->source, &j->source_fd, &j->size, e);
    return rc == MR_ENOTFOUND ? mr_fail(e, MR_EINTERNAL, "the uploaded file is missing") : rc;
}

static int take_in(struct mr_deploy_job *j, struct mr_err *e) {
    struct mr_deployments *d = j->d;
    struct mr_intake_config ic = {.self_exe = d->c.self_exe, .crew = d->crew};
    struct mr_intake_result found = {0};
    int rc = open_source(j, e);
    if (!rc)
        rc = mr_blob_begin_write(d->c.blobs, &j->out, e);
    if (!rc)
        rc = mr_intake_run(&ic, j->source_fd, j->file_name, mr_blob_writer_fd(j->out),
                           &j->intake_arena, &found, e);
    if (rc)
        return rc;
    j->program.kind = found.kind;
    j->program.source = j->source;
    j->metadata = mr_metadata_final(&j->intake_arena, found.metadata, j->file_name, j->size,
                                    &j->source, j->requirements, &j->framework);
    if (!j->metadata.p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    if (found.kind == MR_ENGINE_ONNX) { /* ONNX Runtime reads the file itself */
        j->program.blob = j->source;
        mr_blob_writer_free(j->out);
        j->out = NULL;
        return 0;
    }
    rc = mr_blob_rescan(j->out, e); /* the child, which has ended, wrote it, not us */
    return rc ? rc : mr_blob_seal(j->out, &j->program.blob, e);
}

/* From the descriptors: the names may not be there yet. */
static int open_fresh(void *ctx, struct mr_dep_program *p, int *ret_fd, struct mr_err *e) {
    const struct mr_deploy_job *j = ctx;
    (void)p;
    if (j->out)
        return mr_blob_reread(j->out, ret_fd, e);
    int fd = fcntl(j->source_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return mr_fail_errno(e, "cannot open the upload again");
    *ret_fd = fd;
    return 0;
}

/* True once the row is there, false when it never will be. */
static bool wait_inserted(struct mr_deploy_job *j) {
    pthread_mutex_lock(&j->lock);
    while (!j->inserted && !j->refused)
        pthread_cond_wait(&j->cond, &j->lock);
    bool ok = j->inserted;
    pthread_mutex_unlock(&j->lock);
    return ok;
}

/* Whether what was loaded is what serves now: not deleted, overtaken or given other limits. */
static bool usable(const struct mr_deploy_job *j) {
    const struct mr_dep_state *s = &j->state;
    return s->serving && s->program.version == j->program.version &&
           s->config.memory_mb == j->dep.config.memory_mb &&
           s->config.timeout_s == j->dep.config.timeout_s;
}

/* The version serves already; from here on it need not be built again at its next load. */
static void store_program(struct mr_deploy_job *j) {
    struct mr_err err;
    struct mr_blob_name name;
    if (j->out && !j->rc && mr_blob_commit(j->out, &name, &err))
        mr_log_msg(j->d->c.log, MR_LOG_WARN, "deploy", "the program is not stored: %s", err.msg);
}

static void end_job(struct mr_deploy_job *j) {
    pthread_mutex_lock(&j->lock);
    j->done = true;
    pthread_cond_broadcast(&j->cond);
    pthread_mutex_unlock(&j->lock);
}

/* After the second transaction. Takes over the reference. */
static void settle(struct mr_deploy_job *j) {
    if (!j->rc) {
        struct mr_loaded *serves = usable(j) ? j->loaded : NULL;
        mr_registry_set(j->d, j->entry, &j->state, serves);
        if (serves)
            j->loaded = NULL;
    }
    end_job(j);
    if (mr_intake_crew_fill(j->d->crew, &(struct mr_err){0}))
        mr_log_msg(j->d->c.log, MR_LOG_WARN, "deploy", "no spare reader of uploads can be started");
    store_program(j);
    mr_deploy_job_unref(j);
}

static void written_late(void *arg, bool written) {
    struct mr_deploy_job *j = arg;
    if (written)
        settle(j);
    else /* the row is still 'building': the next start goes on */
        mr_deploy_job_unref(j);
}

static void finish(struct mr_deploy_job *j) {
    struct mr_deployments *d = j->d;
    struct mr_err err;
    j->program.version = j->dep.version;
    if (!j->rc)
        j->rc = mr_programs_hold(&d->programs, open_fresh, j, &j->program, &j->dep.config,
                                 &j->loaded, NULL, &j->err);
    if (j->rc && !j->metadata.p)
        j->metadata = j->dep.metadata;
    if (j->rc)
        atomic_fetch_add(&d->intake_failures, 1);
    if (!mr_db_write(d->c.db, mr_deploy_outcome, j, &err)) {
        settle(j);
        return;
    }
    mr_log_msg(d->c.log, MR_LOG_ERROR, "deploy", "tried again until it is written: %s", err.msg);
    j->retry = (struct mr_dep_retry){.fn = mr_deploy_outcome, .arg = j, .done = written_late};
    mr_dep_retry(d, &j->retry);
}

void mr_deploy_run(void *arg) {
    struct mr_deploy_job *j = arg;
    struct mr_deployments *d = j->d;
    atomic_fetch_add(&d->running, 1);
    bool left = atomic_load(&d->closing);
    if (!left) {
        atomic_fetch_add(&d->intakes, 1);
        j->rc = take_in(j, &j->err);
        /* Killed by the stop, or as good as: no verdict on the file. */
        left = j->rc && atomic_load(&d->closing);
    }
    if (!left && wait_inserted(j))
        finish(j);
    else { /* what is in the store as 'building' is taken up by the next start */
        end_job(j);
        mr_deploy_job_unref(j);
    }
    atomic_fetch_sub(&d->running, 1);
}

static void hash_part(struct mr_sha256 *h, struct mr_str s) {
    uint64_t n = s.p ? s.n + 1 : 0; /* absent and empty differ */
    mr_sha256_add(h, &n, sizeof n);
    mr_sha256_add(h, s.p ? s.p : "", s.n);
}

static int hash_request(struct mr_deploy_job *j, struct mr_err *e) {
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

struct mr_deploy_job *mr_deploy_job_new(struct mr_deployments *d) {
    struct mr_deploy_job *j = mr_calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->d = d;
    j->source_fd = -1;
    mr_arena_init(&j->arena, 64u << 20);
    mr_arena_init(&j->intake_arena, 64u << 20);
    atomic_init(&j->refs, 1);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->cond, NULL);
    return j;
}

/* Takes over in->model. */
static int job_of(struct mr_deployments *d, const struct mr_principal *who, struct mr_deploy *in,
                  struct mr_deploy_job **ret, struct mr_err *e) {
    struct mr_deploy_job *j = mr_deploy_job_new(d);
    if (!j)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    j->upload = in->model;
    in->model = NULL;
    j->spare = mr_registry_entry_new();
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
    j->size = mr_blob_written(j->upload);
    bool whole = j->spare && j->name.p && j->changes.p && !lost(in->file_name, j->file_name) &&
                 !lost(in->requirements, j->requirements) && !lost(in->base_url, j->base_url) &&
                 !lost(in->idempotency_key, j->idem);
    if (whole)
        j->request = mr_deploy_request(&j->arena, j);
    int rc = j->request.p ? mr_blob_seal(j->upload, &j->source, e)
                          : mr_fail(e, MR_ENOMEM, "out of memory");
    if (!rc)
        rc = mr_blob_reread(j->upload, &j->source_fd, e);
    if (!rc)
        rc = hash_request(j, e);
    if (rc)
        mr_deploy_job_unref(j);
    else
        *ret = j;
    return rc;
}

/* The durable upload, then its row and the registry's entry; then tells the job. */
static int insert(struct mr_deploy_job *j, struct mr_err *e) {
    struct mr_blob_name name;
    int rc = mr_blob_commit(j->upload, &name, e);
    if (!rc)
        rc = mr_db_write(j->d->c.db, mr_deploy_insert, j, e);
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

static void wait_done(struct mr_deploy_job *j) {
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
static int outcome_error(const struct mr_deploy_job *j, struct mr_err *e) {
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
    struct mr_deploy_job *j;
    int rc = job_of(d, who, in, &j, e);
    mr_blob_writer_free(in->model);
    in->model = NULL;
    if (rc)
        return rc;
    atomic_fetch_add(&j->refs, 1);
    if (mr_pool_submit(d->intake, mr_deploy_run, j)) {
        mr_deploy_job_unref(j);
        mr_deploy_job_unref(j);
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
    mr_deploy_job_unref(j);
    return rc;
}
