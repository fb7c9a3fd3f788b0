/* POST /api/task: answers when the task has ended, without holding a thread, or streams. */
#include "api/tasks/gen_tasks.h"
#include "api/tasks/tasks.h"
#include "base/hash.h"
#include "core/tasks/tasks.h"
#include "wire/sse.h"

/* A request whose answer comes later; in the request's arena. */
struct waiting {
    struct mr_call *c;
    bool stream;
    bool lost; /* the client is gone or reads too slowly: nothing more is written */
};

static void answer(struct mr_buf *b, const struct mr_task_info *k) {
    mr_buf_char(b, '{');
    mr_json_i64(b, "task_id", k->id);
    mr_json_str(b, "response", k->output);
    mr_json_i64(b, "tokens_used", k->tokens);
    mr_tasks_money(b, "cost", k->cost_nano);
    mr_json_str(b, "provider", k->provider);
    mr_json_str(b, "model", k->model);
    mr_buf_char(b, '}');
}

/* --- streams ------------------------------------------------------------------------------ */

static bool begin_stream(struct waiting *w) {
    struct mr_req *r = w->c->req;
    if (mr_req_streaming(r))
        return true;
    mr_req_set_header(r, "Cache-Control", MR_LIT("no-store"));
    w->lost = mr_req_stream_start(r, 200, "text/event-stream") != 0;
    return !w->lost;
}

/* One event; false: the client does not get it. */
static bool event(struct waiting *w, struct mr_buf *json) {
    struct mr_buf out;
    mr_buf_init(&out, MR_STREAM_WRITE_MAX);
    mr_sse_data(&out, mr_buf_view(json));
    if (!mr_buf_ok(json) || !mr_buf_ok(&out) || !begin_stream(w) ||
        mr_req_stream_write(w->c->req, mr_buf_view(&out)) < 0)
        w->lost = true;
    mr_buf_release(&out);
    return !w->lost;
}

static int on_delta(void *arg, int64_t task, struct mr_str text) {
    struct waiting *w = arg;
    struct mr_buf b;
    if (w->lost)
        return 1;
    mr_buf_init(&b, MR_STREAM_WRITE_MAX);
    mr_buf_char(&b, '{');
    mr_json_i64(&b, "task_id", task);
    mr_json_str(&b, "delta", text);
    mr_buf_char(&b, '}');
    bool ok = event(w, &b);
    mr_buf_release(&b);
    return !ok;
}

/* The last events. A stream that lost something ends without its last chunk, so that the client
 * sees it. */
static void end_stream(struct waiting *w, const struct mr_task_info *k, const struct mr_err *e) {
    struct mr_buf b;
    mr_buf_init(&b, MR_STREAM_WRITE_MAX);
    if (e) {
        mr_buf_char(&b, '{');
        if (k)
            mr_json_i64(&b, "task_id", k->id);
        mr_json_cstr(&b, "error", e->msg);
        mr_buf_char(&b, '}');
    } else
        answer(&b, k);
    if (!w->lost && event(w, &b) && mr_req_stream_write(w->c->req, MR_LIT("data: [DONE]\n\n")) < 0)
        w->lost = true;
    if (w->lost && mr_req_streaming(w->c->req))
        mr_req_stream_abort(w->c->req);
    mr_buf_release(&b);
}

/* --- both --------------------------------------------------------------------------------- */

static void tell_task(struct mr_req *r, const struct mr_task_info *k) {
    char id[24];
    int n = snprintf(id, sizeof id, "%lld", (long long)k->id);
    mr_req_set_header(r, "X-Task-Id", mr_strn(id, (size_t)n));
    if (k->retry_after_ms) {
        n = snprintf(id, sizeof id, "%lld", (long long)(k->retry_after_ms + 999) / 1000);
        mr_req_set_header(r, "Retry-After", mr_strn(id, (size_t)n));
    }
}

static void done(void *arg, const struct mr_task_info *k, const struct mr_err *e) {
    struct waiting *w = arg;
    struct mr_call *c = w->c;
    struct mr_err err;
    if (w->stream && (mr_req_streaming(c->req) || !e)) {
        end_stream(w, k, e);
        if (!mr_req_streaming(c->req)) {
            mr_fail(&err, MR_ENOMEM, "out of memory");
            e = &err;
        } else
            e = NULL;
        mr_call_finish(c, e);
        return;
    }
    if (e && k)
        tell_task(c->req, k);
    if (!e) {
        struct mr_buf b;
        mr_call_buf(c, &b);
        answer(&b, k);
        if (mr_call_json(c, 200, &b, &err))
            e = &err;
    }
    mr_call_finish(c, e);
}

/* Text or a number, as text; p == NULL: none. */
static struct mr_str end_user(struct mr_call *c) {
    const struct mr_value *v = mr_call_value(c, "user_id");
    if (v->present && !v->s.p) {
        char *p = mr_arena_fmt(c->req->arena, "%lld", (long long)v->i);
        return mr_str(p);
    }
    return v->s.n ? v->s : mr_strn(NULL, 0);
}

int mr_tasks_create(struct mr_call *c, struct mr_err *e) {
    if (c->on_loop && !mr_ledger_warm(c->core->ledger, &c->who))
        return MR_CALL_POOL;
    struct waiting *w = mr_arena_zalloc(c->req->arena, sizeof *w);
    if (!w)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    w->c = c;
    w->stream = mr_call_value(c, "stream")->i != 0;
    struct mr_task_request q = {.who = c->who,
                                .provider = mr_call_str(c, "provider"),
                                .model = mr_call_str(c, "model"),
                                .prompt = mr_call_str(c, "prompt"),
                                .end_user = end_user(c),
                                .idempotency_key = mr_call_str(c, "Idempotency-Key"),
                                .max_tokens = mr_call_i64(c, "max_tokens", 0),
                                .on_delta = w->stream ? on_delta : NULL,
                                .done = done,
                                .arg = w};
    if (q.idempotency_key.p)
        mr_sha256(c->req->body, q.body_hash);
    int rc = mr_task_create(c->core->tasks, &q, e);
    return rc ? rc : MR_CALL_LATER;
}
