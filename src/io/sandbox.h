/* Locking a child process down before it looks at untrusted bytes. For use in a process made for
 * the purpose (mr_child_spawn), while it has one thread; there is no way back. */
#ifndef MR_IO_SANDBOX_H
#define MR_IO_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_sandbox_profile {
    /* Reads, writes and maps given descriptors, allocates memory, ends. */
    MR_SANDBOX_INTAKE = 1,
    /* The same and what ONNX Runtime needs once its library is loaded: CPU affinity, yielding,
     * sleeping. Still no open, no socket, no thread or process, no executable memory. */
    MR_SANDBOX_ONNX_WORKER = 2,
    /* The same for llama.cpp, whose threads are there before the filter is: they may be placed and
     * woken, but none can be added. Opening a file fails with EACCES instead of killing, because
     * the C++ library looks for locales and CPU lists on the way to an error message. */
    MR_SANDBOX_LLM_WORKER = 3,
};

struct mr_sandbox_fd {
    int fd; /* may be one that is only handed to the process later, through another's `receive` */
    bool read, write;
    bool receive; /* a socket through which the process that made it hands it descriptors */
    bool hand;    /* a socket through which it hands on descriptors itself */
};

struct mr_sandbox {
    enum mr_sandbox_profile profile;
    const struct mr_sandbox_fd *fds; /* every other descriptor above 2 is closed */
    unsigned n_fds;
    uint64_t memory_max;  /* address space in bytes; 0 = no limit (sanitizer builds: no limit) */
    uint64_t cpu_seconds; /* 0 = no limit */
    uint64_t file_max;    /* largest file it may write; 0 = none at all */
    bool forks;           /* may call mr_sandbox_fork */
    bool places;          /* a thread may choose its own processors */
    bool namespaces;      /* own user, network, IPC and UTS namespaces where the kernel lets us */
};

/* In this order: closes descriptors, enters namespaces (best effort), drops capabilities, sets
 * no_new_privs and resource limits, loads the system call allow-list. A call outside the list kills
 * the process with SIGSYS. MR_EIO when a required step fails: then the caller must exit. */
int mr_sandbox_enter(const struct mr_sandbox *s, struct mr_err *e);

/* The same in two steps, for a process that must start its threads in between: first descriptors,
 * namespaces and rights (threads started later inherit the loss), then limits and the filter,
 * which covers all threads. */
int mr_sandbox_drop(const struct mr_sandbox *s, struct mr_err *e);
int mr_sandbox_seal(const struct mr_sandbox *s, struct mr_err *e);

/* For a sealed process (`forks`) that is ready for work but must not see the bytes itself: a copy
 * of it that may do only what the profile and the descriptors say, so neither fork nor hand on
 * descriptors. The copy is a child of the caller's parent, which is to be given *ret_pidfd (closed
 * on exec) and the pid. Returns 0 in the copy, the pid in the caller, or MR_EIO; the copy ends by
 * itself when it cannot be sealed. */
int mr_sandbox_fork(int *ret_pidfd, struct mr_err *e);

#endif
