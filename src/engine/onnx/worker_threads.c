/* ONNX Runtime makes a session's threads when the session is made, which is after the sandbox has
 * closed, where no thread can be made. So they are made before, wait here, and are lent to it. */
#include "engine/onnx/worker_priv.h"

static void *wait_for_work(void *arg) {
    struct mr_onnx_threads *t = arg;
    pthread_mutex_lock(&t->lock);
    t->n++;
    pthread_cond_broadcast(&t->changed);
    while (t->lent == t->taken)
        pthread_cond_wait(&t->changed, &t->lock);
    struct mr_onnx_work w = t->work[t->taken++];
    pthread_mutex_unlock(&t->lock);
    w.run(w.param);
    return NULL;
}

/* On a machine with no more processors than threads, two of them on one processor wait for each
 * other at each layer, and a scheduler leaves them there while somebody else keeps the other busy.
 */
static void place(struct mr_onnx_threads *t, const pthread_t *id, unsigned n) {
    if (sched_getaffinity(0, sizeof t->any, &t->any) || (unsigned)CPU_COUNT(&t->any) != n + 1)
        return;
    t->others = t->any;
    t->placed = true;
    for (unsigned cpu = CPU_SETSIZE, k = 0; cpu-- && k < n;) {
        cpu_set_t one;
        if (!CPU_ISSET(cpu, &t->any))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        CPU_CLR(cpu, &t->others);
        if (pthread_setaffinity_np(id[k++], sizeof one, &one))
            t->placed = false; /* no more than slower */
    }
}

void mr_onnx_threads_begin(const struct mr_onnx_threads *t) {
    if (t->placed)
        sched_setaffinity(0, sizeof t->others, &t->others);
}

void mr_onnx_threads_end(const struct mr_onnx_threads *t) {
    if (t->placed)
        sched_setaffinity(0, sizeof t->any, &t->any);
}

int mr_onnx_threads_start(struct mr_onnx_threads *t, unsigned n, struct mr_err *e) {
    if (n > MR_ONNX_THREADS_MAX)
        return mr_fail(e, MR_EINVAL, "%u threads are too many", n);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    pthread_t id[MR_ONNX_THREADS_MAX];
    for (unsigned k = 0; k < n; k++) {
        if (pthread_create(&id[k], NULL, wait_for_work, t))
            return mr_fail(e, MR_EUNAVAIL, "a model's threads cannot be started");
        pthread_detach(id[k]);
    }
    place(t, id, n);
    pthread_mutex_lock(&t->lock); /* their first system calls are behind them */
    while (t->n < n)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
    return 0;
}

void *mr_onnx_threads_lend(void *threads, void (*run)(void *), void *param) {
    struct mr_onnx_threads *t = threads;
    void *handle = NULL; /* "it cannot be made" */
    pthread_mutex_lock(&t->lock);
    if (t->lent < t->n) {
        t->work[t->lent++] = (struct mr_onnx_work){run, param};
        handle = t;
        pthread_cond_broadcast(&t->changed);
    }
    pthread_mutex_unlock(&t->lock);
    return handle;
}

/* They end with the process. */
void mr_onnx_threads_join(const void *handle) {
    (void)handle;
}
