/* Event loops: one epoll a thread. A loop and what is registered with it belong to its thread;
 * only mr_loop_post and mr_loop_stop may be called from others. */
#ifndef MR_IO_LOOP_H
#define MR_IO_LOOP_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct mr_loop;
struct mr_loop_io; /* a registered descriptor */

int mr_loop_new(struct mr_loop **ret, struct mr_err *e);
void mr_loop_free(struct mr_loop *l);
/* Runs until mr_loop_stop. */
void mr_loop_run(struct mr_loop *l);
void mr_loop_stop(struct mr_loop *l);
/* Runs fn(arg) on the loop's thread, soon. Never fails for lack of room (intrusive node owned by
 * the caller until fn runs). */
struct mr_loop_task {
    struct mr_loop_task *next;
    void (*fn)(void *arg);
    void *arg;
};
void mr_loop_post(struct mr_loop *l, struct mr_loop_task *t);
/* Between these two, posts of this thread do not wake their loops; the second wakes each once. For
 * a thread with many posts at a time: waking is a system call, and the woken loop would take the
 * first task alone. */
void mr_loop_hold_wakes(void);
void mr_loop_wake_held(void);
int64_t mr_loop_now_ns(const struct mr_loop *l); /* monotonic, cached an iteration */

typedef void mr_loop_io_fn(void *arg, uint32_t events); /* EPOLLIN … */
int mr_loop_add(struct mr_loop *l, int fd, uint32_t events, mr_loop_io_fn *fn, void *arg,
                struct mr_loop_io **ret, struct mr_err *e);
int mr_loop_set(struct mr_loop_io *io, uint32_t events);
void mr_loop_del(struct mr_loop_io *io); /* safe inside any callback of the loop */

/* Timers: intrusive, one-shot, O(log n). */
struct mr_timer {
    int64_t at_ns;
    size_t heap_index; /* 0 = idle */
    void (*fn)(void *arg);
    void *arg;
};
int mr_loop_timer_set(struct mr_loop *l, struct mr_timer *t, int64_t at_ns);
void mr_loop_timer_cancel(struct mr_loop *l, struct mr_timer *t);

#endif
