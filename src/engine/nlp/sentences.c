/* Sentence borders and words, by rules: end marks, what follows them, abbreviations. */
#include "engine/nlp/nlp.h"
#include "engine/nlp/words.h"
#include "model/text/unicode.h"

#include <string.h>

/* Followed by a name or number, never by the end of a sentence. */
static const char *const TITLES[] = {
    "mr",     "mrs",  "ms",   "dr",   "prof", "rev",  "gen", "col", "sgt",  "capt", "lt",
    "gov",    "sen",  "rep",  "hon",  "st",   "mt",   "vs",  "fig", "figs", "eq",   "no",
    "nos",    "vol",  "pp",   "p",    "ch",   "sec",  "art", "e.g", "i.e",  "cf",   "ca",
    "approx", "dept", "resp", "al",   "jan",  "feb",  "mar", "apr", "jun",  "jul",  "aug",
    "sep",    "sept", "oct",  "nov",  "dec",  "z.b",  "d.h", "u.a", "bzw",  "nr",   "str",
    "hr",     "fr",   "bspw", "vgl",  "evtl", "inkl", "m",   "mm",  "mme",  "mlle", "av",
    "env",    "sr",   "sra",  "srta", "ud",   "uds",  "dña", "sig", "dott", "ing",  "ecc",
    "bijv",   "dhr",  "mevr", "blz",  "пр",   "ул",   "г",   "т.е", "им",
};
/* May end a sentence, when a capital follows. */
static const char *const SHORT[] = {"etc", "inc", "ltd", "co",   "corp", "jr",  "a.m", "p.m",
                                    "u.s", "u.k", "e.u", "ph.d", "b.c",  "a.d", "usw", "др"};

static bool in_list(struct mr_str w, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (mr_str_ieq(w, mr_str(list[i])))
            return true;
    return false;
}
#define IN(w, list) in_list(w, list, sizeof(list) / sizeof *(list))

/* End marks: 1 needs white space after it, 2 does not. */
static int end_mark(uint32_t cp) {
    switch (cp) {
    case '.':
    case '!':
    case '?':
    case 0x2026: /* … */
    case 0x203c:
    case 0x203d:
    case 0x2047:
    case 0x2048:
    case 0x2049:
    case 0x061f: /* Arabic question mark */
    case 0x06d4:
    case 0x0964: /* danda */
    case 0x0965:
    case 0x0589:
    case 0x037e:
        return 1;
    case 0x3002: /* ideographic full stop */
    case 0xff01:
    case 0xff1f:
    case 0xff61:
        return 2;
    default:
        return 0;
    }
}

static bool is_closer(uint32_t cp) {
    return cp == '"' || cp == '\'' || cp == ')' || cp == ']' || cp == '}' || cp == 0x2019 ||
           cp == 0x201d || cp == 0xbb || cp == 0x300d || cp == 0x300f || cp == 0xff09;
}
static bool is_space(uint32_t cp) {
    return mr_uc_flags(cp) & MR_UC_SPACE;
}

/* The word that ends at p, back to white space or an opening mark. */
static struct mr_str word_before(const char *start, const char *p) {
    const char *q = p;
    while (q > start) {
        const char *r;
        uint32_t cp = mr_uc_prev(start, q, &r);
        if (is_space(cp) || cp == '(' || cp == '"' || cp == '[' || p - q > 24)
            break;
        q = r;
    }
    return (struct mr_str){q, (size_t)(p - q)};
}

static bool all_digits(struct mr_str w) {
    for (size_t i = 0; i < w.n; i++)
        if (w.p[i] < '0' || w.p[i] > '9')
            return false;
    return w.n > 0;
}

/* A full stop that belongs to its word. `next`: the first character after white space. */
static bool is_abbreviation(const char *start, const char *stop, uint32_t next) {
    struct mr_str w = word_before(start, stop);
    if (!w.n)
        return false;
    if (all_digits(w) && w.p == start && w.n <= 3)
        return true; /* the number of a list */
    if (IN(w, TITLES))
        return true;
    bool capital = mr_uc_flags(next) & MR_UC_LOWER;
    if (IN(w, SHORT))
        return !capital;
    if (mr_words_chars(w) == 1 && mr_words_is_upper(w) && *w.p != 'I')
        return true; /* an initial */
    return false;
}

/* Whether the text goes on after the marks that end at `after` (white space follows). */
static bool goes_on(const char *start, const char *mark, uint32_t kind, const char *after,
                    const char *end) {
    const char *p = after;
    uint32_t next = 0;
    unsigned lines = 0;
    while (p < end) {
        next = mr_uc_next(&p, end);
        if (!is_space(next))
            break;
        lines += next == '\n';
        next = 0;
    }
    if (!next || lines > 1)
        return false;
    uint8_t f = mr_uc_flags(next);
    if (f & MR_UC_CASED && !(f & MR_UC_LOWER))
        return true; /* a small letter */
    return kind == '.' && is_abbreviation(start, mark, next);
}

/* The end of the sentence that starts at p. */
static const char *sentence_end(const char *start, const char *end) {
    const char *p = start;
    while (p < end) {
        const char *at = p;
        uint32_t cp = mr_uc_next(&p, end);
        if (cp == 0x2029)
            return p;
        if (cp == '\n') { /* a blank line */
            const char *q = p;
            while (q < end && (*q == ' ' || *q == '\t' || *q == '\r'))
                q++;
            if (q < end && *q == '\n')
                return q;
            continue;
        }
        int kind = end_mark(cp);
        if (!kind)
            continue;
        uint32_t first = cp;
        while (p < end) {
            const char *q = p;
            cp = mr_uc_next(&q, end);
            if (!end_mark(cp) && !is_closer(cp))
                break;
            if (end_mark(cp) && cp != '.')
                first = cp;
            kind = end_mark(cp) == 2 ? 2 : kind;
            p = q;
        }
        if (p == end || kind == 2)
            return p;
        if (is_space(cp) && !goes_on(start, at, first, p, end))
            return p;
    }
    return end;
}

/* Cuts the next sentence off, without white space around it; false at the end. */
static bool next_sentence(struct mr_str text, size_t *at, struct mr_span *ret) {
    const char *p = text.p + *at, *end = text.p + text.n;
    while (p < end) {
        const char *q = p;
        if (!is_space(mr_uc_next(&q, end)))
            break;
        p = q;
    }
    if (p >= end)
        return false;
    const char *stop = sentence_end(p, end), *last = stop;
    *at = (size_t)(stop - text.p);
    while (last > p) {
        const char *q;
        if (!is_space(mr_uc_prev(p, last, &q)))
            break;
        last = q;
    }
    *ret = (struct mr_span){(uint32_t)(p - text.p), (uint32_t)(last - text.p)};
    return true;
}

int mr_sentences(struct mr_str text, struct mr_arena *arena, struct mr_span **ret, size_t *ret_n,
                 struct mr_err *e) {
    size_t n = 0, at = 0, k = 0;
    struct mr_span s;
    if (text.n > UINT32_MAX / 2)
        return mr_fail(e, MR_ETOOBIG, "the text is too long");
    while (text.n && next_sentence(text, &at, &s))
        n++;
    struct mr_span *out = mr_arena_array(arena, n ? n : 1, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory reading a text");
    at = 0;
    while (k < n && next_sentence(text, &at, &out[k]))
        k++;
    *ret = out;
    *ret_n = k;
    return 0;
}

/* Characters that are words of their own, or nearly: Han, kana; and scripts without blanks between
 * words, of which four letters count as one. */
static bool is_ideograph(uint32_t cp) {
    return (cp >= 0x3040 && cp <= 0x30ff && cp != 0x30fb && cp != 0x30fc) ||
           (cp >= 0x3400 && cp <= 0x4dbf) || (cp >= 0x4e00 && cp <= 0x9fff) ||
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x20000 && cp <= 0x323af);
}
static bool is_unspaced(uint32_t cp) { /* Thai, Lao, Burmese, Khmer */
    return (cp >= 0x0e00 && cp <= 0x0eff) || (cp >= 0x1000 && cp <= 0x109f) ||
           (cp >= 0x1780 && cp <= 0x17ff);
}

/* Counts to `max` words; *ret_end: where the first word beyond begins, else the text's end. */
static uint32_t count_words(struct mr_str text, uint32_t max, size_t *ret_end) {
    uint32_t n = 0, unspaced = 0;
    bool inside = false;
    *ret_end = text.n;
    for (const char *p = text.p, *end = text.p + text.n; text.n && p < end;) {
        const char *at = p;
        uint32_t cp = mr_uc_next(&p, end);
        uint8_t f = mr_uc_flags(cp);
        bool word = f & MR_UC_WORD, begins = false;
        if (is_unspaced(cp) && word) {
            begins = unspaced++ % 4 == 0;
            inside = false;
        } else if (f & MR_UC_SPACE || cp == 0x2013 || cp == 0x2014) {
            inside = false;
            unspaced = 0;
        } else if (is_ideograph(cp)) {
            begins = true;
            inside = false;
        } else if (word && !inside)
            begins = inside = true;
        if (begins && n == max) {
            *ret_end = (size_t)(at - text.p);
            return n;
        }
        n += begins;
    }
    return n;
}

uint32_t mr_word_count(struct mr_str text) {
    size_t end;
    return count_words(text, UINT32_MAX, &end);
}

struct mr_str mr_first_words(struct mr_str text, uint32_t max) {
    size_t end;
    count_words(text, max, &end);
    while (end && (text.p[end - 1] == ' ' || (text.p[end - 1] >= '\t' && text.p[end - 1] <= '\r')))
        end--;
    return mr_strn(text.p, end);
}
