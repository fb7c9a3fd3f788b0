#include "cli/local_config.h"

#include <unistd.h>

extern char **environ;

int mr_cli_local_config(struct mr_config *c, const char *file, struct mr_err *e) {
    int rc = 0;
    mr_config_defaults(c);
    if (!file)
        file = getenv("MILLRACE_CONFIG");
    if (!file && access("millrace.toml", R_OK) == 0)
        file = "millrace.toml";
    if (file)
        rc = mr_config_file(c, file, e);
    if (!rc)
        rc = mr_config_env(c, environ, e);
    return rc ? rc : mr_config_finish(c, environ, e);
}
