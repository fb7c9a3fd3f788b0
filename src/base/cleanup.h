/* Scope-exit cleanup for locals. `MR_CLEANUP(mr_buf_release) struct mr_buf b = …;` runs
 * mr_buf_release(&b) when the scope ends; MR_TAKE(p) hands ownership out of the scope. */
#ifndef MR_BASE_CLEANUP_H
#define MR_BASE_CLEANUP_H

#include "base/alloc.h"

#include <stdio.h>
#include <unistd.h>

#define MR_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Defines `fn##_p(T *p)` for pointer locals, calling fn(*p). */
#define MR_DEFINE_CLEANUP(T, fn)                                                                   \
    static inline void fn##_p(T *p) {                                                              \
        if (*p)                                                                                    \
            fn(*p);                                                                                \
    }                                                                                              \
    struct mr_allow_semicolon_

static inline void mr_freep_(void *p) {
    mr_free(*(void **)p);
}
static inline void mr_closep_(int *fd) {
    if (*fd >= 0)
        close(*fd);
}
static inline void mr_fclosep_(FILE **f) {
    if (*f)
        fclose(*f);
}

#define MR_AUTO_FREE   MR_CLEANUP(mr_freep_)
#define MR_AUTO_CLOSE  MR_CLEANUP(mr_closep_)
#define MR_AUTO_FCLOSE MR_CLEANUP(mr_fclosep_)

/* Ownership leaves the variable: returns its value and sets it to NULL. */
#define MR_TAKE(p)                                                                                 \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
#define MR_TAKE_FD(fd)                                                                             \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

#endif
