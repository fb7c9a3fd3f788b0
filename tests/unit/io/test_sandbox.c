/* Children of this test program re-run it as "__child ACTION PROFILE" with 3 = a readable file and
 * 4 = a writable one, lock themselves down and try the action. PROFILE: 1 intake, 2 ONNX worker, 3
 * intake that may make copies of itself, 4 such a copy. */
#include "base/clock.h"
#include "io/child.h"
#include "io/sandbox.h"
#include "mr_test.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DONE   40 /* the action was carried out */
#define COPIED 41 /* by the copy, whose parent is the parent of the original */

static void act(const char *what) {
    char b[16];
    if (!strcmp(what, "work")) {
        char *p = malloc(1 << 20);
        if (!p || read(3, b, 5) != 5 || memcmp(b, "hello", 5) || write(4, "world", 5) != 5)
            _exit(1);
        void *m = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0);
        if (m == MAP_FAILED || memcmp(m, "hello", 5))
            _exit(2);
        free(p);
    } else if (!strcmp(what, "open")) {
        open("/etc/passwd", O_RDONLY);
    } else if (!strcmp(what, "create")) {
        open("sandbox-proof", O_WRONLY | O_CREAT, 0600);
    } else if (!strcmp(what, "socket")) {
        socket(AF_INET, SOCK_STREAM, 0);
    } else if (!strcmp(what, "unixpair")) {
        int sv[2];
        socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
    } else if (!strcmp(what, "exec")) {
        char *const argv[] = {"true", NULL}, *const env[] = {NULL};
        execve("/bin/true", argv, env);
    } else if (!strcmp(what, "fork")) {
        syscall(SYS_fork);
    } else if (!strcmp(what, "clone")) {
        syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0);
    } else if (!strcmp(what, "write_input")) {
        if (write(3, "x", 1) != 1)
            _exit(3);
    } else if (!strcmp(what, "read_output")) {
        if (read(4, b, 1) < 0)
            _exit(3);
    } else if (!strcmp(what, "map_exec")) {
        mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    } else if (!strcmp(what, "make_exec")) {
        void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(m, 4096, PROT_READ | PROT_EXEC);
    } else if (!strcmp(what, "kill")) {
        kill(getppid(), 0);
    } else if (!strcmp(what, "signal_parent")) {
        syscall(SYS_tgkill, 1, 1, 0);
    } else if (!strcmp(what, "ptrace")) {
        syscall(SYS_ptrace, 16, 1, 0, 0);
    } else if (!strcmp(what, "stat")) {
        struct stat st;
        if (stat("/etc/passwd", &st))
            _exit(3);
    } else if (!strcmp(what, "unlink")) {
        unlink("/nonexistent");
    } else if (!strcmp(what, "prlimit")) {
        struct rlimit l = {1 << 20, 1 << 20};
        setrlimit(RLIMIT_AS, &l);
    } else if (!strcmp(what, "copy")) {
        int pidfd;
        if (!mr_sandbox_fork(&pidfd, NULL))
            _exit(51);
    } else if (!strcmp(what, "hand_on")) {
        int fd = 3;
        mr_fds_send(4, "x", 1, &fd, 1, NULL);
    } else if (!strcmp(what, "filter")) {
        syscall(SYS_seccomp, 1, 0, NULL);
    } else if (!strcmp(what, "more_processes")) {
        struct rlimit l = {100, 100};
        setrlimit(RLIMIT_NPROC, &l);
    } else if (!strcmp(what, "memory")) {
        char *p = malloc(600u << 20); /* over the 512 MB limit below */
        _exit(p ? DONE : 7);
    } else if (!strcmp(what, "spin")) {
        for (;;)
            ;
    } else if (!strcmp(what, "big_file")) {
        static char block[1 << 16];
        for (int i = 0; i < 64; i++)
            if (write(4, block, sizeof block) < 0)
                _exit(8);
    } else if (!strcmp(what, "leaked")) {
        for (int fd = 5; fd < 64; fd++)
            if (read(fd, b, 1) >= 0)
                _exit(9);
    } else {
        _exit(99);
    }
    _exit(DONE);
}

static void child(char **argv) {
    bool forks = argv[3][0] >= '3';
    struct mr_sandbox_fd fds[] = {{.fd = 3, .read = true}, {.fd = 4, .write = true, .hand = forks}};
    struct mr_sandbox s = {.profile =
                               argv[3][0] == '2' ? MR_SANDBOX_ONNX_WORKER : MR_SANDBOX_INTAKE,
                           .forks = forks,
                           .fds = fds,
                           .n_fds = 2,
                           .memory_max = 512u << 20,
                           .cpu_seconds = 1,
                           .file_max = 1 << 20,
                           .namespaces = argv[3][0] == '2'};
    if (!strcmp(argv[2], "leaked"))
        act(argv[2]);
    if (mr_sandbox_enter(&s, NULL))
        _exit(77);
    int pidfd, pid = argv[3][0] == '4' ? mr_sandbox_fork(&pidfd, NULL) : 0;
    if (pid)
        _exit(pid < 0 ? 78 : COPIED);
    act(argv[2]);
}

static int in_fd, out_fd;

static struct mr_child_exit run(const char *action, const char *profile) {
    const char *argv[] = {"millrace-test", "__child", action, profile, NULL};
    int fds[] = {in_fd, out_fd};
    lseek(in_fd, 0, SEEK_SET);
    struct mr_child_spec spec = {.argv = argv, .fds = fds, .n_fds = 2};
    struct mr_child c;
    struct mr_child_exit x = {.code = -1};
    struct mr_err e = {0};
    CHECK_INT(mr_child_spawn(&spec, &c, &e), 0);
    CHECK_INT(mr_child_wait(&c, mr_mono_ns() + 120000000000, &x, &e), 0);
    mr_child_release(&c);
    if (x.signalled || x.code != COPIED)
        return x;
    siginfo_t si = {0};
    CHECK_INT(waitid(P_ALL, 0, &si, WEXITED), 0);
    return (struct mr_child_exit){si.si_code != CLD_EXITED, si.si_status};
}

static const char *const profiles[] = {"1", "2", "3", "4"};

MR_TEST(allowed_work_succeeds) {
    for (int p = 0; p < 4; p++) {
        CHECK_INT(ftruncate(out_fd, 0), 0);
        lseek(out_fd, 0, SEEK_SET);
        struct mr_child_exit x = run("work", profiles[p]);
        CHECK(!x.signalled);
        CHECK_INT(x.code, DONE);
        char b[8] = "";
        CHECK_INT(pread(out_fd, b, 7, 0), 5);
        CHECK_STR(b, "world");
    }
}

MR_TEST(everything_else_is_killed) {
    static const char *const actions[] = {
        "open",          "create",      "socket",      "unixpair", "exec",      "fork",
        "clone",         "write_input", "read_output", "map_exec", "make_exec", "kill",
        "signal_parent", "ptrace",      "stat",        "unlink",   "prlimit"};
    for (int p = 0; p < 4; p++)
        for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
            if (!strcmp(actions[i], "prlimit"))
                continue; /* sanitizer runtimes need it */
#endif
            struct mr_child_exit x = run(actions[i], profiles[p]);
            if (!x.signalled || x.code != SIGSYS) {
                char text[80];
                mr_child_exit_text(&x, text, sizeof text);
                fprintf(stderr, "%s in profile %s %s\n", actions[i], profiles[p], text);
            }
            CHECK(x.signalled && x.code == SIGSYS);
        }
    CHECK(access("sandbox-proof", F_OK) < 0);
}

MR_TEST(only_the_original_makes_copies) {
    static const char *const actions[] = {"copy", "hand_on", "filter", "more_processes"};
    for (int p = 0; p < 4; p++)
        for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
            if (p == 2 && strcmp(actions[i], "copy") != 0)
                continue; /* what it needs to make them */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
            if (!strcmp(actions[i], "more_processes"))
                continue;
#endif
            struct mr_child_exit x = run(actions[i], profiles[p]);
            if (p != 2) {
                CHECK(x.signalled && x.code == SIGSYS);
                continue;
            }
            siginfo_t si = {0};
            CHECK(!x.signalled && x.code == DONE);
            CHECK_INT(waitid(P_ALL, 0, &si, WEXITED), 0);
            CHECK(si.si_code == CLD_EXITED && si.si_status == 51);
        }
}

MR_TEST(limits_hold) {
    struct mr_child_exit x;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    x = run("memory", "1");
    CHECK(!x.signalled);
    CHECK_INT(x.code, 7);
#endif
    x = run("spin", "1");
    CHECK(x.signalled);
    CHECK_INT(x.code, SIGXCPU); /* SIGKILL would not say what for */
    lseek(out_fd, 0, SEEK_SET);
    x = run("big_file", "1");
    CHECK(x.signalled && x.code == SIGXFSZ);
    x = run("spin", "4");
    CHECK(x.signalled);
    CHECK_INT(x.code, SIGXCPU); /* SIGKILL would not say what for */
}

MR_TEST(descriptors_do_not_leak) {
    int fd = open("/etc/hostname", O_RDONLY); /* without O_CLOEXEC on purpose */
    CHECK(fd >= 3);
    struct mr_child_exit x = run("leaked", "1");
    CHECK(!x.signalled);
    CHECK_INT(x.code, DONE);
    close(fd);
}

MR_TEST(a_child_past_its_deadline_is_killed_and_reaped) {
    const char *argv[] = {"millrace-test", "__child", "spin", "1", NULL};
    int fds[] = {in_fd, out_fd};
    struct mr_child_spec spec = {.argv = argv, .fds = fds, .n_fds = 2};
    struct mr_child c;
    struct mr_child_exit x;
    CHECK_INT(mr_child_spawn(&spec, &c, NULL), 0);
    int64_t t = mr_mono_ns();
    CHECK_INT(mr_child_wait(&c, t + 50000000, &x, NULL), MR_ETIMEOUT);
    pid_t pid = c.pid;
    mr_child_release(&c);
    CHECK(kill(pid, 0) < 0);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0); /* no zombie left */
    mr_child_release(&c);
}

MR_TEST(an_absent_program_is_an_error) {
    const char *argv[] = {"nothing", NULL};
    struct mr_child_spec spec = {.exe = "/nonexistent/program", .argv = argv};
    struct mr_child c;
    struct mr_err e = {0};
    CHECK_INT(mr_child_spawn(&spec, &c, &e), MR_ENOTFOUND);
    CHECK(strstr(e.msg, "No such file") != NULL);
}

MR_TEST(messages_pass_and_are_capped) {
    int sv[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    char *p;
    size_t n;
    CHECK_INT(mr_msg_write(sv[0], "abc", 3, 0, NULL), 0);
    CHECK_INT(mr_msg_read(sv[1], 10, mr_mono_ns() + 120000000000, &p, &n, NULL), 0);
    CHECK_INT(n, 3);
    CHECK_STR(p, "abc");
    mr_free(p);
    CHECK_INT(mr_msg_read(sv[1], 10, mr_mono_ns() + 20000000, &p, &n, NULL), MR_ETIMEOUT);
    CHECK_INT(mr_msg_write(sv[0], "0123456789a", 11, 0, NULL), 0);
    CHECK_INT(mr_msg_read(sv[1], 10, 0, &p, &n, NULL), MR_ETOOBIG);
    close(sv[0]);
    CHECK_INT(mr_msg_read(sv[1], 1 << 30, 0, &p, &n, NULL), MR_EIO);
    CHECK_INT(mr_msg_write(sv[1], "abc", 3, 0, NULL), MR_EIO);
    close(sv[1]);
}

MR_TEST(bench) {
    if (!getenv("MR_TEST_BENCH"))
        return;
    for (int p = 1; p <= 2; p++) {
        int64_t best = INT64_MAX;
        for (int i = 0; i < 50; i++) {
            int64_t t = mr_mono_ns();
            run("work", p == 1 ? "1" : "2");
            t = mr_mono_ns() - t;
            best = t < best ? t : best;
        }
        printf("profile %d: spawn, sandbox, exit %.2f ms\n", p, (double)best / 1e6);
    }
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(allowed_work_succeeds), CASE(everything_else_is_killed),
             CASE(only_the_original_makes_copies), CASE(limits_hold), CASE(descriptors_do_not_leak),
             CASE(a_child_past_its_deadline_is_killed_and_reaped),
             CASE(an_absent_program_is_an_error), CASE(messages_pass_and_are_capped), CASE(bench))
#undef main

int main(int argc, char **argv) {
    if (argc > 3 && !strcmp(argv[1], "__child"))
        child(argv);
    in_fd = memfd_create("in", 0);
    out_fd = memfd_create("out", 0);
    if (write(in_fd, "hello", 5) != 5)
        return 2;
    return test_main(argc, argv);
}
