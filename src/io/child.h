/* Child processes of this program (or another executable) that get exactly the descriptors they are
 * given. Children are followed by pidfd: no signal handlers, no zombies. A struct mr_child belongs
 * to one thread at a time; mr_child_kill may be called from any thread while it lives. */
#ifndef MR_IO_CHILD_H
#define MR_IO_CHILD_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mr_child {
    pid_t pid;
    int pidfd;
    bool reaped;
};
#define MR_CHILD_NONE ((struct mr_child){.pid = -1, .pidfd = -1, .reaped = true})

struct mr_child_spec {
    const char *exe;         /* NULL = this program (/proc/self/exe) */
    const char *const *argv; /* NULL-terminated; argv[0] is the name shown by ps */
    const int *fds;          /* become 3, 4, … in the child; any descriptors of the caller */
    unsigned n_fds;          /* at most 8 */
    bool stderr_too;         /* keep descriptor 2; else it is /dev/null like 0 and 1 */
    const char *const *env;  /* up to 8 "NAME=value" more, NULL-terminated; may be NULL */
};

/* Starts the program by vfork and exec. The child has 0-2 on /dev/null, its given descriptors, and
 * nothing else, whatever flags the caller's descriptors carry. Of the environment it sees only
 * sanitizer options, LD_LIBRARY_PATH and `env`. MR_EIO/MR_ENOMEM/MR_ENOTFOUND when it cannot start.
 */
int mr_child_spawn(const struct mr_child_spec *spec, struct mr_child *ret, struct mr_err *e);

struct mr_child_exit {
    bool signalled;
    int code; /* exit status, or the signal */
};
/* Waits for the end until `deadline_ns` (monotonic; 0 = no deadline) and reaps. MR_ETIMEOUT leaves
 * the child running. */
int mr_child_wait(struct mr_child *c, int64_t deadline_ns, struct mr_child_exit *ret,
                  struct mr_err *e);
void mr_child_kill(const struct mr_child *c);
/* Kills when still running, reaps, closes. Idempotent. */
void mr_child_release(struct mr_child *c);
/* "was killed by signal 11 (Segmentation fault)", "broke the rules of its sandbox",
 * "ended with status 3". */
void mr_child_exit_text(const struct mr_child_exit *x, char *out, size_t cap);

/* --- messages over a stream descriptor ---------------------------------------------------- */
/* u32 little-endian length, then that many bytes. Both wait with poll until `deadline_ns` (0 = no
 * deadline): MR_ETIMEOUT, MR_EIO for a closed or broken peer, MR_ETOOBIG over `max`. They retry
 * EINTR and never raise SIGPIPE on sockets. */
int mr_msg_write(int fd, const void *p, size_t n, int64_t deadline_ns, struct mr_err *e);
/* *ret is from mr_malloc, NUL-terminated behind its n bytes. */
int mr_msg_read(int fd, size_t max, int64_t deadline_ns, char **ret, size_t *ret_n,
                struct mr_err *e);
/* A record of n bytes (at most 4096) together with descriptors (1 to 8), for a Unix stream socket
 * that carries nothing else at that moment. The receiver's descriptors are new ones, the lowest
 * free numbers in order, closed on exec. MR_EIO for a closed peer and for anything but exactly n
 * bytes with n_fds descriptors. */
int mr_fds_send(int sock, const void *p, size_t n, const int *fds, unsigned n_fds,
                struct mr_err *e);
int mr_fds_recv(int sock, void *p, size_t n, int *fds, unsigned n_fds, struct mr_err *e);

#endif
