/* How often an item was tried, kept over stops and kills: a row an item that waits for its next
 * attempt. What a kill broke off in the middle is not counted: it has no outcome. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/jobs/jobs_priv.h"

struct failed_once {
    struct mr_id job;
    int64_t fence, index;
    int attempts;
};

static int note_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct failed_once *f = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT OR REPLACE INTO job_attempts (job_id, idx, attempts) "
                           "SELECT ?1, ?3, ?4 WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND "
                           "fence = ?2 AND status = 2)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, f->job);
    mr_db_bind_i64(s, 2, f->fence);
    mr_db_bind_i64(s, 3, f->index);
    mr_db_bind_i64(s, 4, f->attempts);
    return mr_db_exec(s, e);
}

static void noted(void *arg, int rc, const struct mr_err *err) {
    (void)rc; /* what is not kept is counted from the start again */
    (void)err;
    mr_free(arg);
}

void mr_job_attempt_note(const struct mr_job_active *a, int64_t index, int attempts) {
    struct failed_once *f = mr_malloc(sizeof *f);
    if (!f)
        return;
    *f = (struct failed_once){a->id, a->fence, index, attempts};
    if (mr_db_write_async(a->j->c.db, note_in, f, noted))
        mr_free(f);
}

int mr_job_attempt_drop_in(struct mr_tx *tx, struct mr_id job, int64_t index, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "DELETE FROM job_attempts WHERE job_id = ?1 AND idx = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, job);
    mr_db_bind_i64(s, 2, index);
    return mr_db_exec(s, e);
}

int mr_job_attempts_read_in(struct mr_tx *tx, struct mr_job_active *a, uint8_t *taken,
                            int64_t *ret_n, struct mr_err *e) {
    struct mr_stmt *s;
    int64_t now = mr_mono_ns();
    int rc = mr_db_prepare(tx, "SELECT idx, attempts FROM job_attempts WHERE job_id = ?1", &s, e);
    *ret_n = 0;
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, a->id);
    while ((rc = mr_db_step(s, e)) > 0) {
        int64_t i = mr_db_i64(s, 0);
        if (i < 0 || i >= (int64_t)a->in.n || taken[i / 8] >> (i % 8) & 1)
            continue;
        if (!mr_job_put_again(a, i, (int)mr_db_i64(s, 1) + 1, now)) {
            mr_db_done(s);
            return mr_fail(e, MR_ENOMEM, "out of memory");
        }
        taken[i / 8] |= (uint8_t)(1u << (i % 8));
        ++*ret_n;
    }
    return rc;
}
