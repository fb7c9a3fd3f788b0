/* Immutable blobs named by the SHA-256 of their bytes: a folder (fs) or memory (mem).
 * No rename and no conditional put in the interface, and listing by prefix only, so an object store
 * fits later.
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
/* Only to look, also while a server runs: nothing is made or swept. MR_ENOTFOUND: no such folder.
 */
int mr_blobs_open_fs_as_is(const char *dir, struct mr_blobs **ret, struct mr_err *e);
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
/* From the commit to the writer's end the blob is not collected (see below). A name that is there
 * already gets as young as a new one. */
int mr_blob_commit(struct mr_blob_writer *w, struct mr_blob_name *ret, struct mr_err *e);
void mr_blob_writer_free(struct mr_blob_writer *w); /* after commit too; NULL is fine */

/* A read-only descriptor of the blob, owned by the caller. MR_ENOTFOUND. */
int mr_blob_open(struct mr_blobs *b, const struct mr_blob_name *name, int *ret_fd,
                 uint64_t *ret_size, struct mr_err *e);
/* Whoever else uses the blob: not for collecting. */
int mr_blob_delete(struct mr_blobs *b, const struct mr_blob_name *name, struct mr_err *e);

/* --- collecting what nothing refers to ---------------------------------------------------
 * Whoever makes a row that names a blob commits a writer of it first (also when the blob is there
 * already) and keeps that writer until the row is committed or given up. Then no blob is lost that
 * a row names, if the collector
 *   1. begins: candidates are listed, those with a committed writer are left out, and from here on
 *      each commit of a candidate is noted;
 *   2. reads the rows, in a snapshot younger than that, and keeps what they name;
 *   3. ends: what was neither kept nor committed anew is deleted. Deleting one and noting its
 *      commit exclude each other, and a commit gives the name only after the note.
 * For a row that (2) did not see was committed later, so its writer was alive at (1), or was
 * committed after it: noted, or, when the name had gone by then, given anew. All of it is in
 * memory: a collector that is killed has deleted some blobs that nothing referred to, and no other.
 * The age is for what is not in this rule: rows put back from a copy, and deployments just deleted.
 */
struct mr_blob_sweep; /* one thread */
#define MR_BLOB_SWEEPS 16u
/* Candidates are the blobs whose hash begins with this hexadecimal digit (below MR_BLOB_SWEEPS) and
 * that were committed last before before_us (mr_now_us). MR_ECONFLICT: another sweep of this store
 * is under way. */
int mr_blob_sweep_begin(struct mr_blobs *b, unsigned digit, int64_t before_us,
                        struct mr_blob_sweep **ret, struct mr_err *e);
/* A row names it; names that are no candidates are fine. */
void mr_blob_sweep_keep(struct mr_blob_sweep *s, const struct mr_blob_name *name);
struct mr_blob_swept {
    uint64_t blobs, bytes;
};
/* Adds what was deleted to *sum, also when it fails on the way. Frees the sweep. */
int mr_blob_sweep_end(struct mr_blob_sweep *s, struct mr_blob_swept *sum, struct mr_err *e);
/* Instead: tells what would be deleted, and deletes nothing. `each` may be NULL. Frees the sweep.
 */
int mr_blob_sweep_look(struct mr_blob_sweep *s,
                       void (*each)(void *arg, const struct mr_blob_name *name, uint64_t size),
                       void *arg, struct mr_blob_swept *sum, struct mr_err *e);
void mr_blob_sweep_cancel(struct mr_blob_sweep *s); /* deletes nothing */

#endif
