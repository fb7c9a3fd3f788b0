/* Immutable blobs named by the SHA-256 of their bytes: a folder (fs) or memory (mem).
 * No rename, no listing, no conditional put in the interface, so an object store fits later.
 * Thread-safe. */
#ifndef MR_STORE_BLOBS_H
#define MR_STORE_BLOBS_H

#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_blobs;
struct mr_blob_writer; /* one thread at a time */

struct mr_blob_name {
    uint8_t sha[MR_SHA256_LEN];
};

int mr_blobs_open_fs(const char *dir, struct mr_blobs **ret, struct mr_err *e);
int mr_blobs_open_mem(struct mr_blobs **ret, struct mr_err *e);
void mr_blobs_free(struct mr_blobs *b);

/* Streaming write: bytes go to an unnamed temporary; commit makes them durable (fsync of file and
 * folder) under their hash. A name is given to durable bytes only, so what is found under a name
 * is whole, also after a power cut. An abandoned writer leaves nothing behind. */
int mr_blob_begin_write(struct mr_blobs *b, struct mr_blob_writer **ret, struct mr_err *e);
int mr_blob_write(struct mr_blob_writer *w, const void *p, size_t n, struct mr_err *e);
uint64_t mr_blob_written(const struct mr_blob_writer *w);
/* The descriptor behind the writer, readable and seekable (for intake before commit). */
int mr_blob_writer_fd(const struct mr_blob_writer *w);
/* After someone else wrote through that descriptor: takes size and hash from what is there now. */
int mr_blob_rescan(struct mr_blob_writer *w, struct mr_err *e);
/* Ends the writing and says the name that commit will give; nothing is durable yet. */
int mr_blob_seal(struct mr_blob_writer *w, struct mr_blob_name *ret, struct mr_err *e);
/* A read-only descriptor of what was written, before or after commit, owned by the caller. */
int mr_blob_reread(const struct mr_blob_writer *w, int *ret_fd, struct mr_err *e);
int mr_blob_commit(struct mr_blob_writer *w, struct mr_blob_name *ret, struct mr_err *e);
void mr_blob_writer_free(struct mr_blob_writer *w); /* after commit too; NULL is fine */

/* A read-only descriptor of the blob, owned by the caller. MR_ENOTFOUND. */
int mr_blob_open(struct mr_blobs *b, const struct mr_blob_name *name, int *ret_fd,
                 uint64_t *ret_size, struct mr_err *e);
int mr_blob_delete(struct mr_blobs *b, const struct mr_blob_name *name, struct mr_err *e);

#endif
