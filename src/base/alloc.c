#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local size_t fail_at;
static _Thread_local size_t made;

static int must_fail(void) {
    made++;
    return fail_at && made == fail_at;
}

size_t mr_alloc_fail_at(size_t nth) {
    size_t n = made;
    made = 0;
    fail_at = nth;
    return n;
}

void *mr_malloc(size_t n) {
    return must_fail() ? NULL : malloc(n ? n : 1);
}

void *mr_calloc(size_t n, size_t size) {
    return must_fail() ? NULL : calloc(n ? n : 1, size ? size : 1);
}

void *mr_realloc(void *p, size_t n) {
    return must_fail() ? NULL : realloc(p, n ? n : 1);
}

void *mr_reallocarray(void *p, size_t n, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    return mr_realloc(p, total);
}

char *mr_strndup(const char *s, size_t n) {
    char *r = mr_malloc(n + 1);
    if (r) {
        memcpy(r, s, n);
        r[n] = 0;
    }
    return r;
}

char *mr_strdup(const char *s) {
    return mr_strndup(s, strlen(s));
}

void *mr_aligned(size_t align, size_t n) {
    size_t rounded = (n + align - 1) / align * align;
    if (must_fail() || rounded < n)
        return NULL;
    return aligned_alloc(align, rounded ? rounded : align);
}

void mr_free(void *p) {
    free(p);
}
