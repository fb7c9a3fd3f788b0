#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int vfill(struct mr_err *e, int code, const char *field, const char *fmt, va_list ap) {
    if (e) {
        /* Built apart: the arguments may point into *e, where a message takes in the one before. */
        struct mr_err made = {.code = code};
        snprintf(made.field, sizeof made.field, "%s", field);
        vsnprintf(made.msg, sizeof made.msg, fmt, ap);
        *e = made;
    }
    return code;
}

int mr_fail(struct mr_err *e, int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vfill(e, code, "", fmt, ap);
    va_end(ap);
    return code;
}

int mr_fail_field(struct mr_err *e, int code, const char *field, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vfill(e, code, field, fmt, ap);
    va_end(ap);
    return code;
}

int mr_fail_errno(struct mr_err *e, const char *what) {
    int saved = errno;
    int code = MR_EIO;
    if (saved == ENOSPC || saved == EDQUOT)
        code = MR_ENOSPC;
    else if (saved == ENOMEM)
        code = MR_ENOMEM;
    else if (saved == ENOENT)
        code = MR_ENOTFOUND;
    return mr_fail(e, code, "%s: %s", what, strerror(saved));
}

const char *mr_code_name(int code) {
    static const char *const names[] = {
        "MR_OK",        "MR_ENOMEM",   "MR_EINVAL",     "MR_EFIELD",       "MR_ENOTFOUND",
        "MR_ECONFLICT", "MR_EUNAUTH",  "MR_EFORBIDDEN", "MR_ELIMIT",       "MR_ETOOBIG",
        "MR_EIO",       "MR_ENOSPC",   "MR_ETIMEOUT",   "MR_EUNSUPPORTED", "MR_EUNAVAIL",
        "MR_EREFUSED",  "MR_EPREDICT", "MR_ECANCELLED", "MR_EINTERNAL",    "MR_ENOTLOADED",
    };
    if (code > 0 || code < MR_CODE_MIN)
        return "MR_?";
    return names[-code];
}
