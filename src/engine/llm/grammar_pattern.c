/* Regular expressions (ECMA-262) as far as a grammar can say them: literals, classes, \d \w \s,
 * groups, alternatives, quantifiers, ^ at the start and $ at the end. What a string of JSON must
 * escape is escaped. */
#include "engine/llm/grammar_priv.h"

#include <string.h>

#define PATTERN_MAX 4096

struct pattern {
    struct mr_grammar *g;
    const unsigned char *p, *end;
    struct mr_buf *b;
    int depth;
};

static int no(struct pattern *t, const char *why, struct mr_err *e) {
    return mr_grammar_unsupported(t->g, "pattern", why, e);
}

/* A code point as it is inside a JSON string. */
static void put_literal(struct mr_buf *b, const unsigned char *p, size_t n) {
    if (n == 1 && (*p == '"' || *p == '\\'))
        mr_buf_fmt(b, "\"\\x5C\\x%02X\"", *p);
    else if (n == 1 && *p < 0x20)
        mr_buf_fmt(b, "\"\\x5C\" \"u00%02x\"", *p);
    else
        mr_grammar_quote(b, (const char *)p, n);
}

static size_t char_bytes(const unsigned char *p, const unsigned char *end) {
    size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    return n <= (size_t)(end - p) ? n : 1;
}

/* After a backslash: the inside of a class ("0-9"), or one character. */
static int escape(struct pattern *t, const char **ret_class, unsigned char *ret_char,
                  struct mr_err *e) {
    *ret_class = NULL;
    unsigned char c = t->p < t->end ? *t->p++ : 0;
    switch (c) {
    case 'd':
        *ret_class = "0-9";
        return 0;
    case 'w':
        *ret_class = "0-9A-Za-z_";
        return 0;
    case 's':
        *ret_class = "\\x20";
        return 0;
    case 'n':
        *ret_char = '\n';
        return 0;
    case 't':
        *ret_char = '\t';
        return 0;
    case 'r':
        *ret_char = '\r';
        return 0;
    default:
        if (c < 0x21 || c > 0x7e || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
            (c >= 'A' && c <= 'Z'))
            return no(t, "has an escape that cannot be turned into a grammar", e);
        *ret_char = c;
        return 0;
    }
}

static void put_in_class(struct mr_buf *b, const unsigned char *p, size_t n) {
    if (n == 1 &&
        !((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')))
        mr_buf_fmt(b, "\\x%02X", *p);
    else
        mr_buf_add(b, p, n);
}

/* Behind '['. A class may not admit what JSON would have to escape. */
static int class(struct pattern *t, struct mr_err *e) {
    bool negative = t->p < t->end && *t->p == '^', any = false;
    t->p += negative;
    mr_buf_cstr(t->b, negative ? "[^\\x22\\x5C\\x00-\\x1F\\x7F" : "[");
    while (t->p < t->end && *t->p != ']') {
        const unsigned char *from = t->p;
        size_t n = char_bytes(t->p, t->end);
        const char *set = NULL;
        unsigned char c = *t->p;
        t->p += n;
        if (c == '\\') {
            int r = escape(t, &set, &c, e);
            if (r)
                return r;
            from = &c;
            n = 1;
        }
        any = true;
        if (set) {
            mr_buf_cstr(t->b, set);
            continue;
        }
        bool ranges = t->end - t->p > 1 && *t->p == '-' && t->p[1] != ']';
        if (!negative && n == 1 && (c == '"' || c == '\\' || c < 0x20))
            return no(t, "has a class with a character that JSON escapes", e);
        put_in_class(t->b, from, n);
        if (!ranges)
            continue;
        t->p++;
        size_t m = char_bytes(t->p, t->end);
        if (*t->p == '\\' || (n == 1 && m == 1 && *t->p < c))
            return no(t, "has a range that cannot be turned into a grammar", e);
        if (!negative && n == 1 && c < '\\' && (m > 1 || *t->p >= '\\'))
            return no(t, "has a range over the backslash, which JSON escapes", e);
        if (!negative && n == 1 && c < '"' && (m > 1 || *t->p >= '"'))
            return no(t, "has a range over the quote, which JSON escapes", e);
        mr_buf_char(t->b, '-');
        put_in_class(t->b, t->p, m);
        t->p += m;
    }
    if (t->p >= t->end || (!any && !negative))
        return no(t, "has a class that does not end", e);
    t->p++;
    mr_buf_char(t->b, ']');
    return 0;
}

static int number(struct pattern *t, unsigned *ret, struct mr_err *e) {
    unsigned v = 0;
    if (t->p >= t->end || *t->p < '0' || *t->p > '9')
        return no(t, "has a repetition that is not {n}, {n,} or {n,m}", e);
    for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++) {
        v = v * 10 + (unsigned)(*t->p - '0');
        if (v > MR_GRAMMAR_REPEAT)
            return no(t, "repeats more than 2000 times", e);
    }
    *ret = v;
    return 0;
}

static int quantifier(struct pattern *t, struct mr_err *e) {
    unsigned lo, hi;
    if (t->p >= t->end)
        return 0;
    if (*t->p == '*' || *t->p == '+' || *t->p == '?') {
        mr_buf_char(t->b, (char)*t->p++);
    } else if (*t->p == '{') {
        t->p++;
        int r = number(t, &lo, e);
        if (r)
            return r;
        mr_buf_fmt(t->b, "{%u", lo);
        if (t->p < t->end && *t->p == ',') {
            t->p++;
            mr_buf_char(t->b, ',');
            if (t->p < t->end && *t->p != '}') {
                if ((r = number(t, &hi, e)))
                    return r;
                if (hi < lo)
                    return no(t, "repeats fewer times than it must", e);
                mr_buf_fmt(t->b, "%u", hi);
            }
        }
        if (t->p >= t->end || *t->p++ != '}')
            return no(t, "has a repetition that is not {n}, {n,} or {n,m}", e);
        mr_buf_char(t->b, '}');
    } else {
        return 0;
    }
    if (t->p < t->end && *t->p == '?')
        t->p++; /* lazy or greedy: the same strings */
    if (t->p < t->end && (*t->p == '*' || *t->p == '+' || *t->p == '?' || *t->p == '{'))
        return no(t, "repeats a repetition", e);
    return 0;
}

static int alternatives(struct pattern *t, struct mr_err *e);

static int atom(struct pattern *t, struct mr_err *e) {
    const char *set;
    size_t n = char_bytes(t->p, t->end);
    const unsigned char *from = t->p;
    unsigned char c = *t->p;
    int r = 0;
    t->p += n;
    switch (c) {
    case '(':
        if (t->end - t->p > 1 && t->p[0] == '?') {
            if (t->p[1] != ':')
                return no(t, "looks ahead or behind", e);
            t->p += 2;
        }
        mr_buf_char(t->b, '(');
        r = alternatives(t, e);
        if (!r && (t->p >= t->end || *t->p++ != ')'))
            r = no(t, "has a group that does not end", e);
        mr_buf_char(t->b, ')');
        return r;
    case '[':
        return class(t, e);
    case '.':
        mr_buf_cstr(t->b, "[^\\x22\\x5C\\x00-\\x1F\\x7F]");
        return 0;
    case '\\':
        if ((r = escape(t, &set, &c, e)))
            return r;
        if (set)
            mr_buf_fmt(t->b, "[%s]", set);
        else
            put_literal(t->b, &c, 1);
        return 0;
    case '^':
    case '$':
        return no(t, "has ^ or $ in its middle", e);
    case '*':
    case '+':
    case '?':
    case '{':
        return no(t, "repeats nothing", e);
    default:
        put_literal(t->b, from, n);
        return 0;
    }
}

/* Up to a closing parenthesis or the end. */
static int alternatives(struct pattern *t, struct mr_err *e) {
    bool empty = true;
    int r = 0;
    if (++t->depth > 20)
        return no(t, "is nested too deeply", e);
    while (!r && t->p < t->end && *t->p != ')') {
        if (*t->p == '|') {
            t->p++;
            mr_buf_cstr(t->b, empty ? "\"\" | " : " | ");
            empty = true;
            continue;
        }
        mr_buf_char(t->b, ' ');
        r = atom(t, e);
        if (!r)
            r = quantifier(t, e);
        empty = false;
    }
    if (empty)
        mr_buf_cstr(t->b, "\"\"");
    t->depth--;
    return r;
}

int mr_grammar_pattern(struct mr_grammar *g, struct mr_str s, struct mr_buf *b, struct mr_err *e) {
    struct pattern t = {.g = g, .b = b};
    t.p = (const unsigned char *)s.p;
    t.end = t.p + s.n;
    if (s.n > PATTERN_MAX)
        return no(&t, "is over 4096 bytes", e);
    bool from_start = s.n && *t.p == '^';
    size_t slashes = 0;
    while (slashes + 1 < s.n && s.p[s.n - 2 - slashes] == '\\')
        slashes++;
    bool to_end = s.n && s.p[s.n - 1] == '$' && slashes % 2 == 0;
    t.p += from_start;
    t.end -= to_end && t.end > t.p;
    if (!from_start || !to_end)
        g->common |= MR_G_STRING;
    mr_buf_cstr(b, from_start ? "(" : "char* (");
    int r = alternatives(&t, e);
    if (!r && t.p < t.end)
        r = no(&t, "closes a group that is not open", e);
    mr_buf_cstr(b, to_end ? ")" : ") char*");
    return r;
}
