/* Files that jobs read their items from. */
#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"
#include "api/form.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "core/jobs/jobs.h"

#include <unistd.h>

#define COPY_BYTES ((size_t)1 << 20)

static void file_members(struct mr_buf *b, const struct mr_job_file *f) {
    mr_json_id(b, "input_file", MR_JOB_FILE_PREFIX, f->id);
    mr_json_str(b, "name", f->name);
    mr_json_cstr(b, "format", f->form);
    mr_json_i64(b, "size_bytes", (int64_t)f->bytes);
    mr_json_time(b, "created_at", f->created_us);
}

/* The form's file lies in a temporary blob. */
static int copy(struct mr_blob_writer *from, struct mr_job_upload *to, struct mr_err *e) {
    struct mr_blob_name name;
    int fd = -1;
    int rc = mr_blob_seal(from, &name, e);
    if (!rc)
        rc = mr_blob_reread(from, &fd, e);
    if (rc)
        return rc;
    MR_AUTO_CLOSE int held = fd;
    char *buf = mr_malloc(COPY_BYTES);
    ssize_t n = buf ? 1 : 0;
    if (!buf)
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    while (!rc && n > 0) {
        n = read(held, buf, COPY_BYTES);
        rc = n < 0   ? mr_fail_errno(e, "the uploaded file")
             : n > 0 ? mr_job_upload_write(to, buf, (size_t)n, e)
                     : 0;
    }
    mr_free(buf);
    return rc;
}

int mr_aisemble_jobs_inputs(struct mr_call *c, struct mr_err *e) {
    struct mr_job_upload *up = NULL;
    struct mr_job_file f;
    struct mr_str name;
    struct mr_buf b;
    struct mr_blob_writer *file = mr_form_take_file(c, "file", &name);
    if (!file)
        return mr_fail_field(e, MR_EFIELD, "file", "file is required");
    int rc =
        mr_job_upload_begin(c->core->jobs, c->who.account, name, mr_call_str(c, "format"), &up, e);
    if (!rc)
        rc = copy(file, up, e);
    if (!rc)
        rc = mr_job_upload_end(up, c->req->arena, &f, e);
    mr_job_upload_free(up);
    mr_blob_writer_free(file);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    file_members(&b, &f);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_jobs_inputs_list(struct mr_call *c, struct mr_err *e) {
    int64_t limit = mr_call_i64(c, "limit", 10), offset = mr_call_i64(c, "offset", 0), total = 0;
    struct mr_job_file *v = NULL;
    struct mr_buf b;
    size_t n = 0;
    int rc = mr_job_files(c->core->jobs, c->who.account, limit, offset, c->req->arena, &v, &n,
                          &total, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"inputs\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        file_members(&b, &v[i]);
        mr_buf_char(&b, '}');
    }
    mr_buf_cstr(&b, "],\"pagination\":{");
    mr_json_i64(&b, "limit", limit);
    mr_json_i64(&b, "offset", offset);
    mr_json_i64(&b, "total", total);
    mr_json_bool(&b, "has_more", offset + (int64_t)n < total);
    mr_buf_cstr(&b, "}}");
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_jobs_inputs_delete(struct mr_call *c, struct mr_err *e) {
    struct mr_id id;
    struct mr_buf b;
    if (!mr_id_parse_prefixed(MR_JOB_FILE_PREFIX, mr_req_param(c->req, "file_id"), &id))
        return mr_fail(e, MR_ENOTFOUND, "no such file");
    int rc = mr_job_file_delete(c->core->jobs, c->who.account, id, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_id(&b, "input_file", MR_JOB_FILE_PREFIX, id);
    mr_json_cstr(&b, "message", "File removed");
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}
