/* A small HTTP/1.1 client for plain http to addresses: model servers on the same host or network
 * answer in a fraction of a millisecond, where libcurl's share of the CPU shows. One request a
 * connection at a time, the latest used one first; a reply is read into one buffer that all
 * connections share and passed on from there.
 *
 * A request goes out a second time only when the kernel took none of it: a kept connection that
 * the server closed meanwhile. Once a byte may have left, it may be billed. */
#include "http/upstream_plain.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- connections ---- */

/* A place is free: whoever waits gets it, from the loop and not from inside of somebody's end. */
static void wake_waiter(struct plain_host *h) {
    if (!h->first || h->pump_posted)
        return;
    h->pump_posted = true;
    mr_loop_post(h->u->loop, &h->pump);
}

static void unlink_idle(struct plain_conn *k) {
    struct plain_host *h = k->host;
    *(k->newer ? &k->newer->older : &h->newest) = k->older;
    *(k->older ? &k->older->newer : &h->oldest) = k->newer;
    k->newer = k->older = NULL;
}

/* Not linked any more. */
static void drop(struct plain_conn *k) {
    struct plain_host *h = k->host;
    mr_loop_del(k->io);
    if (k->fd >= 0)
        close(k->fd);
    h->n_conn--;
    mr_free(k);
    wake_waiter(h);
}

static bool too_old(const struct plain_conn *k, int64_t now) {
    return now - k->idle_since_ns > UPSTREAM_AGE_S * INT64_C(1000000000);
}

static void keep(struct plain_conn *k) {
    struct plain_host *h = k->host;
    k->call = NULL;
    k->idle_since_ns = mr_loop_now_ns(h->u->loop);
    k->newer = NULL;
    k->older = h->newest;
    *(h->newest ? &h->newest->newer : &h->oldest) = k;
    h->newest = k;
    if (too_old(h->oldest, k->idle_since_ns)) {
        struct plain_conn *old = h->oldest;
        unlink_idle(old);
        drop(old);
    }
    wake_waiter(h);
}

/* Open and silent: whatever came unasked would be taken for the next answer. */
static bool alive(const struct plain_conn *k) {
    char c;
    return recv(k->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

static struct plain_conn *take_idle(struct plain_host *h) {
    int64_t now = mr_loop_now_ns(h->u->loop);
    while (h->newest) {
        struct plain_conn *k = h->newest;
        unlink_idle(k);
        if (!too_old(k, now) && alive(k)) {
            k->reused = true;
            return k;
        }
        drop(k);
    }
    return NULL;
}

/* ---- the call leaves its connection ---- */

static void stop_waiting(struct upstream_call *c) {
    struct plain_host *h = c->host;
    *(c->wait_prev ? &c->wait_prev->wait_next : &h->first) = c->wait_next;
    *(c->wait_next ? &c->wait_next->wait_prev : &h->last) = c->wait_prev;
    c->wait_prev = c->wait_next = NULL;
    c->waiting = false;
}

bool mr_upstream_leave_plain(struct upstream_call *c) {
    if (c->waiting)
        stop_waiting(c);
    if (c->conn) { /* amid something: of no more use */
        c->status = c->conn->parse.status;
        drop(c->conn);
    }
    c->conn = NULL;
    return c->out_at > 0;
}

static void fail_errno(struct upstream_call *c, const char *what, int code) {
    char why[200], buf[100];
    snprintf(why, sizeof why, "%s: %s", what, strerror_r(code, buf, sizeof buf));
    mr_upstream_finish(c, MR_EIO, why);
}

/* ---- sending ---- */

/* Cuts `skip` bytes off the front. */
static size_t pieces(struct iovec *v, size_t n, size_t skip) {
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (skip >= v[i].iov_len) {
            skip -= v[i].iov_len;
            continue;
        }
        v[used++] = (struct iovec){(char *)v[i].iov_base + skip, v[i].iov_len - skip};
        skip = 0;
    }
    return used;
}

static bool has_body(const struct upstream_call *c) {
    return c->body.n || strcmp(c->method, "GET") != 0;
}

/* 0: all is out, or the rest goes out later. -1: the connection takes no more. */
static int send_out(struct plain_conn *k) {
    struct upstream_call *c = k->call;
    char length[48] = "\r\n";
    int n = 2;
    if (has_body(c))
        n = snprintf(length, sizeof length, "content-length: %zu\r\n\r\n", c->body.n);
    c->out_total = c->wire.n + (size_t)n + c->body.n;
    while (c->out_at < c->out_total) {
        struct iovec v[] = {{c->wire.p, c->wire.n}, {length, (size_t)n}, {c->body.p, c->body.n}};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = pieces(v, 3, c->out_at)};
        ssize_t done = sendmsg(k->fd, &m, MSG_NOSIGNAL);
        if (done > 0) {
            c->out_at += (size_t)done;
            continue;
        }
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno != EAGAIN)
            return -1;
        return mr_loop_set(k->io, EPOLLIN | EPOLLOUT);
    }
    return mr_loop_set(k->io, EPOLLIN);
}

static void begin_sending(struct plain_conn *k) {
    struct upstream_call *c = k->call;
    c->tries++;
    c->connect_by_ns = 0;
    if (send_out(k) == 0)
        return;
    if (c->out_at) {
        k->unsendable = true; /* what it answered before it closed is still to be read */
        if (mr_loop_set(k->io, EPOLLIN) < 0)
            mr_upstream_finish(c, MR_EIO, "the connection was closed amid the request");
        return;
    }
    if (!k->reused) {
        fail_errno(c, "cannot send", errno);
        return;
    }
    c->conn = NULL; /* closed meanwhile, and nothing went out */
    drop(k);
    mr_upstream_begin_plain(c);
}

/* ---- what comes back ---- */

static void on_header(void *arg, struct mr_str name, struct mr_str value) {
    mr_upstream_header(arg, name, value);
}

static void on_interim(void *arg) {
    mr_upstream_no_headers(arg);
}

static int on_body(void *arg, const char *p, size_t n) {
    struct upstream_call *c = arg;
    c->status = c->conn->parse.status;
    return mr_upstream_piece(c, mr_strn(p, n));
}

static void complete(struct plain_conn *k, bool clean) {
    struct upstream_call *c = k->call;
    c->status = k->parse.status;
    c->conn = NULL;
    if (clean && k->parse.keep_alive && c->out_at == c->out_total && !k->unsendable)
        keep(k);
    else
        drop(k);
    mr_upstream_finish(c, 0, NULL);
}

/* True: there may be more to read and the connection is still this call's. */
static bool take(struct plain_conn *k, size_t n) {
    struct upstream_call *c = k->call;
    size_t used;
    if (!c->first_ns)
        c->first_ns = mr_mono_ns();
    switch (mr_rparse_feed(&k->parse, c->u->room, n, &used)) {
    case MR_RPARSE_MORE:
        return n == UPSTREAM_ROOM;
    case MR_RPARSE_DONE:
        complete(k, used == n);
        return false;
    case MR_RPARSE_STOP:
        if (c->stopped)
            mr_upstream_finish(c, MR_ECANCELLED, "stopped by its reader");
        else
            mr_upstream_finish(c, MR_ETOOBIG, "the reply is larger than allowed");
        return false;
    case MR_RPARSE_ERROR:
    default:
        mr_upstream_finish(c, k->parse.too_big ? MR_ETOOBIG : MR_EIO, k->parse.why);
        return false;
    }
}

static void read_in(struct plain_conn *k) {
    struct upstream_call *c = k->call;
    for (;;) {
        ssize_t n = recv(k->fd, c->u->room, UPSTREAM_ROOM, 0);
        if (n > 0) {
            if (!take(k, (size_t)n))
                return;
            continue;
        }
        if (n == 0) {
            if (mr_rparse_eof(&k->parse) == MR_RPARSE_DONE)
                complete(k, false);
            else
                mr_upstream_finish(c, MR_EIO, k->parse.why);
            return;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno != EINTR) {
            fail_errno(c, "the connection was lost", errno);
            return;
        }
    }
}

/* ---- connecting ---- */

static void on_event(void *arg, uint32_t events);

/* To the next address that does not refuse at once. 0, or -1 with errno. */
static int dial(struct plain_conn *k) {
    struct plain_host *h = k->host;
    int one = 1;
    for (; k->address < h->n_address; k->address++) {
        const struct plain_address *a = &h->address[k->address];
        k->fd = socket(a->to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (k->fd < 0)
            continue;
        (void)setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)setsockopt(k->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        int rc = connect(k->fd, &a->to.any, a->n);
        k->connecting = rc < 0 && errno == EINPROGRESS;
        if ((rc == 0 || k->connecting) &&
            mr_loop_add(h->u->loop, k->fd, k->connecting ? EPOLLOUT : EPOLLIN, on_event, k, &k->io,
                        NULL) == 0)
            return 0;
        int code = errno;
        close(k->fd);
        k->fd = -1;
        errno = code;
    }
    return -1;
}

static void on_connect(struct plain_conn *k) {
    int code = 0;
    socklen_t n = sizeof code;
    k->connecting = false;
    if (getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &code, &n) < 0)
        code = errno;
    if (!code) {
        begin_sending(k);
        return;
    }
    mr_loop_del(k->io);
    k->io = NULL;
    close(k->fd);
    k->fd = -1;
    k->address++;
    errno = code;
    if (dial(k) < 0)
        fail_errno(k->call, "cannot connect", errno);
    else if (!k->connecting)
        begin_sending(k);
}

static void on_event(void *arg, uint32_t events) {
    struct plain_conn *k = arg;
    if (!k->call) { /* closed by the server, or bytes that nobody asked for */
        unlink_idle(k);
        drop(k);
        return;
    }
    if (k->connecting) {
        on_connect(k);
        return;
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        read_in(k);
        return; /* the connection may be gone; what is to be sent is told again */
    }
    if (send_out(k) < 0) {
        k->unsendable = true;
        if (mr_loop_set(k->io, EPOLLIN) < 0)
            mr_upstream_finish(k->call, MR_EIO, "the connection was closed amid the request");
    }
}

static struct plain_conn *conn_new(struct plain_host *h) {
    struct plain_conn *k = mr_calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->host = h;
    k->fd = -1;
    h->n_conn++;
    return k;
}

static void use(struct plain_conn *k, struct upstream_call *c) {
    k->call = c;
    c->conn = k;
    k->parse.ctx = c;
    k->parse.head_max = UPSTREAM_HEAD_MAX;
    k->parse.on_header = on_header;
    k->parse.on_interim = on_interim;
    k->parse.on_body = on_body;
    mr_rparse_begin(&k->parse);
}

static void wait_for_one(struct plain_host *h, struct upstream_call *c) {
    c->waiting = true;
    c->wait_prev = h->last;
    c->wait_next = NULL;
    *(h->last ? &h->last->wait_next : &h->first) = c;
    h->last = c;
}

void mr_upstream_begin_plain(struct upstream_call *c) {
    struct plain_host *h = c->host;
    struct plain_conn *k = take_idle(h);
    bool dialled = !k && h->n_conn < h->u->config.conns_per_host;
    if (dialled) {
        k = conn_new(h);
        c->connect_by_ns = mr_mono_ns() + (int64_t)c->connect_ms * 1000000;
    }
    if (k)
        use(k, c);
    else if (!dialled)
        wait_for_one(h, c);
    mr_upstream_arm(c);
    if (c->timed_out || (dialled && !k))
        mr_upstream_finish(c, MR_EIO, "no memory for an outgoing request");
    else if (dialled && dial(k) < 0)
        fail_errno(c, "cannot connect", errno);
    else if (k && !k->connecting)
        begin_sending(k);
}

void mr_upstream_pump(void *arg) {
    struct plain_host *h = arg;
    h->pump_posted = false;
    while (h->first && (h->newest || h->n_conn < h->u->config.conns_per_host)) {
        struct upstream_call *c = h->first;
        stop_waiting(c);
        mr_upstream_begin_plain(c);
    }
}

void mr_upstream_close_plain(struct mr_upstream *u) {
    for (struct plain_host *h = u->hosts; h; h = h->next)
        while (h->newest) {
            struct plain_conn *k = h->newest;
            unlink_idle(k);
            drop(k);
        }
}
