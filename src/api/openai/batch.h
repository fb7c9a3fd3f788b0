/* Inside api/openai: batches are jobs of the service "openai", their output files are made of the
 * jobs' results when they are read. */
#ifndef MR_API_OPENAI_BATCH_H
#define MR_API_OPENAI_BATCH_H

#include "api/openai/openai.h"
#include "core/jobs/jobs.h"

#define MR_OPENAI_FILE   "file-"     /* + 32 hexadecimal digits: an upload, also as "file_" */
#define MR_OPENAI_OUTPUT "file-out-" /* + those of the batch: its answers */
#define MR_OPENAI_ERRORS "file-err-" /* its failures */
#define MR_OPENAI_BATCH  "batch_"

/* What a file id names. */
enum mr_openai_file_kind { MR_FILE_UPLOAD, MR_FILE_OUTPUT, MR_FILE_ERRORS };
bool mr_openai_file_id(struct mr_str text, enum mr_openai_file_kind *ret, struct mr_id *ret_id);

/* Whether the job has such a file: it is over, and there are lines in it. */
bool mr_openai_batch_has(const struct mr_job *job, enum mr_openai_file_kind kind);
/* Passes the lines of an output or error file on, some at a time; non-zero from `take` ends it. */
int mr_openai_batch_lines(struct mr_core *core, struct mr_id account, struct mr_id job,
                          enum mr_openai_file_kind kind,
                          int (*take)(void *arg, struct mr_str lines, struct mr_err *e), void *arg,
                          struct mr_err *e);
/* A job that is a batch, of the account. */
int mr_openai_batch_job(struct mr_call *c, struct mr_id id, struct mr_job *ret, struct mr_err *e);

#endif
