/* A connection's life: events, the step loop, deadlines, the end. */
#include "http/internal.h"

#include "base/alloc.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEPS_MAX 128            /* then other connections get their turn */
#define QUIET_NS  (2000 * NS_MS) /* lingering ends when nothing comes for this long */

ssize_t conn_recv(struct conn *c, void *p, size_t n) {
    ssize_t k;
    if (c->tls) {
        k = mr_tls_read(c->tls, p, n);
    } else {
        do
            k = recv(c->fd, p, n, 0);
        while (k < 0 && errno == EINTR);
        if (k < 0)
            k = errno == EAGAIN ? MR_TLS_AGAIN : MR_EIO;
        /* edge-triggered: a short read means that the socket is empty, unless its end is near */
        if (k > 0 && (size_t)k < n && !c->eof)
            c->readable = false;
    }
    if (k == MR_TLS_AGAIN)
        c->readable = false;
    else if (k > 0)
        count(&c->l->n.in, (uint64_t)k);
    else
        c->eof = true;
    return k;
}

static enum step step_handshake(struct conn *c) {
    int rc = mr_tls_handshake(c->tls);
    if (rc == MR_TLS_AGAIN)
        return WAIT;
    if (rc < 0)
        return GONE;
    c->state = C_READ;
    return GO;
}

static enum step step_linger(struct conn *c) {
    if (!c->readable)
        return c->eof ? GONE : WAIT;
    ssize_t n = c->tls ? recv(c->fd, c->l->scratch, SCRATCH_SIZE, 0)
                       : conn_recv(c, c->l->scratch, SCRATCH_SIZE);
    if (c->tls && n < 0 && errno == EAGAIN) {
        c->readable = false;
        return WAIT;
    }
    if (n == MR_TLS_AGAIN)
        return WAIT;
    if (n <= 0)
        return GONE;
    c->lingered += (size_t)n;
    c->since_ns = mr_loop_now_ns(c->l->loop);
    return c->lingered > c->l->s->cfg.limits.linger_max ? GONE : GO;
}

static enum step one_step(struct conn *c) {
    switch (c->state) {
    case C_HANDSHAKE:
        return step_handshake(c);
    case C_READ:
        if (c->l->draining && !c->ex)
            return GONE;
        return step_read(c);
    case C_WRITE:
        return c->writable ? step_write(c) : WAIT;
    case C_STREAM:
        return step_stream(c);
    case C_LINGER:
        return step_linger(c);
    case C_WEBSOCKET:
        return step_ws(c);
    default:
        return WAIT;
    }
}

void conn_run(struct conn *c) {
    for (int i = 0; i < STEPS_MAX; i++) {
        enum step s = c->hup && c->state != C_BUSY ? GONE : one_step(c);
        if (s == GONE) {
            conn_close(c);
            return;
        }
        if (s == WAIT) {
            set_deadline(c);
            return;
        }
    }
    set_deadline(c);
    if (!c->queued) {
        c->queued = true;
        mr_loop_post(c->l->loop, &c->again);
    }
}

static void run_again(void *arg) {
    struct conn *c = arg;
    c->queued = false;
    if (c->state == C_CLOSED)
        mr_free(c);
    else
        conn_run(c);
}

void conn_event(void *arg, uint32_t events) {
    struct conn *c = arg;
    pacer_event(c->l);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    if (events & EPOLLOUT)
        c->writable = true;
    if (events & EPOLLRDHUP)
        c->eof = true;
    if (events & (EPOLLHUP | EPOLLERR))
        c->hup = true;
    if ((c->eof || c->hup) && c->ex)
        atomic_store_explicit(&c->ex->gone, true, memory_order_relaxed);
    conn_run(c);
}

/* ---- deadlines ---- */

static int64_t deadline(struct conn *c) {
    const struct mr_http_limits *lim = &c->l->s->cfg.limits;
    const struct exchange *x = c->ex;
    switch (c->state) {
    case C_HANDSHAKE:
        return c->since_ns + lim->head_ms * NS_MS;
    case C_READ:
        if (!x)
            return c->since_ns + (c->fresh ? lim->head_ms : lim->idle_ms) * NS_MS;
        if (!x->head_done)
            return x->r.start_ns + lim->head_ms * NS_MS;
        return c->window_ns + lim->body_window_ms * NS_MS; /* bytes do not move it */
    case C_WRITE:
        return c->since_ns + lim->write_ms * NS_MS;
    case C_STREAM:
        return stream_blocked(c) ? c->since_ns + lim->write_ms * NS_MS : INT64_MAX;
    case C_WEBSOCKET:
        return c->since_ns + (c->writable ? lim->idle_ms : lim->write_ms) * NS_MS;
    case C_LINGER: {
        int64_t end = c->busy_ns + lim->linger_ms * NS_MS;
        return end < c->since_ns + QUIET_NS ? end : c->since_ns + QUIET_NS;
    }
    default:
        return INT64_MAX;
    }
}

/* The timer is moved only when the deadline comes nearer; when it fires early it is set again. So
 * a keep-alive request touches no heap. */
void set_deadline(struct conn *c) {
    c->deadline_ns = deadline(c);
    if (c->deadline_ns == INT64_MAX)
        return;
    if (!c->timer.heap_index || c->timer.at_ns > c->deadline_ns)
        (void)mr_loop_timer_set(c->l->loop, &c->timer, c->deadline_ns);
}

static bool body_too_slow(struct conn *c) {
    const struct mr_http_limits *lim = &c->l->s->cfg.limits;
    int64_t now = mr_loop_now_ns(c->l->loop), span = lim->body_window_ms * NS_MS;
    if (now - c->window_ns < span)
        return false;
    uint64_t want = (uint64_t)lim->body_min_rate * (uint64_t)lim->body_window_ms / 1000;
    if (c->window_bytes < want)
        return true;
    c->window_ns = now;
    c->window_bytes = 0;
    return false;
}

static void too_slow(struct conn *c, const char *detail) {
    struct exchange *x = c->ex;
    x->close = x->early = true;
    if (x->logged) {
        conn_close(c);
        return;
    }
    if (!x->head_done)
        fill_basics(x);
    render_error(x, 408, detail);
    if (start_reply(c) == GONE)
        conn_close(c);
    else
        conn_run(c);
}

void conn_timeout(void *arg) {
    struct conn *c = arg;
    if (c->state == C_BUSY)
        return; /* set again when the connection is ours again */
    if (mr_loop_now_ns(c->l->loop) < c->deadline_ns) {
        (void)mr_loop_timer_set(c->l->loop, &c->timer, c->deadline_ns);
        return;
    }
    if (c->state == C_READ && c->ex && c->ex->head_done) {
        if (body_too_slow(c))
            too_slow(c, "The request body came too slowly.");
        else
            set_deadline(c);
        return;
    }
    if (c->state == C_WEBSOCKET && ws_idle(c))
        conn_run(c);
    else if (c->state == C_READ && c->ex)
        too_slow(c, "The request's head did not arrive in time.");
    else
        conn_close(c);
}

/* ---- begin and end ---- */

struct conn *conn_new(struct hloop *l, int fd) {
    struct conn *c = mr_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->l = l;
    c->fd = fd;
    c->fresh = c->writable = true;
    c->since_ns = mr_loop_now_ns(l->loop);
    c->timer = (struct mr_timer){.fn = conn_timeout, .arg = c};
    c->again = (struct mr_loop_task){NULL, run_again, c};
    if (l->s->tls) {
        c->tls = mr_tls_new(l->s->tls, fd);
        c->state = C_HANDSHAKE;
    } else {
        c->state = C_READ;
    }
    if ((l->s->tls && !c->tls) ||
        mr_loop_add(l->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, conn_event, c, &c->io,
                    NULL) < 0) {
        mr_tls_free(c->tls);
        mr_free(c);
        return NULL;
    }
    c->next = l->conns.next;
    c->prev = &l->conns;
    c->next->prev = c;
    l->conns.next = c;
    l->n_conns++;
    atomic_store_explicit(&l->n.open, l->n_conns, memory_order_relaxed);
    return c;
}

void conn_close(struct conn *c) {
    struct hloop *l = c->l;
    if (c->state == C_CLOSED)
        return;
    if (c->state == C_BUSY) { /* its owner brings it back */
        c->doomed = true;
        if (c->ex)
            atomic_store_explicit(&c->ex->gone, true, memory_order_relaxed);
        return;
    }
    if (c->state == C_STREAM && c->ex->stream && stream_lost(c))
        return; /* as C_BUSY now */
    if (c->ex) {
        stream_free(c->ex);
        c->ex->r.client_gone = true;
        log_request(c->ex);
        ex_give(c->ex);
    }
    ws_end(c);
    c->state = C_CLOSED;
    mr_loop_timer_cancel(l->loop, &c->timer);
    mr_loop_del(c->io);
    if (c->tls) {
        mr_tls_shutdown(c->tls);
        mr_tls_free(c->tls);
    }
    close(c->fd);
    c->prev->next = c->next;
    c->next->prev = c->prev;
    l->n_conns--;
    atomic_store_explicit(&l->n.open, l->n_conns, memory_order_relaxed);
    atomic_fetch_sub_explicit(&l->s->conns_open, 1, memory_order_relaxed);
    if (c->counted)
        ip_release(l->s->ips, c->addr_key);
    if (!c->queued)
        mr_free(c);
    if (l->draining && !l->n_conns)
        mr_loop_stop(l->loop);
}
