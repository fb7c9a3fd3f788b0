#include "model/text/unicode.h"

#include <string.h>

uint32_t mr_uc_next(const char **p, const char *end) {
    const uint8_t *s = (const uint8_t *)*p;
    size_t left = (size_t)(end - *p);
    uint32_t c = s[0];
    if (c < 0x80) {
        *p += 1;
        return c;
    }
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    if (n && n <= left && c < 0xf5) {
        uint32_t cp = c & (0x7fu >> n);
        bool ok = true;
        for (size_t i = 1; i < n; i++) {
            ok &= (s[i] & 0xc0) == 0x80;
            cp = cp << 6 | (s[i] & 0x3fu);
        }
        static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
        if (ok && cp >= least[n] && cp < 0x110000 && (cp < 0xd800 || cp > 0xdfff)) {
            *p += n;
            return cp;
        }
    }
    *p += 1;
    return 0xfffd;
}

uint32_t mr_uc_prev(const char *start, const char *p, const char **ret_start) {
    const char *q = p - 1;
    while (q > start && p - q < 4 && ((uint8_t)*q & 0xc0) == 0x80)
        q--;
    const char *r = q;
    uint32_t cp = mr_uc_next(&r, p);
    if (r != p) { /* not UTF-8: the last byte stands alone */
        q = p - 1;
        cp = 0xfffd;
    }
    *ret_start = q;
    return cp;
}

size_t mr_uc_put(char *out, uint32_t cp) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 63));
        out[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 63));
    out[2] = (char)(0x80 | (cp >> 6 & 63));
    out[3] = (char)(0x80 | (cp & 63));
    return 4;
}

size_t mr_uc_lower(uint32_t cp, uint32_t out[MR_UC_LOWER_MAX]) {
    out[0] = cp;
    if (cp < 0x80) {
        out[0] = cp - 'A' < 26u ? cp + 32 : cp;
        return 1;
    }
    if (!(mr_uc_flags(cp) & MR_UC_LOWER))
        return 1;
    if (cp == 0x130) { /* the one capital whose lower case is two code points */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    uint32_t lo = 0, hi = mr_uc_lower_n;
    while (lo < hi) { /* ranges do not overlap: the first with last >= cp is the only candidate */
        uint32_t mid = lo + (hi - lo) / 2;
        if (mr_uc_lower_range[mid].last < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < mr_uc_lower_n) {
        const struct mr_uc_range *r = &mr_uc_lower_range[lo];
        if (cp >= r->first && (cp - r->first) % r->step == 0)
            out[0] = (uint32_t)((int32_t)cp + r->delta);
    }
    return 1;
}

bool mr_uc_final_sigma(const char *start, const char *at, const char *end) {
    bool cased = false;
    for (const char *p = at; p > start && !cased;) {
        uint8_t f = mr_uc_flags(mr_uc_prev(start, p, &p));
        cased = f & MR_UC_CASED;
        if (!cased && !(f & MR_UC_IGNORABLE))
            return false;
    }
    if (!cased)
        return false;
    for (const char *p = at + 2; p < end;) {
        uint8_t f = mr_uc_flags(mr_uc_next(&p, end));
        if (f & MR_UC_CASED)
            return false;
        if (!(f & MR_UC_IGNORABLE))
            break;
    }
    return true;
}

/* Hangul syllables decompose by arithmetic (The Unicode Standard, section 3.12). */
static size_t strip_hangul(uint32_t cp, char *out) {
    uint32_t s = cp - 0xac00;
    size_t n = mr_uc_put(out, 0x1100 + s / 588);
    n += mr_uc_put(out + n, 0x1161 + s % 588 / 28);
    if (s % 28)
        n += mr_uc_put(out + n, 0x11a7 + s % 28);
    return n;
}

size_t mr_uc_strip(uint32_t cp, bool ascii_only, char out[MR_UC_STRIP_MAX]) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    uint8_t f = mr_uc_flags(cp);
    if (f & MR_UC_REMOVED)
        return 0;
    if (!(f & MR_UC_STRIP)) {
        if (ascii_only)
            return 0;
        return cp >= 0xac00 && cp <= 0xd7a3 ? strip_hangul(cp, out) : mr_uc_put(out, cp);
    }
    uint32_t lo = 0, hi = mr_uc_strip_n;
    while (lo + 1 < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (mr_uc_strip_cp[mid] <= cp)
            lo = mid;
        else
            hi = mid;
    }
    const uint8_t *s = mr_uc_strip_pool + mr_uc_strip_off[lo];
    size_t n = *s++, k = 0;
    for (size_t i = 0; i < n && k < MR_UC_STRIP_MAX; i++)
        if (!ascii_only || s[i] < 0x80)
            out[k++] = (char)s[i];
    return k;
}
