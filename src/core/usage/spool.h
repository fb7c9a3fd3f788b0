/* The spool: append-only memory-mapped files of fixed-size records. Many threads append, one
 * thread (the fold) reads.
 *
 * File <dir>/<segment id, hex>.spool: a 128-byte header, then `capacity` records of 80 bytes, all
 * allocated at creation so that writing never meets a full disk. A record's last word is a checksum
 * of the rest, the segment and its place, stored last: 0 = not written (yet). A process that dies
 * between taking a place and writing the checksum leaves a hole, which readers of a dead process's
 * file skip. `lock` in the folder is held (flock) by the process that owns it. */
#ifndef MR_CORE_USAGE_SPOOL_H
#define MR_CORE_USAGE_SPOOL_H

#include "core/usage/usage.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MR_SPOOL_ERROR = 1, MR_SPOOL_COLD_START = 2 };

struct mr_spool_record {
    int64_t time_us;
    struct mr_id account, deployment;
    uint64_t user;
    uint32_t latency_us, rows, bytes_in, bytes_out;
    uint32_t version;
    uint32_t flags; /* MR_SPOOL_… */
    _Atomic uint64_t mark;
};
_Static_assert(sizeof(struct mr_spool_record) == 80, "the file format");

struct mr_segment {
    _Atomic uint64_t next; /* places handed out; >= capacity: full */
    uint64_t capacity, seed;
    struct mr_spool_record *rec;
    void *map;
    size_t map_len;
    struct mr_id id;
    bool recovered;          /* a dead process's: holes are skipped */
    uint64_t folded;         /* fold thread: committed up to here */
    uint64_t upto;           /* fold thread: end of the pass under way */
    uint64_t synced;         /* fold thread: on disk up to here, at least */
    struct mr_segment *link; /* list, in order of creation */
};

struct mr_spool {
    _Atomic(struct mr_segment *) cur;
    char *dir; /* NULL: memory */
    int dir_fd, lock_fd;
    uint64_t capacity;
    unsigned max;
    pthread_mutex_t mu; /* the lists */
    struct mr_segment *first, **last;
    struct mr_segment *spare; /* also in the list */
    struct mr_segment *unused;
    unsigned n;
    void (*wanted)(void *arg); /* a spare segment was taken: make another; any thread */
    void *wanted_arg;
    uint64_t retired; /* records of dropped segments of this process */
    atomic_uint_fast64_t refused, damaged;
};

/* Opens the folder and maps what a dead process left (in the list, recovered). No current segment
 * yet. */
int mr_spool_open(struct mr_spool *s, const char *dir, uint32_t capacity, unsigned max,
                  struct mr_err *e);
/* Unmaps; files stay. */
void mr_spool_release(struct mr_spool *s);
/* Creates the current segment, and the spare one when there is none. */
int mr_spool_prepare(struct mr_spool *s, struct mr_err *e);
int mr_spool_add(struct mr_spool *s, const struct mr_usage_record *ev);
/* True when the record is complete (any thread's, live or recovered). */
bool mr_spool_valid(const struct mr_segment *g, uint64_t i);
/* Unmaps a segment and removes its file. */
void mr_spool_unmap(struct mr_spool *s, struct mr_segment *g);
/* The same and takes it off the list; fold thread only. */
void mr_spool_drop(struct mr_spool *s, struct mr_segment *g);
/* The segment after g (NULL: the first), in order of creation. Only the fold thread takes segments
 * off the list, so it may walk it. */
struct mr_segment *mr_spool_next(struct mr_spool *s, const struct mr_segment *g);
/* Records taken since opening. */
uint64_t mr_spool_recorded(struct mr_spool *s);
/* Writes what was recorded before the call to disk; fold thread only. */
int mr_spool_sync(struct mr_spool *s, struct mr_err *e);
/* Makes creations and removals durable. */
int mr_spool_sync_dir(struct mr_spool *s, struct mr_err *e);

#endif
