#include "io/pool.h"

#include "base/alloc.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

struct job {
    void (*fn)(void *arg);
    void *arg;
};

struct mr_pool {
    pthread_mutex_t mu;
    pthread_cond_t more;
    struct job *ring;
    size_t cap, head, n; /* head: oldest job */
    bool closing;
    unsigned n_threads;
    pthread_t *threads;
};

static void *worker(void *arg) {
    struct mr_pool *p = arg;
    (void)pthread_setname_np(pthread_self(), "pool");
    pthread_mutex_lock(&p->mu);
    for (;;) {
        while (!p->n && !p->closing)
            pthread_cond_wait(&p->more, &p->mu);
        if (!p->n)
            break;
        struct job j = p->ring[p->head];
        p->head = (p->head + 1) % p->cap;
        p->n--;
        pthread_mutex_unlock(&p->mu);
        j.fn(j.arg);
        pthread_mutex_lock(&p->mu);
    }
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

int mr_pool_new(unsigned threads, size_t queue_max, struct mr_pool **ret, struct mr_err *e) {
    if (!threads || !queue_max)
        return mr_fail(e, MR_EINTERNAL, "a pool needs threads and a queue");
    struct mr_pool *p = mr_calloc(1, sizeof *p);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "no memory for a thread pool");
    pthread_mutex_init(&p->mu, NULL);
    pthread_cond_init(&p->more, NULL);
    p->cap = queue_max;
    p->ring = mr_calloc(queue_max, sizeof *p->ring);
    p->threads = mr_calloc(threads, sizeof *p->threads);
    if (!p->ring || !p->threads) {
        mr_pool_free(p);
        return mr_fail(e, MR_ENOMEM, "no memory for a thread pool");
    }
    /* signals belong to the thread that installed their handlers */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    while (p->n_threads < threads && rc == 0) {
        rc = pthread_create(&p->threads[p->n_threads], NULL, worker, p);
        if (rc == 0)
            p->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        mr_pool_free(p);
        return mr_fail(e, MR_EUNAVAIL, "cannot start %u threads", threads);
    }
    *ret = p;
    return 0;
}

void mr_pool_free(struct mr_pool *p) {
    if (!p)
        return;
    pthread_mutex_lock(&p->mu);
    p->closing = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->mu);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->mu);
    mr_free(p->ring);
    mr_free(p->threads);
    mr_free(p);
}

int mr_pool_submit(struct mr_pool *p, void (*fn)(void *arg), void *arg) {
    pthread_mutex_lock(&p->mu);
    int rc = p->closing || p->n == p->cap ? MR_EUNAVAIL : 0;
    if (rc == 0) {
        p->ring[(p->head + p->n++) % p->cap] = (struct job){fn, arg};
        pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->mu);
    return rc;
}

size_t mr_pool_queued(struct mr_pool *p) {
    pthread_mutex_lock(&p->mu);
    size_t n = p->n;
    pthread_mutex_unlock(&p->mu);
    return n;
}
