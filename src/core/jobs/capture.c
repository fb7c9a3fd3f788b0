/* A job's items out of its file or folder into the pack, when it first runs. */
#include "base/cleanup.h"
#include "core/jobs/source.h"

#include <fcntl.h>
#include <sys/mman.h>

static int from_file(struct mr_job_active *a, struct mr_job_pack *p, struct mr_err *e) {
    MR_AUTO_CLOSE int fd = -1;
    uint64_t size = 0;
    if (!a->has_source)
        return mr_fail(e, MR_EINTERNAL, "the job's file has no name");
    int rc = mr_blob_open(a->j->c.blobs, &a->source_blob, &fd, &size, e);
    if (rc)
        return rc == MR_ENOTFOUND ? mr_fail(e, MR_EINVAL, "the job's file is gone") : rc;
    if (!size)
        return mr_fail(e, MR_EINVAL, "the file is empty");
    /* pages come and go as they are read: nothing of it stays in memory */
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return mr_fail_errno(e, "the job's file");
    madvise(map, size, MADV_SEQUENTIAL);
    rc = mr_job_bytes_read(mr_strn(map, size), a->form, a->source_name, p, &a->stop, e);
    munmap(map, size);
    return rc;
}

static int from_folder(struct mr_job_active *a, struct mr_job_pack *p, struct mr_err *e) {
    MR_AUTO_CLOSE int base = -1;
    MR_AUTO_CLOSE int fd = -1;
    if (!a->j->c.inputs_dir)
        return mr_fail(e, MR_EINVAL, "this server has no folder of inputs");
    base = open(a->j->c.inputs_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return mr_fail_errno(e, "the folder of inputs");
    int rc = mr_job_folder_open(base, a->source_name, &fd, e);
    return rc ? rc : mr_job_folder_read(fd, p, &a->stop, e);
}

int mr_job_capture(struct mr_job_active *a, struct mr_job_pack *p, struct mr_err *e) {
    switch (a->source) {
    case MR_JOB_FROM_FILE:
        return from_file(a, p, e);
    case MR_JOB_FROM_FOLDER:
        return from_folder(a, p, e);
    default:
        return mr_fail(e, MR_EINTERNAL, "the job has no input");
    }
}
