/* The server's side: one worker process a model, restarted when it dies. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/intake_wire.h"
#include "engine/internal.h"
#include "engine/metadata.h"
#include "engine/onnx/convert.h"
#include "engine/onnx/onnx.h"
#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define START_MS     60000
#define NO_LIMIT_MS  600000
#define FEATURES_MAX ((size_t)8 << 20)

struct mr_onnx {
    pthread_mutex_t lock; /* worker, sock, alive */
    struct mr_child worker;
    int sock;
    bool alive;
    int model_fd;
    uint64_t memory_limit, memory;
    int64_t timeout_ms;
    struct mr_arena keep; /* the schema */
    struct mr_onnx_schema schema;
};

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

static void stop(struct mr_onnx *m) {
    if (m->sock >= 0)
        close(m->sock);
    m->sock = -1;
    m->alive = false;
    mr_child_release(&m->worker);
}

static uint64_t resident(pid_t pid) {
    char text[128];
    snprintf(text, sizeof text, "/proc/%d/statm", (int)pid);
    int fd = open(text, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* How the worker ended, after its socket closed. */
static int died(struct mr_onnx *m, int code, const char *what, struct mr_err *e) {
    struct mr_child_exit x;
    char text[128] = "stopped answering";
    if (!mr_child_wait(&m->worker, mr_mono_ns() + 1000000000, &x, NULL))
        mr_child_exit_text(&x, text, sizeof text);
    stop(m);
    return mr_fail(e, code, "%s: the model's process %s", what, text);
}

static int read_ready(struct mr_onnx *m, const char *p, size_t n, struct mr_err *e) {
    struct mr_reader r = {(const uint8_t *)p, (const uint8_t *)p + n};
    const uint8_t *ok;
    uint32_t n_in, n_out;
    struct mr_onnx_value *in, *out;
    if (!mr_tensors_get_bytes(&r, 1, &ok))
        return mr_fail(e, MR_EREFUSED, "the model's process answered nonsense");
    if (!*ok)
        return mr_fail(e, MR_EUNSUPPORTED, "ONNX Runtime does not take this model: %.*s",
                       (int)(n - 1 < 400 ? n - 1 : 400), p + 1);
    if (m->schema.n_in)
        return 0; /* a restart: the same file has the same schema */
    if (!mr_tensors_get_u32(&r, &n_in) || !mr_tensors_get_u32(&r, &n_out) ||
        !mr_tensors_get_values(&r, &m->keep, n_in, &in) ||
        !mr_tensors_get_values(&r, &m->keep, n_out, &out))
        return mr_fail(e, MR_EREFUSED, "the model's process answered nonsense");
    m->schema = (struct mr_onnx_schema){n_in, n_out, in, out};
    return 0;
}

static int start(struct mr_onnx *m, struct mr_err *e) {
    static const char *const argv[] = {"millrace", "__onnx-worker", NULL};
    int sv[2], library;
    int r = mr_onnx_open_library(&library, e);
    if (r)
        return r;
    MR_AUTO_CLOSE int lib = library;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return mr_fail_errno(e, "socketpair");
    MR_AUTO_CLOSE int theirs = sv[1];
    m->sock = sv[0];
    struct mr_child_spec spec = {.argv = argv,
                                 .fds = (const int[]){m->model_fd, theirs, lib},
                                 .n_fds = 3,
                                 .stderr_too = MR_INTAKE_STDERR};
    r = mr_child_spawn(&spec, &m->worker, e);
    if (r) {
        stop(m);
        return r;
    }
    close(MR_TAKE_FD(theirs));
    int64_t deadline = mr_mono_ns() + (int64_t)START_MS * 1000000;
    MR_AUTO_FREE char *ready = NULL;
    size_t n;
    r = mr_msg_write(m->sock, &m->memory_limit, sizeof m->memory_limit, deadline, e);
    if (!r)
        r = mr_msg_read(m->sock, 1 << 22, deadline, &ready, &n, e);
    if (r == MR_EIO)
        return died(m, MR_EREFUSED, "the ONNX model cannot be loaded", e);
    if (!r)
        r = read_ready(m, ready, n, e);
    if (r) {
        stop(m);
        return r;
    }
    m->alive = true;
    m->memory = resident(m->worker.pid);
    return 0;
}

int mr_onnx_load(const struct mr_model_spec *spec, int fd, struct mr_onnx **ret, struct mr_err *e) {
    struct mr_onnx *m = mr_calloc(1, sizeof *m);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory loading a model");
    pthread_mutex_init(&m->lock, NULL);
    m->worker = MR_CHILD_NONE;
    m->sock = -1;
    m->memory_limit = spec->memory_limit;
    m->timeout_ms = spec->timeout_ms > 0 ? spec->timeout_ms : NO_LIMIT_MS;
    mr_arena_init(&m->keep, (size_t)8 << 20);
    m->model_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int r = m->model_fd < 0 ? mr_fail_errno(e, "model file") : start(m, e);
    if (!r && m->memory_limit && m->memory > m->memory_limit)
        r = mr_fail(e, MR_ETOOBIG, "the model needs %.1f MB, over its limit of %.1f MB",
                    (double)m->memory / 1e6, (double)m->memory_limit / 1e6);
    if (r) {
        mr_onnx_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void mr_onnx_free(struct mr_onnx *m) {
    if (!m)
        return;
    stop(m);
    if (m->model_fd >= 0)
        close(m->model_fd);
    pthread_mutex_destroy(&m->lock);
    mr_arena_release(&m->keep);
    mr_free(m);
}

uint64_t mr_onnx_memory(const struct mr_onnx *m) {
    return m->memory;
}

/* With the lock held. */
static int exchange(struct mr_onnx *m, const struct mr_buf *request, int64_t deadline, char **ret,
                    size_t *ret_n, struct mr_err *e) {
    int r = m->alive ? 0 : start(m, e);
    if (r)
        return mr_fail(e, MR_EPREDICT, "the model's process cannot be restarted%s%.400s",
                       e ? ": " : "", e ? e->msg : "");
    r = mr_msg_write(m->sock, request->p, request->n, deadline, e);
    if (!r)
        r = mr_msg_read(m->sock, MR_ONNX_MESSAGE_MAX, deadline, ret, ret_n, e);
    if (r == MR_ETIMEOUT) {
        stop(m); /* the only way to end a run; the next request starts a new worker */
        return mr_fail(e, MR_ETIMEOUT, "the prediction took longer than %lld ms",
                       (long long)m->timeout_ms);
    }
    return r ? died(m, MR_EPREDICT, "the prediction failed", e) : 0;
}

static int read_reply(const struct mr_onnx *m, const char *p, size_t n, struct mr_arena *arena,
                      struct mr_onnx_result *o, struct mr_err *e) {
    struct mr_reader r = {(const uint8_t *)p, (const uint8_t *)p + n};
    const uint8_t *ok;
    uint32_t count, kind;
    if (mr_tensors_get_bytes(&r, 1, &ok) && !*ok)
        return mr_fail(e, MR_EPREDICT, "the model failed: %.*s", (int)(n - 1 < 400 ? n - 1 : 400),
                       p + 1);
    if (!n || !mr_tensors_get_u32(&r, &count) || count != m->schema.n_out)
        return mr_fail(e, MR_EPREDICT, "the model's process answered nonsense");
    for (uint32_t k = 0; k < count; k++) {
        bool good = mr_tensors_get_u32(&r, &kind) && mr_tensors_get_tensor(&r, arena, &o[k].t);
        if (good && kind == MR_ONNX_SEQUENCE_MAP)
            good = mr_tensors_get_tensor(&r, arena, &o[k].vals) && o[k].t.rank == 2 &&
                   o[k].vals.rank == 2 && o[k].t.dim[0] == o[k].vals.dim[0] &&
                   o[k].t.dim[1] == o[k].vals.dim[1];
        if (!good || (kind != MR_ONNX_TENSOR && kind != MR_ONNX_SEQUENCE_MAP))
            return mr_fail(e, MR_EPREDICT, "the model's answer is damaged or too large");
        o[k].kind = (enum mr_onnx_kind)kind;
    }
    return 0;
}

static int add_features(yyjson_val *data, struct mr_arena *arena, struct mr_run *run,
                        struct mr_err *e) {
    size_t n;
    char *json = yyjson_val_write(data, 0, &n);
    char *copy = json && n <= FEATURES_MAX ? mr_arena_strn(arena, json, n) : NULL;
    free(json);
    if (!copy)
        return mr_fail(e, MR_ETOOBIG, "the features read are too many to show");
    run->features_read = (struct mr_str){copy, n};
    return 0;
}

/* One exchange with the worker, in turn with the others. */
static int run_request(struct mr_onnx *m, const struct mr_buf *request, struct mr_arena *arena,
                       struct mr_onnx_result **ret, struct mr_err *e) {
    int64_t deadline = mr_mono_ns() + m->timeout_ms * 1000000;
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    if (pthread_mutex_clocklock(&m->lock, CLOCK_MONOTONIC, &until))
        return mr_fail(e, MR_ETIMEOUT, "the model was busy for %lld ms", (long long)m->timeout_ms);
    MR_AUTO_FREE char *reply = NULL;
    size_t n = 0;
    int r = exchange(m, request, deadline, &reply, &n, e);
    pthread_mutex_unlock(&m->lock);
    if (r)
        return r;
    struct mr_onnx_result *o = mr_arena_zalloc(arena, m->schema.n_out * sizeof *o);
    if (!o)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    r = read_reply(m, reply, n, arena, o, e);
    if (!r)
        *ret = o;
    return r;
}

int mr_onnx_predict(struct mr_onnx *m, yyjson_val *data, bool want_features, struct mr_arena *arena,
                    struct mr_buf *out, struct mr_run *ret, struct mr_err *e) {
    struct mr_run run;
    struct mr_onnx_result *o;
    MR_CLEANUP(mr_buf_release) struct mr_buf request;
    mr_buf_init(&request, MR_ONNX_MESSAGE_MAX);
    int r = mr_onnx_request(&m->schema, data, &request, &run, e);
    if (!r && want_features)
        r = add_features(data, arena, &run, e);
    if (!r)
        r = run_request(m, &request, arena, &o, e);
    if (r)
        return r;
    size_t before = out->n;
    r = mr_onnx_answer(&m->schema, o, &run, out, e);
    if (r)
        out->n = before;
    else
        *ret = run;
    return r;
}

int mr_onnx_run(struct mr_onnx *m, const struct mr_tensor *in, size_t n_in, struct mr_arena *arena,
                struct mr_onnx_result **ret, size_t *ret_n, struct mr_err *e) {
    if (n_in != m->schema.n_in)
        return mr_fail(e, MR_EINVAL, "the model has %u inputs, not %zu", m->schema.n_in, n_in);
    MR_CLEANUP(mr_buf_release) struct mr_buf request;
    mr_buf_init(&request, MR_ONNX_MESSAGE_MAX);
    mr_tensors_put_u32(&request, m->schema.n_in);
    for (size_t k = 0; k < n_in; k++)
        mr_tensors_put_tensor(&request, &in[k]);
    if (!mr_buf_ok(&request))
        return mr_fail(e, MR_ETOOBIG, "the input is too large for one run");
    int r = run_request(m, &request, arena, ret, e);
    if (!r)
        *ret_n = m->schema.n_out;
    return r;
}

const struct mr_onnx_value *mr_onnx_inputs(const struct mr_onnx *m, size_t *ret_n) {
    *ret_n = m->schema.n_in;
    return m->schema.in;
}

const struct mr_onnx_value *mr_onnx_outputs(const struct mr_onnx *m, size_t *ret_n) {
    *ret_n = m->schema.n_out;
    return m->schema.out;
}

void mr_onnx_input_schema(const struct mr_onnx *m, struct mr_buf *out) {
    mr_buf_cstr(out, "{\"kind\":\"tensor\",\"accepts_missing\":false,\"inputs\":");
    mr_metadata_onnx_values(m->schema.in, m->schema.n_in, out);
    mr_buf_cstr(out, ",\"outputs\":");
    mr_metadata_onnx_values(m->schema.out, m->schema.n_out, out);
    mr_buf_char(out, '}');
}
