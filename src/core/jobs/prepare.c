/* Before a job's first item in this process: its items are captured, unless they are, and what was
 * stored by earlier attempts is left out. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/jobs/jobs_priv.h"

/* --- capture ------------------------------------------------------------------------------ */

struct captured {
    struct mr_job_active *a;
    const struct mr_blob_name *name;
    int64_t n;
};

static int captured_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct captured *c = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "UPDATE jobs SET input_blob = ?3, total = ?4, lease_until = ?5, stalls = 0, moved_at = ?6 "
        "WHERE id = ?1 AND fence = ?2 AND status = 2",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->a->id);
    mr_db_bind_i64(s, 2, c->a->fence);
    mr_db_bind_blob(s, 3, c->name->sha, MR_SHA256_LEN);
    mr_db_bind_i64(s, 4, c->n);
    int64_t now = mr_now_us();
    mr_db_bind_i64(s, 5, now + mr_job_lease_us(c->a->j));
    mr_db_bind_i64(s, 6, now);
    rc = mr_db_exec(s, e);
    if (!rc && mr_db_changes(tx) != 1)
        return mr_fail(e, MR_ECONFLICT, "the job is no longer held by this process");
    return rc ? rc
              : mr_job_logf_in(tx, c->a->id, MR_JOB_INFO, e, "Input read: %lld items",
                               (long long)c->n);
}

static int capture(struct mr_job_active *a, struct mr_err *e) {
    struct mr_jobs *j = a->j;
    struct mr_job_pack pack;
    struct mr_blob_name name;
    int rc = mr_job_pack_init(&pack, j->c.blobs, j->c.input_max, e);
    if (!rc)
        rc = mr_job_capture(a, &pack, e);
    if (!rc && !pack.n)
        rc = mr_fail(e, MR_EINVAL, "the input has no items");
    if (!rc)
        rc = mr_job_pack_end(&pack, &name, e);
    struct captured c = {a, &name, (int64_t)pack.n};
    mr_crash_point("job-input-stored");
    if (!rc)
        rc = mr_db_write(j->c.db, captured_in, &c, e);
    mr_job_pack_release(&pack);
    if (rc)
        return rc;
    mr_crash_point("job-input-committed");
    atomic_fetch_add(&j->service[a->service].ahead, c.n);
    a->input_blob = name;
    a->has_input = true;
    return 0;
}

/* --- what is stored already --------------------------------------------------------------- */

struct known {
    struct mr_job_active *a;
    uint8_t *taken;
    int64_t n, waiting; /* with a result; with a further attempt to come */
};

static int known_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct known *k = arg;
    int64_t total = (int64_t)k->a->in.n;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT idx FROM job_results WHERE job_id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, k->a->id);
    while ((rc = mr_db_step(s, e)) > 0) {
        int64_t i = mr_db_i64(s, 0);
        if (i < 0 || i >= total) {
            mr_db_done(s);
            return mr_fail(e, MR_EINTERNAL, "a result belongs to no item");
        }
        k->taken[i / 8] |= (uint8_t)(1u << (i % 8));
        k->n++;
    }
    return rc ? rc : mr_job_attempts_read_in(tx, k->a, k->taken, &k->waiting, e);
}

int mr_job_prepare(struct mr_job_active *a, struct mr_err *e) {
    struct mr_jobs *j = a->j;
    int rc = a->has_input ? 0 : capture(a, e);
    if (!rc && a->in.fd < 0)
        rc = mr_job_input_open(j->c.blobs, &a->input_blob, &a->in, e);
    if (rc)
        return rc == MR_ENOTFOUND ? mr_fail(e, MR_EINVAL, "the job's input is gone") : rc;
    struct known k = {.a = a, .taken = mr_calloc(a->in.n / 8 + 1, 1)};
    if (!k.taken)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    rc = mr_db_read(j->c.db, known_in, &k, e);
    if (rc) {
        mr_free(k.taken);
        return rc;
    }
    pthread_mutex_lock(&j->mu);
    a->taken = k.taken;
    a->stored = k.n;
    a->taken_n = k.n + k.waiting;
    a->total = (int64_t)a->in.n;
    a->cursor = 0;
    pthread_mutex_unlock(&j->mu);
    return 0;
}
