/* The worker process: 3 = the .onnx file, 4 = the socket to the server, 5 = libonnxruntime.so.
 * The library is loaded first, then the sandbox is closed, and only then the model is looked at. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/ort_abi.h"
#include "engine/onnx/tensors.h"
#include "io/child.h"
#include "io/sandbox.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODEL_FD = 3, TALK_FD = 4, LIBRARY_FD = 5 };

struct worker {
    void *const *ort;
    ort_env *env;
    ort_session *session;
    ort_allocator *alloc;
    ort_memory_info *memory;
    struct mr_str file;
    struct mr_arena keep; /* names */
    struct mr_onnx_model model;
    const char *in_name[MR_ONNX_MAX_VALUES], *out_name[MR_ONNX_MAX_VALUES];
};

/* A status becomes an error of ours and is released. */
static int check(struct worker *w, ort_status *s, struct mr_err *e) {
    if (!s)
        return 0;
    int r = mr_fail(e, MR_EPREDICT, "%s", ORT(w->ort, GetErrorMessage)(s));
    ORT(w->ort, ReleaseStatus)(s);
    return r;
}

static int load_library(struct worker *w, struct mr_err *e) {
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
    return check(w, ORT(w->ort, CreateEnv)(ORT_LOG_FATAL_, "millrace", &w->env), e);
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

static int lock_down(struct worker *w, uint64_t memory, struct mr_err *e) {
    struct stat st; /* a thread of the library would be outside what is reasoned about here */
    if (stat("/proc/self/task", &st) || st.st_nlink != 3)
        return mr_fail(e, MR_EUNAVAIL, "this build of ONNX Runtime starts threads of its own");
    const struct mr_sandbox_fd fds[] = {{.fd = MODEL_FD, .read = true},
                                        {.fd = TALK_FD, .read = true, .write = true}};
    struct mr_sandbox box = {.profile = MR_SANDBOX_ONNX_WORKER,
                             .fds = fds,
                             .n_fds = 2,
                             .memory_max = memory ? address_space() + w->file.n + memory : 0,
                             .namespaces = true};
    return mr_sandbox_enter(&box, e);
}

static int open_session(struct worker *w, struct mr_err *e) {
    int r = mr_onnx_parse(w->file, &w->keep, &w->model, e);
    if (r)
        return r;
    for (uint32_t k = 0; k < w->model.n_inputs; k++)
        if (!(w->in_name[k] = mr_arena_str(&w->keep, w->model.input[k].name)))
            return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < w->model.n_outputs; k++)
        if (!(w->out_name[k] = mr_arena_str(&w->keep, w->model.output[k].name)))
            return mr_fail(e, MR_ENOMEM, "out of memory");
    ort_options *so = NULL;
    r = check(w, ORT(w->ort, CreateSessionOptions)(&so), e);
    if (!r)
        r = check(w, ORT(w->ort, SetIntraOpNumThreads)(so, 1), e);
    if (!r)
        r = check(w, ORT(w->ort, SetInterOpNumThreads)(so, 1), e);
    if (!r)
        r = check(w, ORT(w->ort, SetSessionGraphOptimizationLevel)(so, ORT_ENABLE_ALL_), e);
    if (!r)
        r = check(w, ORT(w->ort, DisableCpuMemArena)(so), e);
    if (!r)
        r = check(
            w, ORT(w->ort, CreateSessionFromArray)(w->env, w->file.p, w->file.n, so, &w->session),
            e);
    if (!r)
        r = check(w, ORT(w->ort, GetAllocatorWithDefaultOptions)(&w->alloc), e);
    if (!r)
        r = check(w, ORT(w->ort, CreateCpuMemoryInfo)(0, 0, &w->memory), e);
    return r;
}

/* --- one run ------------------------------------------------------------------------------- */
static int make_strings(struct worker *w, const struct mr_tensor *t, struct mr_arena *a,
                        ort_value **ret, struct mr_err *e) {
    const char **s = mr_arena_array(a, t->count ? t->count : 1, sizeof *s);
    if (!s)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t k = 0; k < t->count; k++)
        s[k] = t->str[k].p; /* NUL-terminated by mr_tensors_get_tensor */
    int r = check(
        w,
        ORT(w->ort, CreateTensorAsOrtValue)(w->alloc, t->dim, (size_t)t->rank, MR_ONNX_STRING, ret),
        e);
    return r ? r : check(w, ORT(w->ort, FillStringTensor)(*ret, s, t->count), e);
}

static int make_value(struct worker *w, const struct mr_tensor *t, struct mr_arena *a,
                      ort_value **ret, struct mr_err *e) {
    if (t->elem == MR_ONNX_STRING)
        return make_strings(w, t, a, ret, e);
    return check(w,
                 ORT(w->ort, CreateTensorWithDataAsOrtValue)(w->memory, (void *)t->data,
                                                             t->count * mr_onnx_elem_size(t->elem),
                                                             t->dim, (size_t)t->rank, t->elem, ret),
                 e);
}

static int take_strings(struct worker *w, ort_value *v, struct mr_arena *a, struct mr_tensor *t,
                        struct mr_err *e) {
    size_t bytes = 0;
    int r = check(w, ORT(w->ort, GetStringTensorDataLength)(v, &bytes), e);
    if (r)
        return r;
    char *p = mr_arena_alloc(a, bytes + 1);
    size_t *off = mr_arena_array(a, t->count + 1, sizeof *off);
    struct mr_str *s = mr_arena_array(a, t->count + 1, sizeof *s);
    if (!p || !off || !s)
        return mr_fail(e, MR_ETOOBIG, "the model's answer is too large");
    r = check(w, ORT(w->ort, GetStringTensorContent)(v, p, bytes, off, t->count), e);
    for (size_t k = 0; !r && k < t->count; k++) {
        size_t end = k + 1 < t->count ? off[k + 1] : bytes;
        s[k] = (struct mr_str){p + off[k], end - off[k]};
    }
    t->str = s;
    return r;
}

static int take_tensor(struct worker *w, ort_value *v, struct mr_arena *a, struct mr_tensor *t,
                       struct mr_err *e) {
    ort_shape_info *info = NULL;
    size_t rank = 0;
    int elem = 0;
    *t = (struct mr_tensor){0};
    int r = check(w, ORT(w->ort, GetTensorTypeAndShape)(v, &info), e);
    if (!r)
        r = check(w, ORT(w->ort, GetTensorElementType)(info, &elem), e);
    if (!r)
        r = check(w, ORT(w->ort, GetDimensionsCount)(info, &rank), e);
    if (!r && rank > MR_ONNX_MAX_RANK)
        r = mr_fail(e, MR_EPREDICT, "an output has %zu dimensions", rank);
    if (!r)
        r = check(w, ORT(w->ort, GetDimensions)(info, t->dim, rank), e);
    if (!r)
        r = check(w, ORT(w->ort, GetTensorShapeElementCount)(info, &t->count), e);
    if (info)
        ORT(w->ort, ReleaseTensorTypeAndShapeInfo)(info);
    if (r)
        return r;
    t->elem = elem;
    t->rank = (int)rank;
    if (elem == MR_ONNX_STRING)
        return take_strings(w, v, a, t, e);
    if (!mr_onnx_elem_size(elem))
        return mr_fail(e, MR_EPREDICT, "an output is of a type that is not served (%s)",
                       mr_onnx_type_name(elem));
    return check(w, ORT(w->ort, GetTensorMutableData)(v, (void **)&t->data), e);
}

/* zipmap: maps with the same keys; keys and values become [rows, entries] tensors. */
static int put_maps(struct worker *w, ort_value *seq, struct mr_arena *a, struct mr_buf *out,
                    struct mr_err *e) {
    size_t n = 0;
    int r = check(w, ORT(w->ort, GetValueCount)(seq, &n), e);
    MR_CLEANUP(mr_buf_release) struct mr_buf keys;
    MR_CLEANUP(mr_buf_release) struct mr_buf vals;
    mr_buf_init(&keys, MR_ONNX_MESSAGE_MAX / 2);
    mr_buf_init(&vals, MR_ONNX_MESSAGE_MAX / 2);
    struct mr_tensor k0 = {.elem = MR_ONNX_INT64}, v0 = {.elem = MR_ONNX_FLOAT};
    for (size_t i = 0; !r && i < n; i++) {
        ort_value *map = NULL, *k = NULL, *v = NULL;
        struct mr_tensor kt, vt;
        r = check(w, ORT(w->ort, GetValue)(seq, (int)i, w->alloc, &map), e);
        if (!r)
            r = check(w, ORT(w->ort, GetValue)(map, 0, w->alloc, &k), e);
        if (!r)
            r = check(w, ORT(w->ort, GetValue)(map, 1, w->alloc, &v), e);
        if (!r)
            r = take_tensor(w, k, a, &kt, e);
        if (!r)
            r = take_tensor(w, v, a, &vt, e);
        if (!r && i == 0)
            k0 = kt, v0 = vt;
        if (!r && (kt.count != k0.count || vt.count != k0.count || kt.elem != k0.elem ||
                   vt.elem != v0.elem || vt.elem == MR_ONNX_STRING))
            r = mr_fail(e, MR_EPREDICT, "the maps of an output differ in their keys");
        if (!r && kt.elem == MR_ONNX_STRING)
            for (size_t s = 0; s < kt.count; s++) {
                mr_tensors_put_u32(&keys, (uint32_t)kt.str[s].n);
                mr_buf_str(&keys, kt.str[s]);
            }
        else if (!r)
            mr_buf_add(&keys, kt.data, kt.count * mr_onnx_elem_size(kt.elem));
        if (!r)
            mr_buf_add(&vals, vt.data, vt.count * mr_onnx_elem_size(vt.elem));
        ort_value *all[] = {v, k, map};
        for (int x = 0; x < 3; x++)
            if (all[x])
                ORT(w->ort, ReleaseValue)(all[x]);
    }
    if (r)
        return r;
    if (!mr_buf_ok(&keys) || !mr_buf_ok(&vals))
        return mr_fail(e, MR_ETOOBIG, "the model's answer is too large");
    int64_t dim[] = {(int64_t)n, (int64_t)k0.count};
    mr_tensors_put_u32(out, MR_ONNX_SEQUENCE_MAP);
    mr_tensors_put_tensor_head(out, k0.elem, 2, dim, keys.n);
    mr_buf_add(out, keys.p, keys.n);
    mr_tensors_put_tensor_head(out, v0.elem, 2, dim, vals.n);
    mr_buf_add(out, vals.p, vals.n);
    return 0;
}

static int put_output(struct worker *w, ort_value *v, struct mr_arena *a, struct mr_buf *out,
                      struct mr_err *e) {
    int type = 0;
    int r = check(w, ORT(w->ort, GetValueType)(v, &type), e);
    if (r)
        return r;
    if (type == ORT_VALUE_SEQUENCE_)
        return put_maps(w, v, a, out, e);
    if (type != ORT_VALUE_TENSOR_)
        return mr_fail(e, MR_EPREDICT, "an output is neither a tensor nor a list of maps");
    struct mr_tensor t;
    r = take_tensor(w, v, a, &t, e);
    if (r)
        return r;
    mr_tensors_put_u32(out, MR_ONNX_TENSOR);
    mr_tensors_put_tensor(out, &t);
    return 0;
}

static int run(struct worker *w, const char *p, size_t n, struct mr_arena *a, struct mr_buf *out,
               struct mr_err *e) {
    struct mr_reader rd = {(const uint8_t *)p, (const uint8_t *)p + n};
    ort_value *in[MR_ONNX_MAX_VALUES] = {0}, *res[MR_ONNX_MAX_VALUES] = {0};
    uint32_t count;
    int r = 0;
    if (!mr_tensors_get_u32(&rd, &count) || count != w->model.n_inputs)
        r = mr_fail(e, MR_EINTERNAL, "damaged request");
    for (uint32_t k = 0; !r && k < count; k++) {
        struct mr_tensor t;
        r = mr_tensors_get_tensor(&rd, a, &t) ? make_value(w, &t, a, &in[k], e)
                                              : mr_fail(e, MR_EINTERNAL, "damaged request");
    }
    if (!r)
        r = check(w,
                  ORT(w->ort, Run)(w->session, NULL, w->in_name, (const ort_value *const *)in,
                                   count, w->out_name, w->model.n_outputs, res),
                  e);
    mr_buf_char(out, 1);
    mr_tensors_put_u32(out, w->model.n_outputs);
    for (uint32_t k = 0; !r && k < w->model.n_outputs; k++)
        r = put_output(w, res[k], a, out, e);
    for (uint32_t k = 0; k < MR_ONNX_MAX_VALUES; k++) {
        if (in[k])
            ORT(w->ort, ReleaseValue)(in[k]);
        if (res[k])
            ORT(w->ort, ReleaseValue)(res[k]);
    }
    if (!r && !mr_buf_ok(out))
        r = mr_fail(e, MR_ETOOBIG, "the model's answer is too large");
    return r;
}

static void put_error(struct mr_buf *out, const struct mr_err *e) {
    mr_buf_clear(out);
    mr_buf_char(out, 0);
    mr_buf_cstr(out, e->msg);
}

static int start(struct worker *w, struct mr_buf *out, struct mr_err *e) {
    MR_AUTO_FREE char *hello = NULL;
    size_t n;
    uint64_t memory;
    int r = mr_msg_read(TALK_FD, sizeof memory, 0, &hello, &n, e);
    if (r || n != sizeof memory)
        return r ? r : mr_fail(e, MR_EINTERNAL, "damaged hello");
    memcpy(&memory, hello, sizeof memory);
    off_t size = lseek(MODEL_FD, 0, SEEK_END);
    void *p = size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, MODEL_FD, 0) : MAP_FAILED;
    if (p == MAP_FAILED)
        return mr_fail(e, MR_EIO, "the model file cannot be mapped");
    w->file = (struct mr_str){p, (size_t)size};
    r = load_library(w, e);
    if (!r)
        r = lock_down(w, memory, e);
    if (!r)
        r = open_session(w, e);
    if (r)
        return r;
    mr_buf_char(out, 1);
    mr_tensors_put_u32(out, w->model.n_inputs);
    mr_tensors_put_u32(out, w->model.n_outputs);
    mr_tensors_put_values(out, w->model.input, w->model.n_inputs);
    mr_tensors_put_values(out, w->model.output, w->model.n_outputs);
    return 0;
}

int mr_onnx_worker_main(void) {
    static struct worker w;
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
    }
    _exit(r ? 1 : 0);
}
