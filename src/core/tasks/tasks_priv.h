/* Inside core/tasks: the jobs under way and the statements. */
#ifndef MR_CORE_TASKS_PRIV_H
#define MR_CORE_TASKS_PRIV_H

#include "core/tasks/tasks.h"

#include <pthread.h>
#include <stdatomic.h>

#define MR_TASK_OPTIONS 4 /* the provider asked for and its fallbacks */

/* The next id an account, known to the writer thread only. */
struct mr_task_ids {
    struct slot {
        struct mr_id account;
        int64_t last;
    } * slot;
    size_t n, cap;
};

struct mr_tasks {
    struct mr_tasks_config c;
    struct mr_task_ids ids;
    pthread_mutex_t mu;
    pthread_cond_t idle;
    size_t jobs;               /* under way, without the stuck ones */
    struct mr_task_job *spare; /* over: their arenas are used again */
    size_t n_spare;
    struct mr_task_job *stuck;  /* their end could not be committed */
    struct mr_task_job *open;   /* those with a row */
    int64_t room;               /* writer thread: bytes that a row grows by at its end, mostly */
    unsigned idempotency_count; /* writer thread: old keys are removed now and then */
    atomic_uint_least64_t created, completed, failed, replayed;
};

/* One task from its admission to its answer. Owned by whatever step runs. */
struct mr_task_job {
    struct mr_tasks *t;
    struct mr_task_job *next;
    struct mr_task_job *open_prev, *open_next; /* while its row may say that it has not ended */
    int64_t open_id;                           /* 0: not among those */
    struct mr_arena arena;
    struct mr_task_request q; /* strings in the arena */
    struct mr_principal who;
    struct mr_task_option {
        const struct mr_provider *provider;
        struct mr_str model;
        struct mr_price price;
    } option[MR_TASK_OPTIONS];
    size_t n_option;
    int64_t max_tokens;
    struct mr_hold hold;
    struct mr_err refused; /* why no budget was held; looked at unless the key was used before */
    struct mr_task_info task;
    int64_t end_user;
    bool replay;
    /* the outcome */
    int rc;
    struct mr_err err;
    bool billed;
    struct mr_settle settle;
    bool answered;
};

/* tasks.c */
void mr_task_job_free(struct mr_task_job *j);
void mr_task_job_gone(struct mr_tasks *t); /* counted, but never came to be */
void mr_task_answer(struct mr_task_job *j, const struct mr_err *e_or_null);
void mr_task_retry_stuck(struct mr_tasks *t);
void mr_task_stick(struct mr_task_job *j);
void mr_task_opened(struct mr_task_job *j);
/* The lowest id of the account's tasks that have not ended, 0 = none. Rows below it have. */
int64_t mr_task_first_open(struct mr_tasks *t, struct mr_id account);

/* tasks_finish.c */
void mr_task_chat_done(void *arg, const struct mr_chat_result *r);
/* Commits the job's outcome, then answers. */
void mr_task_commit(struct mr_task_job *j);
int mr_task_commit_in(struct mr_tx *tx, void *job, struct mr_err *e);
/* Sets the outcome of a job that got no answer: nothing was used. */
void mr_task_fail(struct mr_task_job *j, int rc, const struct mr_err *e);

/* tasks_recover.c */
int mr_tasks_recover(struct mr_tasks *t, struct mr_err *e);

/* tasks_sql.c: inside a transaction */
int mr_task_next_id(struct mr_tasks *t, struct mr_tx *tx, struct mr_id account, int64_t *ret,
                    struct mr_err *e);
/* Also counts it as open, before anyone can see its row. */
int mr_task_insert_in(struct mr_tx *tx, struct mr_task_job *j, struct mr_err *e);
void mr_task_learn_room(struct mr_tasks *t, const struct mr_task_info *ended);
int mr_task_end_in(struct mr_tx *tx, struct mr_id account, const struct mr_task_info *k,
                   int error_code, struct mr_err *e);
/* *ret_code: enum mr_code of a failed task. */
int mr_task_read_in(struct mr_tx *tx, struct mr_id account, int64_t id, struct mr_arena *arena,
                    struct mr_task_info *ret, int *ret_code, struct mr_err *e);
/* 0 with *ret_task 0: a new key. */
int mr_task_key_find_in(struct mr_tx *tx, struct mr_id account, struct mr_str key,
                        const uint8_t hash[32], int64_t *ret_task, struct mr_err *e);
int mr_task_key_add_in(struct mr_tasks *t, struct mr_tx *tx, struct mr_id account,
                       struct mr_str key, const uint8_t hash[32], int64_t task, int64_t now_us,
                       struct mr_err *e);
int mr_task_key_drop_in(struct mr_tx *tx, struct mr_id account, struct mr_str key,
                        struct mr_err *e);

#endif
