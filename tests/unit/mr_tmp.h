/* A temporary folder for a test, removed with all it holds. */
#ifndef MR_TMP_H
#define MR_TMP_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct mr_tmp {
    char dir[200];
};

static inline void mr_tmp_make(struct mr_tmp *t) {
    const char *base = getenv("TMPDIR");
    snprintf(t->dir, sizeof t->dir, "%s/millrace-XXXXXX", base && base[0] ? base : P_tmpdir);
    if (!mkdtemp(t->dir)) {
        perror(t->dir);
        exit(2);
    }
}

static inline const char *mr_tmp_path(const struct mr_tmp *t, const char *name, char out[300]) {
    snprintf(out, 300, "%s/%s", t->dir, name);
    return out;
}

static inline int mr_tmp_rm_(const char *p, const struct stat *st, int flag, struct FTW *f) {
    (void)st, (void)flag, (void)f;
    return remove(p);
}

static inline void mr_tmp_remove(struct mr_tmp *t) {
    nftw(t->dir, mr_tmp_rm_, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
