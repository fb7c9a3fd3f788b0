/* Where the tests of text models find the installed ones; a test without its model says so. */
#ifndef MR_NLP_MODELS_H
#define MR_NLP_MODELS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline const char *mr_models_dir(const char *id, char out[4096]) {
    const char *cache = getenv("MILLRACE_CACHE"), *home = getenv("HOME");
    if (cache && *cache)
        snprintf(out, 4096, "%s/models/%s", cache, id);
    else
        snprintf(out, 4096, "%s/.cache/millrace/models/%s", home ? home : "", id);
    return out;
}

static inline bool mr_model_missing(const char *id) {
    char dir[4096];
    if (!access(mr_models_dir(id, dir), R_OK))
        return false;
    printf("skipping: the model %s is not installed (scripts/setup)\n", id);
    return true;
}

#endif
