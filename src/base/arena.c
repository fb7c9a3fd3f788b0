#include "base/arena.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_MIN 4096u

struct mr_arena_block {
    struct mr_arena_block *next;
    size_t used;
    size_t cap;
    _Alignas(16) char data[];
};

void mr_arena_init(struct mr_arena *a, size_t max) {
    *a = (struct mr_arena){NULL, 0, max};
}

void mr_arena_release(struct mr_arena *a) {
    struct mr_arena_block *b = a->head;
    while (b) {
        struct mr_arena_block *next = b->next;
        mr_free(b);
        b = next;
    }
    a->head = NULL;
    a->used = 0;
}

void mr_arena_reset(struct mr_arena *a) {
    struct mr_arena_block *keep = a->head;
    if (keep) {
        a->head = keep->next;
        mr_arena_release(a);
        keep->next = NULL;
        keep->used = 0;
        a->head = keep;
    }
    a->used = 0;
}

void *mr_arena_alloc(struct mr_arena *a, size_t n) {
    if (n > SIZE_MAX - 15)
        return NULL;
    n = (n + 15) & ~(size_t)15;
    if (n > a->max || a->used > a->max - n)
        return NULL;
    struct mr_arena_block *b = a->head;
    if (!b || b->cap - b->used < n) {
        size_t cap = b ? b->cap * 2 : BLOCK_MIN;
        if (cap > 1u << 20)
            cap = 1u << 20;
        if (cap < n)
            cap = n;
        struct mr_arena_block *fresh = mr_malloc(sizeof *fresh + cap);
        if (!fresh)
            return NULL;
        *fresh = (struct mr_arena_block){.next = b, .used = 0, .cap = cap};
        a->head = b = fresh;
    }
    void *p = b->data + b->used;
    b->used += n;
    a->used += n;
    return p;
}

void *mr_arena_zalloc(struct mr_arena *a, size_t n) {
    void *p = mr_arena_alloc(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *mr_arena_array(struct mr_arena *a, size_t n, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    return mr_arena_alloc(a, total);
}

char *mr_arena_strn(struct mr_arena *a, const char *p, size_t n) {
    if (n == SIZE_MAX)
        return NULL;
    char *r = mr_arena_alloc(a, n + 1);
    if (r) {
        if (n)
            memcpy(r, p, n);
        r[n] = 0;
    }
    return r;
}

char *mr_arena_str(struct mr_arena *a, struct mr_str s) {
    return mr_arena_strn(a, s.p, s.n);
}

struct mr_str mr_arena_keep(struct mr_arena *a, struct mr_str s) {
    return s.p ? (struct mr_str){mr_arena_str(a, s), s.n} : s;
}

char *mr_arena_fmt(struct mr_arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    char *r = mr_arena_alloc(a, (size_t)n + 1);
    if (!r)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(r, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return r;
}
