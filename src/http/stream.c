/* Streamed replies: producers on any thread fill one buffer, the loop swaps it against the one it
 * sends. A burst of writes costs one wake-up and leaves as one chunk. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

#define PREFIX  10 /* "hhhhhhhh\r\n" in front of a chunk, filled from the right */
#define TAIL    8  /* "\r\n" and "0\r\n\r\n" */
#define BUF_MAX (PREFIX + MR_STREAM_HIGH + MR_STREAM_WRITE_MAX + TAIL)

struct stream {
    struct exchange *x;
    struct mr_loop *loop;
    pthread_mutex_t mu;
    pthread_cond_t moved; /* bytes left, or the stream died */
    struct mr_loop_task task;
    /* under mu */
    struct mr_buf in; /* PREFIX bytes of room, then what producers wrote */
    size_t queued;    /* payload not yet with the kernel */
    unsigned waiting;
    bool posted; /* `task` is with the loop: the stream must stay */
    bool ended;  /* mr_req_finish was called: the loop owns the request again */
    bool dead, aborted;
    /* fixed at the start */
    bool chunked, no_body;
    /* loop thread */
    struct mr_buf out;
    size_t at, payload; /* out is PREFIX room, payload, tail */
    size_t from;        /* where out begins */
    uint64_t sent;      /* payload handed to the kernel */
    bool begun, last;   /* last: nothing follows what is in out */
};

static struct exchange *ex_of(const struct mr_req *r) {
    return (struct exchange *)r; /* first member */
}

/* --- any thread -------------------------------------------------------------------------- */

static void post(struct stream *st) { /* mu held */
    if (st->posted)
        return;
    st->posted = true;
    mr_loop_post(st->loop, &st->task);
}

static void on_task(void *arg);

int mr_req_stream_start(struct mr_req *r, int status, const char *content_type) {
    struct exchange *x = ex_of(r);
    if (x->stream)
        return MR_EINTERNAL;
    struct stream *st = mr_calloc(1, sizeof *st);
    if (!st)
        return MR_ENOMEM;
    pthread_condattr_t ca;
    pthread_mutex_init(&st->mu, NULL);
    pthread_condattr_init(&ca);
    pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    pthread_cond_init(&st->moved, &ca);
    pthread_condattr_destroy(&ca);
    mr_buf_init(&st->in, BUF_MAX);
    mr_buf_init(&st->out, BUF_MAX);
    st->x = x;
    st->loop = x->c->l->loop;
    st->task = (struct mr_loop_task){NULL, on_task, st};
    bool bodyless = status == 204 || status == 304;
    st->chunked = x->parse.minor >= 1 && !bodyless;
    st->no_body = bodyless || r->method == MR_HEAD;
    mr_req_reply(r, status, content_type, mr_strn("", 0), true);
    x->stream = st;
    pthread_mutex_lock(&st->mu);
    post(st);
    pthread_mutex_unlock(&st->mu);
    return 0;
}

bool mr_req_streaming(const struct mr_req *r) {
    return ex_of(r)->stream != NULL;
}

static int add(struct stream *st, struct mr_str s) { /* mu held */
    size_t before = st->in.n;
    if (!before)
        mr_buf_add(&st->in, "0000000000", PREFIX);
    mr_buf_str(&st->in, s);
    if (mr_buf_ok(&st->in))
        return 0;
    st->in.n = before;
    st->in.fail = 0;
    return MR_ENOMEM;
}

ptrdiff_t mr_req_stream_write(struct mr_req *r, struct mr_str s) {
    struct stream *st = ex_of(r)->stream;
    if (!st)
        return MR_EINTERNAL;
    if (s.n > MR_STREAM_WRITE_MAX)
        return MR_ETOOBIG;
    pthread_mutex_lock(&st->mu);
    ptrdiff_t rc = 0;
    if (st->dead || st->ended || st->aborted)
        rc = MR_ECANCELLED;
    else if (st->queued >= MR_STREAM_HIGH)
        rc = MR_EUNAVAIL;
    else if (s.n && !st->no_body) {
        rc = add(st, s);
        if (!rc) {
            st->queued += s.n;
            r->reply_len += s.n;
            post(st);
        }
    }
    if (!rc)
        rc = (ptrdiff_t)st->queued;
    pthread_mutex_unlock(&st->mu);
    return rc;
}

int mr_req_stream_wait(struct mr_req *r, size_t below, int64_t timeout_ms) {
    struct stream *st = ex_of(r)->stream;
    if (!st)
        return MR_EINTERNAL;
    int64_t end = mr_mono_ns() + timeout_ms * NS_MS;
    struct timespec until = {end / 1000000000, end % 1000000000};
    int rc = 0;
    pthread_mutex_lock(&st->mu);
    st->waiting++;
    while (!st->dead && st->queued > below && rc == 0)
        rc = pthread_cond_timedwait(&st->moved, &st->mu, &until) == ETIMEDOUT ? MR_ETIMEOUT : 0;
    st->waiting--;
    if (st->dead)
        rc = MR_ECANCELLED;
    else if (st->queued <= below)
        rc = 0;
    pthread_mutex_unlock(&st->mu);
    return rc;
}

void mr_req_stream_abort(struct mr_req *r) {
    struct stream *st = ex_of(r)->stream;
    if (!st)
        return;
    pthread_mutex_lock(&st->mu);
    st->aborted = true;
    pthread_mutex_unlock(&st->mu);
}

/* The unlock is the last that this thread does with the stream: the loop may free it at once. */
void stream_finish(struct exchange *x) {
    struct stream *st = x->stream;
    pthread_mutex_lock(&st->mu);
    st->ended = true;
    post(st);
    pthread_mutex_unlock(&st->mu);
}

/* --- loop thread ------------------------------------------------------------------------- */

void stream_free(struct exchange *x) {
    struct stream *st = x->stream;
    if (!st)
        return;
    x->stream = NULL;
    x->r.reply_len = st->sent;
    pthread_mutex_lock(&st->mu); /* who called mr_req_finish may still be on its way out */
    pthread_mutex_unlock(&st->mu);
    pthread_cond_destroy(&st->moved);
    pthread_mutex_destroy(&st->mu);
    mr_buf_release(&st->in);
    mr_buf_release(&st->out);
    mr_free(st);
}

bool stream_chunked(const struct exchange *x) {
    return x->stream && x->stream->chunked;
}

/* Whether the application still holds the request, or a task that will run does. */
static bool held(struct stream *st) {
    pthread_mutex_lock(&st->mu);
    bool yes = !st->ended || st->posted;
    pthread_mutex_unlock(&st->mu);
    return yes;
}

bool stream_lost(struct conn *c) {
    struct exchange *x = c->ex;
    struct stream *st = x->stream;
    pthread_mutex_lock(&st->mu);
    st->dead = true;
    st->queued = 0;
    mr_buf_release(&st->in);
    pthread_cond_broadcast(&st->moved);
    pthread_mutex_unlock(&st->mu);
    mr_buf_release(&st->out);
    atomic_store_explicit(&x->gone, true, memory_order_relaxed);
    if (!held(st))
        return false;
    (void)shutdown(c->fd, SHUT_RDWR);
    c->state = C_BUSY;
    c->doomed = true;
    return true;
}

static void put_prefix(struct stream *st) {
    static const char digits[] = "0123456789abcdef";
    size_t at = PREFIX;
    st->out.p[--at] = '\n';
    st->out.p[--at] = '\r';
    size_t n = st->payload;
    do
        st->out.p[--at] = digits[n & 15];
    while (n >>= 4);
    st->from = st->at = at;
}

/* Takes what producers wrote. False: there is nothing to send now; *ret_over: nor ever will be. */
static bool next_piece(struct stream *st, bool *ret_over) {
    *ret_over = false;
    if (st->out.cap > MR_STREAM_LOW) /* a burst's memory is not kept by a quiet stream */
        mr_buf_release(&st->out);
    mr_buf_clear(&st->out);
    pthread_mutex_lock(&st->mu);
    struct mr_buf full = st->in;
    st->in = st->out;
    st->out = full;
    bool ended = st->ended, posted = st->posted, clean = !st->aborted;
    pthread_mutex_unlock(&st->mu);
    st->payload = st->out.n ? st->out.n - PREFIX : 0;
    st->from = st->at = st->out.n ? PREFIX : 0;
    bool end = ended && !st->last;
    if (st->chunked && !st->no_body) {
        if (st->payload) {
            put_prefix(st);
            mr_buf_add(&st->out, "\r\n", 2);
        }
        if (end && clean)
            mr_buf_add(&st->out, "0\r\n\r\n", 5);
    }
    if (end)
        st->last = true;
    *ret_over = st->last && !posted && st->at == st->out.n;
    return st->at < st->out.n;
}

/* Payload bytes among out[a..b). */
static size_t payload_in(const struct stream *st, size_t a, size_t b) {
    size_t lo = PREFIX, hi = PREFIX + st->payload;
    if (!st->payload)
        return 0;
    a = a < lo ? lo : a;
    b = b > hi ? hi : b;
    return b > a ? b - a : 0;
}

static void count_sent(struct conn *c, struct stream *st, size_t k) {
    size_t body = payload_in(st, st->at, st->at + k);
    st->at += k;
    st->sent += body;
    c->since_ns = mr_loop_now_ns(c->l->loop);
    pthread_mutex_lock(&st->mu);
    st->queued -= body;
    if (st->waiting)
        pthread_cond_broadcast(&st->moved);
    pthread_mutex_unlock(&st->mu);
}

static enum step stream_over(struct conn *c) {
    struct exchange *x = c->ex;
    if (x->stream->aborted) /* fixed: the producer is done */
        x->close = true;
    stream_free(x);
    c->state = C_WRITE;
    return reply_sent(c);
}

bool stream_blocked(const struct conn *c) {
    const struct exchange *x = c->ex;
    return x->out_at < x->out.n || x->stream->at < x->stream->out.n;
}

enum step step_stream(struct conn *c) {
    struct exchange *x = c->ex;
    struct stream *st = x->stream;
    bool over = false;
    if (c->eof && held(st)) /* a client that stopped sending in mid-answer has left */
        return GONE;
    if (x->out_at == x->out.n && st->at == st->out.n) {
        c->since_ns = mr_loop_now_ns(c->l->loop);
        if (!next_piece(st, &over))
            return over ? stream_over(c) : WAIT;
    }
    if (!c->writable)
        return WAIT;
    struct iovec iov[2];
    int n = 0;
    size_t head = x->out.n - x->out_at;
    if (head)
        iov[n++] = (struct iovec){x->out.p + x->out_at, head};
    if (st->at < st->out.n)
        iov[n++] = (struct iovec){st->out.p + st->at, st->out.n - st->at};
    ssize_t k = conn_send(c, iov, n);
    if (k == MR_TLS_AGAIN) {
        c->writable = false;
        return WAIT;
    }
    if (k <= 0)
        return GONE;
    size_t sent = (size_t)k, of_head = sent < head ? sent : head;
    x->out_at += of_head;
    count_sent(c, st, sent - of_head);
    return GO;
}

static void begin(struct conn *c) {
    struct exchange *x = c->ex;
    x->stream->begun = true;
    if (x->parse.minor == 0)
        x->close = true; /* the end of the connection is the end of the reply */
    if (start_reply(c) == GONE)
        c->hup = true;
}

static void on_task(void *arg) {
    struct stream *st = arg;
    struct exchange *x = st->x;
    struct conn *c = x->c;
    pthread_mutex_lock(&st->mu);
    st->posted = false;
    bool ended = st->ended;
    pthread_mutex_unlock(&st->mu);
    if (!st->begun && !c->doomed)
        begin(c);
    if (c->doomed) { /* the client left: only the end is of interest */
        if (!ended) {
            (void)stream_lost(c);
            return;
        }
        c->state = C_READ;
        stream_free(x);
        conn_close(c);
        return;
    }
    c->state = C_STREAM;
    conn_run(c);
}
