#include "wire/multipart.h"

#include "base/alloc.h"
#include "base/codec.h"

#include <string.h>

#define BOUNDARY_MAX 70 /* RFC 2046 §5.1.1 */

enum state {
    PREAMBLE, /* discarded until the first delimiter */
    AFTER,    /* behind a delimiter: padding, then CRLF or "--" */
    HEAD,     /* part headers, collected in head */
    DATA,
    EPILOGUE, /* discarded */
    FAILED,
};

struct mr_multipart {
    struct mr_multipart_handler h;
    size_t max_parts, max_head;
    enum state state;
    char delim[BOUNDARY_MAX + 5]; /* CR LF - - boundary */
    size_t delim_n;
    size_t match; /* bytes of delim seen at the end of what was fed */
    size_t parts, preamble;
    char tail[2]; /* AFTER: what came behind the delimiter */
    size_t tail_n;
    size_t head_n;
    char head[];
};

static bool boundary_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("'()+_,-./:=? ", c) != NULL);
}

static struct mr_str lower_token(struct mr_str s, char *out, size_t cap) {
    if (s.n > cap)
        s.n = cap;
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    return mr_strn(out, s.n);
}

/* One "; key=value" of a header value; the value may be a quoted-string, returned with its quotes.
 * Returns 1 = a parameter, 0 = end, -1 = malformed. */
static int next_param(struct mr_str *rest, struct mr_str *ret_key, struct mr_str *ret_value) {
    *rest = mr_str_trim(*rest);
    if (!rest->n)
        return 0;
    if (rest->p[0] != ';')
        return -1;
    struct mr_str s = mr_str_trim(mr_strn(rest->p + 1, rest->n - 1));
    if (!s.n) {
        *rest = s;
        return 0; /* a trailing semicolon */
    }
    size_t i = 0;
    while (i < s.n && s.p[i] != '=' && s.p[i] != ';' && s.p[i] != '"')
        i++;
    if (i == s.n || s.p[i] != '=')
        return -1;
    *ret_key = mr_str_trim(mr_strn(s.p, i));
    i++;
    size_t from = i;
    if (i < s.n && s.p[i] == '"') {
        for (i++; i < s.n && s.p[i] != '"'; i++)
            if (s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == '"' || s.p[i + 1] == '\\')) {
                /* "C:\" from an old browser ends here; a quote followed by more text does not */
                size_t after = i + 2;
                if (s.p[i + 1] == '"' && (after == s.n || s.p[after] == ';'))
                    continue;
                i++;
            }
        if (i == s.n)
            return -1;
        i++;
    } else {
        while (i < s.n && s.p[i] != ';')
            i++;
    }
    *ret_value = mr_str_trim(mr_strn(s.p + from, i - from));
    *rest = mr_strn(s.p + i, s.n - i);
    return ret_key->n ? 1 : -1;
}

bool mr_multipart_boundary(struct mr_str content_type, struct mr_str *ret) {
    struct mr_str rest = content_type, key, value;
    if (!rest.p)
        return false;
    struct mr_str type = mr_str_trim(mr_str_cut(&rest, ';'));
    if (!mr_str_ieq(type, MR_LIT("multipart/form-data")) || !rest.p)
        return false;
    rest = mr_strn(rest.p - 1, rest.n + 1); /* with its semicolon */
    int rc;
    while ((rc = next_param(&rest, &key, &value)) == 1) {
        if (!mr_str_ieq(key, MR_LIT("boundary")))
            continue;
        if (value.n >= 2 && value.p[0] == '"')
            value = mr_strn(value.p + 1, value.n - 2);
        if (!value.n || value.n > BOUNDARY_MAX || value.p[value.n - 1] == ' ')
            return false;
        for (size_t i = 0; i < value.n; i++)
            if (!boundary_char(value.p[i]))
                return false;
        *ret = value;
        return true;
    }
    return false;
}

int mr_multipart_new(struct mr_str boundary, const struct mr_multipart_limits *limits,
                     const struct mr_multipart_handler *h, struct mr_multipart **ret,
                     struct mr_err *e) {
    size_t max_head = limits && limits->max_head_bytes ? limits->max_head_bytes : 8192;
    if (!boundary.n || boundary.n > BOUNDARY_MAX)
        return mr_fail(e, MR_EINVAL, "A multipart boundary has 1 to %d characters.", BOUNDARY_MAX);
    struct mr_multipart *m = mr_malloc(sizeof *m + max_head);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "No memory to read the form.");
    memset(m, 0, sizeof *m);
    m->h = *h;
    m->max_parts = limits && limits->max_parts ? limits->max_parts : 64;
    m->max_head = max_head;
    memcpy(m->delim, "\r\n--", 4);
    memcpy(m->delim + 4, boundary.p, boundary.n);
    m->delim_n = boundary.n + 4;
    m->match = 2; /* the first delimiter needs no CRLF before it */
    *ret = m;
    return 0;
}

void mr_multipart_free(struct mr_multipart *m) {
    mr_free(m);
}

/* ---- part heads ---- */

struct disposition {
    struct mr_str name, file, file_star;
};

/* Takes quotes and escapes away, in place. Browsers write a quote as %22 (WHATWG HTML, multipart
 * form data), older clients as \" (RFC 2616). */
static struct mr_str unquote(char *p, size_t n) {
    if (n < 2 || p[0] != '"')
        return mr_strn(p, n);
    size_t k = 0;
    for (size_t i = 1; i + 1 < n; i++) {
        if (p[i] == '\\' && i + 2 < n && (p[i + 1] == '"' || p[i + 1] == '\\')) {
            p[k++] = p[++i];
        } else if (p[i] == '%' && i + 3 < n && p[i + 1] == '2' && p[i + 2] == '2') {
            p[k++] = '"';
            i += 2;
        } else {
            p[k++] = p[i];
        }
    }
    return mr_strn(p, k);
}

/* "UTF-8'lang'percent-encoded" (RFC 8187), in place. */
static int decode_star(struct mr_str v, struct mr_str *ret) {
    struct mr_str rest = v;
    struct mr_str charset = mr_str_cut(&rest, '\'');
    if (!rest.p || !mr_str_ieq(charset, MR_LIT("UTF-8")))
        return MR_EINVAL;
    (void)mr_str_cut(&rest, '\'');
    if (!rest.p)
        return MR_EINVAL;
    char *out = (char *)rest.p;
    ptrdiff_t n = mr_percent_decode(rest, false, out);
    if (n < 0 || !mr_utf8_valid(mr_strn(out, (size_t)n)))
        return MR_EINVAL;
    *ret = mr_strn(out, (size_t)n);
    return 0;
}

static int set_once(struct mr_str *slot, struct mr_str v) {
    if (slot->p)
        return MR_EINVAL;
    *slot = v;
    return 0;
}

static int read_disposition(struct mr_str v, struct disposition *d, struct mr_err *e) {
    struct mr_str rest = v, key, value;
    struct mr_str type = mr_str_cut(&rest, ';');
    if (d->name.p || !mr_str_ieq(mr_str_trim(type), MR_LIT("form-data")) || !rest.p)
        return mr_fail(e, MR_EINVAL, "A form part's Content-Disposition is not form-data.");
    rest = mr_strn(rest.p - 1, rest.n + 1);
    int rc, bad = 0;
    while ((rc = next_param(&rest, &key, &value)) == 1 && !bad) {
        if (mr_str_ieq(key, MR_LIT("name"))) {
            bad = set_once(&d->name, unquote((char *)value.p, value.n));
        } else if (mr_str_ieq(key, MR_LIT("filename"))) {
            bad = set_once(&d->file, unquote((char *)value.p, value.n));
        } else if (mr_str_ieq(key, MR_LIT("filename*"))) {
            struct mr_str name;
            bad = decode_star(value, &name) < 0 ? MR_EINVAL : set_once(&d->file_star, name);
        }
    }
    if (bad || rc < 0)
        return mr_fail(e, MR_EINVAL, "A form part's Content-Disposition is malformed.");
    return 0;
}

static bool identity_coding(struct mr_str v) {
    return mr_str_ieq(v, MR_LIT("binary")) || mr_str_ieq(v, MR_LIT("8bit")) ||
           mr_str_ieq(v, MR_LIT("7bit"));
}

static int begin_part(struct mr_multipart *m, struct mr_err *e) {
    struct disposition d = {{0}, {0}, {0}};
    struct mr_str type = {NULL, 0};
    struct mr_str rest = mr_strn(m->head, m->head_n);
    while (rest.n) {
        const char *nl = memmem(rest.p, rest.n, "\r\n", 2);
        struct mr_str line = mr_strn(rest.p, nl ? (size_t)(nl - rest.p) : rest.n);
        rest = nl ? mr_strn(nl + 2, (size_t)(rest.p + rest.n - nl - 2)) : mr_strn("", 0);
        if (memchr(line.p, '\n', line.n) || memchr(line.p, '\r', line.n) ||
            memchr(line.p, 0, line.n))
            return mr_fail(e, MR_EINVAL, "A form part's header holds a control character.");
        struct mr_str value = line;
        struct mr_str key = mr_str_cut(&value, ':');
        if (!value.p || !key.n || key.p[0] == ' ' || key.p[0] == '\t')
            return mr_fail(e, MR_EINVAL, "A form part's header is malformed.");
        value = mr_str_trim(value);
        char low[32];
        key = lower_token(key, low, sizeof low);
        if (mr_str_is(key, "content-disposition")) {
            int rc = read_disposition(value, &d, e);
            if (rc < 0)
                return rc;
        } else if (mr_str_is(key, "content-type")) {
            type = value;
        } else if (mr_str_is(key, "content-transfer-encoding") && !identity_coding(value)) {
            return mr_fail(e, MR_EINVAL, "Form parts must not be transfer-encoded.");
        }
    }
    if (!d.name.p)
        return mr_fail(e, MR_EINVAL, "A form part has no name.");
    if (++m->parts > m->max_parts)
        return mr_fail(e, MR_ETOOBIG, "The form has more than %zu parts.", m->max_parts);
    return m->h.begin(m->h.ctx, d.name, d.file_star.p ? d.file_star : d.file, type, e);
}

/* ---- the machine ---- */

static size_t feed_head(struct mr_multipart *m, const char *p, size_t n, int *ret_rc,
                        struct mr_err *e) {
    size_t i = 0;
    while (i < n) {
        if (m->head_n == m->max_head) {
            *ret_rc =
                mr_fail(e, MR_ETOOBIG, "A form part's headers exceed %zu bytes.", m->max_head);
            return i;
        }
        char c = m->head[m->head_n++] = p[i++];
        if (c != '\n')
            continue;
        if (m->head_n >= 4 && memcmp(m->head + m->head_n - 4, "\r\n\r\n", 4) == 0) {
            m->head_n -= 4;
            *ret_rc = begin_part(m, e);
            m->state = DATA;
            m->match = 0;
            return i;
        }
        if (m->head_n == 2 && m->head[0] == '\r') {
            *ret_rc = mr_fail(e, MR_EINVAL, "A form part has no headers.");
            return i;
        }
    }
    return i;
}

static int emit(struct mr_multipart *m, const char *p, size_t n, struct mr_err *e) {
    if (!n)
        return 0;
    if (m->state == DATA)
        return m->h.data(m->h.ctx, p, n, e);
    m->preamble += n;
    if (m->preamble > m->max_head)
        return mr_fail(e, MR_EINVAL, "The form does not begin with its boundary.");
    return 0;
}

static void delimiter_found(struct mr_multipart *m, int *ret_rc, struct mr_err *e) {
    bool part = m->state == DATA;
    m->state = AFTER;
    m->tail_n = 0;
    if (part)
        *ret_rc = m->h.end(m->h.ctx, e);
}

/* How much of the delimiter, from its byte `have` on, stands at p. */
static size_t matching(const struct mr_multipart *m, size_t have, const char *p, size_t n) {
    size_t k = 0;
    while (k < n && have + k < m->delim_n && p[k] == m->delim[have + k])
        k++;
    return k;
}

/* Scans for the delimiter. CR occurs in it only at its beginning, so after a mismatch the search
 * goes on behind what matched. Data goes out in one piece a call, not one a CR: every piece is a
 * write to a file, and binary files are full of CRs. */
static size_t feed_data(struct mr_multipart *m, const char *p, size_t n, int *ret_rc,
                        struct mr_err *e) {
    size_t i = 0;
    if (m->match) { /* begun in an earlier call */
        i = matching(m, m->match, p, n);
        m->match += i;
        if (m->match == m->delim_n) {
            delimiter_found(m, ret_rc, e);
            return i;
        }
        if (i == n)
            return i;
        size_t held = m->match;
        m->match = 0;
        /* a virtual CRLF before the first delimiter is nobody's data */
        if ((*ret_rc = emit(m, m->delim, held, e)) < 0)
            return i;
    }
    size_t from = i, end = n;
    while (i < n) {
        const char *cr = memchr(p + i, '\r', n - i);
        if (!cr)
            break;
        size_t at = (size_t)(cr - p), k = matching(m, 0, cr, n - at);
        i = at + k;
        if (k == m->delim_n || i == n) {
            end = at;
            m->match = k;
            break;
        }
    }
    if ((*ret_rc = emit(m, p + from, end - from, e)) < 0)
        return end;
    if (m->match < m->delim_n)
        return n;
    delimiter_found(m, ret_rc, e);
    return i;
}

static size_t feed_after(struct mr_multipart *m, const char *p, size_t n, int *ret_rc,
                         struct mr_err *e) {
    size_t i = 0;
    while (i < n && m->tail_n < 2) {
        char c = p[i++];
        if (!m->tail_n && (c == ' ' || c == '\t'))
            continue; /* transport padding */
        m->tail[m->tail_n++] = c;
    }
    if (m->tail_n < 2)
        return i;
    if (memcmp(m->tail, "\r\n", 2) == 0) {
        m->state = HEAD;
        m->head_n = 0;
    } else if (memcmp(m->tail, "--", 2) == 0) {
        m->state = EPILOGUE;
    } else {
        *ret_rc = mr_fail(e, MR_EINVAL, "A form boundary is followed by something else.");
    }
    return i;
}

int mr_multipart_feed(struct mr_multipart *m, const char *p, size_t n, struct mr_err *e) {
    int rc = 0;
    while (n && rc >= 0) {
        size_t used;
        switch (m->state) {
        case PREAMBLE:
        case DATA:
            used = feed_data(m, p, n, &rc, e);
            break;
        case AFTER:
            used = feed_after(m, p, n, &rc, e);
            break;
        case HEAD:
            used = feed_head(m, p, n, &rc, e);
            break;
        case EPILOGUE:
            return 0;
        default:
            return mr_fail(e, MR_EINVAL, "The form is malformed.");
        }
        p += used;
        n -= used;
    }
    if (rc < 0)
        m->state = FAILED;
    return rc < 0 ? rc : 0;
}

int mr_multipart_end(struct mr_multipart *m, struct mr_err *e) {
    if (m->state != EPILOGUE)
        return mr_fail(e, MR_EINVAL, "The form ends before its closing boundary.");
    return 0;
}
