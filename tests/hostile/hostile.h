/* The hostile corpus, written anew into a temporary folder by its generator. */
#ifndef MR_HOSTILE_H
#define MR_HOSTILE_H

#include "test_file.h"

#include <stdbool.h>
#include <unistd.h>

struct hostile_row {
    char name[200], stage[16], why[100];
};

struct hostile {
    char dir[200];
    struct hostile_row row[1000];
    size_t n;
};

/* The test stops when the corpus cannot be made. */
static inline void hostile_make(struct hostile *h) {
    char cmd[900];
    const char *tmp = getenv("TMPDIR");
    memset(h, 0, sizeof *h);
    snprintf(h->dir, sizeof h->dir, "%s/mr-hostile-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(h->dir)) {
        fprintf(stderr, "cannot make %s\n", h->dir);
        exit(2);
    }
    snprintf(cmd, sizeof cmd, "python3 -B '%s/tests/hostile/pickle/make_hostile.py' '%s'",
             MR_SRC_DIR, h->dir);
    if (system(cmd) != 0) {
        fprintf(stderr, "the corpus cannot be made: %s\n", cmd);
        exit(2);
    }
    char path[300];
    snprintf(path, sizeof path, "%s/INDEX.tsv", h->dir);
    struct test_file f = test_file_read(path);
    const char *p = f.p, *end = f.p + f.n;
    while (p < end && h->n < sizeof h->row / sizeof *h->row) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *t1 = nl ? memchr(p, '\t', (size_t)(nl - p)) : NULL;
        const char *t2 = t1 ? memchr(t1 + 1, '\t', (size_t)(nl - t1 - 1)) : NULL;
        if (!t2)
            break;
        struct hostile_row *r = &h->row[h->n];
        snprintf(r->name, sizeof r->name, "%.*s", (int)(t1 - p), p);
        snprintf(r->stage, sizeof r->stage, "%.*s", (int)(t2 - t1 - 1), t1 + 1);
        snprintf(r->why, sizeof r->why, "%.*s", (int)(nl - t2 - 1), t2 + 1);
        h->n += strcmp(r->name, "name") != 0;
        p = nl + 1;
    }
    test_file_free(&f);
}

static inline struct test_file hostile_read(const struct hostile *h, const struct hostile_row *r) {
    char path[500];
    snprintf(path, sizeof path, "%s/%s", h->dir, r->name);
    return test_file_read(path);
}

static inline bool hostile_is(const struct hostile_row *r, const char *extension) {
    const char *dot = strrchr(r->name, '.');
    return dot && !strcmp(dot, extension);
}

static inline void hostile_remove(const struct hostile *h) {
    char path[500];
    for (size_t i = 0; i < h->n; i++) {
        snprintf(path, sizeof path, "%s/%s", h->dir, h->row[i].name);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/INDEX.tsv", h->dir);
    unlink(path);
    rmdir(h->dir);
}

#endif
