#include "io/child.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_FDS 8
#define MAX_ENV 16
#define SMALL   4096

extern char **environ;

static void pick_environment(const char *const *more, char *out[MAX_ENV]) {
    static const char *const keep[] = {
        "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS=", "LD_LIBRARY_PATH="};
    size_t n = 0;
    for (char **v = environ; v && *v; v++)
        for (size_t k = 0; k < sizeof keep / sizeof *keep; k++)
            if (!strncmp(*v, keep[k], strlen(keep[k])) && n + 1 < MAX_ENV - 8)
                out[n++] = *v;
    for (size_t k = 0; more && more[k] && n + 1 < MAX_ENV; k++)
        out[n++] = (char *)(uintptr_t)more[k]; /* exec does not write to it */
    out[n] = NULL;
}

/* Sources are copied above every target first, so that no dup2 overwrites a later source. */
static int spawn_with(const struct mr_child_spec *spec, const int *high, pid_t *ret) {
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    int r = posix_spawn_file_actions_init(&fa);
    if (r)
        return r;
    r = posix_spawnattr_init(&attr);
    if (r) {
        posix_spawn_file_actions_destroy(&fa);
        return r;
    }
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (!r)
        r = posix_spawnattr_setsigmask(&attr, &none);
    if (!r)
        r = posix_spawnattr_setsigdefault(&attr, &all);
    if (!r)
        r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    for (int fd = 0; !r && fd < 3; fd++)
        if (fd < 2 || !spec->stderr_too)
            r = posix_spawn_file_actions_addopen(&fa, fd, "/dev/null", O_RDWR, 0);
    for (unsigned i = 0; !r && i < spec->n_fds; i++)
        r = posix_spawn_file_actions_adddup2(&fa, high[i], 3 + (int)i);
    if (!r)
        r = posix_spawn_file_actions_addclosefrom_np(&fa, 3 + (int)spec->n_fds);
    char *env[MAX_ENV];
    pick_environment(spec->env, env);
    if (!r) /* argv is not modified; the prototype lacks const for historic reasons */
        r = posix_spawn(ret, spec->exe ? spec->exe : "/proc/self/exe", &fa, &attr,
                        (char *const *)spec->argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return r;
}

int mr_child_spawn(const struct mr_child_spec *spec, struct mr_child *ret, struct mr_err *e) {
    if (spec->n_fds > MAX_FDS)
        return mr_fail(e, MR_EINTERNAL, "a child gets at most %d descriptors", MAX_FDS);
    int high[MAX_FDS];
    unsigned n = 0;
    int r = 0;
    for (; n < spec->n_fds; n++) {
        high[n] = fcntl(spec->fds[n], F_DUPFD_CLOEXEC, 3 + MAX_FDS);
        if (high[n] < 0) {
            r = errno;
            break;
        }
    }
    pid_t pid = -1;
    if (!r)
        r = spawn_with(spec, high, &pid);
    while (n)
        close(high[--n]);
    if (r) {
        errno = r;
        return mr_fail_errno(e, "cannot start a child process");
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        int saved = errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        errno = saved;
        return mr_fail_errno(e, "pidfd_open");
    }
    *ret = (struct mr_child){.pid = pid, .pidfd = pidfd};
    return 0;
}

/* Milliseconds left, rounded up; -1 = no deadline. */
static int left_ms(int64_t deadline_ns) {
    if (!deadline_ns)
        return -1;
    int64_t left = deadline_ns - mr_mono_ns();
    if (left <= 0)
        return 0;
    left = (left + 999999) / 1000000;
    return left > 1000000000 ? 1000000000 : (int)left;
}

static int wait_ready(int fd, short events, int64_t deadline_ns, struct mr_err *e) {
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int r = poll(&p, 1, left_ms(deadline_ns));
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return mr_fail_errno(e, "poll");
        if (deadline_ns && mr_mono_ns() >= deadline_ns)
            return mr_fail(e, MR_ETIMEOUT, "the time is over");
    }
}

int mr_child_wait(struct mr_child *c, int64_t deadline_ns, struct mr_child_exit *ret,
                  struct mr_err *e) {
    if (c->reaped)
        return mr_fail(e, MR_EINTERNAL, "the child was reaped before");
    int r = wait_ready(c->pidfd, POLLIN, deadline_ns, e);
    if (r)
        return r;
    siginfo_t si = {0};
    while (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED) < 0)
        if (errno != EINTR)
            return mr_fail_errno(e, "waitid");
    c->reaped = true;
    *ret = (struct mr_child_exit){.signalled = si.si_code != CLD_EXITED, .code = si.si_status};
    return 0;
}

void mr_child_kill(const struct mr_child *c) {
    if (c->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
}

void mr_child_release(struct mr_child *c) {
    if (c->pidfd < 0)
        return;
    if (!c->reaped) {
        mr_child_kill(c);
        siginfo_t si;
        while (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED) < 0 && errno == EINTR)
            ;
    }
    close(c->pidfd);
    *c = MR_CHILD_NONE;
}

void mr_child_exit_text(const struct mr_child_exit *x, char *out, size_t cap) {
    if (x->signalled && x->code == SIGSYS)
        snprintf(out, cap, "broke the rules of its sandbox and was killed");
    else if (x->signalled && x->code == SIGXCPU)
        snprintf(out, cap, "used up its processor time");
    else if (x->signalled && x->code == SIGXFSZ)
        snprintf(out, cap, "wrote more than it may");
    else if (x->signalled)
        snprintf(out, cap, "was killed by signal %d (%s)", x->code, strsignal(x->code));
    else
        snprintf(out, cap, "ended with status %d", x->code);
}

/* send() avoids SIGPIPE; pipes and files do not know it. */
static ssize_t write_some(int fd, const char *p, size_t n) {
    ssize_t w = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (w < 0 && errno == ENOTSOCK)
        w = write(fd, p, n);
    return w;
}

static int write_all(int fd, const char *p, size_t n, int64_t deadline_ns, struct mr_err *e) {
    while (n) {
        ssize_t w = write_some(fd, p, n);
        if (w < 0 && errno == EAGAIN) {
            int r = wait_ready(fd, POLLOUT, deadline_ns, e);
            if (r)
                return r;
        } else if (w < 0 && errno != EINTR) {
            return mr_fail_errno(e, "writing a message");
        } else if (w > 0) {
            p += w;
            n -= (size_t)w;
        }
    }
    return 0;
}

int mr_msg_write(int fd, const void *p, size_t n, int64_t deadline_ns, struct mr_err *e) {
    if (n > UINT32_MAX)
        return mr_fail(e, MR_ETOOBIG, "a message of %zu bytes is too long", n);
    char first[SMALL];
    for (int i = 0; i < 4; i++)
        first[i] = (char)(unsigned char)(n >> 8 * i);
    size_t part = n < sizeof first - 4 ? n : sizeof first - 4; /* with the length: one wake-up */
    if (part)
        memcpy(first + 4, p, part);
    int r = write_all(fd, first, 4 + part, deadline_ns, e);
    return r || part == n ? r : write_all(fd, (const char *)p + part, n - part, deadline_ns, e);
}

static int read_all(int fd, char *p, size_t n, int64_t deadline_ns, struct mr_err *e) {
    while (n) {
        int w = deadline_ns ? wait_ready(fd, POLLIN, deadline_ns, e) : 0;
        if (w)
            return w;
        ssize_t r = read(fd, p, n);
        if (r == 0)
            return mr_fail(e, MR_EIO, "the other side closed the connection");
        if (r < 0 && errno != EINTR && errno != EAGAIN)
            return mr_fail_errno(e, "reading a message");
        if (r > 0) {
            p += r;
            n -= (size_t)r;
        }
    }
    return 0;
}

int mr_msg_read(int fd, size_t max, int64_t deadline_ns, char **ret, size_t *ret_n,
                struct mr_err *e) {
    unsigned char head[4];
    int r = read_all(fd, (char *)head, 4, deadline_ns, e);
    if (r)
        return r;
    size_t n =
        (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    if (n > max)
        return mr_fail(e, MR_ETOOBIG, "a message of %zu bytes is over the limit of %zu", n, max);
    MR_AUTO_FREE char *p = mr_malloc(n + 1);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory for a message of %zu bytes", n);
    r = read_all(fd, p, n, deadline_ns, e);
    if (r)
        return r;
    p[n] = 0;
    *ret = MR_TAKE(p);
    *ret_n = n;
    return 0;
}
