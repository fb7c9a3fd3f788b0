/* From a parsed head to struct mr_req, the route and the application's on_head. */
#include "http/internal.h"

#include "base/codec.h"

#include <stdio.h>

static uint64_t next_random(uint64_t *s) { /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = (*s += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void hex16(uint64_t v, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 15; i >= 0; i--, v >>= 4)
        out[i] = digits[v & 15];
}

/* 1-63 characters of [A-Za-z0-9._-] */
static bool id_ok(struct mr_str s) {
    if (!s.n || s.n > 63)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static void set_id(struct exchange *x, struct mr_str asked) {
    struct hloop *l = x->c->l;
    if (id_ok(asked)) {
        memcpy(x->r.id, asked.p, asked.n);
        x->r.id[asked.n] = 0;
        return;
    }
    memcpy(x->r.id, "req-", 4);
    hex16(l->id_hi, x->r.id + 4);
    hex16(next_random(&l->rng), x->r.id + 20);
    x->r.id[36] = 0;
}

/* Everything that does not come from the head. */
void fill_basics(struct exchange *x) {
    struct mr_req *r = &x->r;
    struct conn *c = x->c;
    r->arena = &x->arena;
    r->method = MR_METHOD_OTHER;
    r->target = r->path = r->query = r->body = mr_strn("", 0);
    r->route = NULL;
    r->n_param = 0;
    r->body_len = 0;
    r->content_length = -1;
    r->body_err.code = 0;
    r->body_err.field[0] = r->body_err.msg[0] = 0;
    memcpy(r->peer, c->peer, sizeof r->peer);
    r->peer_loopback = c->peer_loopback;
    r->listener_loopback = c->listener_loopback;
    r->tls = c->tls != NULL;
    r->local_port = c->local_port;
    r->listener = c->listener;
    r->body_max = c->l->s->cfg.limits.body_max;
    r->sink = (struct mr_body_sink){NULL, NULL};
    r->app = NULL;
    r->via_proxy = false;
    r->allow = 0;
    r->status = 0;
    r->reply_len = 0;
    r->handled_ns = r->sent_ns = 0;
    r->client_gone = false;
    x->file_fd = -1;
    set_id(x, mr_strn(NULL, 0));
}

static int collapse(struct exchange *x, struct mr_str *path) {
    const char *two = memmem(path->p, path->n, "//", 2);
    if (!two)
        return 0;
    char *out = mr_arena_alloc(&x->arena, path->n);
    if (!out)
        return MR_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < path->n; i++)
        if (path->p[i] != '/' || !n || out[n - 1] != '/')
            out[n++] = path->p[i];
    *path = mr_strn(out, n);
    return 0;
}

/* Origin form, absolute form (RFC 9112 3.2.2) and "*". */
static int split_target(struct exchange *x) {
    struct mr_req *r = &x->r;
    struct mr_str rest = r->target;
    if (!rest.n)
        return MR_EINVAL;
    if (rest.p[0] != '/' && rest.p[0] != '*') {
        struct mr_str scheme = rest.n > 7 ? mr_strn(rest.p, 7) : mr_strn("", 0);
        size_t skip = mr_str_ieq(scheme, MR_LIT("http://"))                                     ? 7
                      : mr_str_ieq(scheme, MR_LIT("https:/")) && rest.n > 8 && rest.p[7] == '/' ? 8
                                                                                                : 0;
        if (!skip)
            return MR_EINVAL;
        const char *end = rest.p + rest.n, *p = rest.p + skip;
        while (p < end && *p != '/' && *p != '?')
            p++;
        if (p == end || *p == '?') {
            r->path = MR_LIT("/");
            r->query = p == end ? mr_strn("", 0) : mr_strn(p + 1, (size_t)(end - p - 1));
            return 0;
        }
        rest = mr_strn(p, (size_t)(end - p));
    }
    if (memchr(rest.p, '#', rest.n))
        return MR_EINVAL;
    const char *q = memchr(rest.p, '?', rest.n);
    r->path = mr_strn(rest.p, q ? (size_t)(q - rest.p) : rest.n);
    r->query = q ? mr_strn(q + 1, (size_t)(rest.p + rest.n - q - 1)) : mr_strn("", 0);
    return collapse(x, &r->path);
}

int fill_request(struct exchange *x) {
    struct mr_req *r = &x->r;
    const struct mr_hparse *p = &x->parse;
    const char *base = x->rx + x->msg;
    fill_basics(x);
    r->method = mr_hparse_method(p);
    r->target = mr_strn(base + p->target.at, p->target.n);
    r->content_length = p->content_length;
    if (p->head_done && p->request_id >= 0) {
        const struct mr_hspan *v = &p->headers[p->request_id].value;
        set_id(x, mr_strn(base + v->at, v->n));
    }
    int rc = split_target(x);
    if (rc < 0) {
        r->path = MR_LIT("/");
        r->query = mr_strn("", 0);
    }
    return rc;
}

/* Escaped NULs and broken escapes are refused here, so handlers see clean text. */
static int decode_params(struct exchange *x, const struct mr_match *m) {
    struct mr_req *r = &x->r;
    for (uint32_t i = 0; i < m->n_param; i++) {
        r->param_name[i] = m->name[i];
        r->param[i] = m->raw[i];
        if (memchr(m->raw[i].p, '%', m->raw[i].n)) {
            char *out = mr_arena_alloc(&x->arena, m->raw[i].n + 1);
            if (!out)
                return MR_ENOMEM;
            ptrdiff_t n = mr_percent_decode(m->raw[i], false, out);
            if (n < 0)
                return MR_EINVAL;
            r->param[i] = mr_strn(out, (size_t)n);
        }
    }
    r->n_param = m->n_param;
    return 0;
}

/* The application renders; if it does not, a plain answer goes out. */
void render_error(struct exchange *x, int status, const char *detail) {
    const struct mr_http_app *app = &x->c->l->s->cfg.app;
    x->replied = false;
    if (app->render_error)
        app->render_error(app->ctx, &x->r, status, detail);
    if (!x->replied)
        mr_req_reply(&x->r, status, "text/plain; charset=utf-8", mr_str(detail), false);
}

static void find_route(struct exchange *x) {
    struct mr_match m;
    mr_router_find(x->c->l->s->router, x->r.method, x->r.path, &m);
    if (!m.route && m.allow) {
        char allow[64];
        x->r.allow = m.allow;
        mr_allow_text(m.allow, allow, sizeof allow);
        mr_req_set_header(&x->r, "Allow", mr_str(allow));
        render_error(x, 405, "This path does not serve this method.");
        return;
    }
    if (!m.route) {
        render_error(x, 404, "There is nothing at this path.");
        return;
    }
    int rc = decode_params(x, &m);
    if (rc < 0) {
        render_error(x, rc == MR_ENOMEM ? 503 : 400, "The path holds a malformed escape.");
        return;
    }
    x->r.route = m.route;
}

int exchange_on_head(void *ctx) {
    struct exchange *x = ctx;
    struct mr_http_server *s = x->c->l->s;
    struct mr_req *r = &x->r;
    count(&x->c->l->n.requests, 1);
    x->head_done = true;
    int rc = fill_request(x);
    x->send_continue = x->parse.expect_continue && (x->parse.chunked || r->content_length > 0);
    if (rc < 0)
        render_error(x, 400, "The request target is malformed.");
    else
        find_route(x);
    if (!x->replied && s->cfg.app.on_head) {
        enum mr_http_step step = s->cfg.app.on_head(s->cfg.app.ctx, r);
        if (step != MR_HTTP_NEXT && !x->replied)
            render_error(x, 500, "The request ended without an answer.");
    }
    if (!x->replied && r->content_length > 0 && (uint64_t)r->content_length > r->body_max)
        render_error(x, 413, "The request body is too large.");
    if (!x->replied && r->sink.write && sink_begin(x) < 0)
        render_error(x, 503, "There is no memory to receive the body.");
    x->early = x->replied;
    struct conn *c = x->c;
    c->window_ns = mr_loop_now_ns(c->l->loop);
    c->window_bytes = 0;
    return 0;
}
