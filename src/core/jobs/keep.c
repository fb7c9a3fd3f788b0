/* What is kept how long: ended jobs with their results and logs, and files that no job has used,
 * `keep_days`. Blobs that no row names any more go with the next collection (core/blob_gc.c). Few
 * rows a transaction, so that nobody waits behind a job of a million results. */
#include "core/jobs/jobs_priv.h"

#define ROWS_AT_ONCE 2000

struct clean {
    struct mr_jobs *j;
    int64_t before_us;
    bool more;
};

static int find_old(struct mr_tx *tx, int64_t before, struct mr_id *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int found = 0;
    for (int status = MR_JOB_COMPLETED; status <= MR_JOB_CANCELLED && !found; status++) {
        int rc = mr_db_prepare(
            tx, "SELECT id FROM jobs WHERE status = ?1 AND ended_at < ?2 ORDER BY ended_at LIMIT 1",
            &s, e);
        if (rc)
            return rc;
        mr_db_bind_i64(s, 1, status);
        mr_db_bind_i64(s, 2, before);
        found = mr_db_step(s, e);
        if (found > 0) {
            mr_db_id(s, 0, ret);
            mr_db_done(s);
        }
    }
    return found;
}

/* Deletes some rows; 1: there may be more. */
static int some(struct mr_tx *tx, const char *sql, struct mr_id id, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_i64(s, 2, ROWS_AT_ONCE);
    rc = mr_db_exec(s, e);
    return rc ? rc : mr_db_changes(tx) == ROWS_AT_ONCE;
}

static int drop_job(struct mr_tx *tx, struct mr_id id, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = some(tx,
                  "DELETE FROM job_results WHERE job_id = ?1 AND idx IN (SELECT idx FROM "
                  "job_results WHERE job_id = ?1 LIMIT ?2)",
                  id, e);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = some(tx,
              "DELETE FROM job_logs WHERE job_id = ?1 AND seq IN (SELECT seq FROM job_logs WHERE "
              "job_id = ?1 LIMIT ?2)",
              id, e);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = some(tx,
              "DELETE FROM job_attempts WHERE job_id = ?1 AND idx IN (SELECT idx FROM "
              "job_attempts WHERE job_id = ?1 LIMIT ?2)",
              id, e);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = mr_db_prepare(tx, "DELETE FROM jobs WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    return mr_db_exec(s, e);
}

static int drop_files(struct mr_tx *tx, int64_t before, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "DELETE FROM job_files WHERE used_at < ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, before);
    return mr_db_exec(s, e);
}

static int clean_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct clean *c = arg;
    struct mr_id id;
    int rc = find_old(tx, c->before_us, &id, e);
    c->more = rc > 0;
    if (rc > 0)
        return drop_job(tx, id, e);
    return rc ? rc : drop_files(tx, c->before_us, e);
}

int mr_jobs_clean(struct mr_jobs *j, int64_t now_us, bool *ret_more, struct mr_err *e) {
    struct clean c = {.j = j, .before_us = now_us - (int64_t)j->c.keep_days * 86400000000ll};
    int rc = mr_db_write(j->c.db, clean_in, &c, e);
    if (!rc)
        *ret_more = c.more;
    return rc;
}
