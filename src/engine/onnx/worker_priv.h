/* Between worker.c (the process) and worker_run.c (a run). */
#ifndef MR_ENGINE_ONNX_WORKER_PRIV_H
#define MR_ENGINE_ONNX_WORKER_PRIV_H

#include "engine/onnx/ort_abi.h"
#include "engine/onnx/shared.h"
#include "engine/onnx/tensors.h"

#include <pthread.h>
#include <sched.h>

#define MR_ONNX_THREADS_MAX 16

struct mr_onnx_threads {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    unsigned n, lent, taken;
    bool placed;           /* each has a processor of its own, because there are no others */
    cpu_set_t any, others; /* where this process may run, and where none of them does */
    struct mr_onnx_work {
        void (*run)(void *);
        void *param;
    } work[MR_ONNX_THREADS_MAX];
};
int mr_onnx_threads_start(struct mr_onnx_threads *t, unsigned n, struct mr_err *e);
/* For ONNX Runtime: `threads` is a struct mr_onnx_threads. */
void *mr_onnx_threads_lend(void *threads, void (*run)(void *), void *param);
void mr_onnx_threads_join(const void *handle);
/* Around a run with them: the caller stays off their processors. */
void mr_onnx_threads_begin(const struct mr_onnx_threads *t);
void mr_onnx_threads_end(const struct mr_onnx_threads *t);

/* Whether wide runs pay. Their threads wait for each other at each layer, so a processor that
 * somebody else uses costs more than a thread gives. All of them are busy as long as a run lasts
 * (they spin), unless they do not get a processor: that share is measured, and while it is low runs
 * are narrow, longer each time. */
struct mr_onnx_pace {
    int64_t narrow_until, pause; /* ns */
    double share; /* of the processors' time that wide runs got, smoothed; 0: none yet */
};
bool mr_onnx_pace_wide(const struct mr_onnx_pace *p, int64_t now);
/* A wide run of `threads` took wall ns, and cpu ns of this process. */
void mr_onnx_pace_note(struct mr_onnx_pace *p, unsigned threads, int64_t now, int64_t wall,
                       int64_t cpu);

struct mr_onnx_worker {
    void *const *ort;
    ort_env *env;
    ort_session *session;
    ort_session *wide; /* over `threads` and this one; NULL: there are none */
    struct mr_onnx_threads threads;
    struct mr_onnx_pace pace;
    ort_allocator *alloc;
    ort_memory_info *memory;
    struct mr_onnx_hello hello;
    struct mr_onnx_shared shared;
    struct mr_str file;
    struct mr_arena keep; /* names */
    struct mr_onnx_model model;
    const char *in_name[MR_ONNX_MAX_VALUES], *out_name[MR_ONNX_MAX_VALUES];
};

/* A status becomes an error of ours and is released. */
int mr_onnx_check(struct mr_onnx_worker *w, ort_status *s, struct mr_err *e);
/* From a request to a reply, appended to `out`. The arena is for this run. `wide`: it may be. */
int mr_onnx_worker_run(struct mr_onnx_worker *w, bool wide, struct mr_reader request,
                       struct mr_arena *a, struct mr_buf *out, struct mr_err *e);

#endif
