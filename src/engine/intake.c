/* The server's side of intake: one child a file. */
#include "engine/intake.h"

#include "base/clock.h"
#include "engine/intake_wire.h"
#include "io/child.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <yyjson.h>

#define REPLY_MAX      ((size_t)32 << 20)
#define DEFAULT_MEMORY ((uint64_t)4 << 30)
#define DEFAULT_MS     60000

MR_DEFINE_CLEANUP(yyjson_doc *, yyjson_doc_free);

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

int mr_intake_run(const struct mr_intake_config *c, int model_fd, struct mr_str file_name,
                  int out_fd, struct mr_arena *arena, struct mr_intake_result *ret,
                  struct mr_err *e) {
    uint64_t memory = c->memory_max ? c->memory_max : DEFAULT_MEMORY;
    int64_t ms = c->timeout_ms > 0 ? c->timeout_ms : DEFAULT_MS;
    int64_t deadline = mr_mono_ns() + ms * 1000000;
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return mr_fail_errno(e, "socketpair");
    MR_AUTO_CLOSE int ours = sv[0], theirs = sv[1];
    static const char *const argv[] = {"millrace", "__intake", NULL};
    struct mr_child_spec spec = {.exe = c->self_exe,
                                 .argv = argv,
                                 .fds = (const int[]){model_fd, out_fd, theirs},
                                 .n_fds = 3,
                                 .stderr_too = MR_INTAKE_STDERR};
    MR_CLEANUP(mr_child_release) struct mr_child child = MR_CHILD_NONE;
    int r = mr_child_spawn(&spec, &child, e);
    if (r)
        return r;
    close(MR_TAKE_FD(theirs)); /* so that the child's end is seen as the end of the stream */

    struct mr_intake_request q = {.memory_max = memory, .cpu_seconds = (uint64_t)(ms / 1000 + 1)};
    q.name_len = file_name.n < sizeof q.name ? file_name.n : sizeof q.name;
    if (q.name_len)
        memcpy(q.name, file_name.p, q.name_len);
    MR_AUTO_FREE char *reply = NULL;
    size_t n = 0;
    r = mr_msg_write(ours, &q, sizeof q, deadline, e);
    if (!r)
        r = mr_msg_read(ours, REPLY_MAX, deadline, &reply, &n, e);
    if (r == MR_ETIMEOUT)
        return mr_fail(e, MR_ETIMEOUT, "reading the model file took longer than %lld s",
                       (long long)(ms / 1000));
    if (r == MR_EIO)
        return crashed(&child, memory, e);
    return r ? r : take_reply(reply, n, arena, ret, e);
}
