#include "http/upstream.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "http/upstream_impl.h"

#include <signal.h>

/* ---- idle calls ---- */

static uint64_t mix(uint64_t h, struct mr_str s) {
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3U;
    return (h ^ 0xff) * 0x100000001b3U;
}

static uint64_t config_hash(const struct mr_upstream_request *q) {
    uint64_t h = mix(mix(0xcbf29ce484222325U, q->url), mr_str(q->method));
    for (size_t i = 0; i < q->n_headers; i++)
        h = mix(mix(h, mr_str(q->headers[i].name)), q->headers[i].value);
    return h ^ (h >> 32);
}

static bool same_config(const struct upstream_call *c, const struct mr_upstream_request *q) {
    if (strcmp(c->method, q->method) != 0 || !mr_str_eq(mr_buf_view(&c->url), q->url))
        return false;
    struct mr_str rest = mr_buf_view(&c->head);
    for (size_t i = 0; i < q->n_headers; i++) {
        struct mr_str name = mr_str(q->headers[i].name), v = q->headers[i].value;
        if (rest.n < name.n + v.n + 3 || memcmp(rest.p, name.p, name.n) != 0 ||
            memcmp(rest.p + name.n, ": ", 2) != 0 ||
            (v.n && memcmp(rest.p + name.n + 2, v.p, v.n) != 0) || rest.p[name.n + v.n + 2] != '\n')
            return false;
        rest.p += name.n + v.n + 3;
        rest.n -= name.n + v.n + 3;
    }
    return rest.n == 0;
}

void mr_upstream_call_free(struct upstream_call *c) {
    if (!c)
        return;
    if (c->easy)
        curl_easy_cleanup(c->easy);
    if (c->slist) /* otherwise libcurl may not be there */
        curl_slist_free_all(c->slist);
    mr_buf_release(&c->wire);
    mr_buf_release(&c->url);
    mr_buf_release(&c->head);
    mr_buf_release(&c->body);
    mr_buf_release(&c->reply);
    mr_free(c);
}

static void keep_small(struct mr_buf *b) {
    size_t max = b->max;
    if (b->cap > UPSTREAM_KEEP_BYTES) {
        mr_buf_release(b);
        mr_buf_init(b, max);
    }
}

void mr_upstream_recycle(struct upstream_call *c) {
    struct mr_upstream *u = c->u;
    struct upstream_call *evicted = NULL;
    keep_small(&c->body);
    keep_small(&c->reply);
    pthread_mutex_lock(&u->mu);
    for (size_t i = 0; u->n_idle >= UPSTREAM_IDLE_MAX && i < UPSTREAM_BUCKETS; i++) {
        struct upstream_call **b = &u->idle[u->evict_at++ % UPSTREAM_BUCKETS];
        if (*b) {
            evicted = *b;
            *b = evicted->next;
            u->n_idle--;
        }
    }
    struct upstream_call **bucket = &u->idle[c->config % UPSTREAM_BUCKETS];
    c->next = *bucket;
    *bucket = c;
    u->n_idle++;
    pthread_mutex_unlock(&u->mu);
    mr_upstream_call_free(evicted);
}

bool mr_upstream_leave(struct upstream_call *c) {
    struct mr_upstream *u = c->u;
    pthread_mutex_lock(&u->mu);
    u->slots[c->slot] = NULL;
    u->free_slots[u->n_free_slots++] = c->slot;
    bool cancel_posted = c->cancel_posted;
    pthread_mutex_unlock(&u->mu);
    return cancel_posted;
}

/* ---- starting and cancelling ---- */

static void on_start(void *arg) {
    struct upstream_call *c = arg;
    if (!c->configured && !c->u->config.only_curl && mr_upstream_set_plain(c) < 0)
        mr_upstream_finish(c, MR_EIO, "no memory for an outgoing request");
    else if (c->host)
        mr_upstream_begin_plain(c);
    else
        mr_upstream_begin_curl(c);
}

static void on_cancel(void *arg) {
    struct upstream_call *c = arg;
    if (c->finished) { /* it ended before the cancellation came: that waited for us */
        mr_upstream_recycle(c);
        return;
    }
    pthread_mutex_lock(&c->u->mu);
    c->cancel_posted = false; /* this one is here; another may still be posted and then counts */
    pthread_mutex_unlock(&c->u->mu);
    mr_upstream_finish(c, MR_ECANCELLED, "cancelled");
}

static struct upstream_call *call_new(struct mr_upstream *u) {
    struct upstream_call *c = mr_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->u = u;
    c->start = (struct mr_loop_task){.fn = on_start, .arg = c};
    c->cancel = (struct mr_loop_task){.fn = on_cancel, .arg = c};
    c->timer = (struct mr_timer){.fn = mr_upstream_on_timer, .arg = c};
    mr_buf_init(&c->url, 16384);
    mr_buf_init(&c->head, UPSTREAM_HEAD_MAX);
    mr_buf_init(&c->wire, UPSTREAM_HEAD_MAX * 2);
    mr_buf_init(&c->body, SIZE_MAX / 2);
    mr_buf_init(&c->reply, SIZE_MAX / 2);
    return c;
}

static int check_headers(const struct mr_upstream_request *q, struct mr_err *e) {
    for (size_t i = 0; i < q->n_headers; i++) {
        struct mr_str v = q->headers[i].value;
        for (size_t k = 0; k < v.n; k++)
            if ((unsigned char)v.p[k] < ' ' || v.p[k] == 127)
                return mr_fail(e, MR_EINVAL, "the header %s has control characters",
                               q->headers[i].name);
    }
    return 0;
}

static int fill(struct upstream_call *c, const struct mr_upstream_request *q, uint64_t config,
                struct mr_err *e) {
    if (c->config != config || !same_config(c, q)) {
        c->configured = false;
        c->host = NULL;
        c->config = config;
        mr_buf_clear(&c->url);
        mr_buf_str(&c->url, q->url);
        mr_buf_clear(&c->head);
        for (size_t i = 0; i < q->n_headers; i++) {
            mr_buf_cstr(&c->head, q->headers[i].name);
            mr_buf_cstr(&c->head, ": ");
            mr_buf_str(&c->head, q->headers[i].value);
            mr_buf_char(&c->head, '\n');
        }
        snprintf(c->method, sizeof c->method, "%s", q->method);
    }
    mr_buf_clear(&c->body);
    mr_buf_str(&c->body, q->body);
    mr_buf_clear(&c->reply);
    if (!mr_buf_ok(&c->url) || !mr_buf_ok(&c->head) || !mr_buf_ok(&c->body))
        return mr_fail(e, c->body.fail ? MR_ENOMEM : MR_ETOOBIG, "no room for an outgoing request");
    c->on_data = q->on_data;
    c->done = q->done;
    c->arg = q->arg;
    c->connect_ms = q->connect_ms > 0 ? q->connect_ms : 5000;
    c->begin_ns = mr_mono_ns();
    c->deadline_ns = c->begin_ns + (int64_t)(q->total_ms > 0 ? q->total_ms : 1) * 1000000;
    c->idle_ns = (int64_t)(q->idle_ms > 0 ? q->idle_ms : 0) * 1000000;
    c->reply_max = q->reply_max;
    c->first_ns = c->last_ns = 0;
    c->received = c->head_bytes = 0;
    c->retry_after_ms = -1;
    c->request_id[0] = c->err[0] = 0;
    c->status = 0;
    c->tries = 0;
    c->connection = -1;
    c->stream = 0;
    c->refused = false;
    c->out_at = 0;
    c->connect_by_ns = 0;
    c->too_big = c->stopped = c->resent = c->timed_out = c->in_multi = c->finished = false;
    return 0;
}

/* An idle call with the same configuration, or NULL. Locked. */
static struct upstream_call *take_idle(struct mr_upstream *u, uint64_t config,
                                       const struct mr_upstream_request *q) {
    struct upstream_call **at = &u->idle[config % UPSTREAM_BUCKETS];
    while (*at && !((*at)->config == config && same_config(*at, q)))
        at = &(*at)->next;
    struct upstream_call *c = *at;
    if (c) {
        *at = c->next;
        u->n_idle--;
    }
    return c;
}

int mr_upstream_start(struct mr_upstream *u, const struct mr_upstream_request *q,
                      uint64_t *ret_ticket, struct mr_err *e) {
    int rc = check_headers(q, e);
    if (rc < 0)
        return rc;
    uint64_t config = config_hash(q);
    pthread_mutex_lock(&u->mu);
    struct upstream_call *c = take_idle(u, config, q);
    pthread_mutex_unlock(&u->mu);
    if (!c && !(c = call_new(u)))
        return mr_fail(e, MR_ENOMEM, "no memory for an outgoing request");
    rc = fill(c, q, config, e);
    if (rc < 0) {
        mr_upstream_recycle(c);
        return rc;
    }
    pthread_mutex_lock(&u->mu);
    if (u->closing)
        rc = mr_fail(e, MR_EUNAVAIL, "the server is shutting down");
    else if (u->n_free_slots == 0)
        rc = mr_fail(e, MR_EUNAVAIL, "too many outgoing requests are in flight");
    if (rc == 0) {
        c->slot = u->free_slots[--u->n_free_slots];
        c->cancel_posted = false;
        u->slots[c->slot] = c;
        if (ret_ticket)
            *ret_ticket = (uint64_t)++u->generations[c->slot] << 32 | c->slot;
        else
            ++u->generations[c->slot];
        mr_loop_post(u->loop, &c->start); /* under the lock: before a cancellation, before stop */
    }
    pthread_mutex_unlock(&u->mu);
    if (rc < 0)
        mr_upstream_recycle(c);
    return rc;
}

void mr_upstream_cancel(struct mr_upstream *u, uint64_t ticket) {
    uint32_t slot = (uint32_t)ticket, generation = (uint32_t)(ticket >> 32);
    pthread_mutex_lock(&u->mu);
    struct upstream_call *c = slot < u->config.in_flight_max ? u->slots[slot] : NULL;
    if (c && u->generations[slot] == generation && !c->cancel_posted) {
        c->cancel_posted = true;
        mr_loop_post(u->loop, &c->cancel);
    }
    pthread_mutex_unlock(&u->mu);
}

/* ---- later ---- */

static void after_run(void *arg) {
    struct upstream_after *a = arg;
    struct mr_upstream *u = a->u;
    if (a->prev)
        a->prev->next = a->next;
    else
        u->afters = a->next;
    if (a->next)
        a->next->prev = a->prev;
    mr_loop_timer_cancel(u->loop, &a->timer);
    void (*fn)(void *) = a->fn;
    void *fn_arg = a->arg;
    mr_free(a);
    fn(fn_arg);
}

static void after_arm(void *arg) {
    struct upstream_after *a = arg;
    struct mr_upstream *u = a->u;
    a->next = u->afters;
    if (a->next)
        a->next->prev = a;
    u->afters = a;
    if (mr_loop_timer_set(u->loop, &a->timer, a->at_ns) < 0)
        after_run(a); /* no memory for a timer: early rather than never */
}

int mr_upstream_after(struct mr_upstream *u, int ms, void (*fn)(void *arg), void *arg,
                      struct mr_err *e) {
    struct upstream_after *a = mr_calloc(1, sizeof *a);
    if (!a)
        return mr_fail(e, MR_ENOMEM, "no memory for a timer");
    a->u = u;
    a->fn = fn;
    a->arg = arg;
    a->at_ns = mr_mono_ns() + (int64_t)ms * 1000000;
    a->task = (struct mr_loop_task){.fn = after_arm, .arg = a};
    a->timer = (struct mr_timer){.fn = after_run, .arg = a};
    pthread_mutex_lock(&u->mu);
    bool closing = u->closing;
    if (!closing)
        mr_loop_post(u->loop, &a->task);
    pthread_mutex_unlock(&u->mu);
    if (closing) {
        mr_free(a);
        return mr_fail(e, MR_EUNAVAIL, "the server is shutting down");
    }
    return 0;
}

/* ---- the thread ---- */

static void *run(void *arg) {
    struct mr_upstream *u = arg;
    mr_loop_run(u->loop);
    return NULL;
}

/* The last task before the loop ends; nothing new is taken any more. */
static void on_stop(void *arg) {
    struct mr_upstream *u = arg;
    for (size_t i = 0; i < u->config.in_flight_max; i++)
        if (u->slots[i]) /* only this thread takes calls out */
            mr_upstream_finish(u->slots[i], MR_ECANCELLED, "the server is shutting down");
    while (u->afters)
        after_run(u->afters);
    mr_upstream_close_curl(u);
    mr_upstream_close_plain(u);
    mr_loop_stop(u->loop);
}

static int allocate(struct mr_upstream *u, struct mr_err *e) {
    size_t n = u->config.in_flight_max;
    u->slots = mr_calloc(n, sizeof(struct upstream_call *));
    u->generations = mr_calloc(n, sizeof *u->generations);
    u->free_slots = mr_calloc(n, sizeof *u->free_slots);
    u->room = mr_malloc(UPSTREAM_ROOM);
    if (!u->slots || !u->generations || !u->free_slots || !u->room)
        return mr_fail(e, MR_ENOMEM, "no memory for outgoing requests");
    for (size_t i = 0; i < n; i++)
        u->free_slots[u->n_free_slots++] = (uint32_t)(n - 1 - i);
    return mr_loop_new(&u->loop, e);
}

static void release(struct mr_upstream *u) {
    for (size_t i = 0; i < UPSTREAM_BUCKETS; i++)
        while (u->idle[i]) {
            struct upstream_call *c = u->idle[i];
            u->idle[i] = c->next;
            mr_upstream_call_free(c);
        }
    mr_upstream_free_hosts(u);
    mr_loop_free(u->loop);
    mr_free(u->room);
    mr_free(u->slots);
    mr_free(u->generations);
    mr_free(u->free_slots);
    pthread_mutex_destroy(&u->mu);
    mr_free(u);
}

int mr_upstream_new(const struct mr_upstream_config *config, struct mr_upstream **ret,
                    struct mr_err *e) {
    struct mr_upstream *u = mr_calloc(1, sizeof *u);
    if (!u)
        return mr_fail(e, MR_ENOMEM, "no memory for outgoing requests");
    if (config)
        u->config = *config;
    if (!u->config.conns_per_host)
        u->config.conns_per_host = 4096;
    if (!u->config.in_flight_max)
        u->config.in_flight_max = 10000;
    pthread_mutex_init(&u->mu, NULL);
    u->ca_file = getenv("SSL_CERT_FILE");
    u->ca_dir = getenv("SSL_CERT_DIR");
    u->stop = (struct mr_loop_task){.fn = on_stop, .arg = u};
    int rc = allocate(u, e);
    if (rc == 0) {
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old); /* signals are the main thread's */
        if (pthread_create(&u->thread, NULL, run, u) != 0)
            rc = mr_fail(e, MR_EIO, "cannot start the thread for outgoing requests");
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (rc < 0) {
        release(u);
        return rc;
    }
    (void)pthread_setname_np(u->thread, "upstream");
    *ret = u;
    return 0;
}

void mr_upstream_free(struct mr_upstream *u) {
    if (!u)
        return;
    pthread_mutex_lock(&u->mu);
    u->closing = true;
    mr_loop_post(u->loop, &u->stop);
    pthread_mutex_unlock(&u->mu);
    pthread_join(u->thread, NULL);
    release(u);
}
