/* The worker process: 3 = the .onnx file, 4 = the socket to the server, 5 = libonnxruntime.so, 6 =
 * memory shared with the server. The library is loaded and threads, if any, are started first, then
 * the sandbox is closed over them, and only then the model is looked at. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/worker_priv.h"
#include "io/child.h"
#include "io/sandbox.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODEL_FD = 3, TALK_FD = 4, LIBRARY_FD = 5, SHARED_FD = 6 };

static int load_library(struct mr_onnx_worker *w, struct mr_err *e) {
    /* Official builds from 1.29 on report usage to their maker unless told not to before they load:
     * a thread, a database under ~/.cache, and uploads. Models of users are nobody else's business.
     * The second name is that of the first builds. */
    char path[32];
    if (setenv("ORT_DISABLE_TELEMETRY", "1", 1) || setenv("ORT_TELEMETRY_DISABLED", "1", 1))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", LIBRARY_FD);
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return mr_fail(e, MR_EUNAVAIL, "ONNX Runtime cannot be loaded: %s", dlerror());
    ort_get_api_base *base;
    *(void **)&base = dlsym(lib, "OrtGetApiBase");
    w->ort = base ? base()->get_api(MR_ORT_API) : NULL;
    if (!w->ort)
        return mr_fail(e, MR_EUNAVAIL, "this ONNX Runtime is older than 1.%d", MR_ORT_API);
    return mr_onnx_check(w, ORT(w->ort, CreateEnv)(ORT_LOG_FATAL_, "millrace", &w->env), e);
}

/* Address space in use now: the limit of a model comes on top. */
static uint64_t address_space(void) {
    char text[64];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int lock_down(struct mr_onnx_worker *w, struct mr_err *e) {
    const struct mr_sandbox_fd fds[] = {{.fd = MODEL_FD, .read = true},
                                        {.fd = TALK_FD, .read = true, .write = true}};
    struct mr_sandbox box = {.profile = MR_SANDBOX_ONNX_WORKER,
                             .fds = fds,
                             .n_fds = 2,
                             .places = w->hello.threads > 1,
                             .namespaces = true};
    struct stat st; /* a thread of the library would be outside what is reasoned about here */
    if (stat("/proc/self/task", &st) || st.st_nlink != 3)
        return mr_fail(e, MR_EUNAVAIL, "this build of ONNX Runtime starts threads of its own");
    int r = mr_sandbox_drop(&box, e);
    if (!r && w->hello.threads > 1)
        r = mr_onnx_threads_start(&w->threads, (unsigned)w->hello.threads - 1, e);
    if (r)
        return r;
    if (w->hello.memory_limit)
        box.memory_max = address_space() + w->file.n + w->hello.memory_limit;
    return mr_sandbox_seal(&box, e);
}

/* The threads spin while a run lasts (layers follow each other faster than a thread wakes up), and
 * sleep between runs. */
static int set_wide(struct mr_onnx_worker *w, ort_options *so, struct mr_err *e) {
    void *const *ort = w->ort;
    int r = mr_onnx_check(w, ORT(ort, SetIntraOpNumThreads)(so, (int)w->hello.threads), e);
    if (!r)
        r = mr_onnx_check(
            w, ORT(ort, SessionOptionsSetCustomCreateThreadFn)(so, mr_onnx_threads_lend), e);
    if (!r)
        r = mr_onnx_check(
            w, ORT(ort, SessionOptionsSetCustomThreadCreationOptions)(so, &w->threads), e);
    if (!r)
        r = mr_onnx_check(
            w, ORT(ort, SessionOptionsSetCustomJoinThreadFn)(so, mr_onnx_threads_join), e);
    return r ? r
             : mr_onnx_check(
                   w, ORT(ort, AddSessionConfigEntry)(so, "session.force_spinning_stop", "1"), e);
}

static int make_session(struct mr_onnx_worker *w, bool wide, ort_session **ret, struct mr_err *e) {
    ort_options *so = NULL;
    int r = mr_onnx_check(w, ORT(w->ort, CreateSessionOptions)(&so), e);
    if (!r)
        r = wide ? set_wide(w, so, e)
                 : mr_onnx_check(w, ORT(w->ort, SetIntraOpNumThreads)(so, 1), e);
    if (!r)
        r = mr_onnx_check(w, ORT(w->ort, SetInterOpNumThreads)(so, 1), e);
    if (!r)
        r = mr_onnx_check(w, ORT(w->ort, SetSessionGraphOptimizationLevel)(so, ORT_ENABLE_ALL_), e);
    if (!r)
        r = mr_onnx_check(w, ORT(w->ort, DisableCpuMemArena)(so), e);
    if (!r)
        r = mr_onnx_check(
            w, ORT(w->ort, CreateSessionFromArray)(w->env, w->file.p, w->file.n, so, ret), e);
    return r;
}

static int open_session(struct mr_onnx_worker *w, struct mr_err *e) {
    int r = mr_onnx_parse(w->file, &w->keep, &w->model, e);
    if (r)
        return r;
    for (uint32_t k = 0; k < w->model.n_inputs; k++)
        if (!(w->in_name[k] = mr_arena_str(&w->keep, w->model.input[k].name)))
            return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < w->model.n_outputs; k++)
        if (!(w->out_name[k] = mr_arena_str(&w->keep, w->model.output[k].name)))
            return mr_fail(e, MR_ENOMEM, "out of memory");
    r = make_session(w, false, &w->session, e);
    if (!r && w->hello.threads > 1)
        r = make_session(w, true, &w->wide, e);
    if (!r)
        r = mr_onnx_check(w, ORT(w->ort, GetAllocatorWithDefaultOptions)(&w->alloc), e);
    if (!r)
        r = mr_onnx_check(w, ORT(w->ort, CreateCpuMemoryInfo)(0, 0, &w->memory), e);
    return r;
}

static void put_error(struct mr_buf *out, const struct mr_err *e) {
    mr_buf_clear(out);
    mr_buf_char(out, MR_ONNX_ERROR);
    mr_buf_cstr(out, e->msg);
}

static int start(struct mr_onnx_worker *w, struct mr_buf *out, struct mr_err *e) {
    MR_AUTO_FREE char *hello = NULL;
    size_t n;
    int r = mr_msg_read(TALK_FD, sizeof w->hello, 0, &hello, &n, e);
    if (r || n != sizeof w->hello)
        return r ? r : mr_fail(e, MR_EINTERNAL, "damaged hello");
    memcpy(&w->hello, hello, sizeof w->hello);
    r = mr_onnx_shared_map(SHARED_FD, &w->shared, e);
    if (r)
        return r;
    off_t size = lseek(MODEL_FD, 0, SEEK_END);
    void *p = size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, MODEL_FD, 0) : MAP_FAILED;
    if (p == MAP_FAILED)
        return mr_fail(e, MR_EIO, "the model file cannot be mapped");
    w->file = (struct mr_str){p, (size_t)size};
    r = load_library(w, e);
    if (!r)
        r = lock_down(w, e);
    if (!r)
        r = open_session(w, e);
    if (r)
        return r;
    mr_buf_char(out, MR_ONNX_HERE);
    mr_tensors_put_u32(out, w->model.n_inputs);
    mr_tensors_put_u32(out, w->model.n_outputs);
    mr_tensors_put_values(out, w->model.input, w->model.n_inputs);
    mr_tensors_put_values(out, w->model.output, w->model.n_outputs);
    return 0;
}

static int run(struct mr_onnx_worker *w, const char *p, size_t n, struct mr_arena *a,
               struct mr_buf *out, struct mr_err *e) {
    struct mr_reader ask = {.p = (const uint8_t *)p, .end = (const uint8_t *)p + n};
    uint32_t flags;
    uint64_t size;
    if (!mr_tensors_get_u32(&ask, &flags) || ((flags & MR_ONNX_ASK_WIDE) && !w->wide))
        return mr_fail(e, MR_EINTERNAL, "damaged request");
    if (flags & MR_ONNX_ASK_SHARED) {
        if (!mr_tensors_get_u64(&ask, &size) || size > MR_ONNX_SHARED_HALF)
            return mr_fail(e, MR_EINTERNAL, "damaged request");
        ask = (struct mr_reader){
            .p = w->shared.request, .end = w->shared.request + size, .stays = true};
    }
    mr_buf_char(out, MR_ONNX_HERE);
    return mr_onnx_worker_run(w, flags & MR_ONNX_ASK_WIDE, ask, a, out, e);
}

/* A large answer moves to the shared memory. */
static void share(struct mr_onnx_worker *w, struct mr_buf *out) {
    uint64_t size = out->n ? out->n - 1 : 0;
    if (!out->n || *out->p != MR_ONNX_HERE || size < MR_ONNX_SHARED_LEAST ||
        size > MR_ONNX_SHARED_HALF)
        return;
    memcpy(w->shared.reply, out->p + 1, size);
    mr_buf_clear(out);
    mr_buf_char(out, MR_ONNX_SHARED);
    mr_tensors_put_u64(out, size);
}

int mr_onnx_worker_main(void) {
    static struct mr_onnx_worker w;
    struct mr_err e = {0};
    struct mr_buf out;
    mr_arena_init(&w.keep, (size_t)256 << 20);
    mr_buf_init(&out, MR_ONNX_MESSAGE_MAX);
    int r = start(&w, &out, &e);
    if (r)
        put_error(&out, &e);
    struct mr_arena a;
    mr_arena_init(&a, (size_t)2 << 30);
    while (!mr_msg_write(TALK_FD, out.p, out.n, 0, NULL) && !r) {
        char *p;
        size_t n;
        if (mr_msg_read(TALK_FD, MR_ONNX_MESSAGE_MAX, 0, &p, &n, NULL))
            break; /* the server closed the connection */
        mr_buf_clear(&out);
        mr_arena_reset(&a);
        if (run(&w, p, n, &a, &out, &e))
            put_error(&out, &e);
        mr_free(p);
        share(&w, &out);
    }
    _exit(r ? 1 : 0);
}
