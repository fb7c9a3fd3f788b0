/* Literals of the text protocols: decimal integers, Python 2 str, raw-unicode-escape. */
#include "wire/pickle_vm.h"

#define DECIMAL_MAX 128u /* digits; conversion is quadratic */

static bool is_ascii(const uint8_t *p, size_t n) {
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return any < 0x80;
}

struct mr_pk *mr_pkv_decimal(struct mr_pk_vm *vm, struct mr_str s) {
    int64_t small;
    if (mr_str_i64(s, INT64_MIN, INT64_MAX, &small))
        return mr_pkv_int(vm, small);
    bool neg = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = mr_strn(s.p + 1, s.n - 1);
    if (!s.n || s.n > DECIMAL_MAX) {
        mr_pkv_fail(vm, s.n ? "an integer of %zu digits" : "not an integer (%zu digits)", s.n);
        return NULL;
    }
    size_t n = s.n / 2 + 2; /* bytes: more than log2(10)/8 a digit, and room for the sign */
    uint8_t *b = mr_pkv_alloc(vm, n);
    if (!b)
        return NULL;
    memset(b, 0, n);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            mr_pkv_fail(vm, "not a decimal integer");
            return NULL;
        }
        unsigned carry = (unsigned)(s.p[i] - '0');
        for (size_t j = 0; j < n; j++) {
            carry += b[j] * 10u;
            b[j] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    if (neg) {
        unsigned carry = 1;
        for (size_t j = 0; j < n; j++) {
            carry += (uint8_t)~b[j];
            b[j] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    while (n > 1 &&
           ((b[n - 1] == 0 && !(b[n - 2] & 0x80)) || (b[n - 1] == 0xff && b[n - 2] & 0x80)))
        n--;
    if (n > 8)
        return mr_pkv_str(vm, MR_PK_BIGINT, b, n);
    uint64_t v = b[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | b[i];
    return mr_pkv_int(vm, (int64_t)v);
}

struct mr_pk *mr_pkv_py2str(struct mr_pk_vm *vm, const void *p, size_t n) {
    return mr_pkv_str(vm, is_ascii(p, n) ? MR_PK_STR : MR_PK_BYTES, p, n);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape at s.p[*i] (behind the backslash), as Python's codecs.escape_decode: bytes written to
 * out (at most 2), or -1. */
static int unescape_one(struct mr_str s, size_t *i, uint8_t *out) {
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char c = s.p[(*i)++];
    const char *at = strchr(from, c);
    if (c && at) {
        out[0] = (uint8_t)to[at - from];
        return 1;
    }
    if (c >= '0' && c <= '7') {
        unsigned v = (unsigned)(c - '0');
        for (int k = 0; k < 2 && *i < s.n && s.p[*i] >= '0' && s.p[*i] <= '7'; k++)
            v = v * 8 + (unsigned)(s.p[(*i)++] - '0');
        out[0] = (uint8_t)v;
        return 1;
    }
    if (c == 'x') {
        int hi = *i < s.n ? hex_digit(s.p[*i]) : -1;
        int lo = *i + 1 < s.n ? hex_digit(s.p[*i + 1]) : -1;
        if (hi < 0 || lo < 0)
            return -1;
        *i += 2;
        out[0] = (uint8_t)(hi * 16 + lo);
        return 1;
    }
    out[0] = '\\'; /* unknown escapes stay as they are */
    out[1] = (uint8_t)c;
    return 2;
}

struct mr_pk *mr_pkv_unescape_str(struct mr_pk_vm *vm, struct mr_str s) {
    s = mr_str_trim(s);
    if (s.n && s.p[s.n - 1] == '\r')
        s.n--;
    if (s.n < 2 || s.p[0] != s.p[s.n - 1] || (s.p[0] != '\'' && s.p[0] != '"')) {
        mr_pkv_fail(vm, "a string without quotes");
        return NULL;
    }
    s = mr_strn(s.p + 1, s.n - 2);
    if (!s.n || !memchr(s.p, '\\', s.n))
        return mr_pkv_py2str(vm, s.p, s.n);
    uint8_t *out = mr_pkv_alloc(vm, s.n);
    if (!out)
        return NULL;
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        if (s.p[i] != '\\') {
            out[n++] = (uint8_t)s.p[i++];
            continue;
        }
        i++;
        int k = i < s.n ? unescape_one(s, &i, out + n) : -1;
        if (k < 0) {
            mr_pkv_fail(vm, "a broken escape in a string");
            return NULL;
        }
        n += (size_t)k;
    }
    return mr_pkv_py2str(vm, out, n);
}

static size_t put_utf8(uint8_t *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* "\uXXXX" or "\UXXXXXXXX" with the letter at s.p[*i]; -1 when malformed. */
static int64_t code_point(struct mr_str s, size_t *i) {
    unsigned digits = s.p[*i] == 'u' ? 4 : 8;
    (*i)++;
    if (s.n - *i < digits)
        return -1;
    int64_t c = 0;
    for (unsigned k = 0; k < digits; k++) {
        int h = hex_digit(s.p[(*i)++]);
        if (h < 0)
            return -1;
        c = c << 4 | h;
    }
    return c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? -1 : c;
}

struct mr_pk *mr_pkv_unescape_unicode(struct mr_pk_vm *vm, struct mr_str s) {
    if (is_ascii((const uint8_t *)s.p, s.n) && !(s.n && memchr(s.p, '\\', s.n)))
        return mr_pkv_str(vm, MR_PK_STR, s.p, s.n);
    uint8_t *out = mr_pkv_array(vm, s.n, 2); /* a Latin-1 byte takes at most two */
    if (!out)
        return NULL;
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        uint8_t c = (uint8_t)s.p[i++];
        if (c != '\\' || i == s.n || (s.p[i] != 'u' && s.p[i] != 'U')) {
            n += put_utf8(out + n, c);
            continue;
        }
        int64_t cp = code_point(s, &i);
        if (cp < 0) {
            mr_pkv_fail(vm, "a broken escape in a text");
            return NULL;
        }
        n += put_utf8(out + n, (uint32_t)cp);
    }
    return mr_pkv_str(vm, MR_PK_STR, out, n);
}

int mr_pkv_latin1(struct mr_pk_vm *vm, struct mr_str s, struct mr_str *ret) {
    int rc = mr_pkv_work(vm, s.n);
    if (rc)
        return rc;
    if (is_ascii((const uint8_t *)s.p, s.n)) {
        *ret = s;
        return 0;
    }
    uint8_t *out = mr_pkv_alloc(vm, s.n);
    if (!out)
        return vm->e->code;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        uint64_t word;
        if (s.n - i >= sizeof word) { /* eight ASCII bytes at once; the output is never longer */
            memcpy(&word, s.p + i, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                memcpy(out + n, &word, sizeof word);
                n += sizeof word;
                i += sizeof word - 1;
                continue;
            }
        }
        if (c < 0x80) {
            out[n++] = c;
        } else if ((c == 0xc2 || c == 0xc3) && i + 1 < s.n) {
            out[n++] = (uint8_t)((c & 3) << 6 | ((uint8_t)s.p[++i] & 0x3f));
        } else {
            return mr_pkv_fail(vm, "text that does not fit Latin-1");
        }
    }
    *ret = mr_strn((const char *)out, n);
    return 0;
}
