#include "core/jobs/input.h"

#include "base/cleanup.h"

#include <sys/stat.h>
#include <unistd.h>

#define HEAD      "MRJOBIN1"
#define TAIL      "MRJOBEND"
#define MARK_LEN  8u
#define FOOT_LEN  24u
#define CHUNK     (256u << 10)
#define TABLE_MAX ((MR_JOB_ITEMS_MAX + 1ull) * 8 + FOOT_LEN)

/* --- writing ------------------------------------------------------------------------------ */

static void add_u64(struct mr_buf *b, uint64_t v) {
    uint8_t raw[8];
    for (unsigned i = 0; i < 8; i++)
        raw[i] = (uint8_t)(v >> 8 * i);
    mr_buf_add(b, raw, 8);
}

static int flush(struct mr_job_pack *p, struct mr_err *e) {
    if (!mr_buf_ok(&p->chunk))
        return mr_fail(e, MR_ENOMEM, "out of memory while storing a job's items");
    int rc = mr_blob_write(p->w, p->chunk.p, p->chunk.n, e);
    mr_buf_clear(&p->chunk);
    return rc;
}

static int put(struct mr_job_pack *p, const void *bytes, size_t n, struct mr_err *e) {
    int rc = 0;
    p->at += n;
    if (p->chunk.n + n > CHUNK && p->chunk.n)
        rc = flush(p, e);
    if (rc)
        return rc;
    if (n > CHUNK)
        return mr_blob_write(p->w, bytes, n, e);
    mr_buf_add(&p->chunk, bytes, n);
    return 0;
}

int mr_job_pack_init(struct mr_job_pack *p, struct mr_blobs *b, uint64_t max, struct mr_err *e) {
    *p = (struct mr_job_pack){.max = max};
    mr_buf_init(&p->chunk, CHUNK + 64);
    mr_buf_init(&p->table, TABLE_MAX);
    int rc = mr_blob_begin_write(b, &p->w, e);
    if (!rc)
        rc = put(p, HEAD, MARK_LEN, e);
    return rc;
}

void mr_job_pack_release(struct mr_job_pack *p) {
    mr_blob_writer_free(p->w);
    mr_buf_release(&p->chunk);
    mr_buf_release(&p->table);
    p->w = NULL;
}

static int begin_item(struct mr_job_pack *p, size_t n, struct mr_err *e) {
    if (p->n >= MR_JOB_ITEMS_MAX)
        return mr_fail(e, MR_ETOOBIG, "the input has more than %d items", MR_JOB_ITEMS_MAX);
    if (n > MR_JOB_ITEM_MAX)
        return mr_fail(e, MR_ETOOBIG, "item %llu is larger than %u MB", (unsigned long long)p->n,
                       MR_JOB_ITEM_MAX >> 20);
    if (p->at + n > p->max)
        return mr_fail(e, MR_ETOOBIG, "the input's items are larger than %llu MB together",
                       (unsigned long long)(p->max >> 20));
    add_u64(&p->table, p->at);
    p->n++;
    return 0;
}

int mr_job_pack_json(struct mr_job_pack *p, struct mr_str json, struct mr_err *e) {
    int rc = begin_item(p, json.n, e);
    if (!rc)
        rc = put(p, "\0", 1, e);
    return rc ? rc : put(p, json.p, json.n, e);
}

int mr_job_pack_file(struct mr_job_pack *p, struct mr_str name, struct mr_str bytes,
                     struct mr_err *e) {
    if (name.n > MR_JOB_ITEM_NAME_MAX)
        return mr_fail(e, MR_ETOOBIG, "a file's name is longer than %u bytes",
                       MR_JOB_ITEM_NAME_MAX);
    uint8_t head[3] = {1, (uint8_t)name.n, (uint8_t)(name.n >> 8)};
    int rc = begin_item(p, bytes.n, e);
    if (!rc)
        rc = put(p, head, sizeof head, e);
    if (!rc)
        rc = put(p, name.p, name.n, e);
    return rc ? rc : put(p, bytes.p, bytes.n, e);
}

int mr_job_pack_end(struct mr_job_pack *p, struct mr_blob_name *ret, struct mr_err *e) {
    uint64_t table = p->at;
    add_u64(&p->table, p->at);
    add_u64(&p->table, p->n);
    add_u64(&p->table, table);
    mr_buf_add(&p->table, TAIL, MARK_LEN);
    if (!mr_buf_ok(&p->table))
        return mr_fail(e, MR_ENOMEM, "out of memory while storing a job's items");
    int rc = flush(p, e);
    if (!rc)
        rc = mr_blob_write(p->w, p->table.p, p->table.n, e);
    return rc ? rc : mr_blob_commit(p->w, ret, e);
}

/* --- reading ------------------------------------------------------------------------------ */

static int damaged(struct mr_err *e) {
    return mr_fail(e, MR_EIO, "the stored items of this job are damaged");
}

static int read_at(int fd, uint64_t at, void *to, size_t n, struct mr_err *e) {
    for (size_t have = 0; have < n;) {
        ssize_t got = pread(fd, (char *)to + have, n - have, (off_t)(at + have));
        if (got < 0)
            return mr_fail_errno(e, "a job's items");
        if (!got)
            return damaged(e);
        have += (size_t)got;
    }
    return 0;
}

static uint64_t le64(const uint8_t *p) {
    uint64_t v = 0;
    for (unsigned i = 8; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static int check(struct mr_job_input *in, struct mr_err *e) {
    struct stat st;
    uint8_t head[MARK_LEN], foot[FOOT_LEN];
    if (fstat(in->fd, &st))
        return mr_fail_errno(e, "a job's items");
    in->size = (uint64_t)st.st_size;
    if (in->size < MARK_LEN + 8 + FOOT_LEN)
        return damaged(e);
    int rc = read_at(in->fd, 0, head, sizeof head, e);
    if (!rc)
        rc = read_at(in->fd, in->size - FOOT_LEN, foot, sizeof foot, e);
    if (rc)
        return rc;
    in->n = le64(foot);
    in->table = le64(foot + 8);
    if (memcmp(head, HEAD, MARK_LEN) || memcmp(foot + 16, TAIL, MARK_LEN) ||
        in->n > MR_JOB_ITEMS_MAX || in->table < MARK_LEN || in->table > in->size ||
        in->size - in->table != (in->n + 1) * 8 + FOOT_LEN)
        return damaged(e);
    return 0;
}

int mr_job_input_from_fd(int fd, struct mr_job_input *ret, struct mr_err *e) {
    struct mr_job_input in = {.fd = fd};
    int rc = check(&in, e);
    if (rc)
        close(fd);
    else
        *ret = in;
    return rc;
}

int mr_job_input_open(struct mr_blobs *b, const struct mr_blob_name *name, struct mr_job_input *ret,
                      struct mr_err *e) {
    int fd = -1;
    uint64_t size;
    int rc = mr_blob_open(b, name, &fd, &size, e);
    return rc ? rc : mr_job_input_from_fd(fd, ret, e);
}

void mr_job_input_close(struct mr_job_input *in) {
    if (in->fd >= 0)
        close(in->fd);
    in->fd = -1;
}

int mr_job_input_read(const struct mr_job_input *in, uint64_t i, bool head, struct mr_buf *buf,
                      struct mr_job_input_item *ret, struct mr_err *e) {
    uint8_t two[16];
    if (i >= in->n)
        return mr_fail(e, MR_EINTERNAL, "a job has no item %llu", (unsigned long long)i);
    int rc = read_at(in->fd, in->table + i * 8, two, sizeof two, e);
    if (rc)
        return rc;
    uint64_t from = le64(two), to = le64(two + 8);
    if (from < MARK_LEN || to <= from || to > in->table)
        return damaged(e);
    uint8_t kind[3] = {0};
    rc = read_at(in->fd, from, kind, to - from < 3 ? 1 : 3, e);
    if (rc)
        return rc;
    size_t n = (size_t)(to - from), name = 0, skip = 1;
    if (kind[0] == 1) {
        name = kind[1] | (size_t)kind[2] << 8;
        skip = 3;
    }
    if (kind[0] > 1 || n < skip + name)
        return damaged(e);
    if (kind[0] == 1 && head)
        n = skip + name;
    mr_buf_clear(buf);
    char *p = mr_buf_reserve(buf, n);
    if (!p)
        return mr_fail(e, buf->fail ? buf->fail : MR_ENOMEM,
                       "a job's item does not fit into memory");
    rc = read_at(in->fd, from, p, n, e);
    if (rc)
        return rc;
    buf->n += n;
    *ret = (struct mr_job_input_item){.file = kind[0] == 1,
                                      .name = mr_strn(p + skip, name),
                                      .body = mr_strn(p + skip + name, n - skip - name)};
    return 0;
}
