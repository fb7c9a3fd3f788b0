/* The program of a version, made again from its upload: it was not stored before a kill or a power
 * cut (deploy.c), or somebody removed it. */
#include "base/cleanup.h"
#include "core/deployments_priv.h"
#include "engine/intake.h"

MR_DEFINE_CLEANUP(struct mr_blob_writer *, mr_blob_writer_free);

struct renamed {
    const struct mr_dep_program *from;
    struct mr_blob_name to;
};

/* Another build of this server may compile the same upload to other bytes. */
static int write_renamed(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct renamed *r = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE versions SET program_blob = ?1 WHERE program_blob = ?2 AND "
                           "source_blob = ?3",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_blob(s, 1, r->to.sha, MR_SHA256_LEN);
    mr_db_bind_blob(s, 2, r->from->blob.sha, MR_SHA256_LEN);
    mr_db_bind_blob(s, 3, r->from->source.sha, MR_SHA256_LEN);
    return mr_db_exec(s, e);
}

static int compile(struct mr_deployments *d, const struct mr_dep_program *p,
                   struct mr_blob_writer *out, struct mr_err *e) {
    struct mr_intake_config ic = {.self_exe = d->c.self_exe, .crew = d->crew};
    struct mr_intake_result found = {0};
    struct mr_arena arena;
    MR_AUTO_CLOSE int fd = -1;
    int rc = mr_blob_open(d->c.blobs, &p->source, &fd, NULL, e);
    if (rc == MR_ENOTFOUND)
        return mr_fail(e, MR_EINTERNAL, "the model's file is missing from the store");
    if (rc)
        return rc;
    mr_arena_init(&arena, 64u << 20);
    rc = mr_intake_run(&ic, fd, MR_LIT(""), mr_blob_writer_fd(out), &arena, &found, e);
    if (!rc && found.kind != p->kind)
        rc = mr_fail(e, MR_EINTERNAL, "the upload is now read as another kind of model");
    mr_arena_release(&arena);
    return rc;
}

int mr_program_rebuild(struct mr_deployments *d, struct mr_dep_program *p, int *ret_fd,
                       struct mr_err *e) {
    MR_CLEANUP(mr_blob_writer_free_p) struct mr_blob_writer *out = NULL;
    struct renamed r = {.from = p};
    int rc = mr_blob_begin_write(d->c.blobs, &out, e);
    if (!rc)
        rc = compile(d, p, out, e);
    if (!rc)
        rc = mr_blob_rescan(out, e);
    if (!rc)
        rc = mr_blob_commit(out, &r.to, e);
    if (!rc && memcmp(r.to.sha, p->blob.sha, MR_SHA256_LEN))
        rc = mr_db_write(d->c.db, write_renamed, &r, e);
    if (!rc)
        rc = mr_blob_reread(out, ret_fd, e);
    if (!rc) {
        p->blob = r.to;
        mr_log_msg(d->c.log, MR_LOG_INFO, "deploy", "a program was built again from its upload");
    }
    return rc;
}
