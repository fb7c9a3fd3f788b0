/* Streamed bodies: one buffer is filled by the loop, then written by a pool thread while reading
 * pauses, so a connection never holds more than SINK_SIZE of a body. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/clock.h"

int sink_begin(struct exchange *x) {
    if (!x->parse.chunked && x->r.content_length <= 0)
        return 0;
    if (!x->sink_buf)
        x->sink_buf = mr_malloc(SINK_SIZE);
    return x->sink_buf ? 0 : MR_ENOMEM;
}

static void sink_done(void *arg) { /* loop thread */
    struct exchange *x = arg;
    struct conn *c = x->c;
    c->window_ns += mr_mono_ns() - c->busy_ns; /* our own pause is not the client's slowness */
    x->sink_n = 0;
    if (c->doomed || c->hup) {
        c->state = C_READ;
        conn_close(c);
        return;
    }
    c->state = C_READ;
    if (x->sink_rc < 0) {
        x->early = !x->body_done; /* the rest is not for the sink any more */
        if (!x->r.body_err.code)
            mr_fail(&x->r.body_err, x->sink_rc, "The body could not be stored.");
    }
    if (x->sink_rc < 0 || x->body_done) {
        if (request_ready(c) == GONE) {
            conn_close(c);
            return;
        }
    }
    conn_run(c);
}

static void sink_work(void *arg) { /* pool thread; nobody else touches the exchange meanwhile */
    struct exchange *x = arg;
    x->sink_rc = x->r.sink.write(x->r.sink.ctx, x->sink_buf, x->sink_n, &x->r.body_err);
    mr_loop_post(x->c->l->loop, &x->task);
}

enum step sink_flush(struct conn *c) {
    struct exchange *x = c->ex;
    c->state = C_BUSY;
    c->busy_ns = mr_mono_ns();
    x->task = (struct mr_loop_task){NULL, sink_done, x};
    if (mr_pool_submit(c->l->s->pool, sink_work, x) < 0) {
        x->sink_rc = mr_fail(&x->r.body_err, MR_EUNAVAIL, "The server is too busy to store this.");
        mr_loop_post(c->l->loop, &x->task);
    }
    return WAIT;
}
