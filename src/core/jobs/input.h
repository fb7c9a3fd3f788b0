/* A job's captured items: one immutable blob, written once and read at any index without loading
 * it. Layout, little endian: "MRJOBIN1"; the items one after another, each a kind byte (0: JSON
 * text, 1: a file: u16 length of its name, the name, its bytes); the offsets of the n items and of
 * their end, u64 each; u64 n; u64 where the offsets begin; "MRJOBEND". */
#ifndef MR_CORE_JOBS_INPUT_H
#define MR_CORE_JOBS_INPUT_H

#include "base/buf.h"
#include "base/err.h"
#include "store/blobs.h"

#define MR_JOB_ITEMS_MAX     1000000     /* a job */
#define MR_JOB_ITEM_MAX      (64u << 20) /* bytes of one item */
#define MR_JOB_ITEM_NAME_MAX 1024u

/* --- writing: one thread -------------------------------------------------------------------- */
struct mr_job_pack {
    struct mr_blob_writer *w;
    struct mr_buf chunk, table;
    uint64_t at, n, max; /* bytes and items so far; bytes at most */
};
/* max: bytes of all items together. */
int mr_job_pack_init(struct mr_job_pack *p, struct mr_blobs *b, uint64_t max, struct mr_err *e);
void mr_job_pack_release(struct mr_job_pack *p);
/* JSON text, valid. MR_ETOOBIG names the item. */
int mr_job_pack_json(struct mr_job_pack *p, struct mr_str json, struct mr_err *e);
/* One JSON text made of several pieces in a row is for the caller to join; a file of bytes: */
int mr_job_pack_file(struct mr_job_pack *p, struct mr_str name, struct mr_str bytes,
                     struct mr_err *e);
/* Makes it durable. The writer stays alive until release, so the blob is not collected before a
 * row names it. */
int mr_job_pack_end(struct mr_job_pack *p, struct mr_blob_name *ret, struct mr_err *e);

/* --- reading: any thread ------------------------------------------------------------------------
 */
struct mr_job_input {
    int fd; /* -1: not open */
    uint64_t n, table, size;
};
int mr_job_input_open(struct mr_blobs *b, const struct mr_blob_name *name, struct mr_job_input *ret,
                      struct mr_err *e);
/* Takes the descriptor over, also when it fails. MR_EIO for what mr_job_pack did not write. */
int mr_job_input_from_fd(int fd, struct mr_job_input *ret, struct mr_err *e);
void mr_job_input_close(struct mr_job_input *in);
struct mr_job_input_item {
    bool file;
    struct mr_str name, body; /* JSON text, or the file's bytes; in buf */
};
/* Item i < n into buf (cleared first, its cap is the largest item that is read). With `head` only
 * what names it: a file's bytes stay unread. */
int mr_job_input_read(const struct mr_job_input *in, uint64_t i, bool head, struct mr_buf *buf,
                      struct mr_job_input_item *ret, struct mr_err *e);

#endif
