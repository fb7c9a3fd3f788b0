/* Durable jobs: a named piece of work over many items, run in the background, item by item, each
 * item's outcome stored exactly once, also over kills. A job knows nothing of models: runners,
 * registered by the families, do one item at a time.
 *
 * Life: scheduled -> queued -> running -> completed | failed | cancelled. A running job is held by
 * a lease with a fence number; whoever writes an item's result proves that the fence is still its
 * own, in the same transaction. After a kill the lease ends, the attempt is counted, and the job
 * goes on behind its last stored item. An item that was running at the kill runs again (its result
 * was not stored), so a result exists exactly once; effects outside are the runner's to make
 * idempotent: (job, index) is stable. Thread-safe; not for loop threads. */
#ifndef MR_CORE_JOBS_JOBS_H
#define MR_CORE_JOBS_JOBS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "core/principal.h"
#include "store/blobs.h"
#include "store/db.h"

struct mr_events;
struct mr_jobs;
struct mr_zone;

#define MR_JOB_PREFIX "job_"

enum mr_job_status {
    MR_JOB_SCHEDULED, /* waits for its time; shown as "scheduled" */
    MR_JOB_QUEUED,
    MR_JOB_RUNNING,
    MR_JOB_COMPLETED, /* every item has a result or an error */
    MR_JOB_FAILED,    /* could not go on: input unreadable, attempts used up, every item failed */
    MR_JOB_CANCELLED,
};
const char *mr_job_status_name(enum mr_job_status s);
bool mr_job_status_parse(struct mr_str s, enum mr_job_status *ret);
enum mr_job_priority { MR_JOB_LOW, MR_JOB_NORMAL, MR_JOB_HIGH, MR_JOB_CRITICAL };
const char *mr_job_priority_name(enum mr_job_priority p);
bool mr_job_priority_parse(struct mr_str s, enum mr_job_priority *ret);

/* One item, on one of the job threads. */
struct mr_job_item {
    struct mr_principal who; /* as the creator, rights and budget as they are now */
    struct mr_id job;
    int64_t index;            /* from 0 */
    struct mr_str parameters; /* the job's, a JSON object */
    struct mr_str input;      /* JSON text of this item; or, with `file`, the file's name */
    bool file;                /* the item is the file `bytes` (an image of a zip or folder) */
    struct mr_str bytes;
    int attempt;                /* of this item, from 1 */
    const struct mr_jobs *jobs; /* mr_job_cancelled(…) */
};
/* Writes the item's output (JSON) into the arena. An error is the item's: a code that may pass
 * (MR_EUNAVAIL, MR_ETIMEOUT, MR_EIO) is tried again, up to the job's retries, others at once stored
 * as the item's error. */
typedef int mr_job_runner_fn(void *arg, const struct mr_job_item *item, struct mr_arena *arena,
                             struct mr_str *ret_output, struct mr_err *e);
/* Checks a job's parameters at creation: MR_EFIELD naming "parameters.…". */
typedef int mr_job_check_fn(void *arg, const struct mr_principal *who, struct mr_str parameters,
                            struct mr_err *e);
struct mr_job_runner {
    const char *service; /* "llm", "vision", "nlp", "predictions", "openai" */
    mr_job_runner_fn *run;
    mr_job_check_fn *check; /* NULL: anything */
    void *arg;
    unsigned at_once; /* items of this service that run side by side, over all jobs */
};

struct mr_jobs_config {
    struct mr_db *db;
    struct mr_blobs *blobs;
    struct mr_events *events; /* job.completed, job.failed */
    const struct mr_log *log;
    const char *inputs_dir; /* <data dir>/inputs: folders that input_source names; copied;
                             * NULL: none */
    const struct mr_job_runner *runner; /* copied */
    size_t n_runner;
    const struct mr_zone *zone; /* of cron expressions; borrowed; NULL = UTC */
    int64_t lease_ms;           /* 0 = 30,000 */
    int64_t retry_ms;           /* before an item's second attempt, doubled from there; 0 = 1,000 */
    int keep_days;              /* ended jobs, unused files; 0 = 30 */
    uint64_t input_max;         /* bytes of one job's items; 0 = 8 GiB */
    uint64_t file_max;          /* bytes of one uploaded file; 0 = 2 GiB */
    uint64_t files_max;         /* bytes of an account's uploaded files; 0 = 20 GiB */
    /* No other process can hold jobs of this database (its folder is locked): what an earlier one
     * left running goes on at once instead of when its leases end. */
    bool sole;
    /* The rights of a creator now: MR_EUNAUTH when the key was revoked or the account is gone. */
    int (*principal)(void *arg, struct mr_id account, struct mr_id user, struct mr_id key,
                     struct mr_principal *ret, struct mr_err *e);
    void *arg;
};
/* Starts the job threads; jobs that an earlier process left running go on. */
int mr_jobs_open(const struct mr_jobs_config *c, struct mr_jobs **ret, struct mr_err *e);
/* Lets items under way finish for `grace_ms`, gives leases back. */
void mr_jobs_free(struct mr_jobs *j, int grace_ms);

struct mr_job_request {
    struct mr_principal who;
    struct mr_str name, type, service; /* type: "batch_processing" */
    /* JSON object, for the runner, and for us exactly one of inputs (an array of any JSON),
     * input_file (an uploaded file, below) and input_source (a folder), and output_format ("json",
     * "csv"), input_format (struct mr_job_file). */
    struct mr_str parameters;
    enum mr_job_priority priority;
    int64_t scheduled_us; /* 0 = now */
    struct mr_str cron;   /* five fields, operator's time zone; p NULL = once */
    struct mr_str idempotency_key;
    uint8_t body_hash[32];
    int retries; /* of an item; -1 = 2 */
};
struct mr_job {
    struct mr_id id;
    struct mr_str name, type, service, error, cron; /* error, cron: p NULL = none */
    struct mr_str parameters;                       /* without inputs */
    enum mr_job_status status;
    enum mr_job_priority priority;
    int64_t done, failed, total; /* done counts failed ones too; total 0 = not counted yet */
    int64_t created_us, scheduled_us, started_us, ended_us; /* 0 = not yet */
    int64_t estimated_us; /* when it will have ended, from measured speed; never 0 */
    int attempt;
    struct mr_id parent;  /* the cron job that made it; zero = none */
    struct mr_str format; /* "json", "csv" */
};
/* MR_EFIELD; an s3:// source: MR_EFIELD "not configured". A repeated idempotency key: the first
 * one's job (*ret_again true); another body: MR_EFIELD naming "Idempotency-Key". */
int mr_job_create(struct mr_jobs *j, const struct mr_job_request *q, struct mr_arena *arena,
                  struct mr_job *ret, bool *ret_again, struct mr_err *e);
/* MR_ENOTFOUND also for another account's. */
int mr_job_get(struct mr_jobs *j, struct mr_id account, struct mr_id id, struct mr_arena *arena,
               struct mr_job *ret, struct mr_err *e);
struct mr_job_query {
    struct mr_id account;
    int status;            /* -1 = all */
    struct mr_str service; /* p NULL = all */
    int64_t limit, offset;
};
/* Newest first. */
int mr_job_list(struct mr_jobs *j, const struct mr_job_query *q, struct mr_arena *arena,
                struct mr_job **ret, size_t *ret_n, int64_t *ret_total, struct mr_err *e);
/* Items under way may finish, their results are dropped. MR_ECONFLICT when it has ended. */
int mr_job_cancel(struct mr_jobs *j, struct mr_id account, struct mr_id id, struct mr_arena *arena,
                  struct mr_job *ret, struct mr_err *e);
/* True when the item's job was cancelled or its lease lost: a runner may stop early. */
bool mr_job_cancelled(const struct mr_job_item *item);

struct mr_job_log {
    int64_t at_us;
    const char *level; /* "INFO", "WARNING", "ERROR" */
    struct mr_str message;
};
/* The newest `limit`, oldest first. */
int mr_job_logs(struct mr_jobs *j, struct mr_id account, struct mr_id id, int64_t limit,
                struct mr_arena *arena, struct mr_job_log **ret, size_t *ret_n, struct mr_err *e);
struct mr_job_result {
    int64_t index;
    struct mr_str input;  /* JSON text, or the file's name as a JSON string */
    struct mr_str output; /* JSON text; p NULL: it failed */
    struct mr_str error;  /* message; p NULL: it did not */
    int error_code;
    int attempts;
};
/* By index, also while it runs (what is there). A page ends early when it holds 64 MB. */
int mr_job_results(struct mr_jobs *j, struct mr_id account, struct mr_id id, int64_t limit,
                   int64_t offset, struct mr_arena *arena, struct mr_job_result **ret,
                   size_t *ret_n, int64_t *ret_total, struct mr_err *e);

/* The same page as CSV (RFC 4180): index, input, error, output, and a column output.<key> for each
 * key of the job's first output that is an object; the header only at offset 0. */
int mr_job_results_csv(struct mr_jobs *j, struct mr_id account, struct mr_id id, int64_t limit,
                       int64_t offset, struct mr_buf *out, struct mr_err *e);

/* --- files that parameters.input_file names: immutable, the account's own ------------------- */
#define MR_JOB_FILE_PREFIX "file_"
struct mr_job_file {
    struct mr_id id;
    struct mr_str name;
    const char *form; /* "jsonl", "csv", "zip", "text" */
    uint64_t bytes;
    int64_t created_us;
};
/* Takes the bytes in order; one thread at a time. */
struct mr_job_upload;
/* form p NULL: from the name's ending. MR_EFIELD for an unknown one. */
int mr_job_upload_begin(struct mr_jobs *j, struct mr_id account, struct mr_str name,
                        struct mr_str form, struct mr_job_upload **ret, struct mr_err *e);
int mr_job_upload_write(struct mr_job_upload *u, const void *p, size_t n, struct mr_err *e);
/* Durable when it returns. The name lies in the arena. MR_ELIMIT: the account's files are full. */
int mr_job_upload_end(struct mr_job_upload *u, struct mr_arena *arena, struct mr_job_file *ret,
                      struct mr_err *e);
/* Also after end; NULL is fine. */
void mr_job_upload_free(struct mr_job_upload *u);
/* Newest first. */
int mr_job_files(struct mr_jobs *j, struct mr_id account, int64_t limit, int64_t offset,
                 struct mr_arena *arena, struct mr_job_file **ret, size_t *ret_n,
                 int64_t *ret_total, struct mr_err *e);
/* MR_ENOTFOUND also for another account's. */
int mr_job_file_get(struct mr_jobs *j, struct mr_id account, struct mr_id id,
                    struct mr_arena *arena, struct mr_job_file *ret, struct mr_err *e);
/* A read-only descriptor of its bytes, the caller's to close. */
int mr_job_file_open(struct mr_jobs *j, struct mr_id account, struct mr_id id, int *ret_fd,
                     uint64_t *ret_size, struct mr_err *e);
/* Jobs that were made with it keep their copy. */
int mr_job_file_delete(struct mr_jobs *j, struct mr_id account, struct mr_id id, struct mr_err *e);

struct mr_jobs_metrics {
    uint64_t active, queued, scheduled, failed_24h;
    uint64_t items_ok, items_failed; /* by this process */
};
void mr_jobs_metrics(struct mr_jobs *j, struct mr_jobs_metrics *ret);

#endif
