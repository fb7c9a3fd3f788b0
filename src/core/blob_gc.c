/* Files that nothing refers to: uploads that came to nothing, and what deleted deployments had. A
 * pass soon after the start, then one a day, each in MR_BLOB_SWEEPS steps, between which the
 * janitor (registry.c) does its other work. Why no file is lost that is needed: store/blobs.h.
 *
 * A blob is referred to by every version that can be built or served: of a deployment that is not
 * deleted, or was less than the grace period ago, and not failed (nothing reads a failed version's
 * upload any more), by jobs (what they were given and the items captured from it) and by files that
 * jobs may name. No other table names blobs; one that does has to be read here, and its writer has
 * to keep the blob's until its row is committed. */
#include "base/clock.h"
#include "core/deployments_priv.h"

#define PASS_NS 86400000000000ll

struct named {
    struct mr_blob_sweep *sweep;
    int64_t deleted_before_us;
};

static void keep(struct mr_blob_sweep *sweep, struct mr_str blob) {
    struct mr_blob_name name;
    if (blob.n != MR_SHA256_LEN)
        return;
    memcpy(name.sha, blob.p, MR_SHA256_LEN);
    mr_blob_sweep_keep(sweep, &name);
}

static int keep_of_jobs(struct mr_tx *tx, struct mr_blob_sweep *sweep, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT input_blob, source_blob FROM jobs UNION ALL "
                           "SELECT blob, NULL FROM job_files",
                           &s, e);
    if (rc)
        return rc;
    while ((rc = mr_db_step(s, e)) > 0) {
        keep(sweep, mr_db_blob(s, 0));
        keep(sweep, mr_db_blob(s, 1));
    }
    return rc;
}

static int keep_named(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct named *n = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT v.source_blob, v.program_blob FROM versions v JOIN deployments "
                           "d ON d.id = v.deployment_id WHERE v.status <> 'failed' AND "
                           "(d.deleted_at = 0 OR d.deleted_at >= ?1)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, n->deleted_before_us);
    while ((rc = mr_db_step(s, e)) > 0) {
        keep(n->sweep, mr_db_blob(s, 0));
        keep(n->sweep, mr_db_blob(s, 1));
    }
    return rc ? rc : keep_of_jobs(tx, n->sweep, e);
}

int mr_blob_gc(struct mr_deployments *d, unsigned digit, int64_t grace_us,
               struct mr_blob_swept *sum, struct mr_err *e) {
    struct named n = {.deleted_before_us = mr_now_us() - grace_us};
    struct mr_blob_swept now = {0};
    int rc = mr_blob_sweep_begin(d->c.blobs, digit, n.deleted_before_us, &n.sweep, e);
    if (rc)
        return rc;
    rc = mr_db_read(d->c.db, keep_named, &n, e);
    if (rc)
        mr_blob_sweep_cancel(n.sweep);
    else
        rc = mr_blob_sweep_end(n.sweep, &now, e);
    atomic_fetch_add(&d->blobs_deleted, now.blobs);
    atomic_fetch_add(&d->blob_bytes_deleted, now.bytes);
    sum->blobs += now.blobs;
    sum->bytes += now.bytes;
    return rc;
}

int mr_blob_gc_look(struct mr_db *db, struct mr_blobs *blobs, int64_t grace_us,
                    void (*each)(void *arg, const struct mr_blob_name *name, uint64_t size),
                    void *arg, struct mr_blob_swept *ret, struct mr_err *e) {
    struct named n = {.deleted_before_us = mr_now_us() - grace_us};
    struct mr_blob_swept sum = {0};
    for (unsigned digit = 0; digit < MR_BLOB_SWEEPS; digit++) {
        int rc = mr_blob_sweep_begin(blobs, digit, n.deleted_before_us, &n.sweep, e);
        if (rc)
            return rc;
        rc = mr_db_read(db, keep_named, &n, e);
        if (rc)
            mr_blob_sweep_cancel(n.sweep);
        else
            rc = mr_blob_sweep_look(n.sweep, each, arg, &sum, e);
        if (rc)
            return rc;
    }
    *ret = sum;
    return 0;
}

void mr_blob_gc_step(struct mr_deployments *d, int64_t grace_us) {
    struct mr_blob_pass *gc = &d->gc;
    struct mr_err err;
    int rc = mr_blob_gc(d, gc->step, grace_us, &gc->sum, &err);
    if (rc)
        mr_log_msg(d->c.log, MR_LOG_ERROR, "blobs", "files that nothing refers to stay: %s",
                   err.msg);
    if (!rc && ++gc->step < MR_BLOB_SWEEPS)
        return; /* the next step at once */
    if (gc->sum.blobs)
        mr_log_msg(d->c.log, MR_LOG_INFO, "blobs",
                   "deleted %llu files that nothing referred to, %llu bytes",
                   (unsigned long long)gc->sum.blobs, (unsigned long long)gc->sum.bytes);
    *gc = (struct mr_blob_pass){.next_ns = mr_mono_ns() + PASS_NS};
}
