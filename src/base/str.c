#include "base/str.h"

static unsigned char lower(char c) {
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool mr_str_ieq(struct mr_str a, struct mr_str b) {
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool mr_str_starts(struct mr_str s, struct mr_str prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool mr_str_ends(struct mr_str s, struct mr_str suffix) {
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

struct mr_str mr_str_trim(struct mr_str s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct mr_str mr_str_cut(struct mr_str *rest, char c) {
    struct mr_str all = *rest;
    const char *at = all.n ? memchr(all.p, c, all.n) : NULL;
    if (!at) {
        *rest = (struct mr_str){NULL, 0};
        return all;
    }
    size_t head = (size_t)(at - all.p);
    *rest = (struct mr_str){at + 1, all.n - head - 1};
    return (struct mr_str){all.p, head};
}

bool mr_str_i64(struct mr_str s, int64_t lo, int64_t hi, int64_t *ret) {
    if (!s.n || s.n > 20)
        return false;
    size_t i = s.p[0] == '-';
    if (i == s.n)
        return false;
    int64_t v = 0;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        int d = s.p[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, s.p[0] == '-' ? -d : d, &v))
            return false;
    }
    if (v < lo || v > hi)
        return false;
    *ret = v;
    return true;
}

/* Length of a well-formed sequence at p (n bytes left), 0 when malformed (Unicode 15, table 3-7).
 */
static size_t utf8_len(const unsigned char *p, size_t n) {
    unsigned char c = p[0];
    if (c < 0x80)
        return 1;
    unsigned char lo = 0x80, hi = 0xBF;
    size_t len;
    if (c >= 0xC2 && c <= 0xDF)
        len = 2;
    else if (c >= 0xE0 && c <= 0xEF) {
        len = 3;
        if (c == 0xE0)
            lo = 0xA0;
        if (c == 0xED)
            hi = 0x9F;
    } else if (c >= 0xF0 && c <= 0xF4) {
        len = 4;
        if (c == 0xF0)
            lo = 0x90;
        if (c == 0xF4)
            hi = 0x8F;
    } else
        return 0;
    if (n < len || p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

bool mr_utf8_valid(struct mr_str s) {
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        uint64_t word;
        if (s.n - i >= sizeof word) { /* eight ASCII bytes at once */
            memcpy(&word, p + i, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                i += sizeof word;
                continue;
            }
        }
        size_t len = utf8_len(p + i, s.n - i);
        if (!len)
            return false;
        i += len;
    }
    return true;
}
