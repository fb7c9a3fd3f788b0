/* Results, a page at a time, as they are stored: also of a job that runs. */
#include "core/jobs/jobs_priv.h"

#define PAGE_BYTES (64u << 20) /* outputs and inputs of a page */

struct page {
    struct mr_id account, id;
    int64_t limit, offset, total;
    struct mr_arena *arena;
    struct mr_job_result *v;
    size_t n, bytes;
    bool has_input;
    struct mr_blob_name input;
    bool whole; /* every item has a result: an offset is an index */
};

static int find_job(struct page *p, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "SELECT done, total, input_blob FROM jobs WHERE id = ?1 AND account_id = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, p->id);
    mr_db_bind_id(s, 2, p->account);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc < 0 ? rc : mr_fail(e, MR_ENOTFOUND, "job not found");
    p->total = mr_db_i64(s, 0);
    p->whole = p->total == mr_db_i64(s, 1);
    struct mr_str blob = mr_db_blob(s, 2);
    p->has_input = blob.n == MR_SHA256_LEN;
    if (p->has_input)
        memcpy(p->input.sha, blob.p, MR_SHA256_LEN);
    mr_db_done(s);
    return 0;
}

static int add(struct page *p, struct mr_stmt *s, struct mr_err *e) {
    struct mr_str error = mr_db_str(s, 3), output = mr_db_str(s, 4);
    struct mr_job_result *r = &p->v[p->n];
    *r = (struct mr_job_result){.index = mr_db_i64(s, 0),
                                .attempts = (int)mr_db_i64(s, 1),
                                .error_code = (int)mr_db_i64(s, 2),
                                .error = mr_arena_keep(p->arena, error),
                                .output = mr_arena_keep(p->arena, output)};
    if ((error.p && !r->error.p) || (output.p && !r->output.p))
        return mr_fail(e, MR_ENOMEM, "the results do not fit into memory: ask for fewer");
    p->n++;
    p->bytes += error.n + output.n;
    return 0;
}

static int page_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct page *p = arg;
    struct mr_stmt *s;
    int rc = find_job(p, tx, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "SELECT idx, attempts, error_code, error, output FROM job_results WHERE "
                           "job_id = ?1 AND idx >= ?2 ORDER BY idx LIMIT ?3 OFFSET ?4",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, p->id);
    mr_db_bind_i64(s, 2, p->whole ? p->offset : 0);
    mr_db_bind_i64(s, 3, p->limit);
    mr_db_bind_i64(s, 4, p->whole ? 0 : p->offset);
    while ((rc = mr_db_step(s, e)) > 0) {
        rc = add(p, s, e);
        if (rc || p->bytes >= PAGE_BYTES) {
            mr_db_done(s);
            return rc;
        }
    }
    return rc;
}

/* --- what the items were ------------------------------------------------------------------ */

static int add_input(struct page *p, struct mr_job_result *r, const struct mr_job_input_item *in,
                     struct mr_err *e) {
    struct mr_buf b;
    if (!in->file) {
        r->input = mr_arena_keep(p->arena, in->body);
        return r->input.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
    }
    mr_buf_init(&b, 8 * MR_JOB_ITEM_NAME_MAX);
    mr_buf_json(&b, in->name);
    r->input = mr_buf_ok(&b) ? mr_arena_keep(p->arena, mr_buf_view(&b)) : mr_strn(NULL, 0);
    mr_buf_release(&b);
    return r->input.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static int add_inputs(struct mr_jobs *j, struct page *p, struct mr_err *e) {
    struct mr_job_input in = {.fd = -1};
    struct mr_buf buf;
    if (!p->n)
        return 0;
    if (!p->has_input)
        return mr_fail(e, MR_EINTERNAL, "a job has results but no input");
    int rc = mr_job_input_open(j->c.blobs, &p->input, &in, e);
    if (rc)
        return rc;
    mr_buf_init(&buf, MR_JOB_ITEM_MAX + MR_JOB_ITEM_NAME_MAX + 16);
    size_t i = 0;
    for (; i < p->n && !rc && p->bytes < 2 * (size_t)PAGE_BYTES; i++) {
        struct mr_job_input_item item;
        rc = mr_job_input_read(&in, (uint64_t)p->v[i].index, true, &buf, &item, e);
        if (!rc)
            rc = add_input(p, &p->v[i], &item, e);
        p->bytes += rc ? 0 : p->v[i].input.n;
    }
    p->n = i; /* a page with vast inputs ends early too */
    mr_buf_release(&buf);
    mr_job_input_close(&in);
    return rc;
}

int mr_job_results(struct mr_jobs *j, struct mr_id account, struct mr_id id, int64_t limit,
                   int64_t offset, struct mr_arena *arena, struct mr_job_result **ret,
                   size_t *ret_n, int64_t *ret_total, struct mr_err *e) {
    struct page p = {
        .account = account, .id = id, .limit = limit, .offset = offset, .arena = arena};
    if (limit < 0 || offset < 0)
        return mr_fail_field(e, MR_EFIELD, limit < 0 ? "limit" : "offset",
                             "limit and offset must not be negative");
    p.v = mr_arena_array(arena, (size_t)(limit ? limit : 1), sizeof *p.v);
    if (!p.v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = mr_db_read(j->c.db, page_in, &p, e);
    if (!rc)
        rc = add_inputs(j, &p, e);
    if (rc)
        return rc;
    *ret = p.v;
    *ret_n = p.n;
    *ret_total = p.total;
    return 0;
}
