/* Allocation. All code allocates through these, so that tests can fail the Nth allocation
 * (mr_alloc_fail_at). Thread-safe. Memory is released with mr_free. */
#ifndef MR_BASE_ALLOC_H
#define MR_BASE_ALLOC_H

#include <stddef.h>

void *mr_malloc(size_t n) __attribute__((malloc, warn_unused_result));
void *mr_calloc(size_t n, size_t size) __attribute__((malloc, warn_unused_result));
/* On failure returns NULL and `p` stays valid. */
void *mr_realloc(void *p, size_t n) __attribute__((warn_unused_result));
/* realloc of n*size with overflow check. */
void *mr_reallocarray(void *p, size_t n, size_t size) __attribute__((warn_unused_result));
char *mr_strdup(const char *s) __attribute__((malloc, warn_unused_result));
char *mr_strndup(const char *s, size_t n) __attribute__((malloc, warn_unused_result));
/* Aligned to `align` (a power of two); NULL on failure. */
void *mr_aligned(size_t align, size_t n) __attribute__((malloc, warn_unused_result));
void mr_free(void *p);

/* Tests only: the nth allocation from now on (1 = the next) of this thread fails, once. 0 = off.
 * Returns how many allocations this thread made since the previous call. */
size_t mr_alloc_fail_at(size_t nth);

#endif
