/* What the application may do with a request. */
#include "http/internal.h"

#include "base/clock.h"
#include "base/codec.h"

#include <unistd.h>

static struct exchange *ex_of(const struct mr_req *r) {
    return (struct exchange *)r; /* first member */
}

struct mr_str mr_req_header(const struct mr_req *r, const char *lower_name) {
    const struct exchange *x = ex_of(r);
    const char *base = x->rx + x->msg;
    int i = x->head_done ? mr_hparse_find(&x->parse, base, lower_name, strlen(lower_name)) : -1;
    if (i < 0)
        return mr_strn(NULL, 0);
    const struct mr_hspan *v = &x->parse.headers[i].value;
    return mr_strn(v->n ? base + v->at : "", v->n);
}

bool mr_req_header_next(const struct mr_req *r, uint32_t *at, struct mr_str *ret_name,
                        struct mr_str *ret_value) {
    const struct exchange *x = ex_of(r);
    if (!x->head_done || *at >= x->parse.n_headers)
        return false;
    const char *base = x->rx + x->msg;
    const struct mr_hspan *n = &x->parse.headers[*at].name, *v = &x->parse.headers[*at].value;
    *ret_name = mr_strn(base + n->at, n->n);
    *ret_value = mr_strn(v->n ? base + v->at : "", v->n);
    ++*at;
    return true;
}

static bool same_name(struct mr_req *r, struct mr_str raw, struct mr_str name) {
    if (!memchr(raw.p, '%', raw.n) && !memchr(raw.p, '+', raw.n))
        return mr_str_eq(raw, name);
    char *out = mr_arena_alloc(r->arena, raw.n + 1);
    ptrdiff_t n = out ? mr_percent_decode(raw, true, out) : -1;
    return n >= 0 && mr_str_eq(mr_strn(out, (size_t)n), name);
}

struct mr_str mr_req_query(struct mr_req *r, const char *name) {
    struct mr_str rest = r->query, want = mr_str(name);
    while (rest.p && rest.n) {
        struct mr_str pair = mr_str_cut(&rest, '&');
        struct mr_str key = mr_str_cut(&pair, '=');
        if (!same_name(r, key, want))
            continue;
        if (!pair.p || !pair.n)
            return mr_strn("", 0);
        char *out = mr_arena_alloc(r->arena, pair.n + 1);
        ptrdiff_t n = out ? mr_percent_decode(pair, true, out) : -1;
        if (n < 0) /* a broken escape is taken as it stands, for the schema check to refuse */
            return pair;
        return mr_strn(out, (size_t)n);
    }
    return mr_strn(NULL, 0);
}

struct mr_str mr_req_param(const struct mr_req *r, const char *name) {
    struct mr_str want = mr_str(name);
    for (uint32_t i = 0; i < r->n_param; i++)
        if (mr_str_eq(r->param_name[i], want))
            return r->param[i];
    return mr_strn(NULL, 0);
}

bool mr_req_gone(const struct mr_req *r) {
    return atomic_load_explicit(&ex_of(r)->gone, memory_order_relaxed);
}

struct mr_buf *mr_req_out(struct mr_req *r) {
    struct mr_buf *b = &ex_of(r)->reply_kept;
    mr_buf_clear(b);
    return b;
}

/* A line break in a value would let its author write headers of his own. */
static void add_clean(struct mr_buf *b, struct mr_str s) {
    char *at = mr_buf_reserve(b, s.n);
    if (!at)
        return;
    for (size_t i = 0; i < s.n; i++)
        at[i] = s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == 0 ? ' ' : s.p[i];
    b->n += s.n;
    b->p[b->n] = 0;
}

void mr_req_set_header(struct mr_req *r, const char *name, struct mr_str value) {
    struct mr_buf *b = &ex_of(r)->extra;
    size_t before = b->n;
    add_clean(b, mr_str(name));
    mr_buf_add(b, ": ", 2);
    add_clean(b, value);
    mr_buf_add(b, "\r\n", 2);
    if (!mr_buf_ok(b)) { /* over the cap: this header is left out, whole */
        b->n = before;
        b->fail = 0;
    }
}

static void set_reply(struct exchange *x, int status, const char *content_type) {
    if (x->reply_own.p)
        mr_buf_release(&x->reply_own);
    x->r.status = status;
    x->ctype = content_type;
    x->replied = true;
    if (x->file_fd >= 0)
        close(x->file_fd);
    x->file_fd = -1;
    x->file_left = 0;
    x->has_file = false;
    x->r.handled_ns = mr_mono_ns();
}

void mr_req_reply(struct mr_req *r, int status, const char *content_type, struct mr_str body,
                  bool keep) {
    struct exchange *x = ex_of(r);
    if (x->stream)
        return; /* its head is out */
    if (!keep && body.n) {
        char *copy = mr_arena_strn(&x->arena, body.p, body.n);
        if (!copy) {
            status = 503;
            content_type = "text/plain; charset=utf-8";
            body = MR_LIT("There is no memory for the answer.");
        } else {
            body.p = copy;
        }
    }
    set_reply(x, status, content_type);
    x->reply = body;
    r->reply_len = body.n;
}

void mr_req_reply_buf(struct mr_req *r, int status, const char *content_type, struct mr_buf *b) {
    struct exchange *x = ex_of(r);
    if (x->stream) {
        mr_buf_release(b);
        return;
    }
    if (!mr_buf_ok(b)) {
        mr_buf_release(b);
        mr_req_reply(r, 503, "text/plain; charset=utf-8",
                     MR_LIT("There is no memory for the answer."), true);
        return;
    }
    set_reply(x, status, content_type);
    x->reply_own = *b;
    *b = (struct mr_buf){.max = b->max};
    x->reply = mr_buf_view(&x->reply_own);
    r->reply_len = x->reply.n;
}

static void later_done(void *arg) { /* loop thread */
    struct exchange *x = arg;
    struct conn *c = x->c;
    if (c->doomed || c->hup) {
        c->state = C_READ;
        conn_close(c);
        return;
    }
    if (!x->replied)
        render_error(x, 500, "The request ended without an answer.");
    if (start_reply(c) == GONE)
        conn_close(c);
    else
        conn_run(c);
}

void mr_req_finish(struct mr_req *r) {
    struct exchange *x = ex_of(r);
    if (x->stream) {
        stream_finish(x);
        return;
    }
    x->task = (struct mr_loop_task){NULL, later_done, x};
    mr_loop_post(x->c->l->loop, &x->task);
}
