/* Characters as Python's str and re see them: classes, lower case, accents removed.
 *
 * The tables come from tools/gen_unicode.py, which asks Python itself. Pure functions. */
#ifndef MR_MODEL_TEXT_UNICODE_H
#define MR_MODEL_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_uc_flag {
    MR_UC_WORD = 1,       /* \w: str.isalnum() or '_' */
    MR_UC_SPACE = 2,      /* \s: str.isspace() */
    MR_UC_DIGIT = 4,      /* \d: str.isdecimal() */
    MR_UC_LOWER = 8,      /* str.lower() changes it */
    MR_UC_STRIP = 16,     /* compatibility decomposition changes it (Hangul apart) */
    MR_UC_CASED = 32,     /* Cased and not Case_Ignorable */
    MR_UC_IGNORABLE = 64, /* Case_Ignorable */
    MR_UC_REMOVED = 128,  /* a combining mark: stripping accents drops it */
};

struct mr_uc_range {
    uint32_t first, last, step; /* every step-th code point */
    int32_t delta;
};

extern const uint8_t mr_uc_stage1[], mr_uc_stage2[], mr_uc_strip_pool[];
extern const uint32_t mr_uc_stage1_n, mr_uc_lower_n, mr_uc_strip_n;
extern const struct mr_uc_range mr_uc_lower_range[];
extern const uint32_t mr_uc_strip_cp[];
extern const uint16_t mr_uc_strip_off[];

static inline uint8_t mr_uc_flags(uint32_t cp) {
    uint32_t block = cp >> 7;
    if (block >= mr_uc_stage1_n)
        block = mr_uc_stage1_n - 1;
    return mr_uc_stage2[(size_t)mr_uc_stage1[block] << 7 | (cp & 127)];
}

/* Next code point of [*p, end); a byte that is not UTF-8 gives U+FFFD. *p < end on entry. */
uint32_t mr_uc_next(const char **p, const char *end);
/* Code point that ends at p (start < p); the text is valid UTF-8. *ret_start: where it begins. */
uint32_t mr_uc_prev(const char *start, const char *p, const char **ret_start);
/* Writes 1-4 bytes; returns how many. */
size_t mr_uc_put(char *out, uint32_t cp);

#define MR_UC_LOWER_MAX 2
/* str.lower() of one code point without context: 1 or 2 code points. */
size_t mr_uc_lower(uint32_t cp, uint32_t out[MR_UC_LOWER_MAX]);
/* Whether the capital sigma at [at, at + 2) of valid or invalid UTF-8 becomes a final sigma. */
bool mr_uc_final_sigma(const char *start, const char *at, const char *end);

#define MR_UC_STRIP_MAX 64
/* NFKD without combining marks, as UTF-8; ascii_only drops what is not ASCII. Returns bytes. */
size_t mr_uc_strip(uint32_t cp, bool ascii_only, char out[MR_UC_STRIP_MAX]);

#endif
