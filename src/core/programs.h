/* Loaded models: one in memory for a compiled program, however many deployments serve it. Private
 * to the deployments. Thread-safe.
 *
 * A native program is read-only once it is loaded, so deployments whose programs have the same
 * bytes (blob name) and the same time limit share one; what belongs to a deployment (its version,
 * memory limit, last use) is kept in its own entry. ONNX models are never shared: each has a worker
 * process with limits of its own. A holder is a deployment, or a call that has not handed its hold
 * to one yet; predictions under way keep the instance itself, not the hold. */
#ifndef MR_CORE_PROGRAMS_H
#define MR_CORE_PROGRAMS_H

#include "core/deployments.h"

#include <pthread.h>
#include <stdatomic.h>

/* What serves, or served, under one version. */
struct mr_dep_program {
    uint32_t version;
    enum mr_engine_kind kind;
    struct mr_blob_name blob;   /* what is loaded; missing under its name: made again from … */
    struct mr_blob_name source; /* … the upload */
};

struct mr_loaded {
    struct mr_instance *instance; /* set as long as it is held */
    struct mr_blob_name blob;
    int64_t timeout_s;
    bool shared;            /* may have several holders */
    uint32_t holders;       /* under the table's lock */
    struct mr_loaded *next; /* in its bucket */
    /* A sweep's (registry.c), valid for its number: the latest use by any holder, and whether one
     * keeps it (min_instances). */
    uint64_t sweep;
    int64_t used_ns;
    bool kept;
};

struct mr_programs {
    pthread_mutex_t lock;
    struct mr_loaded **bucket;
    size_t n_bucket, n;
    atomic_uint_least64_t loaded, loaded_bytes; /* a shared one counts once */
};

int mr_programs_init(struct mr_programs *p, struct mr_err *e);
void mr_programs_release(struct mr_programs *p); /* nothing may be held */

/* A descriptor of the program's bytes, which the caller closes. May have to make them anew and then
 * set program->blob to their name. */
typedef int mr_program_open_fn(void *ctx, struct mr_dep_program *program, int *ret_fd,
                               struct mr_err *e);
/* A hold on the program, loaded now (ret_fresh, may be NULL: true) unless another holder has it in
 * memory. MR_ETOOBIG: over the memory limit. */
int mr_programs_hold(struct mr_programs *p, mr_program_open_fn *open, void *ctx,
                     struct mr_dep_program *program, const struct mr_dep_config *config,
                     struct mr_loaded **ret, bool *ret_fresh, struct mr_err *e);
/* Gives a hold back; true: it was the last one and the model has left. NULL is fine. Ending a
 * worker process can take a while: not under a lock that others wait for. */
bool mr_programs_drop(struct mr_programs *p, struct mr_loaded *l);
/* For the janitor: the oldest latest use of those noted in this sweep and not kept; INT64_MAX:
 * there is none. */
int64_t mr_programs_oldest(struct mr_programs *p, uint64_t sweep);

#endif
