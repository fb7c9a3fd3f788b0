/* Connections of the stand-in: HTTP/1.1 with Content-Length bodies and keep-alive, and answers that
 * leave whole, late, in pieces, or break off. */
#include "standin.h"

#include "base/alloc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int standin_fd = -1;

struct conn {
    struct standin *s;
    struct mr_loop_io *io;
    struct mr_timer timer;
    struct mr_buf in, out;
    size_t sent;
    struct answer answer;
    int fd;
    bool busy; /* an answer is on its way */
    bool close_after;
};

static void conn_free(struct conn *c, bool reset) {
    struct standin *s = c->s;
    if (c->busy) {
        s->stats.in_flight--;
        if (c->answer.plan.ending == KEEP || c->answer.plan.ending == HANG)
            s->stats.hangups++;
    }
    if (reset) {
        struct linger l = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    s->stats.open--;
    mr_loop_timer_cancel(s->loop, &c->timer);
    mr_loop_del(c->io);
    close(c->fd);
    mr_buf_release(&c->in);
    mr_buf_release(&c->out);
    mr_free(c);
}

static void finish(struct conn *c) {
    struct answer *a = &c->answer;
    struct stats *st = &c->s->stats;
    st->in_flight--;
    c->busy = false;
    if (a->completion) {
        st->delivered++;
        if (a->key)
            a->key->delivered++;
        if (a->tag)
            a->tag->delivered++;
    }
    if (c->out.cap > 1 << 20) {
        size_t max = c->out.max;
        mr_buf_release(&c->out);
        mr_buf_init(&c->out, max);
    }
    mr_buf_clear(&c->out);
    c->sent = 0;
}

/* Sends what may go now. -1: the connection is gone (freed). 1: the answer is out. */
static int push(struct conn *c) {
    struct plan *p = &c->answer.plan;
    size_t end = p->limit < c->out.n ? p->limit : c->out.n;
    while (c->sent < end) {
        ssize_t n = send(c->fd, c->out.p + c->sent, end - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            (void)mr_loop_set(c->io, EPOLLIN | EPOLLOUT);
            return 0;
        }
        if (n <= 0) {
            conn_free(c, false);
            return -1;
        }
        c->sent += (size_t)n;
    }
    (void)mr_loop_set(c->io, EPOLLIN);
    if (p->step_ms > 0 && c->sent < c->out.n) {
        (void)mr_loop_timer_set(c->s->loop, &c->timer,
                                mr_loop_now_ns(c->s->loop) + p->step_ms * 1000000);
        return 0;
    }
    if (p->ending == HANG)
        return 0;
    if (p->ending == RESET || p->ending == CLOSE) {
        conn_free(c, p->ending == RESET);
        return -1;
    }
    finish(c);
    if (c->close_after) {
        conn_free(c, false);
        return -1;
    }
    return 1;
}

/* "name: value" in a head, without case; absent: p == NULL. */
static struct mr_str header(struct mr_str head, const char *name) {
    size_t n = strlen(name);
    struct mr_str rest = head;
    while (rest.p) {
        struct mr_str line = mr_str_cut(&rest, '\n');
        if (line.n > n && line.p[n] == ':' && strncasecmp(line.p, name, n) == 0) {
            struct mr_str v = mr_strn(line.p + n + 1, line.n - n - 1);
            if (v.n && v.p[v.n - 1] == '\r')
                v.n--;
            return mr_str_trim(v);
        }
    }
    return (struct mr_str){0};
}

static bool parse_head(struct mr_str head, struct request *q, size_t *ret_body) {
    struct mr_str rest = head;
    struct mr_str line = mr_str_cut(&rest, '\r');
    struct mr_str method = mr_str_cut(&line, ' ');
    q->path = line.p ? mr_str_cut(&line, ' ') : (struct mr_str){0};
    q->post = mr_str_is(method, "POST");
    q->head = head;
    if (!q->path.p || q->path.n == 0)
        return false;
    q->auth = header(head, "authorization");
    q->close = mr_str_ieq(header(head, "connection"), MR_LIT("close"));
    struct mr_str len = header(head, "content-length");
    int64_t n = 0;
    if (len.p && !mr_str_i64(len, 0, IN_MAX, &n))
        return false;
    if (!len.p && header(head, "transfer-encoding").p)
        return false;
    *ret_body = (size_t)n;
    return true;
}

/* One request, when a whole one is there. -1: freed. 0: need more, or busy. 1: go on. */
static int step(struct conn *c) {
    if (c->busy || c->in.n == 0)
        return 0;
    const char *end = memmem(c->in.p, c->in.n, "\r\n\r\n", 4);
    if (!end)
        return 0;
    struct request q = {0};
    size_t head = (size_t)(end - c->in.p) + 4, body = 0;
    if (!parse_head(mr_strn(c->in.p, head), &q, &body)) {
        conn_free(c, false);
        return -1;
    }
    if (c->in.n < head + body) {
        if (header(q.head, "expect").p && c->in.n == head)
            (void)!send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
        return 0;
    }
    q.body = mr_strn(c->in.p + head, body);
    struct stats *st = &c->s->stats;
    c->busy = true;
    if (++st->in_flight > st->in_flight_peak)
        st->in_flight_peak = st->in_flight;
    c->close_after = q.close;
    c->answer = (struct answer){.out = &c->out, .plan.limit = SIZE_MAX};
    standin_answer(c->s, &q, &c->answer);
    mr_buf_consume(&c->in, head + body);
    if (c->answer.plan.delay_ms > 0) {
        (void)mr_loop_timer_set(c->s->loop, &c->timer,
                                mr_loop_now_ns(c->s->loop) + c->answer.plan.delay_ms * 1000000);
        c->answer.plan.delay_ms = -1; /* waiting */
        return 0;
    }
    return push(c);
}

static void on_timer(void *arg) {
    struct conn *c = arg;
    struct plan *p = &c->answer.plan;
    if (p->delay_ms < 0) {
        p->delay_ms = 0;
    } else if (p->by_event) {
        const char *from = c->out.p + c->sent;
        const char *at = memmem(from, c->out.n - c->sent, "\n\n\r\n", 4);
        p->limit = at ? (size_t)(at - c->out.p) + 4 : c->out.n;
    } else {
        p->limit = c->sent + 1;
    }
    if (push(c) == 1)
        while (step(c) == 1)
            ;
}

static void on_conn(void *arg, uint32_t events) {
    struct conn *c = arg;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        char *at = mr_buf_reserve(&c->in, 16384);
        ssize_t n = at ? recv(c->fd, at, 16384, 0) : 0;
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            conn_free(c, false);
            return;
        }
        if (n > 0)
            c->in.n += (size_t)n;
    }
    if (c->busy && (events & EPOLLOUT) && c->answer.plan.delay_ms == 0 && push(c) < 0)
        return;
    while (step(c) == 1)
        ;
}

static void on_accept(void *arg, uint32_t events) {
    struct standin *s = arg;
    (void)events;
    for (;;) {
        int fd = accept4(standin_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct conn *c = mr_calloc(1, sizeof *c);
        if (!c || mr_loop_add(s->loop, fd, EPOLLIN, on_conn, c, &c->io, NULL) < 0) {
            mr_free(c);
            close(fd);
            continue;
        }
        c->s = s;
        c->fd = fd;
        c->timer = (struct mr_timer){.fn = on_timer, .arg = c};
        mr_buf_init(&c->in, IN_MAX + 65536);
        mr_buf_init(&c->out, OUT_MAX);
        s->stats.connections++;
        s->stats.open++;
    }
}

int standin_listen(struct standin *s, int port, int *ret_port) {
    int on = 1;
    standin_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof a;
    struct mr_loop_io *io;
    if (standin_fd < 0)
        return -1;
    setsockopt(standin_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(standin_fd, (struct sockaddr *)&a, len) < 0 || listen(standin_fd, 4096) < 0 ||
        getsockname(standin_fd, (struct sockaddr *)&a, &len) < 0 ||
        mr_loop_add(s->loop, standin_fd, EPOLLIN, on_accept, s, &io, NULL) < 0)
        return -1;
    *ret_port = ntohs(a.sin_port);
    return 0;
}
