/* Files of a model's folder. */
#ifndef MR_ENGINE_NLP_FILE_H
#define MR_ENGINE_NLP_FILE_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

/* MR_ENOTLOADED, naming the file, when it cannot be opened. */
int mr_nlp_open_file(const char *dir, const char *name, int *ret_fd, struct mr_err *e);
/* The whole file, NUL-terminated, freed by the caller (*ret_own). Over `max`: MR_EREFUSED. */
int mr_nlp_read_file(const char *dir, const char *name, size_t max, char **ret_own,
                     struct mr_str *ret, struct mr_err *e);

#endif
