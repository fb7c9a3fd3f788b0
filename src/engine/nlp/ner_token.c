/* spaCy's tokenizer: chunks between spaces; affixes cut off from both ends of a chunk as long as
 * there are some; what remains is an exception, an address, or is split at infixes. Exceptions with
 * affixes in them (emoticons) are put together again at the end. Work is linear in the text:
 * exceptions are looked up only for what is no longer than the longest of them. */
#include "base/alloc.h"
#include "engine/nlp/ner_internal.h"
#include "model/text/unicode.h"

struct reader {
    const struct mr_ner *n;
    const struct mr_ner_text *t;
    struct mr_ner_tokens *out;
    bool specials;
};

static int push(struct mr_ner_tokens *v, uint32_t start, uint32_t n, uint64_t norm) {
    if (v->n == v->cap) {
        uint32_t cap = v->cap ? v->cap * 2 : 64;
        struct mr_ner_token *p = mr_reallocarray(v->tok, cap, sizeof *p);
        if (!p)
            return MR_ENOMEM;
        v->tok = p;
        v->cap = cap;
    }
    v->tok[v->n++] = (struct mr_ner_token){start, n, norm};
    return 0;
}

static const struct mr_ner_special *special(const struct mr_ner *n, const struct mr_ner_text *t,
                                            uint32_t start, uint32_t end) {
    uint64_t i;
    if (start >= end || end - start > n->max_special ||
        !mr_ner_map_get(&n->special_of,
                        mr_ner_hash(t->p + t->off[start], t->off[end] - t->off[start]), &i))
        return NULL;
    return &n->special[i];
}

static int push_special(const struct mr_ner *n, const struct mr_ner_special *s, uint32_t start,
                        struct mr_ner_tokens *out) {
    for (uint32_t i = 0; i < s->n; i++) {
        const struct mr_ner_token *tok = &n->special_token[s->first + i];
        if (push(out, start + tok->start, tok->n, tok->norm) < 0)
            return MR_ENOMEM;
    }
    return 0;
}

/* What is left of a chunk after its affixes: pushes the prefixes, keeps the suffixes in `back`. */
static int cut_affixes(struct reader *r, uint32_t *start, uint32_t *end,
                       struct mr_ner_tokens *back) {
    const struct mr_ner_rules *rules = &r->n->rules;
    const uint32_t *cp = r->t->cp;
    uint32_t last = 0;
    while (*start < *end && *end - *start != last) {
        if (r->specials && special(r->n, r->t, *start, *end))
            return 0;
        last = *end - *start;
        uint32_t pre = mr_ner_prefix(rules, cp + *start, last);
        if (pre && r->specials && special(r->n, r->t, *start + pre, *end)) {
            *start += pre;
            return push(r->out, *start - pre, pre, 0);
        }
        uint32_t suf = mr_ner_suffix(rules, cp + *start + pre, last - pre);
        if (suf && r->specials && special(r->n, r->t, *start, *end - suf)) {
            *end -= suf;
            return push(back, *end, suf, 0);
        }
        if (pre && push(r->out, *start, pre, 0) < 0)
            return MR_ENOMEM;
        *start += pre;
        if (suf && push(back, *end - suf, suf, 0) < 0)
            return MR_ENOMEM;
        *end -= suf;
    }
    return 0;
}

static int split_infixes(struct reader *r, uint32_t start, uint32_t end) {
    const uint32_t *s = r->t->cp + start;
    uint32_t n = end - start, from = 0, len;
    for (uint32_t at = 0; mr_ner_infix(&r->n->rules, s, n, &at, &len); at += len) {
        if (!at)
            continue; /* spaCy leaves an infix at the very beginning to what follows */
        if (at != from && push(r->out, start + from, at - from, 0) < 0)
            return MR_ENOMEM;
        if (push(r->out, start + at, len, 0) < 0)
            return MR_ENOMEM;
        from = at + len;
    }
    return from < n ? push(r->out, start + from, n - from, 0) : 0;
}

/* No rule has a space in it, but exceptions do (for their norm). */
static int read_space(struct reader *r, uint32_t start, uint32_t end) {
    const struct mr_ner_special *s = r->specials ? special(r->n, r->t, start, end) : NULL;
    return s ? push_special(r->n, s, start, r->out) : push(r->out, start, end - start, 0);
}

static int read_chunk(struct reader *r, uint32_t start, uint32_t end, struct mr_ner_tokens *back) {
    const struct mr_ner_special *s = r->specials ? special(r->n, r->t, start, end) : NULL;
    if (s)
        return push_special(r->n, s, start, r->out);
    back->n = 0;
    int rc = cut_affixes(r, &start, &end, back);
    if (rc < 0)
        return rc;
    if (start < end) {
        s = r->specials ? special(r->n, r->t, start, end) : NULL;
        if (s)
            rc = push_special(r->n, s, start, r->out);
        else if (mr_ner_is_url(&r->n->rules, r->t->cp + start, end - start))
            rc = push(r->out, start, end - start, 0);
        else
            rc = split_infixes(r, start, end);
    }
    for (uint32_t i = back->n; rc == 0 && i > 0; i--)
        rc = push(r->out, back->tok[i - 1].start, back->tok[i - 1].n, 0);
    return rc;
}

/* --- exceptions over several tokens ----------------------------------------------------------- */

/* Running key of a sequence of tokens. */
static uint64_t sequence_key(uint64_t key, const struct mr_ner_text *t,
                             const struct mr_ner_token *k) {
    return (key ^
            mr_ner_hash(t->p + t->off[k->start], t->off[k->start + k->n] - t->off[k->start])) *
               0x9e3779b97f4a7c15ULL +
           1;
}

int mr_ner_add_pattern(struct mr_ner *n, const struct mr_ner_text *t,
                       const struct mr_ner_tokens *tokens) {
    uint64_t key = 0, old;
    for (uint32_t i = 0; i < tokens->n; i++) {
        key = sequence_key(key, t, &tokens->tok[i]);
        if (!mr_ner_map_get(&n->pattern, key, &old))
            old = 0;
        if (mr_ner_map_put(&n->pattern, key, old | (i + 1 == tokens->n ? 2 : 1)) < 0)
            return MR_ENOMEM;
    }
    if (tokens->n > n->max_pattern)
        n->max_pattern = tokens->n;
    return 0;
}

/* Lengths of the sequences that begin at each token, as bits; how many there are. */
static size_t find_patterns(const struct mr_ner *n, const struct mr_ner_text *t,
                            const struct mr_ner_tokens *v, uint32_t *bits) {
    size_t found = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        uint64_t key = 0, what = 1;
        bits[i] = 0;
        for (uint32_t len = 1; what & 1 && i + len <= v->n && len <= n->max_pattern; len++) {
            key = sequence_key(key, t, &v->tok[i + len - 1]);
            if (!mr_ner_map_get(&n->pattern, key, &what))
                break;
            if (what & 2) {
                bits[i] |= 1u << (len - 1);
                found++;
            }
        }
    }
    return found;
}

/* Longest first, then leftmost; a sequence whose ends lie in an earlier one is left out. */
static void choose(const struct mr_ner_tokens *v, uint32_t longest, const uint32_t *bits,
                   uint8_t *seen, uint8_t *chosen) {
    for (uint32_t len = longest; len > 0; len--) {
        for (uint32_t i = 0; i + len <= v->n; i++) {
            if (!(bits[i] >> (len - 1) & 1))
                continue;
            if (!seen[i] && !seen[i + len - 1])
                chosen[i] = (uint8_t)len;
            memset(seen + i, 1, len);
        }
    }
}

static int join_specials(const struct mr_ner *n, const struct mr_ner_text *t,
                         struct mr_ner_tokens *v) {
    uint32_t *bits = mr_calloc(v->n + 1, sizeof *bits);
    uint8_t *mark = mr_calloc(v->n + 1, 2);
    struct mr_ner_tokens to = {0};
    int rc = bits && mark ? 0 : MR_ENOMEM;
    if (rc == 0 && find_patterns(n, t, v, bits)) {
        uint8_t *chosen = mark + v->n;
        choose(v, n->max_pattern, bits, mark, chosen);
        for (uint32_t i = 0; rc == 0 && i < v->n;) {
            const struct mr_ner_token *a = &v->tok[i], *b = chosen[i] ? a + chosen[i] - 1 : a;
            const struct mr_ner_special *s =
                chosen[i] ? special(n, t, a->start, b->start + b->n) : NULL;
            if (s)
                rc = push_special(n, s, a->start, &to);
            for (; !s && rc == 0 && a <= b; a++)
                rc = push(&to, a->start, a->n, a->norm);
            i += chosen[i] ? chosen[i] : 1;
        }
        if (rc == 0) {
            mr_free(v->tok);
            *v = to;
            to.tok = NULL;
        }
    }
    mr_free(to.tok);
    mr_free(bits);
    mr_free(mark);
    return rc;
}

int mr_ner_tokenize(const struct mr_ner *n, const struct mr_ner_text *t, bool specials,
                    struct mr_ner_tokens *out) {
    struct reader r = {n, t, out, specials};
    struct mr_ner_tokens back = {0};
    uint32_t start = 0;
    int rc = 0;
    bool in_space = t->n && mr_uc_flags(t->cp[0]) & MR_UC_SPACE;
    for (uint32_t i = 0; rc == 0 && i < t->n; i++) {
        bool space = mr_uc_flags(t->cp[i]) & MR_UC_SPACE;
        if (space == in_space)
            continue;
        if (start < i)
            rc = in_space ? read_space(&r, start, i) : read_chunk(&r, start, i, &back);
        start = t->cp[i] == ' ' ? i + 1 : i;
        in_space = space;
    }
    if (rc == 0 && start < t->n)
        rc = in_space ? read_space(&r, start, t->n) : read_chunk(&r, start, t->n, &back);
    mr_free(back.tok);
    if (rc == 0 && specials && n->max_pattern && out->n)
        rc = join_specials(n, t, out);
    return rc;
}
