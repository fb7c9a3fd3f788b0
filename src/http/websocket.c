#include "http/websocket.h"

#include "http/internal.h"

#include "base/alloc.h"
#include "base/codec.h"

#include <openssl/evp.h>
#include <sys/uio.h>
#include <wslay/wslay.h>

#define MIB ((size_t)1 << 20)

struct ws_out {
    struct ws_out *next;
    bool text;
    size_t n;
    char data[];
};

struct mr_ws {
    atomic_uint refs;
    struct mr_ws_config cfg;
    struct mr_loop *loop;
    struct conn *c; /* loop thread only; NULL when gone */
    wslay_event_context_ptr ctx;
    const char *in; /* received, not yet framed */
    size_t in_n;
    bool failed, told; /* told: on_close has run */
    struct mr_loop_task task;
    pthread_mutex_t mu; /* what follows */
    struct ws_out *first, **last;
    int close_code; /* 0: none asked */
    bool posted, closed;
    _Atomic size_t queued;
};

struct mr_ws *mr_ws_ref(struct mr_ws *w) {
    atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
    return w;
}

static void free_queue(struct mr_ws *w) {
    while (w->first) {
        struct ws_out *o = w->first;
        w->first = o->next;
        mr_free(o);
    }
    w->last = &w->first;
}

void mr_ws_unref(struct mr_ws *w) {
    if (!w || atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) != 1)
        return;
    free_queue(w);
    if (w->ctx)
        wslay_event_context_free(w->ctx);
    pthread_mutex_destroy(&w->mu);
    mr_free(w);
}

size_t mr_ws_queued(const struct mr_ws *w) {
    return atomic_load_explicit(&w->queued, memory_order_relaxed);
}

/* ---- any thread: queue and wake the loop ---- */

static void run_queue(void *arg);

static void wake_locked(struct mr_ws *w) {
    if (w->posted)
        return;
    w->posted = true;
    mr_ws_ref(w); /* the task's */
    w->task = (struct mr_loop_task){NULL, run_queue, w};
    mr_loop_post(w->loop, &w->task);
}

int mr_ws_send(struct mr_ws *w, bool text, struct mr_str msg) {
    if (msg.n > w->cfg.queue_max || mr_ws_queued(w) > w->cfg.queue_max - msg.n)
        return MR_ELIMIT;
    struct ws_out *o = mr_malloc(sizeof *o + msg.n);
    if (!o)
        return MR_ENOMEM;
    o->next = NULL;
    o->text = text;
    o->n = msg.n;
    if (msg.n)
        memcpy(o->data, msg.p, msg.n);
    pthread_mutex_lock(&w->mu);
    bool refused = w->closed || w->close_code;
    if (!refused) {
        atomic_fetch_add_explicit(&w->queued, msg.n, memory_order_relaxed);
        *w->last = o;
        w->last = &o->next;
        wake_locked(w);
    }
    pthread_mutex_unlock(&w->mu);
    if (refused)
        mr_free(o);
    return refused ? MR_ECANCELLED : 0;
}

void mr_ws_close(struct mr_ws *w, int code) {
    pthread_mutex_lock(&w->mu);
    if (!w->closed && !w->close_code) {
        w->close_code = code;
        wake_locked(w);
    }
    pthread_mutex_unlock(&w->mu);
}

/* ---- wslay callbacks ---- */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, int flags, void *arg) {
    struct mr_ws *w = arg;
    (void)flags;
    if (!w->in_n) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (n > w->in_n)
        n = w->in_n;
    memcpy(buf, w->in, n);
    w->in += n;
    w->in_n -= n;
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t n, int flags,
                       void *arg) {
    struct mr_ws *w = arg;
    struct iovec iov = {(void *)data, n};
    (void)flags;
    ssize_t k = w->c->writable ? conn_send(w->c, &iov, 1) : MR_TLS_AGAIN;
    if (k > 0) {
        w->c->since_ns = mr_loop_now_ns(w->loop);
        return k;
    }
    if (k == MR_TLS_AGAIN)
        w->c->writable = false;
    else
        w->failed = true;
    wslay_event_set_error(ctx,
                          k == MR_TLS_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_msg(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                   void *arg) {
    struct mr_ws *w = arg;
    (void)ctx;
    if (!wslay_is_ctrl_frame(m->opcode))
        w->cfg.on_message(w->cfg.ctx, w, m->opcode == WSLAY_TEXT_FRAME,
                          mr_strn((const char *)m->msg, m->msg_length));
}

static const struct wslay_event_callbacks callbacks = {
    .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_msg};

/* ---- loop thread ---- */

/* Moves messages into wslay one at a time: its own queue copies and knows no bound. */
static bool feed_one(struct mr_ws *w) {
    pthread_mutex_lock(&w->mu);
    struct ws_out *o = w->first;
    int code = 0;
    if (o) {
        w->first = o->next;
        if (!w->first)
            w->last = &w->first;
    } else {
        code = w->close_code;
    }
    pthread_mutex_unlock(&w->mu);
    if (o) {
        struct wslay_event_msg m = {o->text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME,
                                    (const uint8_t *)o->data, o->n};
        w->failed |= wslay_event_queue_msg(w->ctx, &m) != 0;
        atomic_fetch_sub_explicit(&w->queued, o->n, memory_order_relaxed);
        mr_free(o);
        return true;
    }
    if (code && !wslay_event_get_close_sent(w->ctx) && !wslay_event_want_write(w->ctx) &&
        wslay_event_get_write_enabled(w->ctx))
        return wslay_event_queue_close(w->ctx, (uint16_t)code, NULL, 0) == 0;
    return false;
}

static enum step ws_write(struct mr_ws *w) {
    while (!w->failed) {
        if (!wslay_event_want_write(w->ctx) && !feed_one(w))
            break;
        if (!w->c->writable)
            return WAIT;
        if (wslay_event_send(w->ctx) != 0)
            return GONE;
    }
    if (w->failed)
        return GONE;
    /* both close frames are through, or wslay has given up */
    return !wslay_event_want_read(w->ctx) && !wslay_event_want_write(w->ctx) ? GONE : GO;
}

static enum step ws_take(struct mr_ws *w, const char *p, size_t n) {
    w->in = p;
    w->in_n = n;
    while (w->in_n) {
        size_t before = w->in_n;
        if (wslay_event_recv(w->ctx) != 0)
            return GONE;
        enum step s = ws_write(w); /* pongs and answers leave before more is read */
        if (s == GONE)
            return GONE;
        if (w->in_n == before) /* reading is over: a close frame came */
            return GO;
    }
    return GO;
}

enum step step_ws(struct conn *c) {
    struct mr_ws *w = c->ws;
    enum step s = ws_write(w);
    if (s != GO)
        return s;
    if (!c->readable)
        return c->eof ? GONE : WAIT;
    ssize_t n = conn_recv(c, c->l->scratch, SCRATCH_SIZE);
    if (n == MR_TLS_AGAIN)
        return WAIT;
    if (n <= 0)
        return GONE;
    c->since_ns = mr_loop_now_ns(c->l->loop);
    c->ws_pinged = false;
    return ws_take(w, c->l->scratch, (size_t)n);
}

static void run_queue(void *arg) {
    struct mr_ws *w = arg;
    pthread_mutex_lock(&w->mu);
    w->posted = false;
    pthread_mutex_unlock(&w->mu);
    if (w->c && w->c->state == C_WEBSOCKET)
        conn_run(w->c);
    mr_ws_unref(w);
}

/* The 101 is out: frames from here on. */
enum step ws_begin(struct conn *c, const char *p, size_t n) {
    c->state = C_WEBSOCKET;
    c->since_ns = mr_loop_now_ns(c->l->loop);
    if (c->l->draining)
        mr_ws_close(c->ws, 1001);
    return n ? ws_take(c->ws, p, n) : GO;
}

void ws_end(struct conn *c) {
    struct mr_ws *w = c->ws;
    if (!w)
        return;
    c->ws = NULL;
    w->c = NULL;
    pthread_mutex_lock(&w->mu);
    w->closed = true;
    pthread_mutex_unlock(&w->mu);
    int code = wslay_event_get_status_code_received(w->ctx);
    if (!wslay_event_get_close_received(w->ctx))
        code = wslay_event_get_close_sent(w->ctx) ? wslay_event_get_status_code_sent(w->ctx) : 1006;
    if (code == 0)
        code = 1006;
    if (w->cfg.on_close)
        w->cfg.on_close(w->cfg.ctx, w, code);
    mr_ws_unref(w);
}

/* Nothing came for an idle period: ask once, then give up. */
bool ws_idle(struct conn *c) {
    if (c->ws_pinged || mr_ws_queued(c->ws) || wslay_event_want_write(c->ws->ctx))
        return false;
    struct wslay_event_msg ping = {WSLAY_PING, NULL, 0};
    c->ws_pinged = true;
    c->since_ns = mr_loop_now_ns(c->l->loop);
    return wslay_event_queue_msg(c->ws->ctx, &ping) == 0;
}

/* ---- the upgrade ---- */

static bool listed(struct mr_str list, struct mr_str token) {
    while (list.p && list.n)
        if (mr_str_ieq(mr_str_trim(mr_str_cut(&list, ',')), token))
            return true;
    return false;
}

static bool same_origin(const struct mr_req *r, struct mr_str origin) {
    struct mr_str prefix = r->tls ? MR_LIT("https://") : MR_LIT("http://");
    if (!mr_str_starts(origin, prefix))
        return false;
    return mr_str_ieq(mr_strn(origin.p + prefix.n, origin.n - prefix.n), mr_req_header(r, "host"));
}

static int refuse(struct mr_req *r, int status, const char *detail) {
    render_error((struct exchange *)r, status, detail);
    return status == 403 ? MR_EFORBIDDEN : MR_EINVAL;
}

static int check(struct mr_req *r, const struct mr_ws_config *c, struct mr_str key) {
    struct mr_str origin = mr_req_header(r, "origin");
    struct mr_buf nonce;
    if (r->method != MR_GET || !listed(mr_req_header(r, "connection"), MR_LIT("upgrade")) ||
        !listed(mr_req_header(r, "upgrade"), MR_LIT("websocket"))) {
        mr_req_set_header(r, "Upgrade", MR_LIT("websocket"));
        return refuse(r, 426, "This path speaks WebSocket only.");
    }
    if (!mr_str_is(mr_req_header(r, "sec-websocket-version"), "13")) {
        mr_req_set_header(r, "Sec-WebSocket-Version", MR_LIT("13"));
        return refuse(r, 426, "The only WebSocket version served is 13.");
    }
    mr_buf_init(&nonce, 64);
    bool ok = key.p && key.n == 24 && mr_base64_decode(key, &nonce) && nonce.n == 16;
    mr_buf_release(&nonce);
    if (!ok)
        return refuse(r, 400, "The Sec-WebSocket-Key is malformed.");
    if (r->body_len)
        return refuse(r, 400, "A WebSocket request has no body.");
    if (origin.p && !(c->origin_ok ? c->origin_ok(c->ctx, r, origin) : same_origin(r, origin)))
        return refuse(r, 403, "This origin may not open a WebSocket here.");
    return 0;
}

static void set_accept(struct mr_req *r, struct mr_str key) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    unsigned char text[24 + sizeof guid], digest[EVP_MAX_MD_SIZE], b64[64];
    unsigned n = 0;
    memcpy(text, key.p, 24);
    memcpy(text + 24, guid, sizeof guid - 1);
    if (EVP_Digest(text, 24 + sizeof guid - 1, digest, &n, EVP_sha1(), NULL) != 1)
        n = 0;
    int len = EVP_EncodeBlock(b64, digest, (int)n);
    mr_req_set_header(r, "Sec-WebSocket-Accept", mr_strn((const char *)b64, (size_t)len));
}

int mr_req_websocket(struct mr_req *r, const struct mr_ws_config *cfg, struct mr_ws **ret) {
    struct exchange *x = (struct exchange *)r;
    struct conn *c = x->c;
    struct mr_str key = mr_req_header(r, "sec-websocket-key");
    int rc = check(r, cfg, key);
    if (rc < 0)
        return rc;
    struct mr_ws *w = mr_calloc(1, sizeof *w);
    if (!w || wslay_event_context_server_init(&w->ctx, &callbacks, w) != 0) {
        mr_free(w);
        render_error(x, 503, "There is no memory for a WebSocket.");
        return MR_ENOMEM;
    }
    w->cfg = *cfg;
    w->cfg.message_max = cfg->message_max ? cfg->message_max : MIB;
    w->cfg.queue_max = cfg->queue_max ? cfg->queue_max : MIB;
    wslay_event_config_set_max_recv_msg_length(w->ctx, w->cfg.message_max);
    atomic_init(&w->refs, 1);
    pthread_mutex_init(&w->mu, NULL);
    w->last = &w->first;
    w->loop = c->l->loop;
    w->c = c;
    c->ws = w;
    set_accept(r, key);
    mr_req_reply(r, 101, NULL, mr_strn("", 0), true);
    *ret = w;
    return 0;
}
