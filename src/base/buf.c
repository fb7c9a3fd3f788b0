#include "base/buf.h"

#include "base/alloc.h"
#include "base/err.h"
#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mr_buf_init(struct mr_buf *b, size_t max) {
    *b = (struct mr_buf){.max = max};
}

void mr_buf_release(struct mr_buf *b) {
    mr_free(b->p);
    *b = (struct mr_buf){.max = b->max};
}

void mr_buf_clear(struct mr_buf *b) {
    b->n = 0;
    b->fail = 0;
    if (b->p)
        b->p[0] = 0;
}

char *mr_buf_reserve(struct mr_buf *b, size_t n) {
    if (b->fail)
        return NULL;
    if (n > b->max || b->n > b->max - n) {
        b->fail = MR_ETOOBIG;
        return NULL;
    }
    size_t need = b->n + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap < need)
            cap *= 2;
        if (cap > b->max + 1)
            cap = b->max + 1;
        char *p = mr_realloc(b->p, cap);
        if (!p) {
            b->fail = MR_ENOMEM;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->n;
}

void mr_buf_add_slow(struct mr_buf *b, const void *p, size_t n) {
    char *at = mr_buf_reserve(b, n);
    if (!at)
        return;
    if (n)
        memcpy(at, p, n);
    b->n += n;
    b->p[b->n] = 0;
}

void mr_buf_fmt(struct mr_buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *at = n < 0 ? NULL : mr_buf_reserve(b, (size_t)n);
    if (!at)
        return;
    va_start(ap, fmt);
    vsnprintf(at, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void mr_buf_u64(struct mr_buf *b, uint64_t v) {
    char tmp[20];
    size_t i = sizeof tmp;
    do {
        tmp[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    mr_buf_add(b, tmp + i, sizeof tmp - i);
}

void mr_buf_i64(struct mr_buf *b, int64_t v) {
    if (v < 0)
        mr_buf_char(b, '-');
    mr_buf_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void mr_buf_f64(struct mr_buf *b, double v) {
    char *at = mr_buf_reserve(b, MR_F64_LEN);
    if (!at)
        return;
    b->n += mr_f64_print(v, at);
    b->p[b->n] = 0;
}

/* Bytes of s from i on that need no escape: printable ASCII but quote and backslash, and
 * well-formed UTF-8 sequences. */
static size_t plain_run(struct mr_str s, size_t i) {
    size_t start = i;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80) {
            size_t len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
            if (i + len > s.n || !mr_utf8_valid(mr_strn(s.p + i, len)))
                break;
            i += len;
        } else if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
            break;
        else
            i++;
    }
    return i - start;
}

void mr_buf_json(struct mr_buf *b, struct mr_str s) {
    mr_buf_char(b, '"');
    for (size_t i = 0; i < s.n;) {
        size_t run = plain_run(s, i);
        mr_buf_add(b, s.p + i, run);
        i += run;
        if (i >= s.n)
            break;
        unsigned char c = (unsigned char)s.p[i++];
        switch (c) {
        case '"':
            mr_buf_cstr(b, "\\\"");
            break;
        case '\\':
            mr_buf_cstr(b, "\\\\");
            break;
        case '\n':
            mr_buf_cstr(b, "\\n");
            break;
        case '\r':
            mr_buf_cstr(b, "\\r");
            break;
        case '\t':
            mr_buf_cstr(b, "\\t");
            break;
        default:
            if (c >= 0x80)
                mr_buf_cstr(b, "\xEF\xBF\xBD");
            else
                mr_buf_fmt(b, "\\u%04x", c);
        }
    }
    mr_buf_char(b, '"');
}

void mr_buf_consume(struct mr_buf *b, size_t n) {
    if (n >= b->n) {
        b->n = 0;
    } else {
        memmove(b->p, b->p + n, b->n - n);
        b->n -= n;
    }
    if (b->p)
        b->p[b->n] = 0;
}
