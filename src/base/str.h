/* String slices: bytes that someone else owns; not NUL-terminated unless said. */
#ifndef MR_BASE_STR_H
#define MR_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mr_str {
    const char *p; /* NULL means absent */
    size_t n;
};

#define MR_LIT(s) ((struct mr_str){"" s, sizeof(s) - 1})

static inline struct mr_str mr_str(const char *s) {
    return (struct mr_str){s, s ? strlen(s) : 0};
}
static inline struct mr_str mr_strn(const char *p, size_t n) {
    return (struct mr_str){p, n};
}
static inline bool mr_str_eq(struct mr_str a, struct mr_str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool mr_str_is(struct mr_str a, const char *b) {
    return mr_str_eq(a, mr_str(b));
}
/* ASCII case-insensitive. */
bool mr_str_ieq(struct mr_str a, struct mr_str b);
bool mr_str_starts(struct mr_str s, struct mr_str prefix);
bool mr_str_ends(struct mr_str s, struct mr_str suffix);
/* Without leading and trailing spaces and tabs. */
struct mr_str mr_str_trim(struct mr_str s);
/* Cuts *rest at the first `c`: returns what is before it and leaves what is after it in *rest
 * (p = NULL when there was no `c`). */
struct mr_str mr_str_cut(struct mr_str *rest, char c);
/* Decimal integer, whole slice, within [lo, hi]; false otherwise. */
bool mr_str_i64(struct mr_str s, int64_t lo, int64_t hi, int64_t *ret);
/* Well-formed UTF-8 (no surrogates, no overlongs, up to U+10FFFF). */
bool mr_utf8_valid(struct mr_str s);

#endif
