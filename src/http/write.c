/* Writing: the reply's head and body onto the socket. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_CHUNK ((size_t)64 * 1024)

struct status_row {
    int status;
    const char *text;
};

static const struct status_row texts[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {424, "Failed Dependency"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *status_text(int status) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}

void reply_reset(struct exchange *x) {
    mr_buf_clear(&x->extra);
    mr_buf_clear(&x->out);
    mr_buf_clear(&x->reply_kept);
    if (x->reply_own.p)
        mr_buf_release(&x->reply_own);
    if (x->file_fd >= 0)
        close(x->file_fd);
    x->file_fd = -1;
    x->file_left = 0;
    x->replied = x->has_file = false;
    x->reply = mr_strn("", 0);
    x->ctype = NULL;
    x->out_at = x->reply_at = 0;
}

ssize_t conn_send(struct conn *c, struct iovec *iov, int n) {
    ssize_t k;
    if (c->tls) {
        k = mr_tls_write(c->tls, iov[0].iov_base, iov[0].iov_len);
    } else {
        do {
            if (n == 1) {
                k = send(c->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
            } else {
                struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
                k = sendmsg(c->fd, &m, MSG_NOSIGNAL);
            }
        } while (k < 0 && errno == EINTR);
        if (k < 0)
            k = errno == EAGAIN ? MR_TLS_AGAIN : MR_EIO;
    }
    if (k > 0)
        count(&c->l->n.out, (uint64_t)k);
    return k;
}

/* Best effort: a full socket buffer in front of a request body does not happen to honest clients,
 * and a lost 100 only makes them wait. */
void send_continue(struct conn *c) {
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec iov = {(void *)line, sizeof line - 1};
    (void)conn_send(c, &iov, 1);
    c->ex->send_continue = false;
}

/* Whether the connection can serve another request after this reply. */
static bool must_close(const struct exchange *x) {
    const struct conn *c = x->c;
    if (x->close || !x->parse.keep_alive || c->l->draining ||
        atomic_load_explicit(&c->l->s->draining, memory_order_relaxed))
        return true;
    if (!x->early || x->body_done)
        return false;
    if (x->send_continue) /* will the body come or not? Only closing is unambiguous. */
        return true;
    int64_t left = x->parse.chunked ? 0 : x->parse.content_length;
    return left > (int64_t)c->l->s->cfg.limits.discard_max;
}

static void put_head(struct exchange *x, uint64_t body_len) {
    struct mr_buf *b = &x->out;
    int status = x->r.status;
    if (status == 200) {
        mr_buf_add(b, "HTTP/1.1 200 OK\r\n", 17);
    } else {
        mr_buf_add(b, "HTTP/1.1 ", 9);
        mr_buf_u64(b, (uint64_t)status);
        mr_buf_char(b, ' ');
        mr_buf_cstr(b, status_text(status));
        mr_buf_add(b, "\r\n", 2);
    }
    size_t n;
    const char *date = http_date_line(x->c->l, &n);
    mr_buf_add(b, date, n);
    mr_buf_add(b, "X-Request-Id: ", 14);
    mr_buf_cstr(b, x->r.id);
    if (x->ctype && x->ctype[0]) {
        mr_buf_add(b, "\r\nContent-Type: ", 16);
        mr_buf_cstr(b, x->ctype);
    }
    if (stream_chunked(x)) {
        mr_buf_cstr(b, "\r\nTransfer-Encoding: chunked");
    } else if (!x->stream && status >= 200 && status != 204 && status != 304) {
        mr_buf_add(b, "\r\nContent-Length: ", 18);
        mr_buf_u64(b, body_len);
    }
    if (status == 101)
        mr_buf_cstr(b, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    else if (x->close)
        mr_buf_add(b, "\r\nConnection: close\r\n", 21);
    else if (x->parse.minor == 0)
        mr_buf_add(b, "\r\nConnection: keep-alive\r\n", 26);
    else
        mr_buf_add(b, "\r\n", 2);
    mr_buf_add(b, x->extra.p ? x->extra.p : "", x->extra.n);
    mr_buf_add(b, "\r\n", 2);
}

enum step start_reply(struct conn *c) {
    struct exchange *x = c->ex;
    bool bodyless = x->r.status < 200 || x->r.status == 204 || x->r.status == 304;
    uint64_t len = x->has_file ? x->file_left : x->reply.n;
    x->close = must_close(x);
    mr_buf_clear(&x->out);
    put_head(x, len);
    if (bodyless || x->r.method == MR_HEAD) {
        x->reply = mr_strn("", 0);
        x->file_left = 0;
        len = 0;
    }
    if (!x->stream) /* else it is the producer's */
        x->r.reply_len = len;
    if (x->reply.n && x->reply.n <= SMALL_BODY) {
        mr_buf_add(&x->out, x->reply.p, x->reply.n);
        x->reply.n = 0;
    }
    if (!mr_buf_ok(&x->out))
        return GONE;
    x->out_at = x->reply_at = 0;
    c->state = C_WRITE;
    c->since_ns = mr_loop_now_ns(c->l->loop);
    return GO;
}

/* Closing with unread bytes would reset the connection and take the answer with it. */
enum step linger(struct conn *c) {
    if (c->tls)
        mr_tls_shutdown(c->tls);
    (void)shutdown(c->fd, SHUT_WR);
    ex_give(c->ex);
    c->state = C_LINGER;
    c->lingered = 0;
    c->busy_ns = c->since_ns = mr_loop_now_ns(c->l->loop);
    return GO;
}

/* Frames that came with the request are handed on; the exchange's work is done. */
static enum step switch_protocol(struct conn *c) {
    struct exchange *x = c->ex;
    enum step s = ws_begin(c, x->rx + x->pos, x->end - x->pos);
    ex_give(x);
    return s;
}

enum step reply_sent(struct conn *c) {
    struct exchange *x = c->ex;
    x->r.sent_ns = mr_mono_ns();
    log_request(x);
    if (x->r.status == 101 && c->ws)
        return switch_protocol(c);
    ws_end(c); /* an upgrade that was then answered otherwise */
    if (x->close) {
        bool quiet = x->body_done && x->pos == x->end && !x->next.n;
        if (quiet || c->eof)
            return GONE;
        return linger(c);
    }
    if (x->body_done) {
        ex_next(c);
        return GO;
    }
    reply_reset(x);
    c->state = C_READ; /* discard the rest of the body */
    c->window_ns = mr_loop_now_ns(c->l->loop);
    c->window_bytes = 0;
    return GO;
}

/* The next piece of the file goes into the arena's one chunk. */
static bool load_file(struct exchange *x) {
    size_t want = x->file_left < FILE_CHUNK ? (size_t)x->file_left : FILE_CHUNK;
    char *p = mr_buf_reserve(&x->reply_kept, FILE_CHUNK);
    if (!p)
        return false;
    ssize_t n = pread(x->file_fd, p, want, x->file_at);
    if (n <= 0)
        return false; /* truncated meanwhile: only closing tells the client */
    x->file_at += n;
    x->file_left -= (uint64_t)n;
    x->reply = mr_strn(p, (size_t)n);
    x->reply_at = 0;
    return true;
}

enum step step_write(struct conn *c) {
    struct exchange *x = c->ex;
    size_t head = x->out.n - x->out_at, body = x->reply.n - x->reply_at;
    if (!head && !body) {
        if (!x->file_left)
            return reply_sent(c);
        return load_file(x) ? GO : GONE;
    }
    struct iovec iov[2];
    int n = 0;
    if (head)
        iov[n++] = (struct iovec){x->out.p + x->out_at, head};
    if (body)
        iov[n++] = (struct iovec){(char *)x->reply.p + x->reply_at, body};
    ssize_t k = conn_send(c, iov, n);
    if (k == MR_TLS_AGAIN) {
        c->writable = false;
        return WAIT;
    }
    if (k <= 0)
        return GONE;
    size_t sent = (size_t)k;
    size_t of_head = sent < head ? sent : head;
    x->out_at += of_head;
    x->reply_at += sent - of_head;
    c->since_ns = mr_loop_now_ns(c->l->loop);
    if (sent == head + body && !x->file_left)
        return reply_sent(c);
    return GO;
}
