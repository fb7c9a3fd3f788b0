/* The readers of images. A host process loads the decoders and closes its sandbox once; each reader
 * is a copy of it, sees one image and ends. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/intake_wire.h"
#include "engine/vision/image_priv.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define COPIES_MAX     1000 /* of a host: its copies have the same addresses */
#define HOST_TIMEOUT_S 10

struct mr_image_crew {
    char *self_exe;
    pthread_mutex_t host_lock; /* guards the host */
    struct mr_child host;
    int host_talk; /* < 0: none */
    unsigned copies;
    pthread_mutex_t lock;         /* guards what follows */
    struct mr_image_reader spare; /* talk < 0: none */
    struct mr_image_run *running;
    bool stopped;
    struct mr_image_rooms rooms;
};

void mr_image_reader_release(struct mr_image_reader *d) {
    if (d->talk >= 0)
        close(d->talk);
    mr_child_release(&d->child);
    *d = MR_IMAGE_NO_READER;
}

int mr_image_crew_new(const char *self_exe, struct mr_image_crew **ret, struct mr_err *e) {
    struct mr_image_crew *c = mr_calloc(1, sizeof *c);
    if (c && self_exe && !(c->self_exe = mr_strdup(self_exe))) {
        mr_free(c);
        c = NULL;
    }
    if (!c)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    c->host = MR_CHILD_NONE;
    c->host_talk = -1;
    c->spare = MR_IMAGE_NO_READER;
    pthread_mutex_init(&c->host_lock, NULL);
    pthread_mutex_init(&c->lock, NULL);
    mr_image_rooms_init(&c->rooms);
    *ret = c;
    return 0;
}

void mr_image_crew_stop(struct mr_image_crew *c) {
    pthread_mutex_lock(&c->lock);
    c->stopped = true;
    for (const struct mr_image_run *d = c->running; d; d = d->next)
        mr_child_kill(d->child);
    pthread_mutex_unlock(&c->lock);
}

static void host_release(struct mr_image_crew *c) {
    if (c->host_talk >= 0)
        close(c->host_talk);
    c->host_talk = -1;
    mr_child_release(&c->host);
}

void mr_image_crew_free(struct mr_image_crew *c) {
    if (!c)
        return;
    mr_image_reader_release(&c->spare);
    host_release(c);
    mr_image_rooms_release(&c->rooms);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->host_lock);
    mr_free(c->self_exe);
    mr_free(c);
}

struct mr_image_rooms *mr_image_crew_rooms(struct mr_image_crew *c) {
    return &c->rooms;
}

void mr_image_crew_freep(struct mr_image_crew **c) {
    mr_image_crew_free(*c);
}

/* --- the host, with its lock held ------------------------------------------------------------ */
static int host_start(struct mr_image_crew *c, struct mr_err *e) {
    static const char *const argv[] = {"millrace", "__image-worker", NULL};
    const struct timeval most = {.tv_sec = HOST_TIMEOUT_S};
    int sv[2];
    host_release(c);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return mr_fail_errno(e, "socketpair");
    MR_AUTO_CLOSE int theirs = sv[1];
    c->host_talk = sv[0];
    struct mr_child_spec spec = {.exe = c->self_exe,
                                 .argv = argv,
                                 .fds = (const int[]){theirs},
                                 .n_fds = 1,
                                 .stderr_too = MR_INTAKE_STDERR};
    int r = setsockopt(c->host_talk, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) < 0
                ? mr_fail_errno(e, "setsockopt")
                : mr_child_spawn(&spec, &c->host, e);
    if (r)
        host_release(c);
    c->copies = 0;
    return r;
}

static int host_copy(struct mr_image_crew *c, struct mr_image_reader *ret, struct mr_err *e) {
    int sv[2], pidfd;
    struct mr_image_copy copy;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return mr_fail_errno(e, "socketpair");
    MR_AUTO_CLOSE int ours = sv[0];
    MR_AUTO_CLOSE int theirs = sv[1];
    int r = mr_fds_send(c->host_talk, "r", 1, &theirs, 1, e);
    if (!r)
        r = mr_fds_recv(c->host_talk, &copy, sizeof copy, &pidfd, 1, e);
    if (r)
        return mr_fail(e, MR_EINTERNAL, "the sandbox for images cannot be set up here");
    c->copies++;
    *ret = (struct mr_image_reader){.child = {.pid = copy.pid, .pidfd = pidfd},
                                    .talk = MR_TAKE_FD(ours)};
    return 0;
}

/* A sandbox that cannot be set up is the server's fault; a kill from outside passes. */
static int host_died(struct mr_image_crew *c, int code, struct mr_err *e) {
    struct mr_child_exit x;
    if (mr_child_wait(&c->host, mr_mono_ns() + 1000000000, &x, NULL) || !x.signalled ||
        x.code != SIGKILL)
        return code;
    return mr_fail(e, MR_EUNAVAIL, "the reader of images was killed: try again");
}

/* A host that fails is replaced once. */
static int reader_start(struct mr_image_crew *c, struct mr_image_reader *ret, struct mr_err *e) {
    pthread_mutex_lock(&c->host_lock);
    bool old = c->host_talk >= 0 && c->copies < COPIES_MAX;
    int r = old ? host_copy(c, ret, NULL) : MR_EUNAVAIL;
    if (r) {
        r = host_start(c, e);
        if (!r && (r = host_copy(c, ret, e)))
            r = host_died(c, r, e);
        if (r)
            host_release(c);
    }
    pthread_mutex_unlock(&c->host_lock);
    return r;
}

void mr_image_crew_renew(struct mr_image_crew *c) {
    pthread_mutex_lock(&c->host_lock);
    c->copies = COPIES_MAX;
    pthread_mutex_unlock(&c->host_lock);
    pthread_mutex_lock(&c->lock);
    struct mr_image_reader spare = c->spare;
    c->spare = MR_IMAGE_NO_READER;
    pthread_mutex_unlock(&c->lock);
    mr_image_reader_release(&spare);
}

/* --- readers --------------------------------------------------------------------------------- */
/* When it cannot start, the next image starts its own and says why. */
void mr_image_crew_fill(struct mr_image_crew *c) {
    struct mr_image_reader d = MR_IMAGE_NO_READER;
    pthread_mutex_lock(&c->lock);
    bool enough = c->spare.talk >= 0 || c->stopped;
    pthread_mutex_unlock(&c->lock);
    if (enough || reader_start(c, &d, NULL))
        return;
    pthread_mutex_lock(&c->lock);
    if (c->spare.talk < 0 && !c->stopped) {
        c->spare = d;
        d = MR_IMAGE_NO_READER;
    }
    pthread_mutex_unlock(&c->lock);
    mr_image_reader_release(&d); /* another thread was faster */
}

static struct mr_image_reader spare_take(struct mr_image_crew *c) {
    pthread_mutex_lock(&c->lock);
    struct mr_image_reader d = c->spare;
    c->spare = MR_IMAGE_NO_READER;
    pthread_mutex_unlock(&c->lock);
    struct pollfd p = {.fd = d.child.pidfd, .events = POLLIN};
    if (d.talk >= 0 && poll(&p, 1, 0) != 0)
        mr_image_reader_release(&d);
    return d;
}

int mr_image_reader_take(struct mr_image_crew *c, const struct mr_image_job *job, const int fds[2],
                         struct mr_image_reader *ret, struct mr_err *e) {
    MR_CLEANUP(mr_image_reader_release) struct mr_image_reader d = spare_take(c);
    if (d.talk >= 0 && mr_fds_send(d.talk, job, sizeof *job, fds, 2, NULL))
        mr_image_reader_release(&d); /* it died before it had the image: another will do */
    if (d.talk < 0) {
        int r = reader_start(c, &d, e);
        if (!r)
            r = mr_fds_send(d.talk, job, sizeof *job, fds, 2, e);
        if (r == MR_EIO) /* nobody reads any more */
            r = mr_fail(e, MR_EUNAVAIL, "the reader of images was killed: try again");
        if (r)
            return r;
    }
    *ret = d;
    d = MR_IMAGE_NO_READER;
    return 0;
}

int mr_image_run_begin(struct mr_image_crew *c, struct mr_image_run *d,
                       const struct mr_child *child, struct mr_err *e) {
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

bool mr_image_run_end(struct mr_image_crew *c, const struct mr_image_run *d) {
    pthread_mutex_lock(&c->lock);
    struct mr_image_run **at = &c->running;
    while (*at && *at != d)
        at = &(*at)->next;
    if (*at)
        *at = d->next;
    bool stopped = c->stopped;
    pthread_mutex_unlock(&c->lock);
    return stopped;
}
