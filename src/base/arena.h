/* A bump allocator with a cap: everything lives until the arena is reset or released.
 * One owner at a time; not thread-safe. */
#ifndef MR_BASE_ARENA_H
#define MR_BASE_ARENA_H

#include "base/str.h"

#include <stddef.h>

struct mr_arena_block;
struct mr_arena {
    struct mr_arena_block *head;
    size_t used; /* bytes handed out */
    size_t max;
};

void mr_arena_init(struct mr_arena *a, size_t max);
void mr_arena_release(struct mr_arena *a);
/* Frees all but one block, which is reused. */
void mr_arena_reset(struct mr_arena *a);
/* 16-byte aligned, not zeroed; NULL over the cap or out of memory. */
void *mr_arena_alloc(struct mr_arena *a, size_t n);
void *mr_arena_zalloc(struct mr_arena *a, size_t n);
/* Array of n*size bytes, overflow-checked. */
void *mr_arena_array(struct mr_arena *a, size_t n, size_t size);
/* NUL-terminated copy. */
char *mr_arena_strn(struct mr_arena *a, const char *p, size_t n);
char *mr_arena_str(struct mr_arena *a, struct mr_str s);
/* The slice copied into the arena; absent stays absent. p == NULL when memory ran out. */
struct mr_str mr_arena_keep(struct mr_arena *a, struct mr_str s);
char *mr_arena_fmt(struct mr_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
