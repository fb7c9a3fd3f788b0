/* The server's side: one worker process a model, restarted when it dies. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/intake_wire.h"
#include "engine/metadata.h"
#include "engine/onnx/client_priv.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define START_MS    60000
#define NO_LIMIT_MS 600000
#define THREADS_MAX 4

void mr_onnx_stop(struct mr_onnx *m) {
    if (m->sock >= 0)
        close(m->sock);
    m->sock = -1;
    m->alive = false;
    mr_child_release(&m->worker);
    mr_onnx_shared_release(&m->shared);
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

int mr_onnx_died(struct mr_onnx *m, int code, const char *what, struct mr_err *e) {
    struct mr_child_exit x;
    char text[128] = "stopped answering";
    if (!mr_child_wait(&m->worker, mr_mono_ns() + 1000000000, &x, NULL)) {
        mr_child_exit_text(&x, text, sizeof text);
        if (code == MR_EREFUSED && x.signalled && x.code == SIGKILL)
            code = MR_EUNAVAIL; /* from outside, as where memory runs out: not the model's fault */
    }
    mr_onnx_stop(m);
    return mr_fail(e, code, "%s: the model's process %s", what, text);
}

static int read_ready(struct mr_onnx *m, const char *p, size_t n, struct mr_err *e) {
    struct mr_reader r = {.p = (const uint8_t *)p, .end = (const uint8_t *)p + n};
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

int mr_onnx_start(struct mr_onnx *m, struct mr_err *e) {
    static const char *const argv[] = {"millrace", "__onnx-worker", NULL};
    /* Weights and layers in huge pages; blocks of the last run are used again by the next. */
    static const char *const env[] = {"GLIBC_TUNABLES=glibc.malloc.hugetlb=1:"
                                      "glibc.malloc.mmap_threshold=33554432:"
                                      "glibc.malloc.trim_threshold=67108864",
                                      NULL};
    int sv[2], library, tensors;
    int r = mr_onnx_open_library(&library, e);
    if (r)
        return r;
    MR_AUTO_CLOSE int lib = library;
    r = mr_onnx_shared_new(&m->shared, &tensors, e);
    if (r)
        return r;
    MR_AUTO_CLOSE int shared = tensors;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return mr_fail_errno(e, "socketpair");
    MR_AUTO_CLOSE int theirs = sv[1];
    m->sock = sv[0];
    struct mr_child_spec spec = {.argv = argv,
                                 .fds = (const int[]){m->model_fd, theirs, lib, shared},
                                 .n_fds = 4,
                                 .env = m->catalogue ? env : NULL,
                                 .stderr_too = MR_INTAKE_STDERR};
    r = mr_child_spawn(&spec, &m->worker, e);
    if (r) {
        mr_onnx_stop(m);
        return r;
    }
    close(MR_TAKE_FD(theirs));
    int64_t deadline = mr_mono_ns() + (int64_t)START_MS * 1000000;
    MR_AUTO_FREE char *ready = NULL;
    size_t n;
    struct mr_onnx_hello hello = {m->memory_limit, m->threads};
    r = mr_msg_write(m->sock, &hello, sizeof hello, deadline, e);
    if (!r)
        r = mr_msg_read(m->sock, 1 << 22, deadline, &ready, &n, e);
    if (r == MR_EIO)
        return mr_onnx_died(m, MR_EREFUSED, "the ONNX model cannot be loaded", e);
    if (!r)
        r = read_ready(m, ready, n, e);
    if (r) {
        mr_onnx_stop(m);
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
    m->threads = spec->threads > 1 ? spec->threads : 1;
    m->catalogue = spec->threads > 0;
    mr_arena_init(&m->keep, (size_t)8 << 20);
    m->model_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int r = m->model_fd < 0 ? mr_fail_errno(e, "model file") : mr_onnx_start(m, e);
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
    mr_onnx_stop(m);
    if (m->model_fd >= 0)
        close(m->model_fd);
    pthread_mutex_destroy(&m->lock);
    mr_arena_release(&m->keep);
    mr_free(m);
}

unsigned mr_onnx_threads(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

uint64_t mr_onnx_memory(const struct mr_onnx *m) {
    return m->memory;
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
