/* What both clients of outgoing requests share: a reply's headers and body, deadlines, the end. */
#include "base/clock.h"
#include "http/upstream_impl.h"

#include "http/internal.h"

/* ---- the end of a request ---- */

void mr_upstream_finish(struct upstream_call *c, int rc, const char *why) {
    struct mr_upstream *u = c->u;
    struct mr_upstream_reply r = {.rc = rc};
    c->finished = true;
    mr_loop_timer_cancel(u->loop, &c->timer);
    r.sent = c->host ? mr_upstream_leave_plain(c) : mr_upstream_leave_curl(c);
    r.status = c->status;
    r.retry_after_ms = c->retry_after_ms;
    r.body = mr_buf_view(&c->reply);
    memcpy(r.request_id, c->request_id, sizeof r.request_id);
    r.err[0] = 0;
    if (rc < 0)
        snprintf(r.err, sizeof r.err, "%s", why && why[0] ? why : "the request failed");
    r.total_ns = mr_mono_ns() - c->begin_ns;
    r.first_byte_ns = c->first_ns ? c->first_ns - c->begin_ns : 0;
    bool cancel_posted = mr_upstream_leave(c);
    c->done(c->arg, &r);
    if (!cancel_posted)
        mr_upstream_recycle(c);
}

/* ---- time ---- */

/* Data only moves last_ns: the timer looks when it fires. */
void mr_upstream_arm(struct upstream_call *c) {
    int64_t at = c->deadline_ns;
    if (c->connect_by_ns && c->connect_by_ns < at)
        at = c->connect_by_ns;
    if (c->idle_ns && c->last_ns && c->last_ns + c->idle_ns < at)
        at = c->last_ns + c->idle_ns;
    if (mr_loop_timer_set(c->u->loop, &c->timer, at) < 0)
        c->timed_out = true; /* no memory for a timer: the start gives up */
}

void mr_upstream_on_timer(void *arg) {
    struct upstream_call *c = arg;
    int64_t now = mr_loop_now_ns(c->u->loop);
    if (now >= c->deadline_ns)
        mr_upstream_finish(c, MR_ETIMEOUT, "no answer in time");
    else if (c->connect_by_ns && now >= c->connect_by_ns)
        mr_upstream_finish(c, MR_ETIMEOUT, "no connection in time");
    else if (c->idle_ns && c->last_ns && now - c->last_ns >= c->idle_ns)
        mr_upstream_finish(c, MR_ETIMEOUT, "the answer stopped midway");
    else
        mr_upstream_arm(c);
}

/* ---- headers ---- */

/* OpenAI's header is more exact than Retry-After and wins whatever the order. */
static void retry_after_ms(struct upstream_call *c, struct mr_str v) {
    int64_t n;
    struct mr_str whole = mr_str_cut(&v, '.');
    if (mr_str_i64(whole, 0, 86400000, &n))
        c->retry_after_ms = n;
}

/* Seconds or a date (RFC 9110 10.2.3). */
static void retry_after(struct upstream_call *c, struct mr_str v) {
    int64_t n;
    if (c->retry_after_ms >= 0)
        return;
    if (mr_str_i64(v, 0, 86400, &n)) {
        c->retry_after_ms = n * 1000;
        return;
    }
    if (http_date_parse(v, &n)) {
        int64_t ms = n * 1000 - mr_now_us() / 1000;
        c->retry_after_ms = ms < 0 ? 0 : ms > 86400000 ? 86400000 : ms;
    }
}

static void request_id(struct upstream_call *c, struct mr_str v) {
    if (v.n == 0 || v.n >= sizeof c->request_id)
        return;
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= ' ' || v.p[i] > '~')
            return;
    memcpy(c->request_id, v.p, v.n);
    c->request_id[v.n] = 0;
}

void mr_upstream_no_headers(struct upstream_call *c) {
    c->retry_after_ms = -1;
    c->request_id[0] = 0;
}

void mr_upstream_header(struct upstream_call *c, struct mr_str name, struct mr_str value) {
    switch (name.n) {
    case 11:
        if (mr_str_ieq(name, MR_LIT("retry-after")))
            retry_after(c, value);
        break;
    case 12:
        if (mr_str_ieq(name, MR_LIT("x-request-id")))
            request_id(c, value);
        break;
    case 14:
        if (mr_str_ieq(name, MR_LIT("retry-after-ms")))
            retry_after_ms(c, value);
        break;
    case 22:
        if (mr_str_ieq(name, MR_LIT("mistral-correlation-id")))
            request_id(c, value);
        break;
    default:
        break;
    }
}

/* ---- body ---- */

int mr_upstream_piece(struct upstream_call *c, struct mr_str piece) {
    if (c->idle_ns) {
        bool first = c->last_ns == 0;
        c->last_ns = mr_mono_ns();
        if (first)
            mr_upstream_arm(c);
    }
    c->received += piece.n;
    if (c->received > c->reply_max) {
        c->too_big = true;
        return -1;
    }
    if (!c->on_data || c->status < 200 || c->status > 299) {
        size_t room = SIZE_MAX;
        if (c->on_data)
            room = UPSTREAM_ERROR_MAX > c->reply.n ? UPSTREAM_ERROR_MAX - c->reply.n : 0;
        mr_buf_add(&c->reply, piece.p, piece.n < room ? piece.n : room);
        if (!mr_buf_ok(&c->reply))
            c->too_big = true;
        return mr_buf_ok(&c->reply) ? 0 : -1;
    }
    if (c->on_data(c->arg, piece) != 0) {
        c->stopped = true;
        return -1;
    }
    return 0;
}
