#include "base/codec.h"

static const char hex_digits[] = "0123456789abcdef";
static const char b64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char b64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void mr_hex_add(struct mr_buf *b, const void *p, size_t n) {
    const uint8_t *in = p;
    char *at = mr_buf_reserve(b, n * 2);
    if (!at)
        return;
    for (size_t i = 0; i < n; i++) {
        *at++ = hex_digits[in[i] >> 4];
        *at++ = hex_digits[in[i] & 15];
    }
    b->n += n * 2;
    b->p[b->n] = 0;
}

static void b64_add(struct mr_buf *b, const uint8_t *in, size_t n, const char *set, bool pad) {
    char *start = mr_buf_reserve(b, (n + 2) / 3 * 4), *at = start;
    if (!start)
        return;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)in[i] << 16;
        if (left > 1)
            v |= (uint32_t)in[i + 1] << 8;
        if (left > 2)
            v |= in[i + 2];
        *at++ = set[v >> 18];
        *at++ = set[v >> 12 & 63];
        if (left > 1)
            *at++ = set[v >> 6 & 63];
        else if (pad)
            *at++ = '=';
        if (left > 2)
            *at++ = set[v & 63];
        else if (pad)
            *at++ = '=';
    }
    b->n += (size_t)(at - start);
    b->p[b->n] = 0;
}

void mr_base64_add(struct mr_buf *b, const void *p, size_t n) {
    b64_add(b, p, n, b64_std, true);
}
void mr_base64url_add(struct mr_buf *b, const void *p, size_t n) {
    b64_add(b, p, n, b64_url, false);
}

static int b64_value(char c, const char *set) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == set[62])
        return 62;
    if (c == set[63])
        return 63;
    return -1;
}

static bool b64_decode(struct mr_str s, struct mr_buf *b, const char *set) {
    size_t tail = s.n % 4;
    if (tail == 1)
        return false;
    char *start = mr_buf_reserve(b, s.n / 4 * 3 + 3), *at = start;
    if (!start)
        return false;
    uint32_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        int d = b64_value(s.p[i], set);
        if (d < 0)
            return false;
        v = v << 6 | (uint32_t)d;
        if (i % 4 == 3) {
            *at++ = (char)(v >> 16);
            *at++ = (char)(v >> 8);
            *at++ = (char)v;
            v = 0;
        }
    }
    if (tail == 2) {
        if (v & 15)
            return false;
        *at++ = (char)(v >> 4);
    } else if (tail == 3) {
        if (v & 3)
            return false;
        *at++ = (char)(v >> 10);
        *at++ = (char)(v >> 2);
    }
    b->n += (size_t)(at - start);
    b->p[b->n] = 0;
    return true;
}

bool mr_base64_decode(struct mr_str s, struct mr_buf *b) {
    if (s.n % 4)
        return false;
    if (s.n && s.p[s.n - 1] == '=') {
        s.n--;
        if (s.p[s.n - 1] == '=')
            s.n--;
    }
    return b64_decode(s, b, b64_std);
}

bool mr_base64url_decode(struct mr_str s, struct mr_buf *b) {
    return b64_decode(s, b, b64_url);
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

ptrdiff_t mr_percent_decode(struct mr_str s, bool form, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (i + 2 >= s.n)
                return -1;
            int hi = hex_value(s.p[i + 1]), lo = hex_value(s.p[i + 2]);
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                return -1;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (form && c == '+')
            c = ' ';
        out[n++] = c;
    }
    return (ptrdiff_t)n;
}

void mr_percent_add(struct mr_buf *b, struct mr_str s) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
            ch == '-' || ch == '_' || ch == '.' || ch == '~') {
            mr_buf_char(b, (char)ch);
        } else {
            mr_buf_char(b, '%');
            mr_buf_char(b, hex[ch >> 4]);
            mr_buf_char(b, hex[ch & 15]);
        }
    }
}
