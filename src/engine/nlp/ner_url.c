/* spaCy's URL rule as a decision over the whole token:
 *   [scheme://] [anything@] host [:2-5 digits] [/?# anything]
 * The host is an address of four numbers outside the private networks, or labels of 1-64 letters,
 * digits, '_' and '-' (not at the ends), each with a dot after it, and 2-63 letters. None of these
 * has one of ":/?#", so the host ends at the first of them, or at the end. */
#include "engine/nlp/ner_internal.h"
#include "model/text/unicode.h"

static bool label_letter(uint32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c >= 0xa1 && c <= 0xffff);
}

static bool digit(uint32_t c) {
    return mr_uc_flags(c) & MR_UC_DIGIT;
}

static bool is_name(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n) {
    uint32_t start = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (s[i] != '.')
            continue;
        if (i == start || i - start > 64 || !label_letter(s[start]) || !label_letter(s[i - 1]))
            return false;
        for (uint32_t j = start; j < i; j++)
            if (!label_letter(s[j]) && s[j] != '_' && s[j] != '-')
                return false;
        start = i + 1;
    }
    if (!start || n - start < 2 || n - start > 63)
        return false;
    for (uint32_t i = start; i < n; i++)
        if (!mr_ner_in(r, r->is.tld, s[i]))
            return false;
    return true;
}

/* Up to 3 digits; the value, or -1. Digits outside ASCII count as `other`. */
struct octet {
    uint32_t c[3], n;
};

static bool ascii(uint32_t c, char lo, char hi) {
    return c >= (uint32_t)lo && c <= (uint32_t)hi;
}
/* 2[0-4]\d or, up to last, 25[0-last] */
static bool two_hundreds(const struct octet *o, char last) {
    return o->n == 3 && o->c[0] == '2' &&
           (ascii(o->c[1], '0', '4') || (o->c[1] == '5' && ascii(o->c[2], '0', last)));
}
static bool first_octet(const struct octet *o) {
    if (o->n < 3)
        return ascii(o->c[0], '1', '9');
    return o->c[0] == '1' || (o->c[0] == '2' && (ascii(o->c[1], '0', '1') ||
                                                 (o->c[1] == '2' && ascii(o->c[2], '0', '3'))));
}
static bool middle_octet(const struct octet *o) {
    return o->n < 3 || o->c[0] == '1' || two_hundreds(o, '5');
}
static bool last_octet(const struct octet *o) {
    return o->n < 3 ? ascii(o->c[0], '1', '9') : o->c[0] == '1' || two_hundreds(o, '4');
}
static bool is(const struct octet *o, const char *text) {
    for (uint32_t i = 0; i < o->n; i++)
        if (o->c[i] != (uint32_t)(unsigned char)text[i])
            return false;
    return !text[o->n];
}
static bool private_net(const struct octet *o) {
    if (is(&o[0], "10") || is(&o[0], "127") || (is(&o[0], "169") && is(&o[1], "254")) ||
        (is(&o[0], "192") && is(&o[1], "168")))
        return true;
    return is(&o[0], "172") && o[1].n == 2 &&
           ((o[1].c[0] == '1' && ascii(o[1].c[1], '6', '9')) || o[1].c[0] == '2' ||
            (o[1].c[0] == '3' && ascii(o[1].c[1], '0', '1')));
}

static bool is_address(const uint32_t *s, uint32_t n) {
    struct octet o[4] = {0};
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (s[i] == '.') {
            if (++k == 4)
                return false;
        } else if (!digit(s[i]) || o[k].n == 3) {
            return false;
        } else {
            o[k].c[o[k].n++] = s[i];
        }
    }
    if (k != 3 || !o[0].n || !o[1].n || !o[2].n || !o[3].n || private_net(o))
        return false;
    return first_octet(&o[0]) && middle_octet(&o[1]) && middle_octet(&o[2]) && last_octet(&o[3]);
}

/* What may follow a host: s[0, n). */
static bool is_rest(const uint32_t *s, uint32_t n) {
    uint32_t i = 0;
    if (n && s[0] == ':') {
        for (i = 1; i < n && i <= 5 && digit(s[i]);)
            i++;
        if (i < 3)
            return false;
    }
    return i == n || s[i] == '/' || s[i] == '?' || s[i] == '#';
}

static bool host_at(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n) {
    uint32_t end = 0, dots = 0;
    for (; end < n && s[end] != ':' && s[end] != '/' && s[end] != '?' && s[end] != '#'; end++) {
        if (s[end] == '@')
            return false; /* in no host; keeps the work linear in the token */
        dots += s[end] == '.';
    }
    return dots && is_rest(s + end, n - end) && (is_name(r, s, end) || is_address(s, end));
}

bool mr_ner_is_url(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n) {
    if (host_at(r, s, n))
        return true;
    uint32_t scheme = 0;
    while (scheme < n && ((mr_uc_flags(s[scheme]) & MR_UC_WORD) || s[scheme] == '+' ||
                          s[scheme] == '-' || s[scheme] == '.'))
        scheme++;
    if (scheme >= 2 && n - scheme > 3 && s[scheme] == ':' && s[scheme + 1] == '/' &&
        s[scheme + 2] == '/' && host_at(r, s + scheme + 3, n - scheme - 3))
        return true;
    for (uint32_t i = 1; i < n; i++)
        if (s[i] == '@' && host_at(r, s + i + 1, n - i - 1))
            return true;
    return false;
}
