/* Reading: from the socket through the parser into the body's place. */
#include "http/internal.h"

#include "base/alloc.h"

/* ---- where body bytes go ---- */

static int refuse_body(struct exchange *x) {
    render_error(x, 413, "The request body is too large.");
    x->early = true;
    return 0;
}

/* A body of known length that fits behind the head stays where it was received. */
static bool fits_in_place(const struct exchange *x, const char *p) {
    if (x->parse.chunked || p < x->rx || p >= x->rx + x->rx_cap)
        return false;
    size_t at = (size_t)(p - x->rx);
    return x->parse.content_length >= 0 &&
           (uint64_t)x->parse.content_length <= (uint64_t)(x->rx_cap - at);
}

static int buffer_body(struct exchange *x, const char *p, size_t n) {
    struct mr_req *r = &x->r;
    if (!x->body_started) {
        x->body_started = true;
        x->spilled = !fits_in_place(x, p);
        if (!x->spilled)
            r->body = mr_strn(p, 0);
    }
    if (!x->spilled) {
        r->body.n += n;
        return 0;
    }
    mr_buf_add(&x->body, p, n);
    if (!mr_buf_ok(&x->body)) {
        render_error(x, 503, "There is no memory for the request body.");
        x->early = x->close = true;
    }
    return 0;
}

static int on_body(void *ctx, const char *p, size_t n) {
    struct exchange *x = ctx;
    struct mr_req *r = &x->r;
    x->c->window_bytes += n;
    x->send_continue = false; /* the client did not wait */
    if (x->early) {
        x->discarded += n;
        return x->discarded > x->c->l->s->cfg.limits.discard_max;
    }
    if (n > r->body_max || r->body_len > r->body_max - n) {
        x->discarded = n;
        return refuse_body(x);
    }
    r->body_len += n;
    if (!r->sink.write)
        return buffer_body(x, p, n);
    memcpy(x->sink_buf + x->sink_n, p, n);
    x->sink_n += n;
    return 0;
}

/* ---- buffers ---- */

/* Room behind `end` for more of the head: compacts, then grows to the cap. */
static bool head_room(struct exchange *x) {
    if (x->msg > 0) {
        memmove(x->rx, x->rx + x->msg, x->end - x->msg);
        x->pos -= x->msg;
        x->end -= x->msg;
        x->msg = 0;
    }
    if (x->end < x->rx_cap)
        return true;
    size_t cap = x->c->l->s->cfg.limits.head_max + 1;
    if (cap <= x->rx_cap)
        return false;
    char *rx = mr_realloc(x->rx, cap);
    if (!rx)
        return false;
    x->rx = rx;
    x->rx_cap = cap;
    return true;
}

/* Where the next bytes are received. *ret_rx says whether it is the exchange's own buffer. */
static char *target(struct exchange *x, size_t *ret_n, bool *ret_rx) {
    bool in_place = x->head_done && x->body_started && !x->spilled && !x->early;
    *ret_rx = !x->head_done || in_place;
    if (!*ret_rx) {
        *ret_n = SCRATCH_SIZE;
        return x->c->l->scratch;
    }
    if (x->end == x->rx_cap && (in_place || !head_room(x)))
        return NULL;
    *ret_n = x->rx_cap - x->end;
    return x->rx + x->end;
}

/* ---- parsing ---- */

static enum step protocol_error(struct conn *c) {
    struct exchange *x = c->ex;
    count(&c->l->n.parse_errors, 1);
    x->close = true;
    if (x->logged) /* the reply is out already: nothing more to say */
        return linger(c);
    if (!x->head_done) {
        bool whole = x->parse.n_headers > 0; /* then the target is complete */
        if (whole)
            (void)fill_request(x);
        else
            fill_basics(x);
    }
    x->early = true;
    render_error(x, x->parse.status, x->parse.detail);
    return start_reply(c);
}

static enum step after_feed(struct conn *c, enum mr_hparse_rc rc) {
    struct exchange *x = c->ex;
    switch (rc) {
    case MR_HPARSE_ERROR:
        return protocol_error(c);
    case MR_HPARSE_STOP: /* more than discard_max after an early answer */
        x->close = true;
        return x->logged ? linger(c) : start_reply(c);
    case MR_HPARSE_DONE:
        x->body_done = true;
        if (x->logged) {
            ex_next(c);
            return GO;
        }
        if (x->early)
            return start_reply(c);
        return request_ready(c);
    default:
        break;
    }
    if (x->early && !x->logged)
        return start_reply(c); /* answered before the end of the body; the rest comes later */
    if (x->send_continue)
        send_continue(c);
    return GO;
}

static enum step feed(struct conn *c, char *p, size_t n, bool own) {
    struct exchange *x = c->ex;
    size_t used = 0;
    x->parse.on_body = on_body;
    enum mr_hparse_rc rc = mr_hparse_feed(&x->parse, x->rx + x->msg, p, n, &used);
    if (own)
        x->pos += used;
    else if (rc == MR_HPARSE_DONE && used < n) {
        /* the next request begins in the loop's buffer, while this one's head is in rx */
        mr_buf_clear(&x->next);
        mr_buf_add(&x->next, p + used, n - used);
        if (!mr_buf_ok(&x->next))
            return GONE;
    }
    return after_feed(c, rc);
}

enum step step_read(struct conn *c) {
    struct exchange *x = c->ex;
    if (x && x->pos < x->end)
        return feed(c, x->rx + x->pos, x->end - x->pos, true);
    if (x && x->r.sink.write && x->head_done && !x->early && x->sink_n) {
        /* hand over when full, or when the socket has nothing more for now */
        if (x->sink_n > SINK_SIZE - SCRATCH_SIZE || !c->readable)
            return sink_flush(c);
    }
    if (!c->readable)
        return c->eof ? GONE : WAIT;
    if (!x && !(x = ex_take(c)))
        return GONE;
    size_t room;
    bool own;
    char *p = target(x, &room, &own);
    if (!p)
        return GONE; /* cannot happen: the parser refuses a head over its cap first */
    ssize_t n = conn_recv(c, p, room);
    if (n == MR_TLS_AGAIN) {
        if (!x->head_done && x->end == 0) {
            ex_give(x);
            return WAIT;
        }
        return x->sink_n ? GO : WAIT;
    }
    if (n <= 0)
        return GONE;
    if (own)
        x->end += (size_t)n;
    return feed(c, p, (size_t)n, own);
}

/* ---- the request is whole ---- */

enum step request_ready(struct conn *c) {
    struct exchange *x = c->ex;
    const struct mr_http_app *app = &c->l->s->cfg.app;
    if (x->sink_n)
        return sink_flush(c); /* comes back here */
    if (x->spilled)
        x->r.body = mr_buf_view(&x->body);
    c->state = C_BUSY;
    c->busy_ns = mr_loop_now_ns(c->l->loop);
    enum mr_http_step step = app->on_request(app->ctx, &x->r);
    if (step == MR_HTTP_LATER)
        return WAIT;
    if (!x->replied)
        render_error(x, 500, "The request ended without an answer.");
    return start_reply(c);
}

void log_request(struct exchange *x) {
    if (x->logged)
        return;
    x->logged = true;
    const struct mr_http_app *app = &x->c->l->s->cfg.app;
    if (x->head_done && app->on_log)
        app->on_log(app->ctx, &x->r);
}
