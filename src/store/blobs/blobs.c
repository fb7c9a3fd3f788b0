#include "base/alloc.h"
#include "store/blobs/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct mr_blob_writer {
    struct mr_blobs *b;
    struct mr_sha256 *sha;
    uint64_t n;
    int fd;
    bool broken, sealed, committed;
    struct mr_blob_hold hold; /* from the commit on; its name is the writer's from seal on */
    char tmp[64];
};

void mr_blob_hex(const struct mr_blob_name *name, char out[MR_BLOB_HEX]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < MR_SHA256_LEN; i++) {
        out[2 * i] = digits[name->sha[i] >> 4];
        out[2 * i + 1] = digits[name->sha[i] & 15];
    }
    out[MR_BLOB_HEX - 1] = 0;
}

void mr_blobs_init(struct mr_blobs *b, const struct mr_blobs_ops *ops) {
    b->ops = ops;
    pthread_mutex_init(&b->mu, NULL);
}

void mr_blobs_release(struct mr_blobs *b) {
    pthread_mutex_destroy(&b->mu);
}

void mr_blobs_free(struct mr_blobs *b) {
    if (b)
        b->ops->free(b);
}

int mr_blob_begin_write(struct mr_blobs *b, struct mr_blob_writer **ret, struct mr_err *e) {
    struct mr_blob_writer *w = mr_calloc(1, sizeof *w);
    if (!w)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    w->b = b;
    w->fd = -1;
    w->sha = mr_sha256_new();
    int rc = w->sha ? b->ops->begin(b, &w->fd, w->tmp, e) : mr_fail(e, MR_ENOMEM, "out of memory");
    if (rc) {
        mr_blob_writer_free(w);
        return rc;
    }
    *ret = w;
    return 0;
}

int mr_blob_write(struct mr_blob_writer *w, const void *p, size_t n, struct mr_err *e) {
    if (w->broken || w->sealed)
        return mr_fail(e, MR_EINTERNAL, "a finished blob cannot be written to");
    const char *at = p;
    size_t left = n;
    while (left > 0) {
        /* pwrite: a reader of the descriptor may have moved its offset */
        ssize_t k = pwrite(w->fd, at, left, (off_t)w->n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            w->broken = true;
            if (k == 0)
                errno = EIO;
            return mr_fail_errno(e, "cannot store the upload");
        }
        mr_sha256_add(w->sha, at, (size_t)k);
        at += k;
        left -= (size_t)k;
        w->n += (uint64_t)k;
    }
    return 0;
}

int mr_blob_rescan(struct mr_blob_writer *w, struct mr_err *e) {
    char buf[65536];
    uint8_t ignored[MR_SHA256_LEN];
    mr_sha256_end(w->sha, ignored);
    w->n = 0;
    for (;;) {
        ssize_t k = pread(w->fd, buf, sizeof buf, (off_t)w->n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            w->broken = true;
            return mr_fail_errno(e, "cannot read the blob back");
        }
        if (k == 0)
            return 0;
        mr_sha256_add(w->sha, buf, (size_t)k);
        w->n += (uint64_t)k;
    }
}

uint64_t mr_blob_written(const struct mr_blob_writer *w) {
    return w->n;
}

int mr_blob_writer_fd(const struct mr_blob_writer *w) {
    return w->fd;
}

int mr_blob_seal(struct mr_blob_writer *w, struct mr_blob_name *ret, struct mr_err *e) {
    if (w->broken)
        return mr_fail(e, MR_EINTERNAL, "an incomplete blob cannot be committed");
    if (!w->sealed)
        mr_sha256_end(w->sha, w->hold.name.sha);
    w->sealed = true;
    *ret = w->hold.name;
    return 0;
}

int mr_blob_reread(const struct mr_blob_writer *w, int *ret_fd, struct mr_err *e) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", w->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mr_fail_errno(e, "cannot open the blob again");
    *ret_fd = fd;
    return 0;
}

int mr_blob_commit(struct mr_blob_writer *w, struct mr_blob_name *ret, struct mr_err *e) {
    struct mr_blob_name name;
    int rc = mr_blob_seal(w, &name, e);
    if (rc)
        return rc;
    if (!w->committed) {
        if (!w->hold.listed)
            mr_blob_hold(w->b, &w->hold); /* before the name is given */
        rc = w->b->ops->commit(w->b, w->fd, w->tmp, w->n, &name, e);
        if (rc) {
            w->broken = true;
            return rc;
        }
        w->committed = true;
    }
    *ret = name;
    return 0;
}

void mr_blob_writer_free(struct mr_blob_writer *w) {
    if (!w)
        return;
    if (w->fd >= 0)
        w->b->ops->end(w->b, w->fd, w->tmp);
    mr_blob_let_go(w->b, &w->hold);
    mr_sha256_free(w->sha);
    mr_free(w);
}

int mr_blob_open(struct mr_blobs *b, const struct mr_blob_name *name, int *ret_fd,
                 uint64_t *ret_size, struct mr_err *e) {
    int fd = -1;
    int rc = b->ops->open(b, name, &fd, e);
    if (rc)
        return rc;
    struct stat st;
    if (fstat(fd, &st)) {
        rc = mr_fail_errno(e, "cannot read the blob's size");
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    if (ret_size)
        *ret_size = (uint64_t)st.st_size;
    return 0;
}

int mr_blob_delete(struct mr_blobs *b, const struct mr_blob_name *name, struct mr_err *e) {
    return b->ops->del(b, name, e);
}
