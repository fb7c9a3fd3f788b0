/* The server's side of image decoding: one sandboxed child an image. */
#include "base/clock.h"
#include "engine/intake_wire.h"
#include "engine/vision/image_priv.h"
#include "io/child.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define DECODE_MS 30000
#define REPLY_MAX 4096

struct decoder { /* a child that has no image yet, or reads one */
    struct mr_child child;
    int talk;
};
#define NO_DECODER ((struct decoder){.child = MR_CHILD_NONE, .talk = -1})

struct decode { /* on its thread's stack */
    struct decode *next;
    const struct mr_child *child;
};

struct mr_image_crew {
    char *self_exe;
    pthread_mutex_t lock; /* guards what follows */
    struct decoder spare; /* talk < 0: none */
    struct decode *running;
    bool stopped;
};

static void decoder_release(struct decoder *d) {
    if (d->talk >= 0)
        close(d->talk);
    mr_child_release(&d->child);
    *d = NO_DECODER;
}

static int decoder_start(const char *self_exe, struct decoder *ret, struct mr_err *e) {
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return mr_fail_errno(e, "socketpair");
    MR_AUTO_CLOSE int theirs = sv[1];
    MR_CLEANUP(decoder_release) struct decoder d = NO_DECODER;
    d.talk = sv[0];
    static const char *const argv[] = {"millrace", "__image-worker", NULL};
    struct mr_child_spec spec = {.exe = self_exe,
                                 .argv = argv,
                                 .fds = (const int[]){theirs},
                                 .n_fds = 1,
                                 .stderr_too = MR_INTAKE_STDERR};
    int r = mr_child_spawn(&spec, &d.child, e);
    if (r)
        return r;
    *ret = d;
    d = NO_DECODER;
    return 0;
}

int mr_image_crew_new(const char *self_exe, struct mr_image_crew **ret, struct mr_err *e) {
    struct mr_image_crew *c = mr_calloc(1, sizeof *c);
    if (c && self_exe && !(c->self_exe = mr_strdup(self_exe))) {
        mr_free(c);
        c = NULL;
    }
    if (!c)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    c->spare = NO_DECODER;
    pthread_mutex_init(&c->lock, NULL);
    *ret = c;
    return 0;
}

void mr_image_crew_stop(struct mr_image_crew *c) {
    pthread_mutex_lock(&c->lock);
    c->stopped = true;
    for (const struct decode *d = c->running; d; d = d->next)
        mr_child_kill(d->child);
    pthread_mutex_unlock(&c->lock);
}

void mr_image_crew_free(struct mr_image_crew *c) {
    if (!c)
        return;
    decoder_release(&c->spare);
    pthread_mutex_destroy(&c->lock);
    mr_free(c->self_exe);
    mr_free(c);
}

/* Starts a spare unless one waits. It loads its libraries while the caller's image is read; when it
 * cannot start, the next image starts its own and says why. */
static void fill(struct mr_image_crew *c) {
    struct decoder d = NO_DECODER;
    pthread_mutex_lock(&c->lock);
    bool enough = c->spare.talk >= 0 || c->stopped;
    pthread_mutex_unlock(&c->lock);
    if (enough || decoder_start(c->self_exe, &d, NULL))
        return;
    pthread_mutex_lock(&c->lock);
    if (c->spare.talk < 0 && !c->stopped) {
        c->spare = d;
        d = NO_DECODER;
    }
    pthread_mutex_unlock(&c->lock);
    decoder_release(&d); /* another thread was faster */
}

static struct decoder spare_take(struct mr_image_crew *c) {
    pthread_mutex_lock(&c->lock);
    struct decoder d = c->spare;
    c->spare = NO_DECODER;
    pthread_mutex_unlock(&c->lock);
    struct pollfd p = {.fd = d.child.pidfd, .events = POLLIN};
    if (d.talk >= 0 && poll(&p, 1, 0) != 0)
        decoder_release(&d);
    return d;
}

static int decode_begin(struct mr_image_crew *c, struct decode *d, const struct mr_child *child,
                        struct mr_err *e) {
    if (!c)
        return 0;
    d->child = child;
    pthread_mutex_lock(&c->lock);
    bool stopped = c->stopped;
    if (!stopped) {
        d->next = c->running;
        c->running = d;
    }
    pthread_mutex_unlock(&c->lock);
    return stopped ? mr_fail(e, MR_EUNAVAIL, "the server is stopping") : 0;
}

static bool decode_end(struct mr_image_crew *c, const struct decode *d) {
    if (!c)
        return false;
    pthread_mutex_lock(&c->lock);
    struct decode **at = &c->running;
    while (*at && *at != d)
        at = &(*at)->next;
    if (*at)
        *at = d->next;
    bool stopped = c->stopped;
    pthread_mutex_unlock(&c->lock);
    return stopped;
}

static int crashed(struct mr_child *c, const char *format, struct mr_err *e) {
    struct mr_child_exit x;
    char text[128];
    if (mr_child_wait(c, mr_mono_ns() + 2000000000, &x, NULL))
        return mr_fail(e, MR_EINVAL, "the reader of the %s image stopped answering", format);
    if (!x.signalled && x.code == MR_IMAGE_EXIT_SANDBOX)
        return mr_fail(e, MR_EINTERNAL, "the sandbox for images cannot be set up here");
    mr_child_exit_text(&x, text, sizeof text);
    return mr_fail(e, MR_EINVAL, "the %s image is refused: its reader %s", format, text);
}

/* The file in a descriptor of its own. */
static int put_file(struct mr_str bytes, int *ret, struct mr_err *e) {
    MR_AUTO_CLOSE int fd = memfd_create("image", MFD_CLOEXEC);
    if (fd < 0)
        return mr_fail_errno(e, "memory for an image");
    for (size_t at = 0; at < bytes.n;) {
        ssize_t n = write(fd, bytes.p + at, bytes.n - at);
        if (n <= 0)
            return mr_fail_errno(e, "memory for an image");
        at += (size_t)n;
    }
    *ret = MR_TAKE_FD(fd);
    return 0;
}

/* Room for the pixels, mapped here. Its size is sealed: the child could else shrink it under us. */
static int make_room(struct mr_image *im, int *ret, struct mr_err *e) {
    im->map_len = (size_t)im->width * im->height * 3;
    MR_AUTO_CLOSE int fd = memfd_create("pixels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)im->map_len) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return mr_fail_errno(e, "memory for an image's pixels");
    void *p = mmap(NULL, im->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return mr_fail_errno(e, "memory for an image's pixels");
    im->rgb = p;
    *ret = MR_TAKE_FD(fd);
    return 0;
}

static int begin(struct mr_image_crew *c, const struct mr_image_job *job, const int fds[2],
                 struct decoder *ret, struct mr_err *e) {
    struct decoder d = c ? spare_take(c) : NO_DECODER;
    if (d.talk >= 0 && mr_fds_send(d.talk, job, sizeof *job, fds, 2, NULL))
        decoder_release(&d); /* it died before it had the image: another child will do */
    int r = 0;
    if (d.talk < 0) {
        r = decoder_start(c ? c->self_exe : NULL, &d, e);
        if (!r)
            r = mr_fds_send(d.talk, job, sizeof *job, fds, 2, e);
    }
    *ret = d;
    return r;
}

static int take_reply(const char *p, size_t n, const char *format, struct mr_err *e) {
    int32_t code;
    if (n < sizeof code)
        return mr_fail(e, MR_EINVAL, "the reader of the %s image answered nonsense", format);
    memcpy(&code, p, sizeof code);
    if (!code)
        return 0;
    if (code > 0 || code < MR_CODE_MIN)
        code = MR_EINVAL;
    size_t text = n - sizeof code < 400 ? n - sizeof code : 400;
    bool good = mr_utf8_valid((struct mr_str){p + sizeof code, text});
    return mr_fail(e, code, "the %s image cannot be read: %.*s", format, good ? (int)text : 7,
                   good ? p + sizeof code : "damaged");
}

static int ask(struct mr_image_crew *c, struct decoder *d, const char *format, int64_t deadline,
               struct mr_err *e) {
    MR_AUTO_FREE char *reply = NULL;
    size_t n = 0;
    struct decode run = {0};
    int r = decode_begin(c, &run, &d->child, e);
    if (r)
        return r;
    if (c)
        fill(c);
    r = mr_msg_read(d->talk, REPLY_MAX, deadline, &reply, &n, e);
    bool stopped = decode_end(c, &run);
    if (r && stopped)
        return mr_fail(e, MR_EUNAVAIL, "the server is stopping");
    if (r == MR_ETIMEOUT)
        return mr_fail(e, MR_ETIMEOUT, "reading the %s image took longer than %d s", format,
                       DECODE_MS / 1000);
    if (r)
        return crashed(&d->child, format, e);
    return take_reply(reply, n, format, e);
}

int mr_image_decode(struct mr_image_crew *crew, struct mr_str bytes, struct mr_image *ret,
                    struct mr_err *e) {
    struct mr_image_job job = {.size = bytes.n};
    int r = mr_image_scan_head(bytes, &job.scan, e);
    if (r)
        return r;
    bool turned = job.scan.orientation >= 5;
    MR_CLEANUP(mr_image_release)
    struct mr_image im = {.width = turned ? job.scan.height : job.scan.width,
                          .height = turned ? job.scan.width : job.scan.height,
                          .format = mr_image_kind_name(job.scan.kind),
                          .size_bytes = bytes.n};
    MR_AUTO_CLOSE int in = -1;
    MR_AUTO_CLOSE int out = -1;
    r = put_file(bytes, &in, e);
    if (!r)
        r = make_room(&im, &out, e);
    if (r)
        return r;
    int64_t deadline = mr_mono_ns() + (int64_t)DECODE_MS * 1000000;
    MR_CLEANUP(decoder_release) struct decoder d = NO_DECODER;
    r = begin(crew, &job, (const int[]){in, out}, &d, e);
    if (!r)
        r = ask(crew, &d, im.format, deadline, e);
    if (r)
        return r;
    *ret = im;
    im = (struct mr_image){0};
    return 0;
}

void mr_image_release(struct mr_image *im) {
    if (im->rgb)
        munmap(im->rgb, im->map_len);
    im->rgb = NULL;
}
