/* `millrace models catalog` and `pull`: the catalogue on this machine; no server is needed. */
#ifndef MR_CLI_MODELS_LOCAL_H
#define MR_CLI_MODELS_LOCAL_H

#include "cli/options.h"

/* Names, kinds, licences, what is installed. The exit status. */
int mr_models_catalog(const struct mr_args *a);
/* Installs the models named in a->pos[1…] (none: the default set) with tools/models/install.py,
 * which shows its progress. The exit status. */
int mr_models_pull(const struct mr_args *a);

#endif
