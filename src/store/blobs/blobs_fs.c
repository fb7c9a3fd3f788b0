/* Blobs in a folder: <dir>/ab/cdef… (the SHA-256 in hex, fanned out by its first byte).
 * Temporaries have no name (O_TMPFILE) and get theirs by linkat; where the file system cannot do
 * that they are called <dir>/tmp-<id>, and those older than a day are swept when opening. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/id.h"
#include "store/blobs/impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

struct fs {
    struct mr_blobs b;
    int dir;
    atomic_bool named; /* O_TMPFILE does not work here */
};

static struct fs *of(struct mr_blobs *b) {
    return (struct fs *)b;
}

static void path_of(const struct mr_blob_name *name, char fan[3], char file[MR_BLOB_HEX + 1]) {
    char hex[MR_BLOB_HEX];
    mr_blob_hex(name, hex);
    memcpy(fan, hex, 2);
    fan[2] = 0;
    snprintf(file, MR_BLOB_HEX + 1, "%.2s/%s", hex, hex + 2);
}

static int fs_begin(struct mr_blobs *b, int *ret_fd, char *tmp, struct mr_err *e) {
    struct fs *f = of(b);
    if (!atomic_load(&f->named)) {
        int fd = openat(f->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0) {
            *ret_fd = fd;
            return 0;
        }
        /* EISDIR: kernels before 3.11 */
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
            return mr_fail_errno(e, "cannot create a temporary blob");
        atomic_store(&f->named, true);
    }
    char name[64];
    if (!mr_id_print("tmp-", mr_id_new(), name, sizeof name))
        return mr_fail(e, MR_EINTERNAL, "temporary name too long");
    int fd = openat(f->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return mr_fail_errno(e, "cannot create a temporary blob");
    memcpy(tmp, name, sizeof name);
    *ret_fd = fd;
    return 0;
}

/* Opens the fan-out folder, making it durable when it is new. */
static int open_fan(struct fs *f, const char *fan, int *ret, struct mr_err *e) {
    if (mkdirat(f->dir, fan, 0700) == 0) {
        if (fsync(f->dir))
            return mr_fail_errno(e, "cannot sync the blob folder");
    } else if (errno != EEXIST) {
        return mr_fail_errno(e, "cannot create a blob folder");
    }
    int fd = openat(f->dir, fan, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return mr_fail_errno(e, "cannot open a blob folder");
    *ret = fd;
    return 0;
}

static int link_in(struct fs *f, int fd, const char *tmp, int fan, const char *file) {
    if (tmp[0])
        return linkat(f->dir, tmp, fan, file, 0);
    char proc[32];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, proc, fan, file, AT_SYMLINK_FOLLOW);
}

/* The name is there already: whole, since it was given to durable bytes, unless the disk is ill. */
static int renew(int fan, const char *file, uint64_t size, struct mr_err *e) {
    struct stat st;
    const char *leaf = file + 3;
    if (fstatat(fan, leaf, &st, AT_SYMLINK_NOFOLLOW))
        return mr_fail_errno(e, "cannot read the blob's size");
    if ((uint64_t)st.st_size != size)
        return mr_fail(e, MR_EIO, "the stored blob %s is damaged: %lld bytes instead of %llu", file,
                       (long long)st.st_size, (unsigned long long)size);
    if (utimensat(fan, leaf, NULL, AT_SYMLINK_NOFOLLOW))
        return mr_fail_errno(e, "cannot renew the blob");
    return 0;
}

static int fs_commit(struct mr_blobs *b, int fd, char *tmp, uint64_t size,
                     const struct mr_blob_name *name, struct mr_err *e) {
    struct fs *f = of(b);
    char fan_name[3], file[MR_BLOB_HEX + 1];
    path_of(name, fan_name, file);
    if (fchmod(fd, 0400) || fsync(fd))
        return mr_fail_errno(e, "cannot sync the blob");
    int fan = -1;
    int rc = open_fan(f, fan_name, &fan, e);
    if (rc)
        return rc;
    if (link_in(f, fd, tmp, fan, file + 3))
        rc = errno == EEXIST ? renew(fan, file, size, e) : mr_fail_errno(e, "cannot name the blob");
    /* also for an existing name: whoever linked it may not have got this far */
    if (rc == 0 && fsync(fan))
        rc = mr_fail_errno(e, "cannot sync a blob folder");
    close(fan);
    return rc;
}

static void fs_end(struct mr_blobs *b, int fd, char *tmp) {
    if (tmp[0])
        unlinkat(of(b)->dir, tmp, 0);
    close(fd);
}

static int fs_open(struct mr_blobs *b, const struct mr_blob_name *name, int *ret_fd,
                   struct mr_err *e) {
    char fan[3], file[MR_BLOB_HEX + 1];
    path_of(name, fan, file);
    int fd = openat(of(b)->dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return mr_fail_errno(e, "cannot open the blob");
    *ret_fd = fd;
    return 0;
}

static int fs_delete(struct mr_blobs *b, const struct mr_blob_name *name, struct mr_err *e) {
    char fan[3], file[MR_BLOB_HEX + 1];
    path_of(name, fan, file);
    /* not synced: after a power cut a deleted blob may be back, which costs only its room */
    if (unlinkat(of(b)->dir, file, 0))
        return mr_fail_errno(e, "cannot delete the blob");
    return 0;
}

static int64_t committed_us(const struct stat *st) {
    return (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
}

static int nibble(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: no blob's name. */
static bool name_of(uint8_t first, const char *leaf, struct mr_blob_name *ret) {
    if (strlen(leaf) != 2 * (MR_SHA256_LEN - 1))
        return false;
    ret->sha[0] = first;
    for (size_t i = 1; i < MR_SHA256_LEN; i++, leaf += 2) {
        int high = nibble(leaf[0]), low = nibble(leaf[1]);
        if (high < 0 || low < 0)
            return false;
        ret->sha[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int list_fan(struct fs *f, uint8_t first, mr_blob_each_fn *each, void *arg,
                    struct mr_err *e) {
    char fan[3];
    snprintf(fan, sizeof fan, "%02x", first);
    int fd = openat(f->dir, fan, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : mr_fail_errno(e, "cannot open a blob folder");
    DIR *d = fdopendir(fd);
    if (!d) {
        int rc = mr_fail_errno(e, "cannot read a blob folder");
        close(fd);
        return rc;
    }
    int rc = 0;
    for (struct dirent *x; !rc && (x = readdir(d));) {
        struct stat st;
        struct mr_blob_name name;
        if (name_of(first, x->d_name, &name) &&
            fstatat(fd, x->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            rc = each(arg, &name, committed_us(&st), e);
    }
    closedir(d);
    return rc;
}

static int fs_list(struct mr_blobs *b, unsigned digit, mr_blob_each_fn *each, void *arg,
                   struct mr_err *e) {
    int rc = 0;
    for (unsigned i = 0; !rc && i < 16; i++)
        rc = list_fan(of(b), (uint8_t)(digit << 4 | i), each, arg, e);
    return rc;
}

static int fs_collect(struct mr_blobs *b, const struct mr_blob_name *name, int64_t before_us,
                      uint64_t *ret_size, int *ret_fd, struct mr_err *e) {
    int fd = -1;
    struct stat st;
    int rc = fs_open(b, name, &fd, e);
    if (rc)
        return rc == MR_ENOTFOUND ? 0 : rc;
    if (fstat(fd, &st))
        rc = mr_fail_errno(e, "cannot read the blob's size");
    else if (committed_us(&st) < before_us)
        rc = fs_delete(b, name, e);
    else
        rc = 1; /* younger */
    if (rc) {
        close(fd);
        return rc > 0 ? 0 : rc;
    }
    *ret_size = (uint64_t)st.st_size;
    *ret_fd = fd;
    return 1;
}

static void fs_free(struct mr_blobs *b) {
    mr_blobs_release(b);
    if (of(b)->dir >= 0)
        close(of(b)->dir);
    mr_free(b);
}

static const struct mr_blobs_ops fs_ops = {fs_begin,  fs_commit, fs_end,     fs_open,
                                           fs_delete, fs_list,   fs_collect, fs_free};

static void sweep(struct fs *f) {
    int fd = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    int64_t now_s = mr_now_us() / 1000000;
    for (struct dirent *x; (x = readdir(d));) {
        struct stat st;
        if (strncmp(x->d_name, "tmp-", 4) == 0 &&
            fstatat(f->dir, x->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            now_s - st.st_mtime > 86400)
            unlinkat(f->dir, x->d_name, 0);
    }
    closedir(d);
}

static int open_fs(const char *dir, bool named, bool as_is, struct mr_blobs **ret,
                   struct mr_err *e) {
    struct fs *f = mr_calloc(1, sizeof *f);
    if (!f)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_blobs_init(&f->b, &fs_ops);
    atomic_init(&f->named, named);
    f->dir = -1;
    if (!as_is && mkdir(dir, 0700) && errno != EEXIST) {
        int rc = mr_fail_errno(e, dir);
        fs_free(&f->b);
        return rc;
    }
    f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir < 0) {
        int rc = mr_fail_errno(e, dir);
        fs_free(&f->b);
        return rc;
    }
    if (!as_is)
        sweep(f);
    *ret = &f->b;
    return 0;
}

int mr_blobs_open_fs(const char *dir, struct mr_blobs **ret, struct mr_err *e) {
    return open_fs(dir, false, false, ret, e);
}

int mr_blobs_open_fs_as_is(const char *dir, struct mr_blobs **ret, struct mr_err *e) {
    return open_fs(dir, false, true, ret, e);
}

int mr_blobs_open_fs_named(const char *dir, struct mr_blobs **ret, struct mr_err *e) {
    return open_fs(dir, true, false, ret, e);
}
