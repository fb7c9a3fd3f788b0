#include "engine/nlp/file.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int mr_nlp_open_file(const char *dir, const char *name, int *ret_fd, struct mr_err *e) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return mr_fail(e, MR_EINVAL, "the model folder's path is too long");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mr_fail(e, MR_ENOTLOADED, "the model's file %s cannot be opened: %s", name,
                       strerror(errno));
    *ret_fd = fd;
    return 0;
}

int mr_nlp_read_file(const char *dir, const char *name, size_t max, char **ret_own,
                     struct mr_str *ret, struct mr_err *e) {
    struct stat st;
    int r, file;
    r = mr_nlp_open_file(dir, name, &file, e);
    if (r)
        return r;
    MR_AUTO_CLOSE int fd = file;
    if (fstat(fd, &st))
        return mr_fail_errno(e, name);
    if (st.st_size < 0 || (uint64_t)st.st_size > max)
        return mr_fail(e, MR_EREFUSED, "the model's file %s is over %zu bytes", name, max);
    size_t size = (size_t)st.st_size, at = 0;
    MR_AUTO_FREE char *p = mr_malloc(size + 1);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory reading %s", name);
    while (at < size) {
        ssize_t got = read(fd, p + at, size - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return mr_fail(e, MR_EIO, "the model's file %s cannot be read", name);
        at += (size_t)got;
    }
    p[size] = 0;
    *ret = (struct mr_str){p, size};
    *ret_own = MR_TAKE(p);
    return 0;
}
