#include "engine/nlp/words.h"

#include "model/text/unicode.h"

struct mr_str mr_words_lower(struct mr_arena *a, struct mr_str s) {
    /* Two code points at most for one, and only two-byte U+0130 grows: to three bytes. */
    char *out = mr_arena_alloc(a, s.n * 3 + 1);
    size_t n = 0;
    if (!out)
        return (struct mr_str){NULL, 0};
    for (const char *p = s.p, *end = s.p + s.n; s.n && p < end;) {
        const char *at = p;
        uint32_t low[MR_UC_LOWER_MAX], cp = mr_uc_next(&p, end);
        if (cp == 0x3a3 && mr_uc_final_sigma(s.p, at, end)) {
            n += mr_uc_put(out + n, 0x3c2);
            continue;
        }
        size_t k = mr_uc_lower(cp, low);
        for (size_t i = 0; i < k; i++)
            n += mr_uc_put(out + n, low[i]);
    }
    return (struct mr_str){out, n};
}

bool mr_words_is_upper(struct mr_str s) {
    bool any = false;
    for (const char *p = s.p, *end = s.p + s.n; s.n && p < end;) {
        uint8_t f = mr_uc_flags(mr_uc_next(&p, end));
        if (!(f & MR_UC_CASED))
            continue;
        if (!(f & MR_UC_LOWER))
            return false;
        any = true;
    }
    return any;
}

struct mr_str mr_words_next(struct mr_str *rest) {
    const char *p = rest->p, *end = p + rest->n, *start = NULL;
    while (rest->n && p < end) {
        const char *at = p;
        bool space = mr_uc_flags(mr_uc_next(&p, end)) & MR_UC_SPACE;
        if (!start && !space)
            start = at;
        if (start && space) {
            *rest = (struct mr_str){p, (size_t)(end - p)};
            return (struct mr_str){start, (size_t)(at - start)};
        }
    }
    rest->n = 0;
    return start ? (struct mr_str){start, (size_t)(end - start)} : (struct mr_str){"", 0};
}

size_t mr_words_chars(struct mr_str s) {
    size_t n = 0;
    for (const char *p = s.p, *end = s.p + s.n; s.n && p < end; n++)
        mr_uc_next(&p, end);
    return n;
}
