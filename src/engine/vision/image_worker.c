/* The host of the image readers: 3 = the socket to the server. It loads the decoders' libraries,
 * closes its sandbox, and makes a copy of itself for each image (image_priv.h). A copy closes 3,
 * talks over 4, and receives the image (3) and where its pixels go (5). */
#include "base/cleanup.h"
#include "engine/vision/image_priv.h"
#include "io/child.h"
#include "io/sandbox.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HOST_FD = 3, FILE_FD = 3, TALK_FD = 4, PIXELS_FD = 5 };

/* A progressive JPEG of the largest size keeps 6 bytes a pixel of coefficients beside its pixels,
 * and those once more when it is turned. */
#define MEMORY_MAX  ((uint64_t)2 << 30)
#define CPU_SECONDS 60

/* Small pictures get their pages in one step; of large ones that turn out damaged, most are never
 * touched. */
#define POPULATE_MAX ((size_t)16 << 20)

static int enter_sandbox(void) {
    const struct mr_sandbox_fd fds[] = {
        {.fd = HOST_FD, .read = true, .receive = true, .hand = true},
        {.fd = TALK_FD, .write = true, .receive = true},
        {.fd = PIXELS_FD, .read = true, .write = true}};
    struct mr_sandbox box = {.profile = MR_SANDBOX_INTAKE,
                             .fds = fds,
                             .n_fds = 3,
                             .memory_max = MEMORY_MAX,
                             .cpu_seconds = CPU_SECONDS,
                             .forks = true};
    return mr_sandbox_enter(&box, NULL);
}

static int read_as_stored(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                          struct mr_err *e) {
    switch (s->kind) {
    case MR_IMAGE_JPEG:
        return mr_image_read_jpeg(in, s, rgb, e);
    case MR_IMAGE_PNG:
        return mr_image_read_png(in, s, rgb, e);
    case MR_IMAGE_WEBP:
        return mr_image_read_webp(in, s, rgb, e);
    default:
        return mr_image_read_gif(in, s, rgb, e);
    }
}

static int read_image(const struct mr_image_job *job, struct mr_err *e) {
    size_t n = (size_t)job->scan.width * job->scan.height * 3;
    void *file = mmap(NULL, job->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, FILE_FD, 0);
    int more = n <= POPULATE_MAX ? MAP_POPULATE : 0;
    void *pixels = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | more, PIXELS_FD, 0);
    if (file == MAP_FAILED || pixels == MAP_FAILED)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    struct mr_str in = {file, job->size};
    if (job->scan.orientation == 1)
        return read_as_stored(in, &job->scan, pixels, e);
    MR_AUTO_FREE uint8_t *stored = mr_malloc(n);
    if (!stored)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = read_as_stored(in, &job->scan, stored, e);
    if (!r)
        mr_image_orient(stored, job->scan.width, job->scan.height, job->scan.orientation, pixels);
    return r;
}

_Noreturn static void read_one(void) {
    struct mr_image_job job;
    struct mr_err e = {0};
    int fds[2];
    close(HOST_FD);
    if (mr_fds_recv(TALK_FD, &job, sizeof job, fds, 2, NULL) || fds[0] != FILE_FD ||
        fds[1] != PIXELS_FD)
        _exit(2); /* a spare whose server has ended comes here too */
    char reply[sizeof(int32_t) + sizeof e.msg];
    int32_t code = read_image(&job, &e);
    size_t text = code ? strlen(e.msg) : 0;
    memcpy(reply, &code, sizeof code);
    memcpy(reply + sizeof code, e.msg, text);
    _exit(mr_msg_write(TALK_FD, reply, sizeof code + text, 0, NULL) ? 1 : 0);
}

int mr_image_worker_main(void) {
    char byte;
    int talk, pidfd;
    mr_image_codecs_load();
    if (enter_sandbox())
        _exit(1);
    while (!mr_fds_recv(HOST_FD, &byte, 1, &talk, 1, NULL) && talk == TALK_FD) {
        int pid = mr_sandbox_fork(&pidfd, NULL);
        if (!pid)
            read_one();
        close(TALK_FD);
        struct mr_image_copy copy = {.pid = pid};
        if (pid < 0 || mr_fds_send(HOST_FD, &copy, sizeof copy, &pidfd, 1, NULL))
            _exit(1);
        close(pidfd);
    }
    _exit(0);
}
