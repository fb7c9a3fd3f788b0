/* The server's side of tesseract: worker processes, started when first needed and again after they
 * died, at most two at a time (a page takes a CPU for a good part of a second). */
#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/intake_wire.h"
#include "engine/vision/ocr_priv.h"
#include "engine/vision/ocr_wire.h"
#include "io/child.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define START_MS 30000
#define READ_MS  120000
#define WORKERS  2

/* Text of screen size is below what the network was trained on. */
#define SMALL_SIDE 1200

struct worker {
    struct mr_child child;
    int sock; /* < 0: not running */
    bool busy;
    uint64_t memory;
};

struct mr_tess_reader {
    int data_fd;
    pthread_mutex_t lock; /* guards `busy`, `memory` */
    pthread_cond_t freed;
    struct worker worker[WORKERS]; /* the rest belongs to who made it busy */
};

static void stop(struct worker *w) {
    if (w->sock >= 0)
        close(w->sock);
    w->sock = -1;
    mr_child_release(&w->child);
}

static int died(struct worker *w, int code, const char *what, struct mr_err *e) {
    struct mr_child_exit x;
    char text[128] = "stopped answering";
    if (!mr_child_wait(&w->child, mr_mono_ns() + 1000000000, &x, NULL))
        mr_child_exit_text(&x, text, sizeof text);
    stop(w);
    return mr_fail(e, code, "%s: the text reader's process %s", what, text);
}

static int failed(const char *p, size_t n, int code, struct mr_err *e) {
    size_t text = n - sizeof(int32_t) < 400 ? n - sizeof(int32_t) : 400;
    struct mr_str s = {p + sizeof(int32_t), text};
    return mr_fail(e, code < 0 && code >= MR_CODE_MIN ? code : MR_EPREDICT, "%.*s", (int)s.n,
                   mr_utf8_valid(s) ? s.p : "");
}

static uint64_t resident(pid_t pid) {
    char text[128];
    snprintf(text, sizeof text, "/proc/%d/statm", (int)pid);
    MR_AUTO_CLOSE int fd = open(text, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static int start(const struct mr_tess_reader *t, struct worker *w, struct mr_err *e) {
    static const char *const argv[] = {"millrace", "__ocr-worker", NULL};
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return mr_fail_errno(e, "socketpair");
    MR_AUTO_CLOSE int theirs = sv[1];
    w->sock = sv[0];
    struct mr_child_spec spec = {.argv = argv,
                                 .fds = (const int[]){theirs, t->data_fd},
                                 .n_fds = 2,
                                 .stderr_too = MR_INTAKE_STDERR};
    int r = mr_child_spawn(&spec, &w->child, e);
    if (r) {
        stop(w);
        return r;
    }
    close(MR_TAKE_FD(theirs));
    MR_AUTO_FREE char *p = NULL;
    size_t n = 0;
    int32_t code = 0;
    r = mr_msg_read(w->sock, 4096, mr_mono_ns() + (int64_t)START_MS * 1000000, &p, &n, e);
    if (r == MR_EIO)
        return died(w, MR_ENOTLOADED, "tesseract cannot be started", e);
    if (!r && n < sizeof code)
        r = mr_fail(e, MR_ENOTLOADED, "the text reader's process answered nonsense");
    if (!r)
        memcpy(&code, p, sizeof code);
    if (!r && code)
        r = failed(p, n, code, e);
    if (r)
        stop(w);
    else
        w->memory = resident(w->child.pid);
    return r;
}

int mr_tess_open(const char *dir, struct mr_tess_reader **ret, struct mr_err *e) {
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/eng.traineddata", dir) >= sizeof path)
        return mr_fail(e, MR_EINVAL, "the model's path is too long");
    struct mr_tess_reader *t = mr_calloc(1, sizeof *t);
    if (!t)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (int k = 0; k < WORKERS; k++)
        t->worker[k] = (struct worker){.child = MR_CHILD_NONE, .sock = -1};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->freed, NULL);
    t->data_fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = t->data_fd < 0 ? mr_fail_errno(e, path) : start(t, &t->worker[0], e);
    if (r) {
        mr_tess_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void mr_tess_free(struct mr_tess_reader *t) {
    if (!t)
        return;
    for (int k = 0; k < WORKERS; k++)
        stop(&t->worker[k]);
    if (t->data_fd >= 0)
        close(t->data_fd);
    pthread_cond_destroy(&t->freed);
    pthread_mutex_destroy(&t->lock);
    mr_free(t);
}

uint64_t mr_tess_memory(struct mr_tess_reader *t) {
    uint64_t sum = 0;
    pthread_mutex_lock(&t->lock);
    for (int k = 0; k < WORKERS; k++)
        sum += t->worker[k].memory;
    pthread_mutex_unlock(&t->lock);
    return sum;
}

/* A worker that runs already is preferred. */
static struct worker *take(struct mr_tess_reader *t) {
    struct worker *w = NULL;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        for (int k = 0; k < WORKERS && (!w || w->sock < 0); k++)
            if (!t->worker[k].busy && (!w || t->worker[k].sock >= 0))
                w = &t->worker[k];
        if (w)
            break;
        pthread_cond_wait(&t->freed, &t->lock);
    }
    w->busy = true;
    pthread_mutex_unlock(&t->lock);
    return w;
}

static void give(struct mr_tess_reader *t, struct worker *w) {
    pthread_mutex_lock(&t->lock);
    w->busy = false;
    pthread_cond_signal(&t->freed);
    pthread_mutex_unlock(&t->lock);
}

/* Grey, of a size that the network reads well. *ret (from mr_malloc): a page and its pixels. */
static int make_page(const struct mr_image *im, char **ret, size_t *ret_n, double *ret_scale,
                     struct mr_err *e) {
    double scale = 1, pixels = (double)im->width * im->height;
    if (pixels > (double)MR_OCR_PIXELS_MAX)
        scale = sqrt((double)MR_OCR_PIXELS_MAX / pixels) * 0.999;
    else if (im->width < SMALL_SIDE && im->height < SMALL_SIDE)
        scale = 2;
    struct mr_ocr_page page = {.width = (uint32_t)(im->width * scale),
                               .height = (uint32_t)(im->height * scale)};
    page.width += !page.width;
    page.height += !page.height;
    size_t n = (size_t)page.width * page.height;
    MR_AUTO_FREE char *out = mr_malloc(sizeof page + n);
    MR_AUTO_FREE uint8_t *resized = scale != 1 ? mr_malloc(n * 3) : NULL;
    if (!out || (scale != 1 && !resized))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = resized ? mr_image_resize(im, 0, 0, im->width, im->height, page.width, page.height,
                                      resized, e)
                    : 0;
    if (r)
        return r;
    const uint8_t *rgb = resized ? resized : im->rgb;
    memcpy(out, &page, sizeof page);
    uint8_t *grey = (uint8_t *)out + sizeof page;
    for (size_t k = 0; k < n; k++) /* the luma of BT.601 */
        grey[k] = (uint8_t)((77u * rgb[3 * k] + 150u * rgb[3 * k + 1] + 29u * rgb[3 * k + 2]) >> 8);
    *ret = MR_TAKE(out);
    *ret_n = sizeof page + n;
    *ret_scale = scale;
    return 0;
}

static int exchange(struct mr_tess_reader *t, struct worker *w, const char *page, size_t n,
                    char **ret, size_t *ret_n, struct mr_err *e) {
    int r = w->sock < 0 ? start(t, w, e) : 0;
    if (r)
        return r;
    int64_t deadline = mr_mono_ns() + (int64_t)READ_MS * 1000000;
    r = mr_msg_write(w->sock, page, n, deadline, e);
    if (!r)
        r = mr_msg_read(w->sock, MR_OCR_REPLY_MAX, deadline, ret, ret_n, e);
    if (r == MR_ETIMEOUT) {
        stop(w);
        return mr_fail(e, MR_ETIMEOUT, "reading the text took longer than %d s", READ_MS / 1000);
    }
    return r ? died(w, MR_EPREDICT, "the text cannot be read", e) : 0;
}

int mr_tess_read(struct mr_tess_reader *t, const struct mr_image *im, struct mr_arena *arena,
                 struct mr_text_line **ret, size_t *ret_n, struct mr_err *e) {
    MR_AUTO_FREE char *page = NULL;
    MR_AUTO_FREE char *reply = NULL;
    size_t n = 0, n_reply = 0;
    double scale;
    int r = make_page(im, &page, &n, &scale, e);
    if (r)
        return r;
    struct worker *w = take(t);
    r = exchange(t, w, page, n, &reply, &n_reply, e);
    give(t, w);
    if (r)
        return r;
    int32_t code = 0;
    if (n_reply >= sizeof code)
        memcpy(&code, reply, sizeof code);
    if (code)
        return failed(reply, n_reply, code, e);
    return mr_tess_parse(reply, n_reply, im, scale, arena, ret, ret_n, e);
}
