/* The intake child. It is started with one descriptor (3: limits, job, reply), closes its sandbox,
 * and only then receives the uploaded file (4) and the program to write (5, readable too). One
 * child reads one file. */
#include "base/cleanup.h"
#include "engine/detect.h"
#include "engine/intake.h"
#include "engine/intake_wire.h"
#include "engine/metadata.h"
#include "io/child.h"
#include "io/sandbox.h"
#include "model/convert/convert.h"

#include <sys/mman.h>
#include <unistd.h>

enum { TALK_FD = 3, MODEL_FD = 4, OUT_FD = 5 };

#define WARN_MAX 4

struct work {
    struct mr_intake_limits q;
    struct mr_intake_job job;
    struct mr_str file, name;
    struct mr_arena arena;
    struct mr_buf reply;
    struct mr_str warn[WARN_MAX];
    size_t n_warn;
};

static int convert_pickle(struct work *w, struct mr_build *b, struct mr_err *e) {
    struct mr_pk_limits limits = mr_pk_default_limits();
    if (limits.max_memory > w->q.memory_max / 2)
        limits.max_memory = w->q.memory_max / 2;
    struct mr_pk_doc *doc;
    int r = mr_pickle_load(w->file.p, w->file.n, &limits, &doc, e);
    if (r)
        return r;
    char name[200];
    mr_pk_class_name(mr_pickle_root(doc), name, sizeof name);
    if (mr_detect_refuse_class(mr_str(name), e)) {
        r = e->code;
    } else {
        r = mr_convert_pickle(doc, b, e);
        size_t rest = mr_pickle_trailing(doc);
        char *text = r || !rest
                         ? NULL
                         : mr_arena_fmt(&w->arena,
                                        "%zu bytes after the end of the pickle were ignored", rest);
        if (text)
            w->warn[w->n_warn++] = mr_str(text);
    }
    /* The builder copied what it keeps. */
    mr_pickle_free(doc);
    return r;
}

static int convert(struct work *w, enum mr_file_kind kind, struct mr_build *b, struct mr_err *e) {
    switch (kind) {
    case MR_FILE_PICKLE:
        return convert_pickle(w, b, e);
    case MR_FILE_XGB_JSON:
        return mr_convert_xgboost_json(w->file, b, e);
    case MR_FILE_XGB_UBJ:
        return mr_convert_xgboost_ubj(w->file, b, e);
    default:
        return mr_convert_lightgbm_text(w->file, b, e);
    }
}

static int native(struct work *w, enum mr_file_kind kind, struct mr_err *e) {
    static const char *const sources[] = {[MR_FILE_PICKLE] = "pickle",
                                          [MR_FILE_XGB_JSON] = "xgboost json",
                                          [MR_FILE_XGB_UBJ] = "xgboost ubjson",
                                          [MR_FILE_LGB_TEXT] = "lightgbm text"};
    struct mr_build *b = mr_build_new(&w->arena);
    if (!b)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = convert(w, kind, b, e);
    if (!r)
        r = mr_build_write(b, OUT_FD, e);
    mr_build_free(b);
    if (r)
        return r;
    /* What was written is what will be served: describe that, and prove that it opens. */
    struct mr_model *m;
    r = mr_model_open(OUT_FD, &m, e);
    if (r)
        return r;
    mr_buf_fmt(&w->reply, "{\"kind\":%d,\"metadata\":", MR_ENGINE_NATIVE);
    mr_metadata_native(mr_model_info(m), sources[kind], w->warn, w->n_warn, &w->reply);
    mr_buf_char(&w->reply, '}');
    mr_model_free(m);
    return 0;
}

static int onnx(struct work *w, struct mr_err *e) {
    struct mr_onnx_model m;
    int r = mr_onnx_parse(w->file, &w->arena, &m, e);
    if (r)
        return r;
    mr_buf_fmt(&w->reply, "{\"kind\":%d,\"metadata\":", MR_ENGINE_ONNX);
    mr_metadata_onnx(&m, w->file.n, &w->reply);
    mr_buf_char(&w->reply, '}');
    return 0;
}

static void run(struct work *w) {
    struct mr_err e = {0};
    enum mr_file_kind kind = mr_detect(w->file, w->name, &e);
    int r = e.code;
    if (kind == MR_FILE_ONNX)
        r = onnx(w, &e);
    else if (kind != MR_FILE_REFUSED && kind != MR_FILE_UNKNOWN)
        r = native(w, kind, &e);
    if (!r && !mr_buf_ok(&w->reply))
        r = mr_fail(&e, MR_EREFUSED, "the model's description is too large");
    if (!r)
        return;
    if (r == MR_ENOMEM)
        mr_fail(&e, MR_EREFUSED, "reading the model needs more than the %.0f MB it may use",
                (double)w->q.memory_max / 1e6);
    mr_buf_clear(&w->reply);
    mr_buf_fmt(&w->reply, "{\"code\":%d,\"text\":", e.code < 0 ? e.code : MR_EREFUSED);
    mr_buf_json(&w->reply, mr_str(e.msg));
    mr_buf_char(&w->reply, '}');
}

/* The descriptors that come have the numbers the filter was made for: they are the lowest free. */
static int enter_sandbox(const struct mr_intake_limits *q) {
    const struct mr_sandbox_fd fds[] = {{.fd = TALK_FD, .write = true, .receive = true},
                                        {.fd = MODEL_FD, .read = true},
                                        {.fd = OUT_FD, .read = true, .write = true}};
    struct mr_sandbox box = {.profile = MR_SANDBOX_INTAKE,
                             .fds = fds,
                             .n_fds = 3,
                             .memory_max = q->memory_max + q->file_max,
                             .cpu_seconds = q->cpu_seconds,
                             .file_max = q->memory_max};
    return mr_sandbox_enter(&box, NULL);
}

static bool take_job(struct work *w) {
    int fds[2];
    if (mr_fds_recv(TALK_FD, &w->job, sizeof w->job, fds, 2, NULL) || fds[0] != MODEL_FD ||
        fds[1] != OUT_FD)
        return false;
    w->name =
        (struct mr_str){w->job.name, w->job.name_len <= sizeof w->job.name ? w->job.name_len : 0};
    off_t size = lseek(MODEL_FD, 0, SEEK_END);
    if (size <= 0)
        return true;
    void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, MODEL_FD, 0);
    if (p == MAP_FAILED)
        return false;
    w->file = (struct mr_str){p, (size_t)size};
    return true;
}

int mr_intake_child_main(void) {
    struct work w = {.file = {"", 0}};
    MR_AUTO_FREE char *limits = NULL;
    size_t n;
    if (mr_msg_read(TALK_FD, sizeof w.q, 0, &limits, &n, NULL) || n != sizeof w.q)
        return 2;
    memcpy(&w.q, limits, sizeof w.q);
    if (enter_sandbox(&w.q))
        _exit(MR_INTAKE_EXIT_SANDBOX);
    if (!take_job(&w)) /* a spare whose server has ended comes here too */
        _exit(2);
    mr_arena_init(&w.arena, w.q.memory_max / 2);
    mr_buf_init(&w.reply, (size_t)16 << 20);
    run(&w);
    _exit(mr_msg_write(TALK_FD, w.reply.p, w.reply.n, 0, NULL) ? 1 : 0);
}
