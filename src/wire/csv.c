#include "wire/csv.h"

#include "base/alloc.h"

void mr_csv_init(struct mr_csv *c, struct mr_str bytes, size_t max_fields, size_t max_record) {
    *c = (struct mr_csv){.rest = bytes, .max_fields = max_fields, .next_line = 1};
    mr_buf_init(&c->text, max_record);
    if (mr_str_starts(bytes, MR_LIT("\xef\xbb\xbf")))
        c->rest = mr_strn(bytes.p + 3, bytes.n - 3);
}

void mr_csv_release(struct mr_csv *c) {
    mr_free(c->field);
    mr_buf_release(&c->text);
    c->field = NULL;
}

static int bad(const struct mr_csv *c, struct mr_err *e, int code, const char *why) {
    return mr_fail(e, code, "CSV, record at line %llu: %s", (unsigned long long)c->line, why);
}

/* Behind the line end that the rest begins with; false: it begins with none. */
static bool skip_end(struct mr_csv *c) {
    if (!c->rest.n || (c->rest.p[0] != '\r' && c->rest.p[0] != '\n'))
        return false;
    size_t n = c->rest.n > 1 && c->rest.p[0] == '\r' && c->rest.p[1] == '\n' ? 2 : 1;
    c->rest = mr_strn(c->rest.p + n, c->rest.n - n);
    c->next_line++;
    return true;
}

static int add(struct mr_csv *c, struct mr_str text, bool quoted, struct mr_err *e) {
    if (c->n == c->max_fields)
        return bad(c, e, MR_ETOOBIG, "it has too many fields");
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct mr_csv_field *p = mr_reallocarray(c->field, cap, sizeof *p);
        if (!p)
            return mr_fail(e, MR_ENOMEM, "out of memory while reading CSV");
        c->field = p;
        c->cap = cap;
    }
    c->field[c->n++] = (struct mr_csv_field){text, quoted};
    return 0;
}

static int plain(struct mr_csv *c, struct mr_err *e) {
    size_t n = 0;
    while (n < c->rest.n && c->rest.p[n] != ',' && c->rest.p[n] != '\n' && c->rest.p[n] != '\r')
        n++;
    int rc = add(c, mr_strn(c->rest.p, n), false, e);
    c->rest = mr_strn(c->rest.p + n, c->rest.n - n);
    return rc;
}

/* The rest is behind the opening quote. Its text is kept as a length for now: the buffer may move.
 */
static int quoted(struct mr_csv *c, struct mr_err *e) {
    size_t from = c->text.n;
    for (;;) {
        const char *q = c->rest.n ? memchr(c->rest.p, '"', c->rest.n) : NULL;
        if (!q)
            return bad(c, e, MR_EINVAL, "a quoted field does not end");
        size_t n = (size_t)(q - c->rest.p);
        bool doubled = n + 1 < c->rest.n && q[1] == '"';
        for (size_t i = 0; i < n; i++)
            c->next_line += c->rest.p[i] == '\n';
        mr_buf_add(&c->text, c->rest.p, n + doubled);
        n += 1 + doubled;
        c->rest = mr_strn(c->rest.p + n, c->rest.n - n);
        if (!doubled)
            break;
    }
    if (!mr_buf_ok(&c->text))
        return bad(c, e, c->text.fail, "it is too long");
    if (c->rest.n && c->rest.p[0] != ',' && c->rest.p[0] != '\n' && c->rest.p[0] != '\r')
        return bad(c, e, MR_EINVAL, "text follows a closing quote");
    return add(c, mr_strn(NULL, c->text.n - from), true, e);
}

static int field(struct mr_csv *c, struct mr_err *e) {
    if (!c->rest.n || c->rest.p[0] != '"')
        return plain(c, e);
    c->rest = mr_strn(c->rest.p + 1, c->rest.n - 1);
    return quoted(c, e);
}

int mr_csv_next(struct mr_csv *c, struct mr_err *e) {
    while (skip_end(c))
        ;
    c->n = 0;
    mr_buf_clear(&c->text);
    if (!c->rest.n)
        return 0;
    c->line = c->next_line;
    c->record++;
    for (;;) {
        int rc = field(c, e);
        if (rc)
            return rc;
        if (!c->rest.n || c->rest.p[0] != ',')
            break;
        c->rest = mr_strn(c->rest.p + 1, c->rest.n - 1);
    }
    skip_end(c);
    const char *at = c->text.p ? c->text.p : "";
    for (size_t i = 0; i < c->n; i++)
        if (c->field[i].quoted) {
            c->field[i].text.p = at;
            at += c->field[i].text.n;
        }
    return 1;
}

void mr_csv_add(struct mr_buf *b, struct mr_str f) {
    bool plain_text = true;
    for (size_t i = 0; i < f.n && plain_text; i++)
        plain_text = f.p[i] != '"' && f.p[i] != ',' && f.p[i] != '\n' && f.p[i] != '\r';
    if (plain_text && (!f.n || (f.p[0] != ' ' && f.p[f.n - 1] != ' '))) {
        mr_buf_str(b, f);
        return;
    }
    mr_buf_char(b, '"');
    for (size_t from = 0; from < f.n;) {
        const char *q = memchr(f.p + from, '"', f.n - from);
        size_t n = q ? (size_t)(q - f.p) - from + 1 : f.n - from;
        mr_buf_add(b, f.p + from, n);
        if (q)
            mr_buf_char(b, '"');
        from += n;
    }
    mr_buf_char(b, '"');
}
