/* A mutex waited for until a moment of the monotonic clock. */
#ifndef MR_BASE_LOCK_H
#define MR_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* false: `deadline_ns` (mr_mono_ns) passed first. */
static inline bool mr_mutex_lock_until(pthread_mutex_t *m, int64_t deadline_ns) {
    struct timespec until = {.tv_sec = deadline_ns / 1000000000,
                             .tv_nsec = deadline_ns % 1000000000};
#ifdef __SANITIZE_THREAD__
    /* gcc 12's ThreadSanitizer does not see pthread_mutex_clocklock, but trylock. */
    struct timespec now, pause = {.tv_nsec = 200000};
    while (pthread_mutex_trylock(m)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > until.tv_sec ||
            (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec))
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
#else
    return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &until) == 0;
#endif
}

#endif
