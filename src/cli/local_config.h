/* Settings as the server on this machine would take them, for verbs that look at its files. */
#ifndef MR_CLI_LOCAL_CONFIG_H
#define MR_CLI_LOCAL_CONFIG_H

#include "core/config.h"

/* Defaults, then `file` (NULL: MILLRACE_CONFIG, else millrace.toml where it is there), then the
 * environment. *c is to be released also after an error. */
int mr_cli_local_config(struct mr_config *c, const char *file, struct mr_err *e);

#endif
