/* Whole files into memory, for tests. */
#ifndef MR_TEST_FILE_H
#define MR_TEST_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_file {
    char *p;
    size_t n;
};

/* The test stops when the file cannot be read. */
static inline struct test_file test_file_read(const char *path) {
    struct test_file f = {NULL, 0};
    FILE *in = fopen(path, "rb");
    if (!in || fseek(in, 0, SEEK_END)) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    long n = ftell(in);
    rewind(in);
    f.p = malloc(n > 0 ? (size_t)n : 1);
    f.n = n > 0 ? (size_t)n : 0;
    if (!f.p || fread(f.p, 1, f.n, in) != f.n) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    fclose(in);
    return f;
}

/* The first n bytes in memory of exactly that size. */
static inline char *test_file_copy(const struct test_file *f, size_t n) {
    char *p = malloc(n ? n : 1);
    if (p && n)
        memcpy(p, f->p, n);
    return p;
}

static inline void test_file_free(struct test_file *f) {
    free(f->p);
    f->p = NULL;
}

#endif
