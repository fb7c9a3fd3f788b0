#include "io/folder.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

void mr_folder_release(struct mr_folder *f) {
    for (size_t i = 0; i < f->n; i++)
        mr_free(f->name[i]);
    f->n = 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int mr_folder_list(const char *dir, const char *suffix, struct mr_folder *ret, struct mr_err *e) {
    ret->n = 0;
    DIR *d = opendir(dir);
    if (!d)
        return mr_fail_errno(e, dir);
    int rc = 0;
    for (struct dirent *at; rc == 0 && (at = readdir(d));) {
        struct mr_str name = mr_str(at->d_name);
        if (name.p[0] == '.' || !mr_str_ends(name, mr_str(suffix)))
            continue;
        if (ret->n == MR_FOLDER_MAX)
            rc = mr_fail(e, MR_ETOOBIG, "%s holds more than %d files *%s", dir, MR_FOLDER_MAX,
                         suffix);
        else if (!(ret->name[ret->n] = mr_strdup(at->d_name)))
            rc = mr_fail(e, MR_ENOMEM, "out of memory");
        else
            ret->n++;
    }
    closedir(d);
    if (rc)
        mr_folder_release(ret);
    else if (ret->n)
        qsort(ret->name, ret->n, sizeof *ret->name, by_name);
    return rc;
}

int mr_folder_read(const char *dir, const char *name, struct mr_buf *out, struct mr_err *e) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return mr_fail(e, MR_EINVAL, "the path of %s is too long", name);
    MR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return mr_fail_errno(e, path);
    if (!S_ISREG(st.st_mode))
        return mr_fail(e, MR_EINVAL, "%s is not a file", path);
    for (;;) {
        char *p = mr_buf_reserve(out, 65536);
        ssize_t got = p ? read(fd, p, 65536) : 0;
        if (!p)
            return mr_fail(e, out->fail, "%s is too large", path);
        if (got < 0)
            return mr_fail_errno(e, path);
        if (got == 0)
            return 0;
        out->n += (size_t)got;
    }
}
