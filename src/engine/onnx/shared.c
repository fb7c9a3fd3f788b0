#include "engine/onnx/shared.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LENGTH   (2 * MR_ONNX_SHARED_HALF)
#define KEPT_MAX ((size_t)2 << 20) /* bytes a half that stay between exchanges */

static int map(int fd, struct mr_onnx_shared *ret, struct mr_err *e) {
    void *p = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return mr_fail_errno(e, "memory shared with a model's process");
    *ret = (struct mr_onnx_shared){.request = p, .reply = (uint8_t *)p + MR_ONNX_SHARED_HALF};
    return 0;
}

int mr_onnx_shared_new(struct mr_onnx_shared *ret, int *ret_fd, struct mr_err *e) {
    MR_AUTO_CLOSE int fd = memfd_create("tensors", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)LENGTH) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return mr_fail_errno(e, "memory shared with a model's process");
    int r = map(fd, ret, e);
    if (!r)
        *ret_fd = MR_TAKE_FD(fd);
    return r;
}

int mr_onnx_shared_map(int fd, struct mr_onnx_shared *ret, struct mr_err *e) {
    struct stat st;
    if (fstat(fd, &st) || (size_t)st.st_size != LENGTH)
        return mr_fail(e, MR_EINTERNAL, "the shared memory is of another size");
    return map(fd, ret, e);
}

void mr_onnx_shared_release(struct mr_onnx_shared *s) {
    if (s->request)
        munmap(s->request, LENGTH);
    *s = (struct mr_onnx_shared){0};
}

void mr_onnx_shared_tidy(struct mr_onnx_shared *s) {
    if (s->used > KEPT_MAX)
        madvise(s->request, LENGTH, MADV_REMOVE);
    s->used = 0;
}
