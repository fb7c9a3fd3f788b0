/* Verbs of the command line. Each gets its own arguments (argv[0] is the verb) and returns the exit
 * status: 0, 1 for a failure, 2 for wrong usage. */
#ifndef MR_CLI_CLI_H
#define MR_CLI_CLI_H

#include "core/config.h"

struct mr_verb {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
};
extern const struct mr_verb mr_verbs[]; /* name NULL ends it */

int mr_cli_main(int argc, char **argv);

int mr_cli_serve(int argc, char **argv);
int mr_cli_config(int argc, char **argv);

/* Settings from file, environment and flags ("--key value", "--key=value"); `usage` prints help for
 * --help. Arguments that are no settings are an error. 0, or an exit status in *ret_exit. */
int mr_cli_load_config(int argc, char **argv, const char *verb, struct mr_config *c, int *ret_exit);

#endif
