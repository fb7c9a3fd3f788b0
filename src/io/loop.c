#include "io/loop.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_MAX  128
#define WAIT_MS_MAX (60 * 60 * 1000)

struct mr_loop_io {
    struct mr_loop *loop;
    mr_loop_io_fn *fn;
    void *arg;
    struct mr_loop_io *next_dead;
    int fd;
    uint32_t events;
    bool dead;
};

struct mr_loop {
    int ep, wake;
    int64_t now_ns;
    struct mr_timer **heap; /* 1-based binary heap by at_ns */
    size_t n_timers, cap_timers;
    struct mr_loop_io *dead;               /* deleted inside a callback, freed after the batch */
    _Atomic(struct mr_loop_task *) posted; /* a stack, newest first */
    atomic_bool stop;
    atomic_int refs; /* its owner, and threads that hold its waking back */
};

#define HELD_MAX 16
static _Thread_local struct {
    bool on;
    int n;
    struct mr_loop *loop[HELD_MAX];
} held;

int mr_loop_new(struct mr_loop **ret, struct mr_err *e) {
    struct mr_loop *l = mr_calloc(1, sizeof *l);
    if (!l)
        return mr_fail(e, MR_ENOMEM, "no memory for an event loop");
    atomic_store(&l->refs, 1);
    l->ep = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (l->ep < 0 || l->wake < 0 || epoll_ctl(l->ep, EPOLL_CTL_ADD, l->wake, &ev) < 0) {
        int rc = mr_fail_errno(e, "event loop");
        mr_loop_free(l);
        return rc;
    }
    l->now_ns = mr_mono_ns();
    *ret = l;
    return 0;
}

static void free_dead(struct mr_loop *l) {
    while (l->dead) {
        struct mr_loop_io *io = l->dead;
        l->dead = io->next_dead;
        mr_free(io);
    }
}

static void unref(struct mr_loop *l) {
    if (atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    if (l->ep >= 0)
        close(l->ep);
    if (l->wake >= 0)
        close(l->wake);
    mr_free(l->heap);
    mr_free(l);
}

void mr_loop_free(struct mr_loop *l) {
    if (!l)
        return;
    free_dead(l);
    unref(l);
}

static void wake(struct mr_loop *l) {
    uint64_t one = 1;
    ssize_t n;
    do
        n = write(l->wake, &one, sizeof one);
    while (n < 0 && errno == EINTR); /* EAGAIN: the counter is full, so a wake-up is pending */
}

void mr_loop_stop(struct mr_loop *l) {
    atomic_store(&l->stop, true);
    wake(l);
}

void mr_loop_post(struct mr_loop *l, struct mr_loop_task *t) {
    struct mr_loop_task *old = atomic_load_explicit(&l->posted, memory_order_relaxed);
    do
        t->next = old;
    while (!atomic_compare_exchange_weak_explicit(&l->posted, &old, t, memory_order_release,
                                                  memory_order_relaxed));
    if (old) /* whoever finds the stack empty wakes the loop */
        return;
    if (!held.on || held.n == HELD_MAX) {
        wake(l);
        return;
    }
    atomic_fetch_add(&l->refs, 1);
    held.loop[held.n++] = l;
}

void mr_loop_hold_wakes(void) {
    held.on = true;
}

void mr_loop_wake_held(void) {
    held.on = false;
    while (held.n) {
        struct mr_loop *l = held.loop[--held.n];
        wake(l);
        unref(l);
    }
}

int64_t mr_loop_now_ns(const struct mr_loop *l) {
    return l->now_ns;
}

/* ---- timers ---- */

static void place(struct mr_loop *l, size_t i, struct mr_timer *t) {
    l->heap[i] = t;
    t->heap_index = i;
}

static void sift_up(struct mr_loop *l, size_t i, struct mr_timer *t) {
    while (i > 1 && l->heap[i / 2]->at_ns > t->at_ns) {
        place(l, i, l->heap[i / 2]);
        i /= 2;
    }
    place(l, i, t);
}

static void sift_down(struct mr_loop *l, size_t i, struct mr_timer *t) {
    for (;;) {
        size_t k = i * 2;
        if (k > l->n_timers)
            break;
        if (k < l->n_timers && l->heap[k + 1]->at_ns < l->heap[k]->at_ns)
            k++;
        if (l->heap[k]->at_ns >= t->at_ns)
            break;
        place(l, i, l->heap[k]);
        i = k;
    }
    place(l, i, t);
}

int mr_loop_timer_set(struct mr_loop *l, struct mr_timer *t, int64_t at_ns) {
    size_t i = t->heap_index;
    if (!i) {
        if (l->n_timers + 2 > l->cap_timers) {
            size_t cap = l->cap_timers ? l->cap_timers * 2 : 64;
            struct mr_timer **heap = mr_reallocarray(l->heap, cap, sizeof(struct mr_timer *));
            if (!heap)
                return MR_ENOMEM;
            l->heap = heap;
            l->cap_timers = cap;
        }
        i = ++l->n_timers;
        t->at_ns = at_ns;
        sift_up(l, i, t);
        return 0;
    }
    bool earlier = at_ns < t->at_ns;
    t->at_ns = at_ns;
    if (earlier)
        sift_up(l, i, t);
    else
        sift_down(l, i, t);
    return 0;
}

void mr_loop_timer_cancel(struct mr_loop *l, struct mr_timer *t) {
    size_t i = t->heap_index;
    if (!i)
        return;
    t->heap_index = 0;
    struct mr_timer *last = l->heap[l->n_timers--];
    if (last == t)
        return;
    if (i > 1 && l->heap[i / 2]->at_ns > last->at_ns)
        sift_up(l, i, last);
    else
        sift_down(l, i, last);
}

static void run_timers(struct mr_loop *l) {
    while (l->n_timers && l->heap[1]->at_ns <= l->now_ns) {
        struct mr_timer *t = l->heap[1];
        mr_loop_timer_cancel(l, t);
        t->fn(t->arg);
    }
}

/* Rounded up, so that a timer never fires early and the loop never spins waiting for one. */
static int wait_ms(const struct mr_loop *l) {
    if (!l->n_timers)
        return -1;
    int64_t ns = l->heap[1]->at_ns - mr_mono_ns();
    if (ns <= 0)
        return 0;
    int64_t ms = (ns + 999999) / 1000000;
    return ms > WAIT_MS_MAX ? WAIT_MS_MAX : (int)ms;
}

/* ---- descriptors ---- */

int mr_loop_add(struct mr_loop *l, int fd, uint32_t events, mr_loop_io_fn *fn, void *arg,
                struct mr_loop_io **ret, struct mr_err *e) {
    struct mr_loop_io *io = mr_calloc(1, sizeof *io);
    if (!io)
        return mr_fail(e, MR_ENOMEM, "no memory to watch a descriptor");
    *io = (struct mr_loop_io){.loop = l, .fn = fn, .arg = arg, .fd = fd, .events = events};
    struct epoll_event ev = {.events = events, .data.ptr = io};
    if (epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
        int rc = mr_fail_errno(e, "epoll_ctl");
        mr_free(io);
        return rc;
    }
    *ret = io;
    return 0;
}

int mr_loop_set(struct mr_loop_io *io, uint32_t events) {
    if (io->events == events)
        return 0;
    struct epoll_event ev = {.events = events, .data.ptr = io};
    if (epoll_ctl(io->loop->ep, EPOLL_CTL_MOD, io->fd, &ev) < 0)
        return MR_EIO;
    io->events = events;
    return 0;
}

void mr_loop_del(struct mr_loop_io *io) {
    if (!io || io->dead)
        return;
    struct mr_loop *l = io->loop;
    (void)epoll_ctl(l->ep, EPOLL_CTL_DEL, io->fd, NULL);
    io->dead = true; /* the current batch may still hold an event for it */
    io->next_dead = l->dead;
    l->dead = io;
}

/* ---- running ---- */

static void run_posted(struct mr_loop *l) {
    struct mr_loop_task *t = atomic_exchange_explicit(&l->posted, NULL, memory_order_acquire);
    struct mr_loop_task *fifo = NULL;
    while (t) {
        struct mr_loop_task *next = t->next;
        t->next = fifo;
        fifo = t;
        t = next;
    }
    while (fifo) {
        struct mr_loop_task *next = fifo->next; /* fn may post the node again */
        fifo->fn(fifo->arg);
        fifo = next;
    }
}

void mr_loop_run(struct mr_loop *l) {
    struct epoll_event ev[EVENTS_MAX];
    while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
        int n = epoll_wait(l->ep, ev, EVENTS_MAX, wait_ms(l));
        l->now_ns = mr_mono_ns();
        for (int i = 0; i < n; i++) {
            struct mr_loop_io *io = ev[i].data.ptr;
            if (!io) {
                uint64_t count;
                ssize_t k = read(l->wake, &count, sizeof count);
                (void)k; /* only resets the counter */
                continue;
            }
            if (!io->dead)
                io->fn(io->arg, ev[i].events);
        }
        run_posted(l);
        run_timers(l);
        free_dead(l);
    }
    run_posted(l);
    free_dead(l);
}
