/* Options of the client verbs: one table a verb drives parsing, --help and shell completion. */
#ifndef MR_CLI_OPTIONS_H
#define MR_CLI_OPTIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct mr_opt {
    const char *name; /* "--memory" */
    const char *arg;  /* what help calls its value, "FILE" names a file; NULL: a switch */
    const char *help;
};

struct mr_spec {
    const char *verb;
    const char *usage;         /* what follows the verb: "FILE [options]" */
    const char *about;         /* some lines for --help */
    const char *subs;          /* sub-verbs, separated by spaces, or NULL */
    const struct mr_opt *opts; /* name NULL ends it; or NULL */
    bool net;                  /* takes --url, --key and --http-timeout too */
    bool files;                /* its arguments are files */
};
extern const struct mr_opt mr_net_opts[];    /* --url, --key, --http-timeout */
extern const struct mr_opt mr_common_opts[]; /* --json, --help */

#define MR_ARGS_OPTS 24
#define MR_ARGS_POS  8

struct mr_args {
    const struct mr_spec *spec;
    struct {
        const struct mr_opt *opt;
        const char *value; /* "" of a switch */
    } given[MR_ARGS_OPTS];
    size_t n_given;
    const char *pos[MR_ARGS_POS]; /* arguments that are no options */
    int n_pos;
    bool json;
};

/* argv[0] is the verb. Prints help or what is wrong. 0: go on; else the exit status is *ret_exit.
 * The strings stay those of argv. */
int mr_args_parse(struct mr_args *a, const struct mr_spec *spec, int argc, char **argv,
                  int *ret_exit);
/* The last value of an option, or NULL when it was not given. */
const char *mr_args_get(const struct mr_args *a, const char *name);
/* An integer option within [lo, hi]; `def` when not given. Prints and returns false otherwise. */
bool mr_args_int(const struct mr_args *a, const char *name, int64_t lo, int64_t hi, int64_t def,
                 int64_t *ret);
/* Prints "millrace VERB: text" and the usage line to stderr; returns 2. */
int mr_args_wrong(const struct mr_args *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints the error to stderr; returns 1. */
int mr_args_failed(const struct mr_args *a, const struct mr_err *e);

#endif
