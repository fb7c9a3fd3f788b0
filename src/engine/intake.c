/* The server's side of intake: one child a file. */
#include "engine/intake.h"

#include "base/clock.h"
#include "engine/intake_wire.h"
#include "io/child.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#define REPLY_MAX      ((size_t)32 << 20)
#define DEFAULT_MEMORY ((uint64_t)4 << 30)
#define DEFAULT_MS     60000
#define SPARE_FILE_MAX ((uint64_t)64 << 20)

MR_DEFINE_CLEANUP(yyjson_doc *, yyjson_doc_free);

/* A child that knows its limits and has no file yet. */
struct reader {
    struct mr_child child;
    int talk;
};
#define NO_READER ((struct reader){.child = MR_CHILD_NONE, .talk = -1})

struct run { /* of one file, on its thread's stack */
    struct run *next;
    const struct mr_child *child;
};

struct mr_intake_crew {
    char *self_exe;
    pthread_mutex_t lock; /* guards what follows */
    struct reader spare;  /* talk < 0: none */
    struct run *running;
    bool stopped;
};

static void reader_release(struct reader *r) {
    mr_child_release(&r->child);
    if (r->talk >= 0)
        close(r->talk);
    *r = NO_READER;
}

static int reader_start(const char *self_exe, const struct mr_intake_limits *q, struct reader *ret,
                        struct mr_err *e) {
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return mr_fail_errno(e, "socketpair");
    MR_AUTO_CLOSE int theirs = sv[1]; /* closed, so that its end shows as the end of the stream */
    MR_CLEANUP(reader_release) struct reader r = NO_READER;
    r.talk = sv[0];
    static const char *const argv[] = {"millrace", "__intake", NULL};
    struct mr_child_spec spec = {.exe = self_exe,
                                 .argv = argv,
                                 .fds = (const int[]){theirs},
                                 .n_fds = 1,
                                 .stderr_too = MR_INTAKE_STDERR};
    int rc = mr_child_spawn(&spec, &r.child, e);
    if (!rc) /* fits the socket's buffer: does not wait for the child */
        rc = mr_msg_write(r.talk, q, sizeof *q, 0, e);
    if (rc)
        return rc;
    *ret = r;
    r = NO_READER;
    return 0;
}

static struct mr_intake_limits limits_for(uint64_t memory, int64_t ms, uint64_t file_max) {
    return (struct mr_intake_limits){memory, (uint64_t)(ms / 1000 + 1), file_max};
}

int mr_intake_crew_new(const char *self_exe, struct mr_intake_crew **ret, struct mr_err *e) {
    struct mr_intake_crew *s = mr_calloc(1, sizeof *s);
    char *copy = self_exe ? mr_strndup(self_exe, strlen(self_exe)) : NULL;
    if (!s || (self_exe && !copy)) {
        mr_free(s);
        mr_free(copy);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    s->self_exe = copy;
    s->spare = NO_READER;
    pthread_mutex_init(&s->lock, NULL);
    *ret = s;
    return 0;
}

int mr_intake_crew_fill(struct mr_intake_crew *s, struct mr_err *e) {
    pthread_mutex_lock(&s->lock);
    bool enough = s->spare.talk >= 0 || s->stopped;
    pthread_mutex_unlock(&s->lock);
    if (enough)
        return 0;
    struct mr_intake_limits q = limits_for(DEFAULT_MEMORY, DEFAULT_MS, SPARE_FILE_MAX);
    struct reader r = NO_READER;
    int rc = reader_start(s->self_exe, &q, &r, e);
    if (rc)
        return rc;
    pthread_mutex_lock(&s->lock);
    if (s->spare.talk < 0 && !s->stopped) {
        s->spare = r;
        r = NO_READER;
    }
    pthread_mutex_unlock(&s->lock);
    reader_release(&r); /* another thread was faster */
    return 0;
}

void mr_intake_crew_stop(struct mr_intake_crew *s) {
    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    for (const struct run *r = s->running; r; r = r->next)
        mr_child_kill(r->child);
    pthread_mutex_unlock(&s->lock);
}

void mr_intake_crew_free(struct mr_intake_crew *s) {
    if (!s)
        return;
    reader_release(&s->spare);
    pthread_mutex_destroy(&s->lock);
    mr_free(s->self_exe);
    mr_free(s);
}

static int run_begin(struct mr_intake_crew *s, struct run *run, const struct mr_child *child,
                     struct mr_err *e) {
    if (!s)
        return 0;
    run->child = child;
    pthread_mutex_lock(&s->lock);
    bool stopped = s->stopped;
    if (!stopped) {
        run->next = s->running;
        s->running = run;
    }
    pthread_mutex_unlock(&s->lock);
    return stopped ? mr_fail(e, MR_EUNAVAIL, "the server is stopping") : 0;
}

static void run_end(struct mr_intake_crew *s, const struct run *run) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    struct run **at = &s->running;
    while (*at && *at != run)
        at = &(*at)->next;
    if (*at)
        *at = run->next;
    pthread_mutex_unlock(&s->lock);
}

/* The waiting child, which is the caller's from now on. One that died meanwhile is none. */
static struct reader spare_take(struct mr_intake_crew *s) {
    pthread_mutex_lock(&s->lock);
    struct reader r = s->spare;
    s->spare = NO_READER;
    pthread_mutex_unlock(&s->lock);
    struct pollfd p = {.fd = r.child.pidfd, .events = POLLIN};
    if (r.talk >= 0 && poll(&p, 1, 0) != 0)
        reader_release(&r);
    return r;
}

static int crashed(struct mr_child *c, uint64_t memory, struct mr_err *e) {
    struct mr_child_exit x;
    char text[128];
    int r = mr_child_wait(c, mr_mono_ns() + 2000000000, &x, e);
    if (r)
        return mr_fail(e, MR_EREFUSED, "the reader of the model file stopped answering");
    if (x.signalled && x.code == 9) /* SIGKILL by the kernel: out of memory */
        return mr_fail(e, MR_EREFUSED, "reading the model file took more memory than there is");
    mr_child_exit_text(&x, text, sizeof text);
    if (!x.signalled && x.code == MR_INTAKE_EXIT_SANDBOX)
        return mr_fail(e, MR_EINTERNAL, "the sandbox for model files cannot be set up here");
    return mr_fail(e, MR_EREFUSED,
                   "the model file is refused: its reader %s (it had %.0f MB of memory)", text,
                   (double)memory / 1e6);
}

static int take_reply(const char *p, size_t n, struct mr_arena *arena, struct mr_intake_result *ret,
                      struct mr_err *e) {
    MR_CLEANUP(yyjson_doc_free_p) yyjson_doc *d = yyjson_read(p, n, 0);
    yyjson_val *root = yyjson_doc_get_root(d);
    if (!yyjson_is_obj(root))
        return mr_fail(e, MR_EREFUSED, "the reader of the model file answered nonsense");
    yyjson_val *code = yyjson_obj_get(root, "code"), *text = yyjson_obj_get(root, "text");
    if (code) {
        int64_t v = yyjson_is_int(code) ? yyjson_get_sint(code) : 0;
        if (v >= 0 || v < MR_CODE_MIN || !yyjson_is_str(text))
            v = MR_EREFUSED;
        return mr_fail(e, (int)v, "%s", yyjson_is_str(text) ? yyjson_get_str(text) : "refused");
    }
    yyjson_val *kind = yyjson_obj_get(root, "kind"), *meta = yyjson_obj_get(root, "metadata");
    uint64_t k = yyjson_get_uint(kind);
    size_t len;
    if (!yyjson_is_obj(meta) || (k != MR_ENGINE_NATIVE && k != MR_ENGINE_ONNX))
        return mr_fail(e, MR_EREFUSED, "the reader of the model file answered nonsense");
    char *json = yyjson_val_write(meta, 0, &len);
    char *copy = json ? mr_arena_strn(arena, json, len) : NULL;
    free(json);
    if (!copy)
        return mr_fail(e, MR_ENOMEM, "out of memory for the model's metadata");
    *ret = (struct mr_intake_result){.kind = (enum mr_engine_kind)k, .metadata = {copy, len}};
    return 0;
}

/* A child that has the file: the one that waits, else a new one. On failure ret may hold a child
 * that ended, for its exit status. */
static int begin(const struct mr_intake_config *c, const struct mr_intake_limits *q, int model_fd,
                 struct mr_str name, int out_fd, struct reader *ret, struct mr_err *e) {
    struct mr_intake_job job = {.name_len = name.n < sizeof job.name ? name.n : sizeof job.name};
    if (job.name_len)
        memcpy(job.name, name.p, job.name_len);
    const int fds[] = {model_fd, out_fd};
    bool usual = q->memory_max == DEFAULT_MEMORY && q->cpu_seconds == DEFAULT_MS / 1000 + 1 &&
                 q->file_max <= SPARE_FILE_MAX;
    struct reader r = usual && c->crew ? spare_take(c->crew) : NO_READER;
    if (r.talk >= 0 && mr_fds_send(r.talk, &job, sizeof job, fds, 2, NULL))
        reader_release(&r); /* it died before it had the file: any other child will do */
    int rc = 0;
    if (r.talk < 0) {
        rc = reader_start(c->self_exe, q, &r, e);
        if (!rc)
            rc = mr_fds_send(r.talk, &job, sizeof job, fds, 2, e);
    }
    *ret = r;
    return rc;
}

int mr_intake_run(const struct mr_intake_config *c, int model_fd, struct mr_str file_name,
                  int out_fd, struct mr_arena *arena, struct mr_intake_result *ret,
                  struct mr_err *e) {
    uint64_t memory = c->memory_max ? c->memory_max : DEFAULT_MEMORY;
    int64_t ms = c->timeout_ms > 0 ? c->timeout_ms : DEFAULT_MS;
    int64_t deadline = mr_mono_ns() + ms * 1000000;
    struct stat st;
    if (fstat(model_fd, &st))
        return mr_fail_errno(e, "the model file's size");
    struct mr_intake_limits q = limits_for(memory, ms, (uint64_t)st.st_size);
    MR_CLEANUP(reader_release) struct reader child = NO_READER;
    int r = begin(c, &q, model_fd, file_name, out_fd, &child, e);
    if (r && child.talk < 0)
        return r;
    MR_AUTO_FREE char *reply = NULL;
    size_t n = 0;
    struct run run = {0};
    if (!r)
        r = run_begin(c->crew, &run, &child.child, e);
    if (!r) {
        r = mr_msg_read(child.talk, REPLY_MAX, deadline, &reply, &n, e);
        run_end(c->crew, &run);
    }
    if (r == MR_ETIMEOUT)
        return mr_fail(e, MR_ETIMEOUT, "reading the model file took longer than %lld s",
                       (long long)(ms / 1000));
    if (r == MR_EIO)
        return crashed(&child.child, memory, e);
    return r ? r : take_reply(reply, n, arena, ret, e);
}
