/* A growing byte buffer with a cap set at creation. Appends after a failure are ignored and the
 * failure is kept, so a writer may check once at the end (mr_buf_ok). Not thread-safe. */
#ifndef MR_BASE_BUF_H
#define MR_BASE_BUF_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_buf {
    char *p;    /* always NUL-terminated after the first append; owned */
    size_t n;   /* bytes used, without the NUL */
    size_t cap; /* bytes allocated */
    size_t max; /* never grows beyond */
    int fail;   /* 0, MR_ENOMEM or MR_ETOOBIG */
};

void mr_buf_init(struct mr_buf *b, size_t max);
void mr_buf_release(struct mr_buf *b);
/* Empties, keeps memory, clears the failure. */
void mr_buf_clear(struct mr_buf *b);
/* Room for n more bytes: a pointer to write at (then add to b->n), or NULL. */
char *mr_buf_reserve(struct mr_buf *b, size_t n);
void mr_buf_add_slow(struct mr_buf *b, const void *p, size_t n); /* mr_buf_add when full */
/* Inline: a reply and its log line are some fifty short pieces, most of constant length. */
static inline void mr_buf_add(struct mr_buf *b, const void *p, size_t n) {
    if (b->fail || n >= b->cap - b->n) { /* with cap 0 and n 0 too */
        mr_buf_add_slow(b, p, n);
        return;
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
}
static inline void mr_buf_str(struct mr_buf *b, struct mr_str s) {
    mr_buf_add(b, s.p, s.n);
}
static inline void mr_buf_cstr(struct mr_buf *b, const char *s) {
    mr_buf_add(b, s, strlen(s));
}
static inline void mr_buf_char(struct mr_buf *b, char c) {
    mr_buf_add(b, &c, 1);
}
void mr_buf_fmt(struct mr_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mr_buf_u64(struct mr_buf *b, uint64_t v);
void mr_buf_i64(struct mr_buf *b, int64_t v);
/* Shortest decimal that reads back as the same double ("0.98", "1.0", "1e-7"); NaN and infinities
 * become `null` (JSON has no other). */
void mr_buf_f64(struct mr_buf *b, double v);
/* JSON string with quotes and escapes; invalid UTF-8 bytes become U+FFFD. */
void mr_buf_json(struct mr_buf *b, struct mr_str s);
/* Drops the first n bytes (n <= b->n). */
void mr_buf_consume(struct mr_buf *b, size_t n);
static inline bool mr_buf_ok(const struct mr_buf *b) {
    return b->fail == 0;
}
static inline struct mr_str mr_buf_view(const struct mr_buf *b) {
    return (struct mr_str){b->p ? b->p : "", b->n};
}

#endif
