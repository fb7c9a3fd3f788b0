/* Inside of store/blobs.h: what a backend provides. The shared part (blobs.c) hashes, counts and
 * keeps the writer's state. */
#ifndef MR_STORE_BLOBS_IMPL_H
#define MR_STORE_BLOBS_IMPL_H

#include "store/blobs.h"

#include <pthread.h>

typedef int mr_blob_each_fn(void *arg, const struct mr_blob_name *name, int64_t committed_us,
                            struct mr_err *e);

struct mr_blobs_ops {
    /* A new readable, writable, empty file; `tmp` (64 bytes) is the backend's own note. */
    int (*begin)(struct mr_blobs *b, int *ret_fd, char *tmp, struct mr_err *e);
    /* Makes fd durable under name; the name existing already is success and gets as young as a new
     * one. fd stays open. */
    int (*commit)(struct mr_blobs *b, int fd, char *tmp, uint64_t size,
                  const struct mr_blob_name *name, struct mr_err *e);
    /* Closes fd, and removes what an uncommitted writer left. */
    void (*end)(struct mr_blobs *b, int fd, char *tmp);
    int (*open)(struct mr_blobs *b, const struct mr_blob_name *name, int *ret_fd, struct mr_err *e);
    int (*del)(struct mr_blobs *b, const struct mr_blob_name *name, struct mr_err *e);
    /* Every blob whose name begins with the hexadecimal digit, with the time of its last commit. */
    int (*list)(struct mr_blobs *b, unsigned digit, mr_blob_each_fn *each, void *arg,
                struct mr_err *e);
    /* Takes the name away unless it was committed at or after before_us: 1, else 0. *ret_fd holds
     * the bytes until the caller closes it, when freeing a large file takes its time. */
    int (*collect)(struct mr_blobs *b, const struct mr_blob_name *name, int64_t before_us,
                   uint64_t *ret_size, int *ret_fd, struct mr_err *e);
    void (*free)(struct mr_blobs *b);
};

/* A committed writer that has not ended; in a list under the store's lock. */
struct mr_blob_hold {
    struct mr_blob_hold *next,
        **at;    /* under the lock: the neighbours' coming and going moves them */
    bool listed; /* the writer's own */
    struct mr_blob_name name;
};

struct mr_blobs {
    const struct mr_blobs_ops *ops;
    pthread_mutex_t mu;
    struct mr_blob_hold *holds;
    struct mr_blob_sweep *sweep; /* the one under way */
};

/* For the backends: what is above, except ops. */
void mr_blobs_init(struct mr_blobs *b, const struct mr_blobs_ops *ops);
void mr_blobs_release(struct mr_blobs *b);

/* sweep.c; name is set */
void mr_blob_hold(struct mr_blobs *b, struct mr_blob_hold *h);
void mr_blob_let_go(struct mr_blobs *b, struct mr_blob_hold *h);

#define MR_BLOB_HEX (2 * MR_SHA256_LEN + 1)
void mr_blob_hex(const struct mr_blob_name *name, char out[MR_BLOB_HEX]);

/* As mr_blobs_open_fs, but with named temporaries, as on file systems without O_TMPFILE. */
int mr_blobs_open_fs_named(const char *dir, struct mr_blobs **ret, struct mr_err *e);

#endif
