#include "wire/toml.h"

#include <stdarg.h>
#include <stdio.h>

struct parser {
    const char *p, *end;
    uint32_t line;
    struct mr_arena *arena;
    struct mr_err *e;
    uint32_t cap_table, cap_value;
};

#define BAD(ps, ...) bad((ps), MR_EINVAL, __VA_ARGS__)

__attribute__((format(printf, 3, 4))) static int bad(struct parser *ps, int code, const char *fmt,
                                                     ...) {
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return mr_fail(ps->e, code, "line %u: %s", ps->line, what);
}

static int no_memory(struct parser *ps) {
    return bad(ps, MR_ENOMEM, "out of memory");
}

static char peek(const struct parser *ps) {
    return ps->p < ps->end ? *ps->p : '\0';
}

static void blanks(struct parser *ps) {
    while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\t'))
        ps->p++;
}

/* Control characters other than tab are not allowed in comments and strings. */
static bool control(char c) {
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

/* After a value or header: blanks, a comment, the line's end. */
static int end_of_line(struct parser *ps) {
    blanks(ps);
    if (peek(ps) == '#')
        while (ps->p < ps->end && *ps->p != '\n' && *ps->p != '\r') {
            if (control(*ps->p))
                return BAD(ps, "a control character in a comment");
            ps->p++;
        }
    if (ps->p == ps->end)
        return 0;
    if (*ps->p == '\r' && ps->end - ps->p > 1 && ps->p[1] == '\n')
        ps->p++;
    if (*ps->p != '\n')
        return BAD(ps, "the end of the line was expected");
    ps->p++;
    ps->line++;
    return 0;
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static size_t put_utf8(uint32_t c, char *out) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00 >> n) | c);
    return n;
}

/* "\uXXXX" or "\UXXXXXXXX", p behind the letter. */
static int escape_code(struct parser *ps, int digits, char *out, size_t *n) {
    uint32_t c = 0;
    for (int i = 0; i < digits; i++) {
        int h = ps->p < ps->end ? hex(*ps->p) : -1;
        if (h < 0)
            return BAD(ps, "a \\u escape needs %d hex digits", digits);
        c = c << 4 | (uint32_t)h;
        ps->p++;
    }
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return BAD(ps, "a \\u escape is no character");
    *n += put_utf8(c, out + *n);
    return 0;
}

static int escape(struct parser *ps, char *out, size_t *n) {
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    char c = peek(ps);
    if (ps->p < ps->end)
        ps->p++;
    if (c == 'u' || c == 'U')
        return escape_code(ps, c == 'u' ? 4 : 8, out, n);
    const char *at = c ? strchr(from, c) : NULL;
    if (!at)
        return BAD(ps, "an unknown escape in a string");
    out[(*n)++] = to[at - from];
    return 0;
}

static int string(struct parser *ps, struct mr_str *ret) {
    char quote = *ps->p++;
    const char *start = ps->p;
    if (ps->end - ps->p > 1 && ps->p[0] == quote && ps->p[1] == quote)
        return BAD(ps, "strings over several lines are not supported");
    while (ps->p < ps->end && *ps->p != quote && (*ps->p != '\\' || quote == '\'')) {
        if (control(*ps->p))
            return BAD(ps, "a string does not end on its line");
        ps->p++;
    }
    if (ps->p < ps->end && *ps->p == quote) { /* without escapes: a view */
        *ret = mr_strn(start, (size_t)(ps->p++ - start));
        return 0;
    }
    const char *stop = ps->p;
    while (stop < ps->end && *stop != '"' && *stop != '\n')
        stop += *stop == '\\' && ps->end - stop > 1 ? 2 : 1;
    /* an escape never gives more bytes than it has */
    char *out = mr_arena_alloc(ps->arena, (size_t)(stop - start) + 1);
    if (!out)
        return no_memory(ps);
    size_t n = (size_t)(ps->p - start);
    memcpy(out, start, n);
    while (ps->p < ps->end && *ps->p != '"') {
        int rc = 0;
        if (control(*ps->p))
            return BAD(ps, "a string does not end on its line");
        if (*ps->p == '\\') {
            ps->p++;
            rc = escape(ps, out, &n);
        } else {
            out[n++] = *ps->p++;
        }
        if (rc)
            return rc;
    }
    if (ps->p == ps->end)
        return BAD(ps, "a string does not end");
    ps->p++;
    *ret = mr_strn(out, n);
    return 0;
}

static bool bare(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static int key(struct parser *ps, struct mr_str *ret) {
    char c = peek(ps);
    if (c == '"' || c == '\'') {
        int rc = string(ps, ret);
        return rc || ret->n ? rc : BAD(ps, "an empty key");
    }
    const char *start = ps->p;
    while (ps->p < ps->end && bare(*ps->p))
        ps->p++;
    *ret = mr_strn(start, (size_t)(ps->p - start));
    return ret->n ? 0 : BAD(ps, "a key was expected");
}

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_date(struct mr_str s) {
    if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-')
        return false;
    for (size_t i = 0; i < 10; i++)
        if (i != 4 && i != 7 && !digit(s.p[i]))
            return false;
    return true;
}

/* Integer or decimal without its underscores. */
static int number(struct parser *ps, struct mr_str s, struct mr_toml_value *v) {
    char *out = mr_arena_alloc(ps->arena, s.n + 1);
    if (!out)
        return no_memory(ps);
    size_t n = 0, whole = 0, part = 0;
    bool point = false, zero = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool between = i > 0 && digit(s.p[i - 1]) && i + 1 < s.n && digit(s.p[i + 1]);
        if ((c == '-' || c == '+') && i == 0) {
            if (c == '-')
                out[n++] = c;
            continue;
        }
        if (c == '_' && between)
            continue;
        if (c == '.' && !point && between) {
            point = true;
        } else if (digit(c)) {
            zero |= !point && whole == 0 && c == '0';
            whole += !point;
            part += point;
        } else {
            return BAD(ps, "'%.*s' is no value that this format has", (int)(s.n > 40 ? 40 : s.n),
                       s.p);
        }
        out[n++] = c;
    }
    if (whole + part > 40 || !whole || (zero && whole > 1))
        return BAD(ps, "'%.*s' is no number", (int)(s.n > 40 ? 40 : s.n), s.p);
    v->kind = point ? MR_TOML_DECIMAL : MR_TOML_INTEGER;
    v->text = mr_strn(out, n);
    return 0;
}

/* Blanks, comments and line ends between an array's items. */
static int array_space(struct parser *ps) {
    for (;;) {
        blanks(ps);
        char c = peek(ps);
        if (ps->p == ps->end || (c != '#' && c != '\n' && c != '\r'))
            return 0;
        int rc = end_of_line(ps);
        if (rc)
            return rc;
    }
}

static int array(struct parser *ps, struct mr_toml_value *v) {
    struct mr_str item[MR_TOML_MAX_ITEMS];
    uint32_t n = 0;
    for (ps->p++;;) {
        int rc = array_space(ps);
        if (rc)
            return rc;
        char c = peek(ps);
        if (c == ']')
            break;
        if (c != '"' && c != '\'')
            return BAD(ps, "an array may only hold strings here");
        if (n == MR_TOML_MAX_ITEMS)
            return bad(ps, MR_ETOOBIG, "more than %d items in an array", MR_TOML_MAX_ITEMS);
        rc = string(ps, &item[n++]);
        if (rc == 0)
            rc = array_space(ps);
        if (rc)
            return rc;
        if (peek(ps) == ',')
            ps->p++;
        else if (peek(ps) != ']')
            return BAD(ps, "',' or ']' was expected in an array");
    }
    ps->p++;
    v->kind = MR_TOML_STRINGS;
    v->n_item = n;
    v->item = mr_arena_array(ps->arena, n ? n : 1, sizeof *v->item);
    if (!v->item)
        return no_memory(ps);
    memcpy(v->item, item, n * sizeof *item);
    return 0;
}

static int value(struct parser *ps, struct mr_toml_value *v) {
    char c = peek(ps);
    if (c == '"' || c == '\'') {
        v->kind = MR_TOML_STRING;
        return string(ps, &v->text);
    }
    if (c == '[')
        return array(ps, v);
    if (c == '{')
        return BAD(ps, "inline tables are not supported");
    const char *start = ps->p;
    while (ps->p < ps->end && (bare(*ps->p) || *ps->p == '.' || *ps->p == '+' || *ps->p == ':'))
        ps->p++;
    struct mr_str s = mr_strn(start, (size_t)(ps->p - start));
    if (!s.n)
        return BAD(ps, "a value was expected");
    if (mr_str_is(s, "true") || mr_str_is(s, "false")) {
        v->kind = MR_TOML_BOOL;
        v->on = s.n == 4;
        return 0;
    }
    if (is_date(s)) {
        v->kind = MR_TOML_DATE;
        v->text = s;
        return 0;
    }
    return number(ps, s, v);
}

/* Room for one more in an arena array that doubles. */
static void *grow(struct parser *ps, void *old, uint32_t n, uint32_t *cap, size_t size) {
    if (n < *cap)
        return old;
    uint32_t more = *cap ? 2 * *cap : 8;
    void *p = mr_arena_array(ps->arena, more, size);
    if (p && n)
        memcpy(p, old, n * size);
    if (p)
        *cap = more;
    return p;
}

static int add_value(struct parser *ps, struct mr_toml_table *t) {
    struct mr_toml_value v = {.line = ps->line};
    int rc = key(ps, &v.key);
    if (rc)
        return rc;
    blanks(ps);
    if (peek(ps) == '.')
        return BAD(ps, "dotted keys are not supported");
    if (peek(ps) != '=')
        return BAD(ps, "'=' was expected after the key");
    ps->p++;
    blanks(ps);
    rc = value(ps, &v);
    if (rc == 0)
        rc = end_of_line(ps);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < t->n_value; i++)
        if (mr_str_eq(t->value[i].key, v.key))
            return mr_fail(ps->e, MR_EINVAL, "line %u: '%.*s' is given twice (first in line %u)",
                           v.line, (int)(v.key.n > 60 ? 60 : v.key.n), v.key.p, t->value[i].line);
    if (t->n_value == MR_TOML_MAX_KEYS)
        return bad(ps, MR_ETOOBIG, "more than %d keys in a table", MR_TOML_MAX_KEYS);
    if (t->n_value == 0)
        ps->cap_value = 0;
    struct mr_toml_value *p = grow(ps, t->value, t->n_value, &ps->cap_value, sizeof *p);
    if (!p)
        return no_memory(ps);
    t->value = p;
    t->value[t->n_value++] = v;
    return 0;
}

/* "a.b" of a header: bare keys with points, or one quoted key. */
static int header_name(struct parser *ps, struct mr_str *ret) {
    blanks(ps);
    const char *start = ps->p;
    bool quoted = peek(ps) == '"' || peek(ps) == '\'';
    int rc = key(ps, ret);
    while (rc == 0 && peek(ps) == '.' && !quoted) {
        struct mr_str part;
        ps->p++;
        if (peek(ps) == '"' || peek(ps) == '\'')
            return BAD(ps, "quoted keys after a point are not supported");
        rc = key(ps, &part);
        *ret = mr_strn(start, (size_t)(ps->p - start));
    }
    blanks(ps);
    return rc;
}

static int add_table(struct parser *ps, struct mr_toml *t) {
    struct mr_toml_table h = {.line = ps->line};
    ps->p++;
    h.array = peek(ps) == '[';
    ps->p += h.array;
    int rc = header_name(ps, &h.name);
    if (rc)
        return rc;
    for (int i = 0; i <= h.array; i++)
        if (peek(ps) == ']')
            ps->p++;
        else
            return BAD(ps, "']' was expected after the table's name");
    rc = end_of_line(ps);
    if (rc)
        return rc;
    for (uint32_t i = 1; i < t->n_table; i++)
        if (mr_str_eq(t->table[i].name, h.name) && !(h.array && t->table[i].array))
            return mr_fail(ps->e, MR_EINVAL, "line %u: table '%.*s' is given twice", h.line,
                           (int)(h.name.n > 60 ? 60 : h.name.n), h.name.p);
    if (t->n_table == MR_TOML_MAX_TABLES)
        return bad(ps, MR_ETOOBIG, "more than %d tables", MR_TOML_MAX_TABLES);
    struct mr_toml_table *p = grow(ps, t->table, t->n_table, &ps->cap_table, sizeof *p);
    if (!p)
        return no_memory(ps);
    t->table = p;
    t->table[t->n_table++] = h;
    return 0;
}

int mr_toml_parse(struct mr_str text, struct mr_arena *arena, struct mr_toml *ret,
                  struct mr_err *e) {
    if (text.n > MR_TOML_MAX_BYTES)
        return mr_fail(e, MR_ETOOBIG, "the file is over %u bytes", MR_TOML_MAX_BYTES);
    if (!mr_utf8_valid(text))
        return mr_fail(e, MR_EINVAL, "the file is not UTF-8");
    struct parser ps = {.p = text.p, .end = text.p + text.n, .line = 1, .arena = arena, .e = e};
    struct mr_toml t = {.n_table = 1};
    t.table = grow(&ps, NULL, 0, &ps.cap_table, sizeof *t.table);
    if (!t.table)
        return no_memory(&ps);
    t.table[0] = (struct mr_toml_table){.name = MR_LIT(""), .line = 1};
    while (ps.p < ps.end) {
        blanks(&ps);
        char c = peek(&ps);
        int rc = ps.p == ps.end || c == '#' || c == '\n' || c == '\r' ? end_of_line(&ps)
                 : c == '['                                           ? add_table(&ps, &t)
                            : add_value(&ps, &t.table[t.n_table - 1]);
        if (rc)
            return rc;
    }
    *ret = t;
    return 0;
}

const struct mr_toml_value *mr_toml_find(const struct mr_toml_table *t, const char *k) {
    for (uint32_t i = 0; i < t->n_value; i++)
        if (mr_str_is(t->value[i].key, k))
            return &t->value[i];
    return NULL;
}
