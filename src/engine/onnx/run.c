/* The server's side of a run. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/lock.h"
#include "engine/internal.h"
#include "engine/onnx/client_priv.h"

#define FEATURES_MAX ((size_t)8 << 20)

struct ask {
    bool wide;
    struct mr_buf *message; /* the request behind 4 bytes for the flags; or empty: */
    const struct mr_tensor *in;
    size_t n_in;
};

/* Bytes of the tensors as a request; over MR_ONNX_SHARED_HALF: not for the shared memory. */
static size_t request_bytes(const struct mr_tensor *in, size_t n_in) {
    size_t sum = 4;
    for (size_t k = 0; k < n_in; k++) {
        size_t size = mr_onnx_elem_size(in[k].elem);
        if (!size || in[k].count > MR_ONNX_SHARED_HALF / size)
            return SIZE_MAX;
        sum += 16 + (size_t)in[k].rank * 8 + in[k].count * size;
        if (sum > MR_ONNX_SHARED_HALF)
            return SIZE_MAX;
    }
    return sum;
}

/* What request_bytes counted. */
static void share_tensors(uint8_t *to, const struct mr_tensor *in, size_t n_in) {
    uint32_t count = (uint32_t)n_in;
    memcpy(to, &count, 4);
    to += 4;
    for (size_t k = 0; k < n_in; k++) {
        uint32_t kind[] = {(uint32_t)in[k].elem, (uint32_t)in[k].rank};
        uint64_t bytes = in[k].count * mr_onnx_elem_size(in[k].elem);
        size_t dims = (size_t)in[k].rank * 8;
        memcpy(to, kind, 8);
        memcpy(to + 8, in[k].dim, dims);
        memcpy(to + 8 + dims, &bytes, 8);
        if (bytes)
            memcpy(to + 16 + dims, in[k].data, bytes);
        to += 16 + dims + bytes;
    }
}

/* With the lock held. */
static int send_ask(struct mr_onnx *m, const struct ask *q, int64_t deadline, struct mr_err *e) {
    uint64_t size = q->message->n ? q->message->n - 4 : request_bytes(q->in, q->n_in);
    bool shared = size >= MR_ONNX_SHARED_LEAST && size <= MR_ONNX_SHARED_HALF;
    uint32_t flags = (q->wide ? MR_ONNX_ASK_WIDE : 0) | (shared ? MR_ONNX_ASK_SHARED : 0);
    if (!shared) {
        memcpy(q->message->p, &flags, 4);
        return mr_msg_write(m->sock, q->message->p, q->message->n, deadline, e);
    }
    if (q->message->n)
        memcpy(m->shared.request, q->message->p + 4, size);
    else
        share_tensors(m->shared.request, q->in, q->n_in);
    m->shared.used = size;
    char where[12];
    memcpy(where, &flags, 4);
    memcpy(where + 4, &size, 8);
    return mr_msg_write(m->sock, where, sizeof where, deadline, e);
}

struct reply {
    char *message; /* from mr_malloc; the reader looks into it, or into the arena */
    struct mr_reader r;
    bool ok; /* else the reader is at an error's text */
};

/* With the lock held. The worker may write to the shared memory at any time, so what is there is
 * read once, into the arena. */
static int take_reply(struct mr_onnx *m, const char *p, size_t n, struct mr_arena *arena,
                      struct reply *ret, struct mr_err *e) {
    uint64_t size;
    ret->r = (struct mr_reader){.p = (const uint8_t *)p + 1, .end = (const uint8_t *)p + n};
    ret->ok = n && *p != MR_ONNX_ERROR;
    if (n && (*p == MR_ONNX_ERROR || *p == MR_ONNX_HERE))
        return 0;
    if (!n || *p != MR_ONNX_SHARED || !mr_tensors_get_u64(&ret->r, &size) ||
        size > MR_ONNX_SHARED_HALF)
        return mr_fail(e, MR_EPREDICT, "the model's process answered nonsense");
    uint8_t *copy = mr_arena_alloc(arena, size ? size : 1);
    if (!copy)
        return mr_fail(e, MR_EPREDICT, "the model's answer is damaged or too large");
    memcpy(copy, m->shared.reply, size);
    ret->r = (struct mr_reader){.p = copy, .end = copy + size, .stays = true};
    if (m->shared.used < size)
        m->shared.used = size;
    return 0;
}

/* With the lock held. */
static int exchange(struct mr_onnx *m, const struct ask *q, int64_t deadline,
                    struct mr_arena *arena, struct reply *ret, struct mr_err *e) {
    int r = m->alive ? 0 : mr_onnx_start(m, e);
    size_t n = 0;
    if (r)
        return mr_fail(e, MR_EPREDICT, "the model's process cannot be restarted%s%.400s",
                       e ? ": " : "", e ? e->msg : "");
    r = send_ask(m, q, deadline, e);
    if (!r)
        r = mr_msg_read(m->sock, MR_ONNX_MESSAGE_MAX, deadline, &ret->message, &n, e);
    if (r == MR_ETIMEOUT) {
        mr_onnx_stop(m); /* the only way to end a run; the next request starts a new worker */
        return mr_fail(e, MR_ETIMEOUT, "the prediction took longer than %lld ms",
                       (long long)m->timeout_ms);
    }
    if (r)
        return mr_onnx_died(m, MR_EPREDICT, "the prediction failed", e);
    r = take_reply(m, ret->message, n, arena, ret, e);
    mr_onnx_shared_tidy(&m->shared);
    return r;
}

static int read_reply(const struct mr_onnx *m, struct reply *reply, struct mr_arena *arena,
                      struct mr_onnx_result *o, struct mr_err *e) {
    struct mr_reader *r = &reply->r;
    uint32_t count, kind;
    if (!reply->ok) {
        size_t n = (size_t)(r->end - r->p);
        return mr_fail(e, MR_EPREDICT, "the model failed: %.*s", (int)(n < 400 ? n : 400),
                       (const char *)r->p);
    }
    if (!mr_tensors_get_u32(r, &count) || count != m->schema.n_out)
        return mr_fail(e, MR_EPREDICT, "the model's process answered nonsense");
    for (uint32_t k = 0; k < count; k++) {
        bool good = mr_tensors_get_u32(r, &kind) && mr_tensors_get_tensor(r, arena, &o[k].t);
        if (good && kind == MR_ONNX_SEQUENCE_MAP)
            good = mr_tensors_get_tensor(r, arena, &o[k].vals) && o[k].t.rank == 2 &&
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
static int run_request(struct mr_onnx *m, const struct ask *q, struct mr_arena *arena,
                       struct mr_onnx_result **ret, struct mr_err *e) {
    int64_t deadline = mr_mono_ns() + m->timeout_ms * 1000000;
    if (!mr_mutex_lock_until(&m->lock, deadline))
        return mr_fail(e, MR_ETIMEOUT, "the model was busy for %lld ms", (long long)m->timeout_ms);
    struct reply reply = {0};
    int r = exchange(m, q, deadline, arena, &reply, e);
    pthread_mutex_unlock(&m->lock);
    MR_AUTO_FREE char *message = reply.message;
    (void)message; /* clang: not used but freed */
    if (r)
        return r;
    struct mr_onnx_result *o = mr_arena_zalloc(arena, m->schema.n_out * sizeof *o);
    if (!o)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    r = read_reply(m, &reply, arena, o, e);
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
    mr_tensors_put_u32(&request, 0); /* flags */
    int r = mr_onnx_request(&m->schema, data, &request, &run, e);
    if (!r && want_features)
        r = add_features(data, arena, &run, e);
    if (!r)
        r = run_request(m, &(struct ask){.message = &request}, arena, &o, e);
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

int mr_onnx_run(struct mr_onnx *m, const struct mr_tensor *in, size_t n_in, bool alone,
                struct mr_arena *arena, struct mr_onnx_result **ret, size_t *ret_n,
                struct mr_err *e) {
    if (n_in != m->schema.n_in)
        return mr_fail(e, MR_EINVAL, "the model has %u inputs, not %zu", m->schema.n_in, n_in);
    MR_CLEANUP(mr_buf_release) struct mr_buf request;
    mr_buf_init(&request, MR_ONNX_MESSAGE_MAX);
    size_t size = request_bytes(in, n_in);
    if (size < MR_ONNX_SHARED_LEAST || size > MR_ONNX_SHARED_HALF) {
        mr_tensors_put_u32(&request, 0); /* flags */
        mr_tensors_put_u32(&request, m->schema.n_in);
        for (size_t k = 0; k < n_in; k++)
            mr_tensors_put_tensor(&request, &in[k]);
        if (!mr_buf_ok(&request))
            return mr_fail(e, MR_ETOOBIG, "the input is too large for one run");
    }
    struct ask q = {.wide = alone && m->threads > 1, .message = &request, .in = in, .n_in = n_in};
    int r = run_request(m, &q, arena, ret, e);
    if (!r)
        *ret_n = m->schema.n_out;
    return r;
}
