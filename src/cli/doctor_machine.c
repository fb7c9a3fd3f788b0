/* Checks of this machine. */
#include "base/cleanup.h"
#include "cli/doctor.h"
#include "engine/onnx/onnx.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DISK_WARN (1ull << 30)
#define DISK_FAIL (100ull << 20)

static void data_dir(struct mr_doctor *d, const char *dir) {
    struct stat st;
    if (stat(dir, &st)) {
        if (errno != ENOENT)
            mr_doctor_say(d, MR_HEALTH_FAIL, "data dir", "make it readable for this user", "%s: %s",
                          dir, strerror(errno));
        else
            mr_doctor_say(d, MR_HEALTH_OK, "data dir", NULL,
                          "%s is not there yet; the first start makes it", dir);
        return;
    }
    if (!S_ISDIR(st.st_mode))
        mr_doctor_say(d, MR_HEALTH_FAIL, "data dir", "set data_dir to a folder",
                      "%s is not a folder", dir);
    else if (st.st_uid != geteuid())
        mr_doctor_say(d, MR_HEALTH_WARN, "data dir", "run the server as its owner, or chown it",
                      "%s belongs to user %u, this is user %u", dir, (unsigned)st.st_uid,
                      (unsigned)geteuid());
    else if (access(dir, R_OK | W_OK | X_OK))
        mr_doctor_say(d, MR_HEALTH_FAIL, "data dir", "chmod u+rwx it", "%s cannot be written", dir);
    else if (st.st_mode & 077)
        mr_doctor_say(d, MR_HEALTH_WARN, "data dir", "chmod 700 it: it holds keys and models",
                      "%s is open to other users (mode %03o)", dir, (unsigned)(st.st_mode & 0777));
    else
        mr_doctor_say(d, MR_HEALTH_OK, "data dir", NULL, "%s is ours alone", dir);
}

static void secret_file(struct mr_doctor *d, const char *dir, const char *name) {
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (stat(path, &st) == 0 && (st.st_mode & 077))
        mr_doctor_say(d, MR_HEALTH_FAIL, name, "chmod 600 it, then make a new one",
                      "%s can be read by other users (mode %03o)", path,
                      (unsigned)(st.st_mode & 0777));
}

static void disk(struct mr_doctor *d, const char *dir) {
    struct statvfs v;
    const char *at = dir;
    if (statvfs(at, &v) && statvfs(at = ".", &v)) {
        mr_doctor_say(d, MR_HEALTH_WARN, "disk", "check the mount", "%s: %s", dir, strerror(errno));
        return;
    }
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
    enum mr_health h = room < DISK_FAIL   ? MR_HEALTH_FAIL
                       : room < DISK_WARN ? MR_HEALTH_WARN
                                          : MR_HEALTH_OK;
    mr_doctor_say(d, h, "disk", h ? "free some space, or move data_dir" : NULL,
                  "%.1f GB free at %s", (double)room / 1e9, at);
    if (v.f_files && v.f_favail < 1000)
        mr_doctor_say(d, MR_HEALTH_WARN, "inodes", "remove files", "%llu inodes left at %s",
                      (unsigned long long)v.f_favail, at);
}

static void cpu(struct mr_doctor *d) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx512)
        mr_doctor_say(d, MR_HEALTH_OK, "CPU", NULL, "AVX-512: the fastest kernels are used");
    else if (avx2)
        mr_doctor_say(d, MR_HEALTH_OK, "CPU", NULL, "AVX2, no AVX-512: the second fastest kernels");
    else
        mr_doctor_say(d, MR_HEALTH_WARN, "CPU", "use a CPU (or VM type) with AVX2",
                      "neither AVX2 nor AVX-512: models run on scalar code, some times slower");
#else
    mr_doctor_say(d, MR_HEALTH_WARN, "CPU", "use x86-64 with AVX2 for speed",
                  "not x86-64: models run on scalar code");
#endif
}

static void seccomp_filter(struct mr_doctor *d) {
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
        mr_doctor_say(d, MR_HEALTH_OK, "seccomp", NULL,
                      "model files are read in a locked-down child");
    else
        mr_doctor_say(d, MR_HEALTH_FAIL, "seccomp",
                      "use a kernel with CONFIG_SECCOMP_FILTER; without it no file is taken in",
                      "seccomp filters are not available: %s", strerror(errno));
}

static void userns(struct mr_doctor *d) {
    fflush(stdout);
    pid_t pid = fork();
    int status = 0;
    if (pid == 0)
        _exit(unshare(CLONE_NEWUSER) ? 1 : 0);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
        mr_doctor_say(d, MR_HEALTH_WARN, "user ns",
                      "sysctl kernel.unprivileged_userns_clone=1 (Debian) or "
                      "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)",
                      "user namespaces are not available; seccomp alone guards the workers");
    else
        mr_doctor_say(d, MR_HEALTH_OK, "user ns", NULL, "available");
}

static void limits(struct mr_doctor *d, const struct mr_config *c) {
    struct rlimit r;
    uint64_t need = (uint64_t)c->conns_max + 256;
    if (getrlimit(RLIMIT_NOFILE, &r))
        return;
    if (r.rlim_max < need)
        mr_doctor_say(d, MR_HEALTH_WARN, "open files", "raise ulimit -Hn, or lower conns_max",
                      "the hard limit is %llu, conns_max %lld wants %llu",
                      (unsigned long long)r.rlim_max, (long long)c->conns_max,
                      (unsigned long long)need);
    else
        mr_doctor_say(d, MR_HEALTH_OK, "open files", NULL, "hard limit %llu",
                      (unsigned long long)r.rlim_max);
    if (!getrlimit(RLIMIT_AS, &r) && r.rlim_cur != RLIM_INFINITY)
        mr_doctor_say(d, MR_HEALTH_WARN, "memory limit", "ulimit -v unlimited",
                      "address space is limited to %.1f GB; large models will not map",
                      (double)r.rlim_cur / 1e9);
}

static void onnx(struct mr_doctor *d) {
    struct mr_err e = {0};
    int fd = -1;
    if (mr_onnx_open_library(&fd, &e))
        mr_doctor_say(d, MR_HEALTH_WARN, "ONNX Runtime",
                      "run scripts/setup, or set MILLRACE_ORT; only .onnx models need it", "%s",
                      e.msg);
    else
        mr_doctor_say(d, MR_HEALTH_OK, "ONNX Runtime", NULL, "libonnxruntime.so is there");
    if (fd >= 0)
        close(fd);
}

static void readable(struct mr_doctor *d, const char *name, const char *path) {
    if (*path && access(path, R_OK))
        mr_doctor_say(d, MR_HEALTH_FAIL, name, "correct the setting or the file's mode", "%s: %s",
                      path, strerror(errno));
}

void mr_doctor_machine(struct mr_doctor *d, const struct mr_config *c) {
    const char *dir = c->data_dir ? c->data_dir : "data";
    data_dir(d, dir);
    secret_file(d, dir, "owner.key");
    secret_file(d, dir, "jwt.key");
    disk(d, dir);
    readable(d, "tls_cert", c->tls_cert);
    readable(d, "tls_key", c->tls_key);
    cpu(d);
    seccomp_filter(d);
    userns(d);
    limits(d, c);
    onnx(d);
}
