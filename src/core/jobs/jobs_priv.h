/* Inside core/jobs.
 *
 * Threads: the keeper claims jobs, keeps leases and cleans up; each runner has `at_once` workers
 * that capture inputs and run items; the database's writer thread runs the transactions and their
 * callbacks. `mu` guards everything here that is not said to be atomic, and nobody waits for the
 * database while holding it. */
#ifndef MR_CORE_JOBS_PRIV_H
#define MR_CORE_JOBS_PRIV_H

#include "core/jobs/input.h"
#include "core/jobs/jobs.h"

#include <pthread.h>
#include <stdatomic.h>

#define MR_JOB_STALL_US    900000000ll /* … over at least this time: it is not the server's fault */
#define MR_JOB_STALLS_MAX  10          /* attempts in a row that died without storing an item */
#define MR_JOB_RETRIES_MAX 10
#define MR_JOB_NAME_MAX    200u
#define MR_JOB_OUTPUT_MAX  (4u << 20)
#define MR_JOB_LOGS_MAX    1000  /* lines a job */
#define MR_JOB_OPEN_MAX    50000 /* unfinished jobs an account */
#define MR_JOB_PRIORITIES  4
#define MR_JOB_ACTIVE_MAX  256u /* held at a time, of one service and priority */
#define MR_JOB_BACKLOG_MAX 512u /* finished items of a job that wait for their commit */

enum mr_job_source { MR_JOB_CAPTURED, MR_JOB_FROM_FILE, MR_JOB_FROM_FOLDER };
enum mr_job_form { MR_JOB_FORM_ANY, MR_JOB_JSONL, MR_JOB_CSV, MR_JOB_ZIP, MR_JOB_TEXT };
enum mr_job_level { MR_JOB_INFO, MR_JOB_WARNING, MR_JOB_ERROR };

/* An item that ended, until it is stored. */
struct mr_job_done {
    struct mr_job_done *next;
    int64_t index, took_us;
    int attempts, code;
    size_t n_output, n_error; /* n_output with code 0, else n_error */
    char text[];
};
struct mr_job_again { /* an item to be tried again */
    int64_t index, due_ns;
    int attempt; /* the next one */
};

enum mr_job_stage { MR_JOB_PREPARE, MR_JOB_PREPARING, MR_JOB_RUN, MR_JOB_OVER };

/* A job that this process holds. Freed when it is over and nothing of it is under way. */
struct mr_job_active {
    struct mr_job_active *next;
    struct mr_jobs *j;
    struct mr_arena arena; /* its strings */
    struct mr_id id, account, user, key;
    unsigned service; /* index of the runner */
    enum mr_job_priority priority;
    int retries, attempt;
    int64_t fence, queued_us;
    struct mr_str parameters, source_name;
    enum mr_job_source source;
    enum mr_job_form form;
    bool has_input, has_source;
    struct mr_blob_name input_blob, source_blob;

    enum mr_job_stage stage;
    atomic_bool stop; /* cancelled, lost or closing: items may end early, nothing new begins */
    bool lost;        /* nothing of it may be written any more */
    int prepare_tries;
    int64_t prepare_ns; /* not before */
    struct mr_job_input in;
    uint8_t *taken; /* a bit an item: stored, waiting or under way */
    int64_t cursor, total;
    int64_t stored;  /* committed */
    int64_t taken_n; /* bits set */
    unsigned running;
    struct mr_job_again *again;
    size_t n_again, cap_again;
    struct mr_job_done *waiting, **waiting_end; /* for the next commit */
    size_t n_waiting;
    struct mr_job_done *batch; /* of the commit under way */
    int64_t n_batch, n_batch_failed;
    bool committing, end; /* end: the commit under way ends the job although items are left */
    bool ended;           /* what it says it did; writer thread */
    int64_t commit_ns;    /* after a failed commit: not before */
    int64_t begun_ns, begun_stored; /* for its speed */
    struct mr_principal who;
    int64_t who_until_ns;
    struct mr_err fatal; /* why the job cannot go on; code 0 = nothing */
};

struct mr_job_service {
    struct mr_job_runner r;
    pthread_cond_t work;
    pthread_t *threads;
    unsigned n_threads;
    struct mr_id last[MR_JOB_PRIORITIES]; /* account that was served last */
    struct mr_id last_claim[MR_JOB_PRIORITIES];
    bool maybe_queued[MR_JOB_PRIORITIES]; /* the queue may hold jobs of it that are not held */
    unsigned queued_seq;        /* grows with each such word: one that came during a claim counts */
    double item_s;              /* measured seconds an item, with side by side ones; 0 = unknown */
    atomic_int_least64_t ahead; /* items of unfinished jobs that are not done, as far as counted */
};

struct mr_jobs {
    struct mr_jobs_config c;
    struct mr_job_service *service;
    unsigned n_service;
    pthread_mutex_t mu;
    pthread_cond_t keeper_cond, idle_cond;
    pthread_t keeper;
    bool keeper_on, kicked, stopping, closed;
    struct mr_job_active *active;
    unsigned n_committing; /* commits under way, whatever became of their jobs */
    int64_t next_due_us, cleaned_ns;
    atomic_uint_least64_t items_ok, items_failed;
};

/* What a runner sees, and what is behind it. */
struct mr_job_work {
    struct mr_job_item item;
    struct mr_job_active *a;
};

/* jobs.c */
int64_t mr_job_lease_us(const struct mr_jobs *j);
void mr_jobs_kick(struct mr_jobs *j); /* takes mu */
void mr_jobs_kick_locked(struct mr_jobs *j);
int mr_jobs_service(const struct mr_jobs *j, struct mr_str name); /* -1: none */

/* active.c: under mu */
struct mr_job_active *mr_job_active_find(struct mr_jobs *j, struct mr_id id);
/* Frees it when nothing of it is left to do. */
void mr_job_active_reap(struct mr_job_active *a);
/* It is not ours any more: nothing of it is written from now on. Reap it afterwards. */
void mr_job_active_lose(struct mr_job_active *a);
/* The next thing for a worker of the service: 1 with *ret and its item (index -1: prepare), 0 with
 * the earliest moment at which there may be one (mono, INT64_MAX: when woken). */
int mr_job_next(struct mr_jobs *j, unsigned service, struct mr_job_active **ret, int64_t *ret_index,
                int *ret_attempt, int64_t *ret_due_ns);
/* Items of jobs of that priority or above that can be given out now, at most `enough`. */
int64_t mr_job_ready(const struct mr_jobs *j, unsigned service, int priority, int64_t enough);
/* The queue may hold more of the service: of this priority, -1: of any. */
void mr_job_maybe_queued(struct mr_jobs *j, unsigned service, int priority);
bool mr_job_any_queued(const struct mr_jobs *j, unsigned service);

/* worker.c */
int mr_job_workers_start(struct mr_jobs *j, struct mr_err *e);
/* commit.c: takes what waits into a commit, when none is under way (under mu); when true, send it
 * after mu was released. */
bool mr_job_commit_begin(struct mr_job_active *a);
void mr_job_commit_send(struct mr_job_active *a);
/* prepare.c: on a worker's thread, without mu. */
int mr_job_prepare(struct mr_job_active *a, struct mr_err *e);
/* keeper.c */
void *mr_job_keeper(void *jobs);
/* claim.c: gives jobs whose lease has ended (`all`: every running one) back to the queue. */
int mr_job_recover(struct mr_jobs *j, bool all, struct mr_err *e);
/* Takes queued jobs of the service, as far as there is room and need. *ret_more: come again. */
int mr_job_claim(struct mr_jobs *j, unsigned service, bool *ret_more, struct mr_err *e);
/* schedule.c: queues what is due and makes the runs of cron jobs; *ret_next_us: the next time
 * (INT64_MAX: none). */
int mr_job_schedule(struct mr_jobs *j, int64_t now_us, int64_t *ret_next_us, struct mr_err *e);
/* capture.c: the source's items into the pack. */
int mr_job_capture(struct mr_job_active *a, struct mr_job_pack *p, struct mr_err *e);
/* keep.c: deletes what is older than the keep time, some at a time. *ret_more: there is more. */
int mr_jobs_clean(struct mr_jobs *j, int64_t now_us, bool *ret_more, struct mr_err *e);

/* sql.c: inside a transaction */
int mr_job_log_in(struct mr_tx *tx, struct mr_id job, enum mr_job_level level,
                  struct mr_str message, struct mr_err *e);
int mr_job_logf_in(struct mr_tx *tx, struct mr_id job, enum mr_job_level level, struct mr_err *e,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Ends a job that holds `fence` (-1: whatever it is), with event and log line. MR_ECONFLICT: it is
 * not this one's any more. error p NULL: completed. */
int mr_job_end_in(struct mr_jobs *j, struct mr_tx *tx, struct mr_id id, int64_t fence,
                  struct mr_str error, struct mr_err *e);
#define MR_JOB_COLUMNS                                                                             \
    "id, name, type, service, status, priority, done, failed, total, created_at, scheduled_at, "   \
    "started_at, ended_at, attempt, parent, format, error, cron, parameters"
/* A row of MR_JOB_COLUMNS, without its estimate. `with_parameters` false: they stay absent. */
int mr_job_row(struct mr_stmt *s, bool with_parameters, struct mr_arena *arena, struct mr_job *ret,
               struct mr_err *e);
/* MR_ENOTFOUND */
int mr_job_read_in(struct mr_tx *tx, struct mr_id account, struct mr_id id, struct mr_arena *arena,
                   struct mr_job *ret, struct mr_err *e);
/* Fills estimated_us. Takes mu. */
void mr_job_estimate(struct mr_jobs *j, struct mr_job *job);

/* worker.c: an item to be tried (again) from due_ns on; under the lock once the job runs. False: no
 * memory. */
bool mr_job_put_again(struct mr_job_active *a, int64_t index, int attempt, int64_t due_ns);
/* attempts.c */
/* This attempt failed and another one follows. Does not block; best effort. */
void mr_job_attempt_note(const struct mr_job_active *a, int64_t index, int attempts);
/* Its result is stored. */
int mr_job_attempt_drop_in(struct mr_tx *tx, struct mr_id job, int64_t index, struct mr_err *e);
/* Of a job that is prepared: items that wait for a further attempt, set in `taken` and put back
 * with their count. */
int mr_job_attempts_read_in(struct mr_tx *tx, struct mr_job_active *a, uint8_t *taken,
                            int64_t *ret_n, struct mr_err *e);

#endif
