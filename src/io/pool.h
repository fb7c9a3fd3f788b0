/* A fixed pool of worker threads with a bounded queue, for work that may block or take long
 * (database, disk, big batches). Thread-safe. */
#ifndef MR_IO_POOL_H
#define MR_IO_POOL_H

#include "base/err.h"

#include <stddef.h>

struct mr_pool;
int mr_pool_new(unsigned threads, size_t queue_max, struct mr_pool **ret, struct mr_err *e);
/* Runs what is queued, then joins. */
void mr_pool_free(struct mr_pool *p);
/* MR_EUNAVAIL when the queue is full or the pool is closing; fn is then not called. */
int mr_pool_submit(struct mr_pool *p, void (*fn)(void *arg), void *arg);
size_t mr_pool_queued(struct mr_pool *p);

#endif
