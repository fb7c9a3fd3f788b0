/* Shared by the deploy*.c files only: one upload, or one that an earlier process left unfinished,
 * on its way to a version that serves. */
#ifndef MR_CORE_DEPLOY_PRIV_H
#define MR_CORE_DEPLOY_PRIV_H

#include "core/deployments_priv.h"

struct mr_deploy_job {
    struct mr_deployments *d;
    struct mr_arena arena;        /* inputs and the first transaction */
    struct mr_arena intake_arena; /* the pool's: intake runs beside that transaction */
    atomic_int refs;              /* the caller's and the pool's */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool inserted, refused, done; /* row written; row not written; outcome written */
    int rc;
    struct mr_err err;
    /* inputs, copied */
    struct mr_str name, changes, file_name, requirements, base_url, idem;
    struct mr_str request; /* what the row keeps, so that a later process can go on */
    bool named;
    int64_t memory_mb, timeout_s;
    struct mr_id account;
    struct mr_blob_name source;
    struct mr_blob_writer *upload; /* the caller's; NULL when the source is stored already */
    int source_fd;                 /* read-only */
    uint64_t size;
    uint8_t request_hash[MR_SHA256_LEN];
    /* set by the insert */
    struct mr_deployment dep;
    bool fresh; /* a new deployment, not a next version */
    bool replayed;
    struct mr_dep *spare; /* becomes the entry of a new deployment */
    struct mr_dep *entry;
    /* set by intake */
    struct mr_dep_program program;
    struct mr_blob_writer *out; /* the compiled program, until it is stored */
    struct mr_str metadata, framework;
    struct mr_loaded *loaded;   /* a hold, until the registry takes it */
    struct mr_dep_state state;  /* after the second transaction */
    struct mr_dep_retry retry;  /* of the second transaction */
    struct mr_deploy_job *next; /* the list of those to recover */
};

/* deploy.c */
/* With one reference and empty inputs; NULL when memory ran out. */
struct mr_deploy_job *mr_deploy_job_new(struct mr_deployments *d);
void mr_deploy_job_unref(struct mr_deploy_job *j);
/* Runs what the job's row asks for and takes over one reference. For the intake pool. */
void mr_deploy_run(void *job);

/* deploy_tx.c; arg: the job */
int mr_deploy_insert(struct mr_tx *tx, void *arg, struct mr_err *e);
int mr_deploy_outcome(struct mr_tx *tx, void *arg, struct mr_err *e);

/* deploy_recover.c */
/* The row's note of what the upload asked for; p == NULL when memory ran out. */
struct mr_str mr_deploy_request(struct mr_arena *a, const struct mr_deploy_job *j);

#endif
