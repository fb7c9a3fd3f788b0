/* /v1/files: uploads for batches, and what batches put out. */
#include "api/form.h"
#include "api/openai/batch.h"
#include "api/openai/gen_openai.h"
#include "base/cleanup.h"

#include <unistd.h>

#define COPY       ((size_t)256 << 10)
#define WAIT_MS    60000
#define LIST_LIMIT 10000

bool mr_openai_file_id(struct mr_str text, enum mr_openai_file_kind *ret, struct mr_id *ret_id) {
    static const struct {
        const char *prefix;
        enum mr_openai_file_kind kind;
    } kinds[] = {{MR_OPENAI_OUTPUT, MR_FILE_OUTPUT},
                 {MR_OPENAI_ERRORS, MR_FILE_ERRORS},
                 {MR_OPENAI_FILE, MR_FILE_UPLOAD},
                 {MR_JOB_FILE_PREFIX, MR_FILE_UPLOAD}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (mr_id_parse_prefixed(kinds[i].prefix, text, ret_id)) {
            *ret = kinds[i].kind;
            return true;
        }
    return false;
}

static int no_file(struct mr_str id, struct mr_err *e) {
    return mr_fail_field(e, MR_ENOTFOUND, "file_id", "there is no file '%.*s'",
                         (int)(id.n > 80 ? 80 : id.n), id.p);
}

static void put_file(struct mr_buf *b, const char *prefix, struct mr_id id, struct mr_str name,
                     uint64_t bytes, int64_t created_us, const char *purpose) {
    mr_buf_char(b, '{');
    mr_json_id(b, "id", prefix, id);
    mr_json_cstr(b, "object", "file");
    mr_json_i64(b, "bytes", (int64_t)bytes);
    mr_json_i64(b, "created_at", created_us / 1000000);
    mr_json_str(b, "filename", name);
    mr_json_cstr(b, "purpose", purpose);
    mr_json_cstr(b, "status", "processed");
    mr_buf_char(b, '}');
}

/* --- up ------------------------------------------------------------------------------------- */

static int copy_in(struct mr_blob_writer *w, struct mr_job_upload *u, struct mr_err *e) {
    int fd;
    struct mr_blob_name name;
    int rc = mr_blob_seal(w, &name, e);
    if (!rc)
        rc = mr_blob_reread(w, &fd, e);
    if (rc)
        return rc;
    MR_AUTO_CLOSE int from = fd;
    MR_AUTO_FREE char *p = mr_malloc(COPY);
    ssize_t n = 1;
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    while (!rc && (n = read(from, p, COPY)) > 0)
        rc = mr_job_upload_write(u, p, (size_t)n, e);
    return n < 0 ? mr_fail_errno(e, "the uploaded file") : rc;
}

int mr_openai_file_create(struct mr_call *c, struct mr_err *e) {
    struct mr_str name, purpose = mr_call_str(c, "purpose");
    struct mr_job_upload *u = NULL;
    struct mr_job_file f;
    struct mr_buf b;
    if (!mr_str_is(purpose, "batch"))
        return mr_fail_field(e, MR_EFIELD, "purpose", "'purpose' must be batch here");
    struct mr_blob_writer *w = mr_form_take_file(c, "file", &name);
    if (!w)
        return mr_fail_field(e, MR_EFIELD, "file", "'file' is required");
    if (!name.n)
        name = MR_LIT("upload.jsonl");
    int rc = mr_job_upload_begin(c->core->jobs, c->who.account, name, MR_LIT("jsonl"), &u, e);
    if (!rc)
        rc = copy_in(w, u, e);
    if (!rc)
        rc = mr_job_upload_end(u, c->req->arena, &f, e);
    mr_job_upload_free(u);
    mr_blob_writer_free(w);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    put_file(&b, MR_OPENAI_FILE, f.id, f.name, f.bytes, f.created_us, "batch");
    return mr_openai_json(c, 200, &b, e);
}

/* --- list, look ----------------------------------------------------------------------------- */

/* Newest first, from behind `after` on. */
int mr_openai_files(struct mr_call *c, struct mr_err *e) {
    struct mr_str after = mr_call_str(c, "after"), purpose = mr_call_str(c, "purpose");
    int64_t limit = mr_call_i64(c, "limit", LIST_LIMIT), total = 0, shown = 0;
    enum mr_openai_file_kind kind;
    struct mr_job_file *v = NULL;
    struct mr_id from;
    struct mr_buf b;
    size_t n = 0, i = 0;
    bool none = purpose.n && !mr_str_is(purpose, "batch");
    if (after.n && !mr_openai_file_id(after, &kind, &from))
        return mr_fail_field(e, MR_EFIELD, "after", "'after' must be a file's id");
    int rc = none ? 0
                  : mr_job_files(c->core->jobs, c->who.account, LIST_LIMIT, 0, c->req->arena, &v,
                                 &n, &total, e);
    if (rc)
        return rc;
    while (after.n && i < n && memcmp(v[i].id.b, from.b, sizeof from.b) >= 0)
        i++; /* ids grow with time */
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"object\":\"list\",\"data\":[");
    size_t first = i;
    for (; i < n && shown < limit; i++, shown++) {
        if (shown)
            mr_buf_char(&b, ',');
        put_file(&b, MR_OPENAI_FILE, v[i].id, v[i].name, v[i].bytes, v[i].created_us, "batch");
    }
    mr_buf_char(&b, ']');
    if (shown) {
        mr_json_id(&b, "first_id", MR_OPENAI_FILE, v[first].id);
        mr_json_id(&b, "last_id", MR_OPENAI_FILE, v[i - 1].id);
    }
    mr_json_bool(&b, "has_more", i < n);
    mr_buf_char(&b, '}');
    return mr_openai_json(c, 200, &b, e);
}

static int count(void *arg, struct mr_str lines, struct mr_err *e) {
    (void)e;
    *(uint64_t *)arg += lines.n;
    return 0;
}

/* The job behind an output file, when it has one. */
static int output_job(struct mr_call *c, struct mr_str text, enum mr_openai_file_kind kind,
                      struct mr_id id, struct mr_job *ret, struct mr_err *e) {
    int rc = mr_openai_batch_job(c, id, ret, e);
    if (rc == MR_ENOTFOUND || (!rc && !mr_openai_batch_has(ret, kind)))
        return no_file(text, e);
    return rc;
}

static struct mr_str output_name(struct mr_call *c, enum mr_openai_file_kind kind,
                                 struct mr_id id) {
    char hex[MR_ID_HEX];
    mr_id_hex(id, hex);
    char *p = mr_arena_fmt(c->req->arena, "batch_%s_%s.jsonl", hex,
                           kind == MR_FILE_OUTPUT ? "output" : "error");
    return p ? mr_str(p) : MR_LIT("batch.jsonl");
}

int mr_openai_file(struct mr_call *c, struct mr_err *e) {
    struct mr_str text = mr_req_param(c->req, "file_id");
    enum mr_openai_file_kind kind;
    struct mr_job_file f;
    struct mr_job job;
    struct mr_buf b;
    struct mr_id id;
    uint64_t bytes = 0;
    if (!mr_openai_file_id(text, &kind, &id))
        return no_file(text, e);
    int rc;
    if (kind == MR_FILE_UPLOAD) {
        rc = mr_job_file_get(c->core->jobs, c->who.account, id, c->req->arena, &f, e);
        if (rc == MR_ENOTFOUND)
            return no_file(text, e);
    } else {
        rc = output_job(c, text, kind, id, &job, e);
        if (!rc)
            rc = mr_openai_batch_lines(c->core, c->who.account, id, kind, count, &bytes, e);
    }
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    if (kind == MR_FILE_UPLOAD)
        put_file(&b, MR_OPENAI_FILE, id, f.name, f.bytes, f.created_us, "batch");
    else
        put_file(&b, kind == MR_FILE_OUTPUT ? MR_OPENAI_OUTPUT : MR_OPENAI_ERRORS, id,
                 output_name(c, kind, id), bytes, job.ended_us, "batch_output");
    return mr_openai_json(c, 200, &b, e);
}

int mr_openai_file_delete(struct mr_call *c, struct mr_err *e) {
    struct mr_str text = mr_req_param(c->req, "file_id");
    enum mr_openai_file_kind kind;
    struct mr_job job;
    struct mr_buf b;
    struct mr_id id;
    if (!mr_openai_file_id(text, &kind, &id))
        return no_file(text, e);
    int rc;
    if (kind != MR_FILE_UPLOAD) {
        rc = output_job(c, text, kind, id, &job, e);
        return rc ? rc
                  : mr_fail(e, MR_ECONFLICT, "a batch's files are kept and deleted with the batch");
    }
    rc = mr_job_file_delete(c->core->jobs, c->who.account, id, e);
    if (rc)
        return rc == MR_ENOTFOUND ? no_file(text, e) : rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_id(&b, "id", MR_OPENAI_FILE, id);
    mr_json_cstr(&b, "object", "file");
    mr_json_bool(&b, "deleted", true);
    mr_buf_char(&b, '}');
    return mr_openai_json(c, 200, &b, e);
}

/* --- down ----------------------------------------------------------------------------------- */

static int pass(void *arg, struct mr_str lines, struct mr_err *e) {
    struct mr_call *c = arg;
    while (lines.n) {
        size_t n = lines.n < COPY ? lines.n : COPY;
        if (mr_req_stream_wait(c->req, MR_STREAM_LOW, WAIT_MS) ||
            mr_req_stream_write(c->req, mr_strn(lines.p, n)) < 0)
            return mr_fail(e, MR_ECANCELLED, "the client is gone");
        lines.p += n;
        lines.n -= n;
    }
    return 0;
}

static int send_upload(struct mr_call *c, int fd, struct mr_err *e) {
    MR_AUTO_CLOSE int from = fd;
    MR_AUTO_FREE char *p = mr_malloc(COPY);
    ssize_t n = 1;
    int rc = p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
    while (!rc && (n = read(from, p, COPY)) > 0)
        rc = pass(c, mr_strn(p, (size_t)n), e);
    return n < 0 ? mr_fail_errno(e, "the file") : rc;
}

int mr_openai_file_content(struct mr_call *c, struct mr_err *e) {
    struct mr_str text = mr_req_param(c->req, "file_id");
    enum mr_openai_file_kind kind;
    struct mr_job job;
    struct mr_id id;
    uint64_t size;
    int fd = -1, rc;
    if (!mr_openai_file_id(text, &kind, &id))
        return no_file(text, e);
    if (kind == MR_FILE_UPLOAD) {
        rc = mr_job_file_open(c->core->jobs, c->who.account, id, &fd, &size, e);
        if (rc == MR_ENOTFOUND)
            return no_file(text, e);
    } else
        rc = output_job(c, text, kind, id, &job, e);
    if (rc)
        return rc;
    mr_openai_headers(c);
    if (mr_req_stream_start(c->req, 200, "application/octet-stream")) {
        if (fd >= 0)
            close(fd);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    return kind == MR_FILE_UPLOAD
               ? send_upload(c, fd, e)
               : mr_openai_batch_lines(c->core, c->who.account, id, kind, pass, c, e);
}
