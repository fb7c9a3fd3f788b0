/* Uploaded files that jobs name as parameters.input_file. The bytes are a blob; the blob's writer
 * lives until the row is committed (store/blobs.h). */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/jobs/source.h"

#define FILES_MAX    1000
#define NAME_MAX_LEN 255u

struct mr_job_upload {
    struct mr_jobs *j;
    struct mr_blob_writer *w;
    struct mr_id account;
    enum mr_job_form form;
    char name[NAME_MAX_LEN + 1];
};

/* --- uploading ---------------------------------------------------------------------------- */

/* The last part of a path, as browsers of old send one. */
static struct mr_str base_name(struct mr_str s) {
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == '/' || s.p[i - 1] == '\\')
            return mr_strn(s.p + i, s.n - i);
    return s;
}

int mr_job_upload_begin(struct mr_jobs *j, struct mr_id account, struct mr_str name,
                        struct mr_str form, struct mr_job_upload **ret, struct mr_err *e) {
    enum mr_job_form f;
    name = base_name(name);
    if (!name.n || name.n > NAME_MAX_LEN || memchr(name.p, 0, name.n) || !mr_utf8_valid(name))
        return mr_fail_field(e, MR_EFIELD, "file", "a file's name has 1 to %u bytes of UTF-8",
                             NAME_MAX_LEN);
    int rc = mr_job_form_parse(form, &f, e);
    if (rc)
        return rc;
    if (f == MR_JOB_FORM_ANY)
        f = mr_job_form_of_name(name);
    if (f == MR_JOB_FORM_ANY)
        return mr_fail_field(e, MR_EFIELD, "file",
                             "a file of inputs ends with .jsonl, .ndjson, .csv, .zip or .txt");
    struct mr_job_upload *u = mr_calloc(1, sizeof *u);
    if (!u)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    u->j = j;
    u->account = account;
    u->form = f;
    snprintf(u->name, sizeof u->name, "%.*s", (int)name.n, name.p);
    rc = mr_blob_begin_write(j->c.blobs, &u->w, e);
    if (rc) {
        mr_free(u);
        return rc;
    }
    *ret = u;
    return 0;
}

int mr_job_upload_write(struct mr_job_upload *u, const void *p, size_t n, struct mr_err *e) {
    if (mr_blob_written(u->w) + n > u->j->c.file_max)
        return mr_fail(e, MR_ETOOBIG, "a file of inputs has at most %llu MB",
                       (unsigned long long)(u->j->c.file_max >> 20));
    return mr_blob_write(u->w, p, n, e);
}

void mr_job_upload_free(struct mr_job_upload *u) {
    if (!u)
        return;
    mr_blob_writer_free(u->w);
    mr_free(u);
}

struct upload_row {
    struct mr_job_upload *u;
    struct mr_blob_name blob;
    struct mr_id id;
    int64_t bytes, now_us;
};

static int check_room(struct upload_row *r, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx, "SELECT COUNT(*), SUM(size) FROM job_files WHERE account_id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, r->u->account);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    int64_t n = mr_db_i64(s, 0), bytes = mr_db_i64(s, 1);
    mr_db_done(s);
    if (n >= FILES_MAX || (uint64_t)(bytes + r->bytes) > r->u->j->c.files_max)
        return mr_fail(e, MR_ELIMIT,
                       "this account's files of inputs are full (%d files, %llu MB): delete some",
                       FILES_MAX, (unsigned long long)(r->u->j->c.files_max >> 20));
    return 0;
}

static int upload_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct upload_row *r = arg;
    struct mr_stmt *s;
    int rc = check_room(r, tx, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO job_files (id, account_id, size, form, created_at, "
                           "used_at, blob, name) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, r->id);
    mr_db_bind_id(s, 2, r->u->account);
    mr_db_bind_i64(s, 3, r->bytes);
    mr_db_bind_i64(s, 4, r->u->form);
    mr_db_bind_i64(s, 5, r->now_us);
    mr_db_bind_blob(s, 6, r->blob.sha, MR_SHA256_LEN);
    mr_db_bind_str(s, 7, mr_str(r->u->name));
    return mr_db_exec(s, e);
}

int mr_job_upload_end(struct mr_job_upload *u, struct mr_arena *arena, struct mr_job_file *ret,
                      struct mr_err *e) {
    struct upload_row r = {
        .u = u, .id = mr_id_new(), .bytes = (int64_t)mr_blob_written(u->w), .now_us = mr_now_us()};
    if (!r.bytes)
        return mr_fail_field(e, MR_EFIELD, "file", "the file is empty");
    struct mr_str name = mr_arena_keep(arena, mr_str(u->name));
    if (!name.p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = mr_blob_commit(u->w, &r.blob, e);
    if (!rc)
        rc = mr_db_write(u->j->c.db, upload_in, &r, e);
    if (rc)
        return rc;
    *ret = (struct mr_job_file){.id = r.id,
                                .name = name,
                                .form = mr_job_form_name(u->form),
                                .bytes = (uint64_t)r.bytes,
                                .created_us = r.now_us};
    return 0;
}

/* --- naming one in a job ------------------------------------------------------------------ */

static int unknown_file(struct mr_err *e) {
    return mr_fail_field(e, MR_EFIELD, "parameters.input_file",
                         "input_file names no file of this account");
}

static int touch(struct mr_tx *tx, struct mr_id id, int64_t now_us, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "UPDATE job_files SET used_at = ?2 WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_i64(s, 2, now_us);
    return mr_db_exec(s, e);
}

int mr_job_file_use_in(struct mr_tx *tx, struct mr_id account, struct mr_str text, int64_t now_us,
                       struct mr_arena *arena, struct mr_blob_name *ret, enum mr_job_form *form,
                       struct mr_str *ret_name, struct mr_err *e) {
    struct mr_stmt *s;
    struct mr_id id;
    if (!mr_id_parse_prefixed(MR_JOB_FILE_PREFIX, text, &id))
        return unknown_file(e);
    int rc = mr_db_prepare(
        tx, "SELECT blob, form, name FROM job_files WHERE id = ?1 AND account_id = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_id(s, 2, account);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc < 0 ? rc : unknown_file(e);
    struct mr_str blob = mr_db_blob(s, 0), name = mr_arena_keep(arena, mr_db_str(s, 2));
    bool ok = blob.n == MR_SHA256_LEN && name.p;
    if (ok)
        memcpy(ret->sha, blob.p, MR_SHA256_LEN);
    if (*form == MR_JOB_FORM_ANY)
        *form = (enum mr_job_form)mr_db_i64(s, 1);
    mr_db_done(s);
    if (!ok)
        return mr_fail(e, MR_EIO, "a file's row is damaged");
    *ret_name = name;
    return touch(tx, id, now_us, e);
}

/* --- listing and deleting ----------------------------------------------------------------- */

struct files {
    struct mr_id account;
    int64_t limit, offset, total;
    struct mr_arena *arena;
    struct mr_job_file *v;
    size_t n;
};

static int count(struct files *f, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT COUNT(*) FROM job_files WHERE account_id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, f->account);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        f->total = mr_db_i64(s, 0);
        mr_db_done(s);
    }
    return rc < 0 ? rc : 0;
}

static int files_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct files *f = arg;
    struct mr_stmt *s;
    int rc = count(f, tx, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "SELECT id, name, form, size, created_at FROM job_files WHERE "
                           "account_id = ?1 ORDER BY id DESC LIMIT ?2 OFFSET ?3",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, f->account);
    mr_db_bind_i64(s, 2, f->limit);
    mr_db_bind_i64(s, 3, f->offset);
    while ((rc = mr_db_step(s, e)) > 0) {
        struct mr_job_file *x = &f->v[f->n++];
        *x = (struct mr_job_file){.name = mr_arena_keep(f->arena, mr_db_str(s, 1)),
                                  .form = mr_job_form_name((enum mr_job_form)mr_db_i64(s, 2)),
                                  .bytes = (uint64_t)mr_db_i64(s, 3),
                                  .created_us = mr_db_i64(s, 4)};
        mr_db_id(s, 0, &x->id);
        if (!x->name.p) {
            mr_db_done(s);
            return mr_fail(e, MR_ENOMEM, "out of memory");
        }
    }
    return rc;
}

int mr_job_files(struct mr_jobs *j, struct mr_id account, int64_t limit, int64_t offset,
                 struct mr_arena *arena, struct mr_job_file **ret, size_t *ret_n,
                 int64_t *ret_total, struct mr_err *e) {
    struct files f = {.account = account, .limit = limit, .offset = offset, .arena = arena};
    if (limit < 0 || offset < 0)
        return mr_fail_field(e, MR_EFIELD, limit < 0 ? "limit" : "offset",
                             "limit and offset must not be negative");
    f.v = mr_arena_array(arena, (size_t)(limit ? limit : 1), sizeof *f.v);
    if (!f.v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = mr_db_read(j->c.db, files_in, &f, e);
    if (rc)
        return rc;
    *ret = f.v;
    *ret_n = f.n;
    *ret_total = f.total;
    return 0;
}

struct file_id {
    struct mr_id account, id;
};

static int delete_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct file_id *f = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "DELETE FROM job_files WHERE id = ?1 AND account_id = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, f->id);
    mr_db_bind_id(s, 2, f->account);
    rc = mr_db_exec(s, e);
    if (!rc && mr_db_changes(tx) != 1)
        return mr_fail(e, MR_ENOTFOUND, "file not found");
    return rc;
}

int mr_job_file_delete(struct mr_jobs *j, struct mr_id account, struct mr_id id, struct mr_err *e) {
    struct file_id f = {account, id};
    return mr_db_write(j->c.db, delete_in, &f, e);
}
