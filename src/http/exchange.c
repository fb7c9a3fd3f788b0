#include "http/internal.h"

#include "base/alloc.h"

#include <unistd.h>

#define FREE_MAX   64u           /* exchanges kept by a loop */
#define KEEP_BYTES (64u * 1024u) /* larger buffers are not kept between requests */

static struct exchange *ex_new(void) {
    struct exchange *x = mr_calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->rx = mr_malloc(RX_SIZE);
    if (!x->rx) {
        mr_free(x);
        return NULL;
    }
    x->rx_cap = RX_SIZE;
    x->file_fd = -1;
    mr_arena_init(&x->arena, ARENA_MAX);
    mr_buf_init(&x->body, SIZE_MAX / 2);
    mr_buf_init(&x->next, SCRATCH_SIZE);
    mr_buf_init(&x->extra, EXTRA_MAX);
    mr_buf_init(&x->out, EXTRA_MAX + SMALL_BODY + 1024);
    mr_buf_init(&x->reply_kept, SIZE_MAX / 2);
    return x;
}

void ex_free(struct exchange *x) {
    if (!x)
        return;
    reply_reset(x);
    mr_arena_release(&x->arena);
    mr_buf_release(&x->body);
    mr_buf_release(&x->next);
    mr_buf_release(&x->extra);
    mr_buf_release(&x->out);
    mr_buf_release(&x->reply_kept);
    mr_free(x->sink_buf);
    mr_free(x->rx);
    mr_free(x);
}

static void begin_message(struct exchange *x) {
    const struct mr_http_limits *lim = &x->c->l->s->cfg.limits;
    x->parse.head_max = lim->head_max;
    x->parse.target_max = lim->target_max;
    x->parse.ctx = x;
    x->parse.on_head = exchange_on_head;
    mr_hparse_begin(&x->parse);
    x->head_done = x->logged = x->early = x->body_done = false;
    x->body_started = x->spilled = x->send_continue = x->close = false;
    x->discarded = x->sink_n = 0;
    x->sink_rc = 0;
    x->r.start_ns = mr_loop_now_ns(x->c->l->loop);
    x->r.status = 0;
    atomic_store_explicit(&x->gone, false, memory_order_relaxed);
}

struct exchange *ex_take(struct conn *c) {
    struct hloop *l = c->l;
    struct exchange *x = l->free_ex;
    if (x) {
        l->free_ex = x->next_free;
        l->n_free--;
    } else {
        x = ex_new();
        if (!x)
            return NULL;
    }
    x->c = c;
    x->msg = x->pos = x->end = 0;
    begin_message(x);
    c->ex = x;
    return x;
}

/* What one message left behind. */
static void clean(struct exchange *x) {
    reply_reset(x);
    mr_arena_reset(&x->arena);
    if (x->body.cap > KEEP_BYTES)
        mr_buf_release(&x->body);
    else
        mr_buf_clear(&x->body);
    if (x->reply_kept.cap > KEEP_BYTES)
        mr_buf_release(&x->reply_kept);
    mr_free(x->sink_buf);
    x->sink_buf = NULL;
}

void ex_give(struct exchange *x) {
    struct hloop *l = x->c->l;
    x->c->ex = NULL;
    x->c = NULL;
    clean(x);
    if (l->n_free >= FREE_MAX || x->rx_cap != RX_SIZE) {
        ex_free(x);
        return;
    }
    x->next_free = l->free_ex;
    l->free_ex = x;
    l->n_free++;
}

static bool take_next(struct exchange *x) {
    size_t n = x->next.n;
    x->pos = x->end = 0;
    x->next.n = 0;
    if (n > x->rx_cap) {
        char *rx = mr_realloc(x->rx, n);
        if (!rx)
            return false;
        x->rx = rx;
        x->rx_cap = n;
    }
    memcpy(x->rx, x->next.p, n);
    x->end = n;
    return true;
}

void ex_next(struct conn *c) {
    struct exchange *x = c->ex;
    c->state = C_READ;
    c->fresh = false;
    c->since_ns = mr_loop_now_ns(c->l->loop);
    if (x->next.n && !take_next(x)) {
        c->eof = c->hup = true; /* out of memory: the connection ends */
        c->readable = false;
    }
    if (x->pos == x->end) {
        ex_give(x);
        return;
    }
    clean(x);
    x->msg = x->pos;
    begin_message(x);
}
