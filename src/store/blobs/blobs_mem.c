/* Blobs in memory: one sealed memfd each. */
#include "base/alloc.h"
#include "base/clock.h"
#include "store/blobs/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    struct mr_blob_name name;
    int fd;
    int64_t committed_us;
    struct entry *next;
};

#define BUCKETS 1024

struct mem {
    struct mr_blobs b;
    pthread_mutex_t mu;
    struct entry *bucket[BUCKETS];
};

static struct mem *of(struct mr_blobs *b) {
    return (struct mem *)b;
}

static struct entry **find(struct mem *m, const struct mr_blob_name *name) {
    struct entry **at = &m->bucket[(name->sha[0] << 8 | name->sha[1]) % BUCKETS];
    while (*at && memcmp((*at)->name.sha, name->sha, MR_SHA256_LEN) != 0)
        at = &(*at)->next;
    return at;
}

/* A descriptor with an offset of its own. */
static int reopen(int fd, struct mr_err *e) {
    char proc[32];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    int copy = open(proc, O_RDONLY | O_CLOEXEC);
    return copy < 0 ? mr_fail_errno(e, "cannot open the blob") : copy;
}

static int mem_begin(struct mr_blobs *b, int *ret_fd, char *tmp, struct mr_err *e) {
    (void)b, (void)tmp;
    int fd = memfd_create("blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return mr_fail_errno(e, "cannot create a blob in memory");
    *ret_fd = fd;
    return 0;
}

static int mem_commit(struct mr_blobs *b, int fd, char *tmp, uint64_t size,
                      const struct mr_blob_name *name, struct mr_err *e) {
    (void)tmp, (void)size;
    struct mem *m = of(b);
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
        return mr_fail_errno(e, "cannot seal the blob");
    struct entry *n = mr_calloc(1, sizeof *n);
    if (!n)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    n->name = *name;
    n->fd = reopen(fd, e);
    if (n->fd < 0) {
        int rc = n->fd;
        mr_free(n);
        return rc;
    }
    pthread_mutex_lock(&m->mu);
    struct entry **at = find(m, name);
    if (!*at) {
        *at = n;
        n = NULL;
    }
    (*at)->committed_us = mr_now_us();
    pthread_mutex_unlock(&m->mu);
    if (n) { /* it is there already */
        close(n->fd);
        mr_free(n);
    }
    return 0;
}

static void mem_end(struct mr_blobs *b, int fd, char *tmp) {
    (void)b, (void)tmp;
    close(fd);
}

static int mem_open(struct mr_blobs *b, const struct mr_blob_name *name, int *ret_fd,
                    struct mr_err *e) {
    struct mem *m = of(b);
    pthread_mutex_lock(&m->mu);
    struct entry *x = *find(m, name);
    int fd = x ? reopen(x->fd, e) : mr_fail(e, MR_ENOTFOUND, "no such blob");
    pthread_mutex_unlock(&m->mu);
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

static int mem_delete(struct mr_blobs *b, const struct mr_blob_name *name, struct mr_err *e) {
    struct mem *m = of(b);
    pthread_mutex_lock(&m->mu);
    struct entry **at = find(m, name), *x = *at;
    if (x)
        *at = x->next;
    pthread_mutex_unlock(&m->mu);
    if (!x)
        return mr_fail(e, MR_ENOTFOUND, "no such blob");
    close(x->fd);
    mr_free(x);
    return 0;
}

static int mem_list(struct mr_blobs *b, unsigned digit, mr_blob_each_fn *each, void *arg,
                    struct mr_err *e) {
    struct mem *m = of(b);
    int rc = 0;
    pthread_mutex_lock(&m->mu);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *x = m->bucket[i]; x && !rc; x = x->next)
            if (x->name.sha[0] >> 4 == (int)digit)
                rc = each(arg, &x->name, x->committed_us, e);
    pthread_mutex_unlock(&m->mu);
    return rc;
}

static int mem_collect(struct mr_blobs *b, const struct mr_blob_name *name, int64_t before_us,
                       uint64_t *ret_size, int *ret_fd, struct mr_err *e) {
    struct mem *m = of(b);
    struct stat st;
    int rc = 0;
    pthread_mutex_lock(&m->mu);
    struct entry **at = find(m, name), *x = *at;
    if (x && x->committed_us < before_us) {
        rc = fstat(x->fd, &st) ? mr_fail_errno(e, "cannot read the blob's size") : 1;
        if (rc == 1)
            *at = x->next;
    }
    pthread_mutex_unlock(&m->mu);
    if (rc != 1)
        return rc;
    *ret_size = (uint64_t)st.st_size;
    *ret_fd = x->fd;
    mr_free(x);
    return 1;
}

static void mem_free(struct mr_blobs *b) {
    struct mem *m = of(b);
    for (size_t i = 0; i < BUCKETS; i++) {
        while (m->bucket[i]) {
            struct entry *x = m->bucket[i];
            m->bucket[i] = x->next;
            close(x->fd);
            mr_free(x);
        }
    }
    pthread_mutex_destroy(&m->mu);
    mr_blobs_release(b);
    mr_free(m);
}

static const struct mr_blobs_ops mem_ops = {mem_begin,  mem_commit, mem_end,     mem_open,
                                            mem_delete, mem_list,   mem_collect, mem_free};

int mr_blobs_open_mem(struct mr_blobs **ret, struct mr_err *e) {
    struct mem *m = mr_calloc(1, sizeof *m);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_blobs_init(&m->b, &mem_ops);
    pthread_mutex_init(&m->mu, NULL);
    *ret = &m->b;
    return 0;
}
