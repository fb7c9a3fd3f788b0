/* The access log: one line a request, built in a buffer of the calling thread and written in larger
 * pieces by a flusher a few times a second, so that logging costs no system call a request. */
#ifndef MR_API_ACCESS_LOG_H
#define MR_API_ACCESS_LOG_H

#include "base/err.h"
#include "base/log.h"

struct mr_call;
struct mr_req;
struct mr_access_log;

int mr_access_log_open(const struct mr_log *log, struct mr_access_log **ret, struct mr_err *e);
/* Writes what is buffered, then ends. */
void mr_access_log_close(struct mr_access_log *a);
/* `c` may be NULL (no route). Any thread. */
void mr_access_log_add(struct mr_access_log *a, const struct mr_req *r, const struct mr_call *c);

#endif
