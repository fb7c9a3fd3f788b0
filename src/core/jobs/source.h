/* Where items come from when they are not inline: files and folders. Inside core/jobs. */
#ifndef MR_CORE_JOBS_SOURCE_H
#define MR_CORE_JOBS_SOURCE_H

#include "core/jobs/jobs_priv.h"

/* "jsonl", "csv", "zip", "text"; p NULL: MR_JOB_FORM_ANY. MR_EFIELD parameters.input_format. */
int mr_job_form_parse(struct mr_str s, enum mr_job_form *ret, struct mr_err *e);
const char *mr_job_form_name(enum mr_job_form f);
/* By the ending of a name; MR_JOB_FORM_ANY when it has none of ours. */
enum mr_job_form mr_job_form_of_name(struct mr_str name);

/* Whether the account may name this input_source and it is there now. MR_EFIELD. */
int mr_job_source_check(const struct mr_jobs *j, const struct mr_principal *who,
                        struct mr_str source, struct mr_err *e);
/* The folder below `base_fd`, never outside of it and through no link. */
int mr_job_folder_open(int base_fd, struct mr_str path, int *ret_fd, struct mr_err *e);
/* Its files in the order of their names, folders in it included, into the pack. `stop` may be set
 * meanwhile: MR_ECANCELLED. */
int mr_job_folder_read(int fd, struct mr_job_pack *p, const atomic_bool *stop, struct mr_err *e);

/* The items of one file's bytes. form ANY: from the name, else what the bytes look like. */
int mr_job_bytes_read(struct mr_str bytes, enum mr_job_form form, struct mr_str name,
                      struct mr_job_pack *p, const atomic_bool *stop, struct mr_err *e);
/* One member of a zip or folder: .jsonl, .csv and .txt and .json by what they hold, all others as a
 * file. */
int mr_job_member_read(struct mr_str name, struct mr_str bytes, struct mr_job_pack *p,
                       const atomic_bool *stop, struct mr_err *e);

/* files.c: finds the account's file, marks it used; the blob stays as long as the transaction's row
 * names it. MR_EFIELD parameters.input_file. */
int mr_job_file_use_in(struct mr_tx *tx, struct mr_id account, struct mr_str id, int64_t now_us,
                       struct mr_arena *arena, struct mr_blob_name *ret, enum mr_job_form *form,
                       struct mr_str *ret_name, struct mr_err *e);

#endif
