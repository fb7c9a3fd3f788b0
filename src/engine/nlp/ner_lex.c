/* What the network sees of a token: ids of its norm, first letter, last three letters and shape. */
#include "base/alloc.h"
#include "engine/nlp/ner_internal.h"
#include "model/text/unicode.h"

#define SHAPE_MAX 100 /* code points; longer tokens have the shape "LONG" */

uint64_t mr_ner_id(const struct mr_ner *n, const char *p, size_t len) {
    uint64_t h, symbol;
    if (!len)
        return 0;
    h = mr_ner_hash(p, len);
    return mr_ner_map_get(&n->symbol, h, &symbol) ? symbol : h;
}

bool mr_ner_is_space(const struct mr_ner_text *t, const struct mr_ner_token *tok) {
    return mr_uc_flags(t->cp[tok->start]) & MR_UC_SPACE; /* a token is all space or has none */
}

static int lower(const struct mr_ner_text *t, const struct mr_ner_token *tok,
                 struct mr_ner_scratch *s, size_t *ret) {
    size_t need = (size_t)tok->n * 4 * MR_UC_LOWER_MAX, n = 0;
    if (need > s->cap) {
        char *p = mr_realloc(s->p, need);
        if (!p)
            return MR_ENOMEM;
        s->p = p;
        s->cap = need;
    }
    const char *start = t->p + t->off[tok->start], *end = t->p + t->off[tok->start + tok->n];
    for (uint32_t i = tok->start; i < tok->start + tok->n; i++) {
        uint32_t cp = t->cp[i], to[MR_UC_LOWER_MAX];
        if (cp < 128) {
            s->p[n++] = (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp);
        } else if (cp == 0x3a3) {
            bool last = mr_uc_final_sigma(start, t->p + t->off[i], end);
            n += mr_uc_put(s->p + n, last ? 0x3c2 : 0x3c3);
        } else {
            size_t k = mr_uc_lower(cp, to);
            for (size_t j = 0; j < k; j++)
                n += mr_uc_put(s->p + n, to[j]);
        }
    }
    *ret = n;
    return 0;
}

/* "Xxxx", "dd", "d.d": runs of a kind are cut at four. */
static size_t shape(const struct mr_ner_rules *r, const uint32_t *cp, uint32_t n,
                    char out[4 * SHAPE_MAX]) {
    uint32_t last = UINT32_MAX, run = 0;
    size_t len = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t c = cp[i];
        if (mr_ner_in(r, r->is.alpha, c))
            c = mr_ner_in(r, r->is.upper, c) ? 'X' : 'x';
        else if (mr_ner_in(r, r->is.digit, c))
            c = 'd';
        run = c == last ? run + 1 : 0;
        last = c;
        if (run < 4)
            len += mr_uc_put(out + len, c);
    }
    return len;
}

int mr_ner_features(const struct mr_ner *n, const struct mr_ner_text *t,
                    const struct mr_ner_token *tok, struct mr_ner_scratch *s,
                    uint64_t out[MR_NER_FEATS]) {
    uint32_t end = tok->start + tok->n;
    const char *p = t->p + t->off[tok->start];
    size_t len = t->off[end] - t->off[tok->start];
    if (tok->norm) {
        out[0] = tok->norm;
    } else if (!mr_ner_map_get(&n->norm, mr_ner_id(n, p, len), &out[0])) {
        size_t low;
        if (lower(t, tok, s, &low) < 0)
            return MR_ENOMEM;
        out[0] = mr_ner_id(n, s->p, low);
    }
    out[1] = mr_ner_id(n, p, t->off[tok->start + 1] - t->off[tok->start]);
    uint32_t tail = tok->n > 3 ? end - 3 : tok->start;
    out[2] = mr_ner_id(n, t->p + t->off[tail], t->off[end] - t->off[tail]);
    if (tok->n >= SHAPE_MAX) {
        out[3] = mr_ner_id(n, "LONG", 4);
    } else {
        char text[4 * SHAPE_MAX];
        out[3] = mr_ner_id(n, text, shape(&n->rules, t->cp + tok->start, tok->n, text));
    }
    return 0;
}
