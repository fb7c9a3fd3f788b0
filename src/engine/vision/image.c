/* The server's side of image decoding. */
#include "base/clock.h"
#include "engine/vision/image_priv.h"
#include "io/child.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define DECODE_MS 30000
#define REPLY_MAX 4096

static int crashed(struct mr_image_crew *crew, struct mr_child *c, const char *format,
                   struct mr_err *e) {
    struct mr_child_exit x;
    char text[128];
    mr_image_crew_renew(crew);
    if (mr_child_wait(c, mr_mono_ns() + 2000000000, &x, NULL))
        return mr_fail(e, MR_EINVAL, "the reader of the %s image stopped answering", format);
    if (x.signalled && x.code == SIGKILL) /* from outside, as where memory runs out */
        return mr_fail(e, MR_EUNAVAIL, "the reader of the %s image was killed: try again", format);
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

static int ask(struct mr_image_crew *c, struct mr_image_reader *d, const char *format,
               int64_t deadline, struct mr_err *e) {
    MR_AUTO_FREE char *reply = NULL;
    size_t n = 0;
    struct mr_image_run run = {0};
    int r = mr_image_run_begin(c, &run, &d->child, e);
    if (r)
        return r;
    r = mr_msg_read(d->talk, REPLY_MAX, deadline, &reply, &n, e);
    bool stopped = mr_image_run_end(c, &run);
    if (r && stopped)
        return mr_fail(e, MR_EUNAVAIL, "the server is stopping");
    if (r == MR_ETIMEOUT)
        return mr_fail(e, MR_ETIMEOUT, "reading the %s image took longer than %d s", format,
                       DECODE_MS / 1000);
    if (r)
        return crashed(c, &d->child, format, e);
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
    size_t size = (size_t)im.width * im.height * 3;
    r = put_file(bytes, &in, e);
    if (!r)
        r = mr_image_room_take(crew ? mr_image_crew_rooms(crew) : NULL, size, &im.room, e);
    if (r)
        return r;
    int64_t deadline = mr_mono_ns() + (int64_t)DECODE_MS * 1000000;
    MR_CLEANUP(mr_image_crew_freep) struct mr_image_crew *own = NULL;
    if (!crew)
        r = mr_image_crew_new(NULL, &own, e);
    int fds[] = {in, mr_image_room_fd(im.room)};
    struct mr_image_reader *d = mr_image_room_reader(im.room);
    if (!r)
        r = mr_image_reader_take(crew ? crew : own, &job, fds, d, e);
    if (!r && crew)
        mr_image_crew_fill(crew); /* while this image is read */
    if (!r)
        r = ask(crew ? crew : own, d, im.format, deadline, e);
    if (r)
        return r;
    im.rgb = mr_image_room_pixels(im.room);
    *ret = im;
    im = (struct mr_image){0};
    return 0;
}

void mr_image_release(struct mr_image *im) {
    mr_image_room_give(im->room);
    im->room = NULL;
    im->rgb = NULL;
}
