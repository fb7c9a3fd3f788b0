#include "io/sandbox.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sanitizer runtimes reserve terabytes of address space and call a little more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define FORK_FLAGS ((unsigned long)(CLONE_PARENT | CLONE_PIDFD) | SIGCHLD)

static int close_others(const struct mr_sandbox *s, struct mr_err *e) {
    int from = 3;
    for (;;) { /* gaps between the kept descriptors, in ascending order */
        int next = -1;
        for (unsigned i = 0; i < s->n_fds; i++)
            if (s->fds[i].fd >= from && (next < 0 || s->fds[i].fd < next))
                next = s->fds[i].fd;
        unsigned last = next < 0 ? ~0u : (unsigned)next - 1;
        if ((next < 0 || next > from) && syscall(SYS_close_range, (unsigned)from, last, 0) < 0)
            return mr_fail_errno(e, "close_range");
        if (next < 0)
            return 0;
        from = next + 1;
    }
}

static int limit(int what, uint64_t value, struct mr_err *e) {
    struct rlimit now, l = {.rlim_cur = value, .rlim_max = value};
    if (what == RLIMIT_CPU)
        l.rlim_max++; /* at the same limit SIGKILL comes first, and SIGXCPU would never say why */
    if (!getrlimit((__rlimit_resource_t)what, &now) && now.rlim_max < l.rlim_max)
        l = (struct rlimit){now.rlim_max, now.rlim_max};
    if (setrlimit((__rlimit_resource_t)what, &l) < 0)
        return mr_fail_errno(e, "setrlimit");
    return 0;
}

static int set_limits(const struct mr_sandbox *s, struct mr_err *e) {
    int top = 2;
    for (unsigned i = 0; i < s->n_fds; i++)
        top = s->fds[i].fd > top ? s->fds[i].fd : top;
    int r = limit(RLIMIT_CORE, 0, e);
    if (!r)
        r = limit(RLIMIT_NOFILE, (uint64_t)top + 1 + s->forks, e); /* the pidfd of a copy */
    if (!r)
        r = limit(RLIMIT_FSIZE, s->file_max, e);
    if (!r && !s->forks)
        r = limit(RLIMIT_NPROC, 0, e);
    if (!r && s->cpu_seconds)
        r = limit(RLIMIT_CPU, s->cpu_seconds, e);
    if (!r && s->memory_max && !SANITIZED)
        r = limit(RLIMIT_AS, s->memory_max, e);
    return r;
}

static int drop_rights(struct mr_err *e) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    if (syscall(SYS_capset, &head, none) < 0)
        return mr_fail_errno(e, "capset");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return mr_fail_errno(e, "PR_SET_NO_NEW_PRIVS");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return mr_fail_errno(e, "PR_SET_DUMPABLE");
    return 0;
}

/* Calls that fail instead of killing; fdopen asks for the flags of its descriptor. */
static int refuse_opens(scmp_filter_ctx c) {
    static const int opens[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access),
                                SCMP_SYS(newfstatat)};
    int r =
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFL, 0));
    for (size_t i = 0; !r && i < sizeof opens / sizeof *opens; i++)
        r = seccomp_rule_add(c, SCMP_ACT_ERRNO(EACCES), opens[i], 0);
    return r;
}

/* System calls without arguments that could reach outside the process. */
static int allow_plain(scmp_filter_ctx c, enum mr_sandbox_profile profile) {
    static const int always[] = {
        SCMP_SYS(brk),          SCMP_SYS(munmap),         SCMP_SYS(mremap),
        SCMP_SYS(madvise),      SCMP_SYS(futex),          SCMP_SYS(exit),
        SCMP_SYS(exit_group),   SCMP_SYS(clock_gettime),  SCMP_SYS(gettimeofday),
        SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
        SCMP_SYS(getrandom),    SCMP_SYS(sysinfo), /* glibc qsort asks for the memory size */
        SCMP_SYS(getpid),       SCMP_SYS(gettid),         SCMP_SYS(restart_syscall)};
    static const int onnx[] = {SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
                               SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(getcpu)};
    static const int llm[] = {SCMP_SYS(sched_setaffinity), SCMP_SYS(set_robust_list),
                              SCMP_SYS(rseq), SCMP_SYS(fadvise64)};
    static const int sanitizers[] = {SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield),
                                     SCMP_SYS(getrlimit), SCMP_SYS(prlimit64), SCMP_SYS(readlink)};
    int r = 0;
    for (size_t i = 0; !r && i < sizeof always / sizeof *always; i++)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, always[i], 0);
    for (size_t i = 0; !r && profile != MR_SANDBOX_INTAKE && i < sizeof onnx / sizeof *onnx; i++)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, onnx[i], 0);
    for (size_t i = 0; !r && profile == MR_SANDBOX_LLM_WORKER && i < sizeof llm / sizeof *llm; i++)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, llm[i], 0);
    if (!r && profile == MR_SANDBOX_LLM_WORKER)
        r = refuse_opens(c);
    for (size_t i = 0; !r && SANITIZED && i < sizeof sanitizers / sizeof *sanitizers; i++)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, sanitizers[i], 0);
    return r;
}

static int allow_fd(scmp_filter_ctx c, int call, int fd) {
    return seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, (unsigned)fd, 0));
}

static int allow_files(scmp_filter_ctx c, const struct mr_sandbox *s) {
    static const int reads[] = {SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv),
                                SCMP_SYS(recvfrom)};
    static const int writes[] = {SCMP_SYS(write), SCMP_SYS(pwrite64), SCMP_SYS(writev),
                                 SCMP_SYS(sendto), SCMP_SYS(ftruncate)};
    static const int both[] = {SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(close)};
    int r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(poll), 0);
    for (unsigned i = 0; i < s->n_fds; i++) {
        const struct mr_sandbox_fd *f = &s->fds[i];
        for (size_t k = 0; !r && f->read && k < sizeof reads / sizeof *reads; k++)
            r = allow_fd(c, reads[k], f->fd);
        for (size_t k = 0; !r && f->write && k < sizeof writes / sizeof *writes; k++)
            r = allow_fd(c, writes[k], f->fd);
        for (size_t k = 0; !r && k < sizeof both / sizeof *both; k++)
            r = allow_fd(c, both[k], f->fd);
        if (!r && f->receive)
            r = allow_fd(c, SCMP_SYS(recvmsg), f->fd);
        if (!r && f->hand)
            r = allow_fd(c, SCMP_SYS(sendmsg), f->fd);
    }
    if (!r) /* what an abort message goes to: /dev/null unless the parent kept it open */
        r = allow_fd(c, SCMP_SYS(write), STDERR_FILENO);
    return r;
}

static int allow_memory(scmp_filter_ctx c) {
    int r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!r)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!r) /* abort() signals its own process only */
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                             SCMP_A0(SCMP_CMP_EQ, (unsigned)getpid(), 0));
    return r;
}

/* What mr_sandbox_fork calls, and its copy until it is sealed. */
static int allow_forks(scmp_filter_ctx c) {
    int r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_EQ, FORK_FLAGS, 0));
    if (!r)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(seccomp), 1,
                             SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER, 0));
    if (!r)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                             SCMP_A1(SCMP_CMP_EQ, RLIMIT_NPROC, 0));
    return r;
}

/* A filter on top of the first, which still holds: kills what only the original may do. */
static int seal_copy(void) {
#define FORBID(call)                                                                               \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(call), 0, 1),                                   \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
    struct sock_filter list[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        FORBID(SYS_clone),
        FORBID(SYS_sendmsg),
        FORBID(SYS_seccomp),
        FORBID(SYS_tgkill), /* the first filter knows the original's pid, not this one's */
#if !SANITIZED
        FORBID(SYS_prlimit64),
#endif
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
#undef FORBID
    struct sock_fprog program = {.len = sizeof list / sizeof *list, .filter = list};
    if (limit(RLIMIT_NPROC, 0, NULL))
        return MR_EIO;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? MR_EIO : 0;
}

int mr_sandbox_fork(int *ret_pidfd, struct mr_err *e) {
    int pidfd = -1;
    long pid = syscall(SYS_clone, FORK_FLAGS, NULL, &pidfd, NULL, NULL);
    if (pid < 0)
        return mr_fail_errno(e, "cannot start a copy");
    if (!pid) {
        if (seal_copy())
            _exit(1);
        return 0;
    }
    *ret_pidfd = pidfd;
    return (int)pid;
}

static int load_filter(const struct mr_sandbox *s, struct mr_err *e) {
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!c)
        return mr_fail(e, MR_ENOMEM, "seccomp_init failed");
    int r = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!r) /* a library may have started threads before */
        r = seccomp_attr_set(c, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!r)
        r = allow_plain(c, s->profile);
    if (!r)
        r = allow_files(c, s);
    if (!r)
        r = allow_memory(c);
    if (!r && s->forks)
        r = allow_forks(c);
    if (!r && s->places)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(sched_setaffinity), 1,
                             SCMP_A0(SCMP_CMP_EQ, 0, 0));
    if (!r)
        r = seccomp_load(c);
    seccomp_release(c);
    if (r)
        return mr_fail(e, MR_EIO, "the system call filter cannot be loaded (error %d)", -r);
    return 0;
}

int mr_sandbox_drop(const struct mr_sandbox *s, struct mr_err *e) {
    int r = close_others(s, e);
    if (r)
        return r;
    if (s->namespaces && unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
        errno = 0; /* an extra wall; the filter below forbids sockets and opens by itself */
    return drop_rights(e);
}

int mr_sandbox_seal(const struct mr_sandbox *s, struct mr_err *e) {
    int r = set_limits(s, e);
    return r ? r : load_filter(s, e);
}

int mr_sandbox_enter(const struct mr_sandbox *s, struct mr_err *e) {
    int r = mr_sandbox_drop(s, e);
    return r ? r : mr_sandbox_seal(s, e);
}
