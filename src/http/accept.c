/* Accepting: one listening socket is shared by all loops (EPOLLEXCLUSIVE wakes one of them), and a
 * new connection goes to the loop that has the fewest. With SO_REUSEPORT the kernel's hash decides,
 * which leaves loops idle when connections are few, and two servers can sit on one port unseen. */
#include "http/internal.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_MAX 64
#define RETRY_NS    (100 * NS_MS)

/* ---- connections per address ---- */

struct ip_slot {
    unsigned char key[17];
    unsigned n; /* 0: free */
};

struct ip_table {
    pthread_mutex_t mu;
    struct ip_slot *slots;
    size_t cap, used; /* cap: power of two */
};

struct ip_table *ip_table_new(void) {
    struct ip_table *t = mr_calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->cap = 64;
    t->slots = mr_calloc(t->cap, sizeof *t->slots);
    if (!t->slots) {
        mr_free(t);
        return NULL;
    }
    pthread_mutex_init(&t->mu, NULL);
    return t;
}

void ip_table_free(struct ip_table *t) {
    if (!t)
        return;
    pthread_mutex_destroy(&t->mu);
    mr_free(t->slots);
    mr_free(t);
}

static size_t ip_find(const struct ip_table *t, const unsigned char key[17]) {
    size_t i = mr_hash64(mr_strn((const char *)key, 17)) & (t->cap - 1);
    while (t->slots[i].n && memcmp(t->slots[i].key, key, 17) != 0)
        i = (i + 1) & (t->cap - 1);
    return i;
}

static bool ip_grow(struct ip_table *t) {
    struct ip_slot *old = t->slots;
    size_t old_cap = t->cap;
    struct ip_slot *fresh = mr_calloc(old_cap * 2, sizeof *fresh);
    if (!fresh)
        return false;
    t->slots = fresh;
    t->cap = old_cap * 2;
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].n)
            t->slots[ip_find(t, old[i].key)] = old[i];
    mr_free(old);
    return true;
}

static bool ip_take(struct ip_table *t, const unsigned char key[17], unsigned max) {
    bool ok = false;
    pthread_mutex_lock(&t->mu);
    if (t->used * 2 < t->cap || ip_grow(t)) {
        struct ip_slot *s = &t->slots[ip_find(t, key)];
        if (!s->n) {
            memcpy(s->key, key, 17);
            t->used++;
        }
        ok = s->n < max;
        if (ok)
            s->n++;
        else if (!s->n)
            t->used--;
    }
    pthread_mutex_unlock(&t->mu);
    return ok;
}

void ip_release(struct ip_table *t, const unsigned char key[17]) {
    pthread_mutex_lock(&t->mu);
    size_t i = ip_find(t, key);
    if (t->slots[i].n && --t->slots[i].n == 0) {
        t->used--;
        /* close the gap: later entries of the probe chain move up */
        size_t mask = t->cap - 1;
        for (size_t j = (i + 1) & mask; t->slots[j].n; j = (j + 1) & mask) {
            struct ip_slot s = t->slots[j];
            t->slots[j].n = 0;
            t->slots[ip_find(t, s.key)] = s;
        }
    }
    pthread_mutex_unlock(&t->mu);
}

/* ---- adoption by a loop ---- */

struct handoff {
    struct mr_loop_task task;
    struct hloop *to;
    int fd;
    bool loopback_listener, counted, peer_loopback;
    uint16_t listener;
    uint16_t port;
    unsigned char key[17];
    char peer[INET6_ADDRSTRLEN];
};

static void forget(const struct handoff *h) {
    struct mr_http_server *s = h->to->s;
    close(h->fd);
    if (h->counted)
        ip_release(s->ips, h->key);
    atomic_fetch_sub_explicit(&s->conns_open, 1, memory_order_relaxed);
}

static void adopt(const struct handoff *h) {
    struct hloop *l = h->to;
    struct conn *c = l->draining ? NULL : conn_new(l, h->fd);
    if (!c) {
        count(&l->n.refused, 1);
        forget(h);
        return;
    }
    count(&l->n.total, 1);
    c->counted = h->counted;
    c->peer_loopback = h->peer_loopback;
    c->listener_loopback = h->loopback_listener;
    c->local_port = h->port;
    c->listener = h->listener;
    memcpy(c->addr_key, h->key, sizeof c->addr_key);
    memcpy(c->peer, h->peer, sizeof c->peer);
    set_deadline(c);
}

static void adopt_posted(void *arg) {
    struct handoff *h = arg;
    adopt(h);
    mr_free(h);
}

static void address(const struct sockaddr_storage *sa, struct handoff *h) {
    memset(h->key, 0, sizeof h->key);
    h->peer[0] = 0;
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        h->key[0] = 4;
        memcpy(h->key + 1, &in->sin_addr, 4);
        inet_ntop(AF_INET, &in->sin_addr, h->peer, sizeof h->peer);
        h->peer_loopback = (ntohl(in->sin_addr.s_addr) >> 24) == 127;
        return;
    }
    if (sa->ss_family != AF_INET6)
        return;
    const struct sockaddr_in6 *in6 = (const void *)sa;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        struct in_addr v4;
        memcpy(&v4, (const char *)&in6->sin6_addr + 12, 4);
        h->key[0] = 4;
        memcpy(h->key + 1, &v4, 4);
        inet_ntop(AF_INET, &v4, h->peer, sizeof h->peer);
        h->peer_loopback = (ntohl(v4.s_addr) >> 24) == 127;
        return;
    }
    h->key[0] = 6;
    memcpy(h->key + 1, &in6->sin6_addr, 8); /* a /64 is one subscriber */
    inet_ntop(AF_INET6, &in6->sin6_addr, h->peer, sizeof h->peer);
    h->peer_loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static bool admit(struct hloop *l, struct handoff *h) {
    struct mr_http_server *s = l->s;
    const struct mr_http_limits *lim = &s->cfg.limits;
    if (atomic_fetch_add_explicit(&s->conns_open, 1, memory_order_relaxed) >= lim->conns_max) {
        atomic_fetch_sub_explicit(&s->conns_open, 1, memory_order_relaxed);
        return false;
    }
    unsigned cap = h->peer_loopback ? lim->conns_per_ip_loopback : lim->conns_per_ip;
    if (!cap)
        return true;
    h->counted = ip_take(s->ips, h->key, cap);
    if (!h->counted)
        atomic_fetch_sub_explicit(&s->conns_open, 1, memory_order_relaxed);
    return h->counted;
}

static struct hloop *least_loaded(struct hloop *l) {
    struct hloop *best = l;
    uint64_t own = atomic_load_explicit(&l->n.open, memory_order_relaxed), least = own;
    for (unsigned i = 0; i < l->s->n_loops; i++) {
        uint64_t n = atomic_load_explicit(&l->s->loops[i].n.open, memory_order_relaxed);
        if (n < least) {
            least = n;
            best = &l->s->loops[i];
        }
    }
    return least < own ? best : l;
}

static void take(struct acceptor *a, int fd, const struct sockaddr_storage *sa) {
    struct hloop *l = a->l;
    struct handoff h = {.fd = fd,
                        .to = l,
                        .loopback_listener = a->lis->loopback,
                        .port = a->lis->port,
                        .listener = (uint16_t)(a->lis - l->s->listeners)};
    int one = 1;
    address(sa, &h);
    if (!admit(l, &h)) {
        count(&l->n.refused, 1);
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    h.to = least_loaded(l);
    struct handoff *posted = h.to == l ? NULL : mr_malloc(sizeof *posted);
    if (!posted) {
        h.to = l;
        adopt(&h);
        return;
    }
    *posted = h;
    posted->task = (struct mr_loop_task){NULL, adopt_posted, posted};
    mr_loop_post(h.to->loop, &posted->task);
}

/* ---- the listening socket ---- */

static void on_acceptable(void *arg, uint32_t events) {
    struct acceptor *a = arg;
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t n = sizeof sa;
        int fd = accept4(a->lis->fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(a, fd, &sa);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            /* EMFILE and kin: the socket stays readable, so look away for a while */
            acceptor_stop(a);
            (void)mr_loop_timer_set(a->l->loop, &a->retry, mr_loop_now_ns(a->l->loop) + RETRY_NS);
        }
        return;
    }
}

static void retry(void *arg) {
    struct acceptor *a = arg;
    if (!a->l->draining && acceptor_start(a, NULL) < 0)
        (void)mr_loop_timer_set(a->l->loop, &a->retry, mr_loop_now_ns(a->l->loop) + RETRY_NS);
}

int acceptor_start(struct acceptor *a, struct mr_err *e) {
    a->retry.fn = retry;
    a->retry.arg = a;
    return mr_loop_add(a->l->loop, a->lis->fd, EPOLLIN | EPOLLEXCLUSIVE, on_acceptable, a, &a->io,
                       e);
}

void acceptor_stop(struct acceptor *a) {
    mr_loop_timer_cancel(a->l->loop, &a->retry);
    mr_loop_del(a->io);
    a->io = NULL;
}
