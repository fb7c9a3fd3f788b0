/* The one error type.
 *
 * Functions that can fail return 0 or a negative `enum mr_code` and, when the caller passes a
 * `struct mr_err`, fill it with the code, a sentence for the user and, where it applies, the field
 * that is wrong. Every function that takes a `struct mr_err *` accepts NULL for it.
 * Only src/api/<family>/errors.c maps codes to HTTP statuses and wire shapes.
 */
#ifndef MR_BASE_ERR_H
#define MR_BASE_ERR_H

enum mr_code {
    MR_OK = 0,
    MR_ENOMEM = -1,        /* allocation failed */
    MR_EINVAL = -2,        /* input cannot be parsed, or does not fit the model */
    MR_EFIELD = -3,        /* a field breaks the schema (missing, wrong type, out of range) */
    MR_ENOTFOUND = -4,     /* no such object, or it belongs to someone else */
    MR_ECONFLICT = -5,     /* duplicate, or a state that forbids the action */
    MR_EUNAUTH = -6,       /* no valid credentials */
    MR_EFORBIDDEN = -7,    /* valid credentials without the right */
    MR_ELIMIT = -8,        /* rate limit or quota reached */
    MR_ETOOBIG = -9,       /* over a size cap */
    MR_EIO = -10,          /* system call failed */
    MR_ENOSPC = -11,       /* out of disk space */
    MR_ETIMEOUT = -12,     /* a deadline passed */
    MR_EUNSUPPORTED = -13, /* recognised, but not something millrace can serve */
    MR_EUNAVAIL = -14,     /* temporarily unavailable (draining, queue full, dependency down) */
    MR_EREFUSED = -15,     /* hostile or damaged model file, refused */
    MR_EPREDICT = -16,     /* the model failed while predicting */
    MR_ECANCELLED = -17,   /* the caller went away */
    MR_EINTERNAL = -18,    /* a bug or broken invariant on our side */
    MR_ENOTLOADED = -19,   /* the model is known, but not in memory and cannot be loaded now */
    MR_CODE_MIN = -19
};

struct mr_err {
    int code;       /* enum mr_code */
    char field[96]; /* dotted path of the offending field, or "" */
    char msg[512];  /* one sentence, no trailing newline, safe to show to the user */
};

/* Fills `e` (may be NULL) and returns `code`. */
int mr_fail(struct mr_err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int mr_fail_field(struct mr_err *e, int code, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Fills from errno: ENOSPC/EDQUOT become MR_ENOSPC, ENOMEM MR_ENOMEM, ENOENT MR_ENOTFOUND, others
 * MR_EIO. */
int mr_fail_errno(struct mr_err *e, const char *what);
/* "MR_EINVAL" …, for logs; "MR_?" for an unknown code. */
const char *mr_code_name(int code);

#endif
