/* Between client.c (the worker's life) and run.c (what it is asked). */
#ifndef MR_ENGINE_ONNX_CLIENT_PRIV_H
#define MR_ENGINE_ONNX_CLIENT_PRIV_H

#include "engine/onnx/convert.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/shared.h"
#include "io/child.h"

#include <pthread.h>

struct mr_onnx {
    pthread_mutex_t lock; /* worker, sock, shared, alive */
    struct mr_child worker;
    int sock;
    struct mr_onnx_shared shared;
    bool alive;
    int model_fd;
    uint64_t memory_limit, memory;
    int64_t timeout_ms;
    unsigned threads;
    bool catalogue;       /* not a user's */
    struct mr_arena keep; /* the schema */
    struct mr_onnx_schema schema;
};

/* With the lock held. */
int mr_onnx_start(struct mr_onnx *m, struct mr_err *e);
void mr_onnx_stop(struct mr_onnx *m);
/* How the worker ended, after its socket closed. Returns `code`. */
int mr_onnx_died(struct mr_onnx *m, int code, const char *what, struct mr_err *e);

#endif
