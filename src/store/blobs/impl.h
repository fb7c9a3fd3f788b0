/* Inside of store/blobs.h: what a backend provides. The shared part (blobs.c) hashes, counts and
 * keeps the writer's state. */
#ifndef MR_STORE_BLOBS_IMPL_H
#define MR_STORE_BLOBS_IMPL_H

#include "store/blobs.h"

struct mr_blobs_ops {
    /* A new readable, writable, empty file; `tmp` (64 bytes) is the backend's own note. */
    int (*begin)(struct mr_blobs *b, int *ret_fd, char *tmp, struct mr_err *e);
    /* Makes fd durable under name; the name existing already is success. fd stays open. */
    int (*commit)(struct mr_blobs *b, int fd, char *tmp, uint64_t size,
                  const struct mr_blob_name *name, struct mr_err *e);
    /* Closes fd, and removes what an uncommitted writer left. */
    void (*end)(struct mr_blobs *b, int fd, char *tmp);
    int (*open)(struct mr_blobs *b, const struct mr_blob_name *name, int *ret_fd, struct mr_err *e);
    int (*del)(struct mr_blobs *b, const struct mr_blob_name *name, struct mr_err *e);
    void (*free)(struct mr_blobs *b);
};

struct mr_blobs {
    const struct mr_blobs_ops *ops;
};

#define MR_BLOB_HEX (2 * MR_SHA256_LEN + 1)
void mr_blob_hex(const struct mr_blob_name *name, char out[MR_BLOB_HEX]);

/* As mr_blobs_open_fs, but with named temporaries, as on file systems without O_TMPFILE. */
int mr_blobs_open_fs_named(const char *dir, struct mr_blobs **ret, struct mr_err *e);

#endif
