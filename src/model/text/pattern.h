/* Token patterns: the part of Python's `re` that vectorizers use, matched without recursion over
 * the text and with a bound on the work.
 *
 * Accepted: literal characters, ".", \w \W \d \D \s \S, [classes], \b \B, the quantifiers
 * + * ? {n} {n,} {n,m} (greedy), one group around what is matched, top-level alternatives a|b, a
 * look-ahead (?=…) at the end, a leading (?u). Everything else is refused by name, as is a pattern
 * that matches the empty string. */
#ifndef MR_MODEL_TEXT_PATTERN_H
#define MR_MODEL_TEXT_PATTERN_H

#include "base/err.h"
#include "base/str.h"

#define MR_PAT_MAX_ITEM  32
#define MR_PAT_MAX_CLASS 32
#define MR_PAT_MAX_LEN   512

struct mr_pat_class {
    uint32_t ascii[4];     /* bit per code point below 128, negation applied */
    uint8_t any, not_any;  /* mr_uc_flag: in the class when one is set / when one is clear */
    bool negate;           /* above 127 */
    uint8_t n_range;       /* above 127 too */
    uint32_t lo[8], hi[8]; /* inclusive */
};

enum mr_pat_kind { MR_PAT_CLASS = 1, MR_PAT_EDGE, MR_PAT_NO_EDGE, MR_PAT_LOOK, MR_PAT_END };

struct mr_pat_item {
    uint8_t kind;
    uint8_t cls;
    uint32_t min, max; /* characters; max UINT32_MAX = no limit */
};

struct mr_pattern {
    uint32_t n_item, n_class;
    struct mr_pat_item item[MR_PAT_MAX_ITEM]; /* alternatives, each ended by MR_PAT_END */
    struct mr_pat_class cls[MR_PAT_MAX_CLASS];
    /* The common case: tokens are the maximal runs of class 0 of at least run_min characters. */
    bool run;
    uint32_t run_min;
};

int mr_pattern_compile(struct mr_str src, struct mr_pattern *ret, struct mr_err *e);

bool mr_pat_class_has(const struct mr_pat_class *c, uint32_t cp);

/* Leftmost match in the valid UTF-8 text [start, end), searched from `at`: its begin and end.
 * false when there is none, or when *budget (steps left) runs out, which leaves it 0. */
bool mr_pattern_find(const struct mr_pattern *p, const char *start, const char *at, const char *end,
                     const char **ret_begin, const char **ret_end, uint64_t *budget);

#endif
