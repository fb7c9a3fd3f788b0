/* millrace.toml, a subset of TOML: key = value lines, [tables], one-line arrays of strings. */
#include "base/cleanup.h"
#include "core/config_priv.h"

#include <fcntl.h>

#define FILE_MAX_BYTES (1u << 20)

/* A quoted string's end, or NULL; no escapes but \" and \\ are needed for paths and keys. */
static int unquote(struct mr_str *v, char out[1024], struct mr_str *ret, struct mr_err *e) {
    size_t n = 0, i = 1;
    char quote = v->p[0];
    for (; i < v->n && v->p[i] != quote; i++) {
        char ch = v->p[i];
        if (ch == '\\' && quote == '"' && i + 1 < v->n)
            ch = v->p[++i];
        if (n == 1023)
            return mr_fail(e, MR_ETOOBIG, "a string is longer than 1023 bytes");
        out[n++] = ch;
    }
    if (i >= v->n)
        return mr_fail(e, MR_EINVAL, "a string does not end");
    *ret = mr_strn(out, n);
    *v = mr_str_trim(mr_strn(v->p + i + 1, v->n - i - 1));
    return 0;
}

static int set_array(struct mr_config *c, struct mr_str key, struct mr_str v, struct mr_err *e) {
    char tmp[1024];
    struct mr_str item;
    bool fresh = true;
    v = mr_str_trim(mr_strn(v.p + 1, v.n - 1));
    while (v.n && v.p[0] != ']') {
        if (v.p[0] != '"' && v.p[0] != '\'')
            return mr_fail(e, MR_EINVAL, "an array may hold strings only");
        int rc = unquote(&v, tmp, &item, e);
        if (!rc)
            rc = mr_config_set(c, key, item, fresh, e);
        if (rc)
            return rc;
        fresh = false;
        if (v.n && v.p[0] == ',')
            v = mr_str_trim(mr_strn(v.p + 1, v.n - 1));
    }
    return v.n ? 0 : mr_fail(e, MR_EINVAL, "an array does not end on its line");
}

static int set_line(struct mr_config *c, const char *table, struct mr_str line, struct mr_err *e) {
    char joined[256], tmp[1024];
    struct mr_str value = line, text;
    struct mr_str key = mr_str_trim(mr_str_cut(&value, '='));
    if (!value.p)
        return mr_fail(e, MR_EINVAL, "expected key = value");
    bool dotted = mr_str_starts(mr_str(table), MR_LIT("provider."));
    int n = snprintf(joined, sizeof joined, "%s%s%.*s", table,
                     dotted   ? "."
                     : *table ? "_"
                              : "",
                     (int)(key.n > 100 ? 100 : key.n), key.p);
    key = mr_strn(joined, (size_t)n);
    value = mr_str_trim(value);
    if (!value.n)
        return mr_fail(e, MR_EINVAL, "expected a value after '='");
    if (value.p[0] == '[')
        return set_array(c, key, value, e);
    if (value.p[0] == '"' || value.p[0] == '\'') {
        int rc = unquote(&value, tmp, &text, e);
        if (rc)
            return rc;
        if (value.n && value.p[0] != '#')
            return mr_fail(e, MR_EINVAL, "unexpected text after the string");
        return mr_config_set(c, key, text, true, e);
    }
    return mr_config_set(c, key, mr_str_trim(mr_str_cut(&value, '#')), true, e);
}

int mr_config_read(const char *path, size_t max, struct mr_buf *out, struct mr_err *e) {
    MR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    mr_buf_init(out, max);
    if (fd < 0)
        return mr_fail_errno(e, path);
    for (;;) {
        char *p = mr_buf_reserve(out, 1024);
        ssize_t n = p ? read(fd, p, 1024) : -1;
        if (n < 0)
            return mr_fail(e, p ? MR_EIO : MR_ETOOBIG, "%s cannot be read%s", path,
                           p ? "" : ": it is too long");
        if (!n)
            return 0;
        out->n += (size_t)n;
    }
}

int mr_config_file(struct mr_config *c, const char *path, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    int got = mr_config_read(path, FILE_MAX_BYTES, &b, e);
    if (got)
        return got;
    struct mr_str rest = mr_buf_view(&b);
    char table[64] = "";
    for (int number = 1; rest.p; number++) {
        struct mr_str line = mr_str_cut(&rest, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        line = mr_str_trim(line);
        if (!line.n || line.p[0] == '#')
            continue;
        struct mr_err le;
        int rc = 0;
        if (line.p[0] == '[' && line.p[line.n - 1] == ']' && line.n < sizeof table)
            snprintf(table, sizeof table, "%.*s", (int)line.n - 2, line.p + 1);
        else
            rc = set_line(c, table, line, &le);
        if (rc)
            return mr_fail(e, rc, "%s, line %d: %s", path, number, le.msg);
    }
    return 0;
}
