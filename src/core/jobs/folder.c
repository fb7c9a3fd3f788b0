/* Folders of inputs. Below the one folder that the operator gave, and never out of it: the kernel
 * resolves the path without links and without going up. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "core/jobs/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DEPTH_MAX  8
#define FILES_MAX  1000000u
#define PATH_BYTES 1000u

/* --- which one ---------------------------------------------------------------------------- */

static int bad_source(struct mr_err *e, const char *why) {
    return mr_fail_field(e, MR_EFIELD, "parameters.input_source", "input_source %s", why);
}

static bool good_path(struct mr_str s) {
    if (!s.n || s.n > PATH_BYTES || s.p[0] == '/' || memchr(s.p, 0, s.n) || !mr_utf8_valid(s))
        return false;
    while (s.p) {
        struct mr_str part = mr_str_cut(&s, '/');
        if (mr_str_is(part, "..") || mr_str_is(part, ".") || (!part.n && s.p))
            return false;
    }
    return true;
}

/* The operator names any folder; others the one called like their account and "public". */
static bool may_read(const struct mr_principal *who, struct mr_str path) {
    char own[MR_ID_HEX];
    struct mr_str rest = path, first = mr_str_cut(&rest, '/');
    mr_id_hex(who->account, own);
    return who->operator_ || mr_str_is(first, "public") || mr_str_is(first, own);
}

static bool has_scheme(struct mr_str s) {
    for (size_t i = 0; i + 2 < s.n; i++)
        if (s.p[i] == ':')
            return s.p[i + 1] == '/' && s.p[i + 2] == '/';
    return false;
}

int mr_job_source_check(const struct mr_jobs *j, const struct mr_principal *who,
                        struct mr_str source, struct mr_err *e) {
    MR_AUTO_CLOSE int base = -1;
    MR_AUTO_CLOSE int fd = -1;
    if (has_scheme(source))
        return bad_source(e, "names an address, but remote storage is not configured on this "
                             "server: upload a file or name a folder of its inputs");
    if (!good_path(source))
        return bad_source(e, "must be the relative path of a folder, without \"..\"");
    if (!j->c.inputs_dir)
        return bad_source(e, "names a folder, but this server has no folder of inputs");
    if (!may_read(who, source))
        return bad_source(e, "must lie in \"public\" or in the folder called like the account");
    base = open(j->c.inputs_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return bad_source(e, "names a folder that is not there");
    return mr_job_folder_open(base, source, &fd, NULL)
               ? bad_source(e, "names a folder that is not there")
               : 0;
}

/* --- opening ------------------------------------------------------------------------------ */

/* Kernels before 5.6: one component at a time. */
static int open_stepwise(int base, char *path) {
    int fd = base;
    for (char *save = NULL, *part = strtok_r(path, "/", &save); part;
         part = strtok_r(NULL, "/", &save)) {
        int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error = errno;
        if (fd != base)
            close(fd);
        errno = error;
        if (next < 0)
            return -1;
        fd = next;
    }
    return fd;
}

int mr_job_folder_open(int base, struct mr_str path, int *ret_fd, struct mr_err *e) {
    char name[PATH_BYTES + 1];
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve =
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    if (!good_path(path))
        return mr_fail(e, MR_EINVAL, "the input's folder has no valid name");
    snprintf(name, sizeof name, "%.*s", (int)path.n, path.p);
    int fd = (int)syscall(SYS_openat2, base, name, &how, sizeof how);
    if (fd < 0 && errno == ENOSYS)
        fd = open_stepwise(base, name);
    if (fd < 0)
        return mr_fail(e, MR_EINVAL, "the input's folder \"%s\" cannot be opened", name);
    *ret_fd = fd;
    return 0;
}

/* --- reading ------------------------------------------------------------------------------ */

struct names {
    char **v;
    size_t n, cap;
};

static void names_release(struct names *k) {
    for (size_t i = 0; i < k->n; i++)
        mr_free(k->v[i]);
    mr_free(k->v);
}

static int name_add(struct names *k, const char *name, struct mr_err *e) {
    if (k->n >= FILES_MAX)
        return mr_fail(e, MR_ETOOBIG, "the folder has more than %u files", FILES_MAX);
    if (k->n == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 64;
        char **p = mr_reallocarray(k->v, cap, sizeof *p);
        if (!p)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        k->v = p;
        k->cap = cap;
    }
    k->v[k->n] = mr_strdup(name);
    return k->v[k->n++] ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(int fd, struct names *k, struct mr_err *e) {
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = own < 0 ? NULL : fdopendir(own);
    const struct dirent *x;
    int rc = 0;
    if (!d) {
        if (own >= 0)
            close(own);
        return mr_fail_errno(e, "the input's folder");
    }
    while (!rc && (x = readdir(d)))
        if (x->d_name[0] != '.') /* hidden files, "." and ".." */
            rc = name_add(k, x->d_name, e);
    closedir(d);
    if (!rc && k->n)
        qsort(k->v, k->n, sizeof *k->v, by_name);
    return rc;
}

struct walk {
    struct mr_job_pack *p;
    const atomic_bool *stop;
    char path[MR_JOB_ITEM_NAME_MAX + 1]; /* below the folder */
};

static int read_file(struct walk *w, int fd, uint64_t size, struct mr_err *e) {
    if (size > MR_JOB_ITEM_MAX)
        return mr_fail(e, MR_ETOOBIG, "%s is larger than %u MB", w->path, MR_JOB_ITEM_MAX >> 20);
    MR_AUTO_FREE char *bytes = mr_malloc(size ? size : 1);
    size_t n = 0;
    if (!bytes)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    while (n < size) {
        ssize_t got = pread(fd, bytes + n, size - n, (off_t)n);
        if (got < 0)
            return mr_fail_errno(e, w->path);
        if (!got)
            break; /* it became shorter meanwhile: what is there */
        n += (size_t)got;
    }
    return mr_job_member_read(mr_str(w->path), mr_strn(bytes, n), w->p, w->stop, e);
}

static int walk(struct walk *w, int fd, int depth, struct mr_err *e);

/* Whatever is neither a file nor a folder, links above all, is passed over. */
static int visit(struct walk *w, int dir, const char *name, int depth, struct mr_err *e) {
    struct stat st;
    MR_AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    size_t n = strlen(w->path), add = strlen(name);
    if (fd < 0 && (errno == ELOOP || errno == ENXIO || errno == ENOENT))
        return 0;
    if (fd < 0 || fstat(fd, &st))
        return mr_fail_errno(e, name);
    if (n + add + 2 > sizeof w->path || !mr_utf8_valid(mr_str(name)))
        return mr_fail(e, MR_EINVAL,
                       "the input's folder has a file whose path is too long or not "
                       "UTF-8");
    snprintf(w->path + n, sizeof w->path - n, "%s%s", n ? "/" : "", name);
    int rc = 0;
    if (S_ISDIR(st.st_mode))
        rc = walk(w, fd, depth + 1, e);
    else if (S_ISREG(st.st_mode))
        rc = read_file(w, fd, (uint64_t)st.st_size, e);
    w->path[n] = 0;
    return rc;
}

static int walk(struct walk *w, int fd, int depth, struct mr_err *e) {
    struct names k = {0};
    if (depth > DEPTH_MAX)
        return mr_fail(e, MR_ETOOBIG, "the input's folder is deeper than %d folders", DEPTH_MAX);
    int rc = list(fd, &k, e);
    for (size_t i = 0; i < k.n && !rc; i++) {
        rc = visit(w, fd, k.v[i], depth, e);
        if (!rc && atomic_load(w->stop))
            rc = mr_fail(e, MR_ECANCELLED, "the job is stopped");
    }
    names_release(&k);
    return rc;
}

int mr_job_folder_read(int fd, struct mr_job_pack *p, const atomic_bool *stop, struct mr_err *e) {
    struct walk w = {.p = p, .stop = stop};
    return walk(&w, fd, 0, e);
}
