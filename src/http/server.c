#include "http/internal.h"
#include "http/websocket.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/id.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

struct mr_http_limits mr_http_default_limits(void) {
    return (struct mr_http_limits){.head_max = 32 * 1024,
                                   .body_max = (size_t)16 << 20,
                                   .conns_max = 10000,
                                   .conns_per_ip = 1000,
                                   .head_ms = 10000,
                                   .idle_ms = 75000,
                                   .write_ms = 30000,
                                   .body_min_rate = 1024,
                                   .body_window_ms = 5000,
                                   .discard_max = 256 * 1024,
                                   .linger_max = (size_t)256 << 20,
                                   .linger_ms = 10000,
                                   .target_max = 8 * 1024,
                                   .conns_per_ip_loopback = 0,
                                   .drain_ms = 30000};
}

static unsigned cpu_count(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : (unsigned)n;
}

static int loop_init(struct mr_http_server *s, struct hloop *l, struct mr_err *e) {
    l->s = s;
    l->conns.next = l->conns.prev = &l->conns;
    l->date_s = -1;
    mr_random(&l->rng, sizeof l->rng);
    mr_random(&l->id_hi, sizeof l->id_hi);
    l->scratch = mr_malloc(SCRATCH_SIZE);
    if (!l->scratch)
        return mr_fail(e, MR_ENOMEM, "no memory for the HTTP server");
    return mr_loop_new(&l->loop, e);
}

int mr_http_new(const struct mr_http_config *c, struct mr_http_server **ret, struct mr_err *e) {
    if (!c->app.on_request)
        return mr_fail(e, MR_EINTERNAL, "an HTTP application needs on_request");
    if (!c->tls_cert != !c->tls_key)
        return mr_fail(e, MR_EINVAL, "TLS needs both a certificate and a key");
    struct mr_http_server *s = mr_calloc(1, sizeof *s);
    if (!s)
        return mr_fail(e, MR_ENOMEM, "no memory for the HTTP server");
    s->cfg = *c;
    pacer_init(&s->pacer);
    unsigned n = c->threads ? c->threads : cpu_count();
    s->loops = mr_calloc(n, sizeof *s->loops);
    s->ips = ip_table_new();
    int rc = s->loops && s->ips ? mr_router_new(c->routes, c->n_routes, &s->router, e)
                                : mr_fail(e, MR_ENOMEM, "no memory for the HTTP server");
    if (rc == 0 && c->tls_cert)
        rc = mr_tls_ctx_new(c->tls_cert, c->tls_key, &s->tls, e);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        s->n_loops = i + 1;
        rc = loop_init(s, &s->loops[i], e);
    }
    if (rc < 0) {
        mr_http_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

/* "host:port" or "[v6]:port" with a literal address */
static int parse_addr(const char *addr, struct sockaddr_storage *sa, socklen_t *ret_n,
                      bool *ret_loopback) {
    struct mr_str s = mr_str(addr);
    const char *colon = memrchr(s.p, ':', s.n);
    int64_t port;
    char host[INET6_ADDRSTRLEN];
    if (!colon || !mr_str_i64(mr_strn(colon + 1, (size_t)(s.p + s.n - colon - 1)), 0, 65535, &port))
        return MR_EINVAL;
    struct mr_str h = mr_strn(s.p, (size_t)(colon - s.p));
    bool v6 = h.n > 2 && h.p[0] == '[' && h.p[h.n - 1] == ']';
    if (v6)
        h = mr_strn(h.p + 1, h.n - 2);
    if (mr_str_is(h, "localhost"))
        h = MR_LIT("127.0.0.1");
    if (h.n >= sizeof host)
        return MR_EINVAL;
    memcpy(host, h.p, h.n);
    host[h.n] = 0;
    memset(sa, 0, sizeof *sa);
    if (v6) {
        struct sockaddr_in6 *in6 = (void *)sa;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *ret_n = sizeof *in6;
        if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
            return MR_EINVAL;
        *ret_loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
        return 0;
    }
    struct sockaddr_in *in = (void *)sa;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    *ret_n = sizeof *in;
    if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
        return MR_EINVAL;
    *ret_loopback = (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    return 0;
}

int mr_http_listen(struct mr_http_server *s, const char *addr, uint16_t *ret_port,
                   struct mr_err *e) {
    struct sockaddr_storage sa;
    socklen_t n;
    bool loopback;
    int one = 1;
    if (s->running || s->n_listeners == LISTENERS_MAX)
        return mr_fail(e, MR_EINTERNAL, "no more listeners can be added");
    if (parse_addr(addr, &sa, &n, &loopback) < 0)
        return mr_fail(e, MR_EINVAL, "%s is not ADDRESS:PORT, e.g. 127.0.0.1:8080 or [::1]:8080",
                       addr);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return mr_fail_errno(e, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (sa.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sa, n) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &n) < 0) {
        int rc = mr_fail_errno(e, addr);
        close(fd);
        return rc;
    }
    uint16_t port = ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                                   : ((struct sockaddr_in *)&sa)->sin_port);
    s->listeners[s->n_listeners++] = (struct listener){s, fd, loopback, port};
    if (ret_port)
        *ret_port = port;
    return 0;
}

static void *loop_main(void *arg) {
    struct hloop *l = arg;
    (void)pthread_setname_np(pthread_self(), "http-loop");
    atomic_store_explicit(&l->tid, gettid(), memory_order_relaxed);
    mr_loop_run(l->loop);
    atomic_store_explicit(&l->tid, 0, memory_order_relaxed); /* another thread may get it */
    return NULL;
}

/* The listeners' close is left to mr_http_drain: other loops may still be accepting. */
static void stop_accepting(struct hloop *l) {
    for (unsigned i = 0; i < l->s->n_listeners; i++)
        acceptor_stop(&l->acc[i]);
}

static void drain_over(void *arg) {
    struct hloop *l = arg;
    struct conn *next;
    for (struct conn *c = l->conns.next; c != &l->conns; c = next) {
        next = c->next;
        conn_close(c); /* those that the application still holds go when it gives them back */
    }
}

static void drain_begin(void *arg) {
    struct hloop *l = arg;
    struct conn *next;
    l->draining = true;
    stop_accepting(l);
    for (struct conn *c = l->conns.next; c != &l->conns; c = next) {
        next = c->next;
        if (c->state == C_WEBSOCKET)
            mr_ws_close(c->ws, 1001); /* going away */
        else if (!c->ex)
            conn_close(c);
    }
    if (!l->n_conns) {
        mr_loop_stop(l->loop);
        return;
    }
    l->drain_timer = (struct mr_timer){.fn = drain_over, .arg = l};
    (void)mr_loop_timer_set(l->loop, &l->drain_timer,
                            mr_mono_ns() + l->s->cfg.limits.drain_ms * NS_MS);
}

static void close_listeners(struct mr_http_server *s) {
    for (unsigned i = 0; i < s->n_listeners; i++)
        if (s->listeners[i].fd >= 0) {
            close(s->listeners[i].fd);
            s->listeners[i].fd = -1;
        }
}

int mr_http_start(struct mr_http_server *s, struct mr_err *e) {
    if (s->running || !s->n_listeners)
        return mr_fail(e, MR_EINTERNAL, "start needs a listener, once");
    unsigned cpus = cpu_count();
    unsigned workers = cpus < 2 ? 2 : cpus > 4 ? 4 : cpus;
    int rc = mr_pool_new(workers, (size_t)s->cfg.limits.conns_max + 1, &s->pool, e);
    if (rc < 0)
        return rc;
    s->running = true;
    for (unsigned i = 0; rc == 0 && i < s->n_loops; i++)
        for (unsigned k = 0; rc == 0 && k < s->n_listeners; k++) {
            s->loops[i].acc[k].l = &s->loops[i];
            s->loops[i].acc[k].lis = &s->listeners[k];
            rc = acceptor_start(&s->loops[i].acc[k], e);
        }
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    for (unsigned i = 0; rc == 0 && i < s->n_loops; i++) {
        if (pthread_create(&s->loops[i].thread, NULL, loop_main, &s->loops[i]) != 0)
            rc = mr_fail(e, MR_EUNAVAIL, "cannot start %u threads", s->n_loops);
        else
            s->loops[i].started = true;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc < 0)
        mr_http_drain(s);
    return rc;
}

void mr_http_drain(struct mr_http_server *s) {
    if (!s->running)
        return;
    atomic_store(&s->draining, true);
    for (unsigned i = 0; i < s->n_loops; i++) {
        struct hloop *l = &s->loops[i];
        l->drain_task = (struct mr_loop_task){NULL, drain_begin, l};
        mr_loop_post(l->loop, &l->drain_task);
    }
    for (unsigned i = 0; i < s->n_loops; i++)
        if (s->loops[i].started)
            pthread_join(s->loops[i].thread, NULL);
    /* a connection handed to a loop that had already stopped is closed here */
    for (unsigned i = 0; i < s->n_loops; i++) {
        mr_loop_stop(s->loops[i].loop);
        mr_loop_run(s->loops[i].loop);
    }
    close_listeners(s);
    mr_pool_free(s->pool);
    s->pool = NULL;
    s->running = false;
}

bool mr_http_draining(const struct mr_http_server *s) {
    return atomic_load_explicit(&s->draining, memory_order_relaxed);
}

void mr_http_free(struct mr_http_server *s) {
    if (!s)
        return;
    mr_http_drain(s);
    close_listeners(s);
    for (unsigned i = 0; i < s->n_loops; i++) {
        struct hloop *l = &s->loops[i];
        while (l->free_ex) {
            struct exchange *x = l->free_ex;
            l->free_ex = x->next_free;
            ex_free(x);
        }
        mr_loop_free(l->loop);
        mr_free(l->scratch);
    }
    mr_tls_ctx_free(s->tls);
    mr_router_free(s->router);
    ip_table_free(s->ips);
    pacer_release(&s->pacer);
    mr_free(s->loops);
    mr_free(s);
}

void mr_http_stats(const struct mr_http_server *s, struct mr_http_stats *ret) {
    struct mr_http_stats t = {0};
    for (unsigned i = 0; i < s->n_loops; i++) {
        const struct counters *n = &s->loops[i].n;
        t.conns_open += atomic_load_explicit(&n->open, memory_order_relaxed);
        t.conns_total += atomic_load_explicit(&n->total, memory_order_relaxed);
        t.requests_total += atomic_load_explicit(&n->requests, memory_order_relaxed);
        t.bytes_in += atomic_load_explicit(&n->in, memory_order_relaxed);
        t.bytes_out += atomic_load_explicit(&n->out, memory_order_relaxed);
        t.parse_errors += atomic_load_explicit(&n->parse_errors, memory_order_relaxed);
        t.conns_refused += atomic_load_explicit(&n->refused, memory_order_relaxed);
    }
    t.gentle = atomic_load_explicit(&s->pacer.gentle, memory_order_relaxed);
    *ret = t;
}
