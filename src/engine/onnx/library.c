/* Where ONNX Runtime is. */
#include "engine/onnx/onnx.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* "<folder of the program>/../lib/libonnxruntime.so" and beside the program. */
static int open_beside(const char *suffix) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n <= 0)
        return -1;
    snprintf(path + n, sizeof path - (size_t)n, "%s", suffix);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int mr_onnx_open_library(int *ret_fd, struct mr_err *e) {
    const char *named = getenv("MILLRACE_ORT"), *cache = getenv("MILLRACE_CACHE");
    const char *home = getenv("HOME");
    char path[4096];
    int fd;
    if (named && *named) {
        fd = open(named, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return mr_fail(e, MR_EUNAVAIL, "MILLRACE_ORT is set, but %.300s cannot be opened: %s",
                           named, strerror(errno));
        *ret_fd = fd;
        return 0;
    }
    fd = open_beside("../lib/libonnxruntime.so");
    if (fd < 0)
        fd = open_beside("libonnxruntime.so");
    if (fd < 0) {
        if (cache && *cache)
            snprintf(path, sizeof path, "%s/ort/libonnxruntime.so", cache);
        else
            snprintf(path, sizeof path, "%s/.cache/millrace/ort/libonnxruntime.so",
                     home ? home : "");
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return mr_fail(e, MR_EUNAVAIL,
                       "ONNX models need ONNX Runtime, which is not installed here: run "
                       "scripts/setup, or set MILLRACE_ORT to libonnxruntime.so");
    *ret_fd = fd;
    return 0;
}
