#include "engine/nlp/ner_internal.h"

bool mr_ner_in(const struct mr_ner_rules *r, uint32_t set, uint32_t cp) {
    const struct mr_ner_set *s = &r->set[set];
    if (cp < 128)
        return s->ascii[cp >> 6] >> (cp & 63) & 1;
    uint32_t lo = 0, hi = s->n;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (s->range[2 * mid + 1] < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n && s->range[2 * lo] <= cp;
}

void mr_ner_rule_index(const struct mr_ner_rules *r, struct mr_ner_rule *rule) {
    for (uint32_t i = 0; i < rule->n; i++) {
        const struct mr_ner_alt *a = &rule->alt[i];
        for (uint32_t c = 0; c < 128; c++) {
            if (mr_ner_in(r, a->body[0], c))
                rule->first[c][i >> 6] |= 1ULL << (i & 63);
            if (mr_ner_in(r, a->body[a->nbody - 1], c))
                rule->last[c][i >> 6] |= 1ULL << (i & 63);
        }
    }
}

/* The alternatives that a letter allows. */
static void candidates(const struct mr_ner_rule *rule, const uint64_t (*by)[2], uint32_t cp,
                       uint64_t out[2]) {
    if (cp < 128) {
        out[0] = by[cp][0];
        out[1] = by[cp][1];
        return;
    }
    out[0] = rule->n >= 64 ? ~0ULL : (1ULL << rule->n) - 1;
    out[1] = rule->n >= 128 ? ~0ULL : rule->n > 64 ? (1ULL << (rule->n - 64)) - 1 : 0;
}

static bool next_alt(uint64_t m[2], uint32_t *ret) {
    for (uint32_t w = 0; w < 2; w++) {
        if (m[w]) {
            *ret = 64 * w + (uint32_t)__builtin_ctzll(m[w]);
            m[w] &= m[w] - 1;
            return true;
        }
    }
    return false;
}

/* Length of a's match at s[at], 0: none. */
static uint32_t match(const struct mr_ner_rules *r, const struct mr_ner_alt *a, const uint32_t *s,
                      uint32_t n, uint32_t at) {
    if (a->nbody > n - at || a->nbehind > at)
        return 0;
    for (uint32_t i = 0; i < a->nbody; i++)
        if (!mr_ner_in(r, a->body[i], s[at + i]))
            return 0;
    for (uint32_t i = 0; i < a->nbehind; i++)
        if (!mr_ner_in(r, a->behind[i], s[at - a->nbehind + i]))
            return 0;
    uint32_t end = at + a->nbody;
    if (a->flags & MR_NER_MORE)
        while (end < n && mr_ner_in(r, a->body[a->nbody - 1], s[end]))
            end++;
    if (a->nahead && a->flags & MR_NER_NOT)
        return end < n && mr_ner_in(r, a->ahead[0], s[end]) ? 0 : end - at;
    if (a->nahead > n - end)
        return 0;
    for (uint32_t i = 0; i < a->nahead; i++)
        if (!mr_ner_in(r, a->ahead[i], s[end + i]))
            return 0;
    return end - at;
}

uint32_t mr_ner_prefix(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n) {
    uint64_t m[2];
    uint32_t i, len;
    if (!n)
        return 0;
    candidates(&r->prefix, r->prefix.first, s[0], m);
    while (next_alt(m, &i))
        if ((len = match(r, &r->prefix.alt[i], s, n, 0)))
            return len;
    return 0;
}

/* A search finds the leftmost start from which the rule reaches the end: the longest match. */
uint32_t mr_ner_suffix(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n) {
    uint64_t m[2];
    uint32_t i, best = 0;
    if (!n)
        return 0;
    candidates(&r->suffix, r->suffix.last, s[n - 1], m);
    while (next_alt(m, &i)) {
        const struct mr_ner_alt *a = &r->suffix.alt[i];
        uint32_t len = a->nbody;
        if (len > n)
            continue;
        if (a->flags & MR_NER_MORE)
            for (len = 0; len < n && mr_ner_in(r, a->body[0], s[n - len - 1]);)
                len++;
        if (len > best && len >= a->nbody && match(r, a, s, n, n - len))
            best = len;
    }
    return best;
}

bool mr_ner_infix(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n, uint32_t *at,
                  uint32_t *ret_len) {
    for (; *at < n; ++*at) {
        uint64_t m[2];
        uint32_t i;
        candidates(&r->infix, r->infix.first, s[*at], m);
        while (next_alt(m, &i))
            if ((*ret_len = match(r, &r->infix.alt[i], s, n, *at)))
                return true;
    }
    return false;
}
