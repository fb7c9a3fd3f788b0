/* Files of a folder that the operator keeps (prices, models): by name, and read whole. */
#ifndef MR_IO_FOLDER_H
#define MR_IO_FOLDER_H

#include "base/buf.h"
#include "base/err.h"

#define MR_FOLDER_MAX 256

struct mr_folder {
    char *name[MR_FOLDER_MAX]; /* sorted; owned */
    size_t n;
};
/* The names in `dir` that end in `suffix` and do not begin with a dot. MR_ENOTFOUND: no such
 * folder; MR_ETOOBIG: more than MR_FOLDER_MAX. */
int mr_folder_list(const char *dir, const char *suffix, struct mr_folder *ret, struct mr_err *e);
void mr_folder_release(struct mr_folder *f);
/* Appends the regular file dir/name. MR_ETOOBIG over the buffer's cap. */
int mr_folder_read(const char *dir, const char *name, struct mr_buf *out, struct mr_err *e);

#endif
