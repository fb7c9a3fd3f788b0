#include "cli/read_input.h"

#include "base/cleanup.h"

static int read_all(const char *path, struct mr_buf *b, struct mr_err *e) {
    MR_AUTO_FCLOSE FILE *own = path ? fopen(path, "rbe") : NULL;
    FILE *f = path ? own : stdin;
    if (!f)
        return mr_fail_errno(e, path);
    for (;;) {
        char *p = mr_buf_reserve(b, 65536);
        if (!p)
            return mr_fail(e, MR_ETOOBIG, "the input is too large");
        size_t n = fread(p, 1, 65536, f);
        b->n += n;
        if (n == 0)
            break;
    }
    return ferror(f) ? mr_fail_errno(e, path ? path : "standard input") : 0;
}

int mr_cli_read_input(const char *arg, struct mr_buf *out, struct mr_err *e) {
    if (!strcmp(arg, "-"))
        return read_all(NULL, out, e);
    if (arg[0] == '@')
        return read_all(arg + 1, out, e);
    mr_buf_cstr(out, arg);
    return mr_buf_ok(out) ? 0 : mr_fail(e, MR_ETOOBIG, "the input is too large");
}
