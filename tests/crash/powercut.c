/* LD_PRELOAD shim that remembers what a power cut would leave: at each successful fsync of a file
 * below $POWERCUT_ROOT its bytes, and at each fsync of a folder its entries, are kept in
 * $POWERCUT_SHADOW. power.py rebuilds the folder from there after killing the server.
 *
 *   shadow/<ino>.<birth>       bytes of a file as of its last fsync (replaced by rename)
 *   shadow/<ino>.<birth>.dir   entries of a folder as of its last fsync: "<ino>.<birth> <name>\n"
 *
 * Files are told apart by inode and birth time, because inode numbers are used again.
 * $POWERCUT_NORMAL=1 turns "PRAGMA synchronous=FULL" into NORMAL: the control that must lose rows.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

struct sqlite3;
int sqlite3_exec(struct sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
                 void *arg, char **err);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool inside_root(int fd) {
    char link[64], path[4096];
    const char *root = getenv("POWERCUT_ROOT");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (!root || n < 0)
        return false;
    path[n] = 0;
    return strncmp(path, root, strlen(root)) == 0;
}

static bool key_of(int dirfd, const char *name, char out[64]) {
    struct statx sx;
    if (statx(dirfd, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &sx))
        return false;
    snprintf(out, 64, "%llu.%lld%09u", (unsigned long long)sx.stx_ino,
             (long long)sx.stx_btime.tv_sec, sx.stx_btime.tv_nsec);
    return true;
}

static void fatal(const char *what) {
    dprintf(2, "powercut: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void put(int out, const char *p, size_t n) {
    while (n) {
        ssize_t k = write(out, p, n);
        if (k <= 0)
            fatal("write");
        p += k;
        n -= (size_t)k;
    }
}

static void keep_file(int fd, int out) {
    static char buf[1 << 16]; /* under the lock */
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int in = open(link, O_RDONLY | O_CLOEXEC); /* the descriptor may be for writing only */
    if (in < 0)
        fatal("reopen");
    for (off_t at = 0;;) {
        ssize_t n = pread(in, buf, sizeof buf, at);
        if (n < 0)
            fatal("read");
        if (!n)
            break;
        put(out, buf, (size_t)n);
        at += n;
    }
    close(in);
}

static void keep_dir(int fd, int out) {
    int in = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = in < 0 ? NULL : fdopendir(in);
    if (!d)
        fatal("opendir");
    for (struct dirent *e; (e = readdir(d));) {
        char key[64], line[512];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !key_of(fd, e->d_name, key))
            continue;
        int n = snprintf(line, sizeof line, "%s %s\n", key, e->d_name);
        put(out, line, (size_t)n);
    }
    closedir(d);
}

static void keep(int fd) {
    const char *shadow = getenv("POWERCUT_SHADOW");
    struct stat st;
    char key[64], tmp[4200], path[4200];
    int saved = errno;
    if (!shadow || fstat(fd, &st) || !inside_root(fd) || !key_of(fd, "", key))
        return;
    pthread_mutex_lock(&lock);
    snprintf(tmp, sizeof tmp, "%s/tmp.%d", shadow, (int)getpid());
    snprintf(path, sizeof path, "%s/%s%s", shadow, key, S_ISDIR(st.st_mode) ? ".dir" : "");
    int out = open(tmp, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (out < 0)
        fatal(tmp);
    if (S_ISDIR(st.st_mode))
        keep_dir(fd, out);
    else
        keep_file(fd, out);
    close(out);
    if (rename(tmp, path))
        fatal(path);
    pthread_mutex_unlock(&lock);
    errno = saved;
}

int fsync(int fd) {
    REAL(fsync);
    int rc = real(fd);
    if (!rc)
        keep(fd);
    return rc;
}

int fdatasync(int fd) {
    REAL(fdatasync);
    int rc = real(fd);
    if (!rc)
        keep(fd);
    return rc;
}

int sqlite3_exec(struct sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
                 void *arg, char **err) {
    REAL(sqlite3_exec);
    if (getenv("POWERCUT_NORMAL") && sql && !strcmp(sql, "PRAGMA synchronous=FULL"))
        sql = "PRAGMA synchronous=NORMAL";
    return real(db, sql, fn, arg, err);
}
