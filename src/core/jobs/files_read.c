/* One uploaded file: its row, its bytes. */
#include "core/jobs/jobs_priv.h"
#include "core/jobs/source.h"

struct one {
    struct mr_id account, id;
    struct mr_arena *arena; /* NULL: the name is not wanted */
    struct mr_job_file file;
    struct mr_blob_name blob;
};

static int one_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct one *o = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT name, form, size, created_at, blob FROM job_files WHERE id = ?1 "
                           "AND account_id = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, o->id);
    mr_db_bind_id(s, 2, o->account);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc < 0 ? rc : mr_fail(e, MR_ENOTFOUND, "no such file");
    struct mr_str blob = mr_db_blob(s, 4);
    o->file = (struct mr_job_file){.id = o->id,
                                   .name = MR_LIT(""),
                                   .form = mr_job_form_name((enum mr_job_form)mr_db_i64(s, 1)),
                                   .bytes = (uint64_t)mr_db_i64(s, 2),
                                   .created_us = mr_db_i64(s, 3)};
    if (o->arena)
        o->file.name = mr_arena_keep(o->arena, mr_db_str(s, 0));
    bool whole = blob.n == MR_SHA256_LEN && o->file.name.p;
    if (whole)
        memcpy(o->blob.sha, blob.p, MR_SHA256_LEN);
    mr_db_done(s);
    return whole ? 0 : mr_fail(e, MR_EIO, "a file's row is damaged");
}

int mr_job_file_get(struct mr_jobs *j, struct mr_id account, struct mr_id id,
                    struct mr_arena *arena, struct mr_job_file *ret, struct mr_err *e) {
    struct one o = {.account = account, .id = id, .arena = arena};
    int rc = mr_db_read(j->c.db, one_in, &o, e);
    if (!rc)
        *ret = o.file;
    return rc;
}

int mr_job_file_open(struct mr_jobs *j, struct mr_id account, struct mr_id id, int *ret_fd,
                     uint64_t *ret_size, struct mr_err *e) {
    struct one o = {.account = account, .id = id};
    int rc = mr_db_read(j->c.db, one_in, &o, e);
    return rc ? rc : mr_blob_open(j->c.blobs, &o.blob, ret_fd, ret_size, e);
}
