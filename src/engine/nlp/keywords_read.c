#include "engine/nlp/keywords_priv.h"
#include "engine/nlp/stopwords.h"
#include "engine/nlp/words.h"
#include "model/text/unicode.h"

#include <string.h>

/* --- counts ---------------------------------------------------------------------------------- */
bool mr_kw_table_init(struct mr_kw_table *t, uint32_t entries, struct mr_arena *a) {
    uint32_t size = 64;
    while (size < entries * 2)
        size *= 2;
    t->mask = size - 1;
    t->key = mr_arena_zalloc(a, size * sizeof *t->key);
    t->count = mr_arena_zalloc(a, size * sizeof *t->count);
    return t->key && t->count;
}

static uint32_t find(const struct mr_kw_table *t, uint64_t key) {
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    uint32_t k = (uint32_t)(h >> 32) & t->mask;
    while (t->key[k] && t->key[k] != key)
        k = (k + 1) & t->mask;
    return k;
}

uint32_t mr_kw_add(struct mr_kw_table *t, uint64_t key) {
    uint32_t k = find(t, key);
    t->key[k] = key;
    return t->count[k]++;
}

uint32_t mr_kw_get(const struct mr_kw_table *t, uint64_t key) {
    return t->count[find(t, key)];
}

/* --- words ----------------------------------------------------------------------------------- */
enum script { OTHER, LETTER, HAN, KATAKANA, HIRAGANA };

static enum script script_of(uint32_t cp) {
    if ((cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) || cp == 0x3005 ||
        (cp >= 0x20000 && cp <= 0x323af))
        return HAN;
    if (cp >= 0x3041 && cp <= 0x309f)
        return HIRAGANA;
    if ((cp >= 0x30a1 && cp <= 0x30fa) || cp == 0x30fc)
        return KATAKANA;
    uint8_t f = mr_uc_flags(cp);
    return (f & MR_UC_WORD || f & MR_UC_REMOVED) && cp != '_' ? LETTER : OTHER;
}

static uint32_t term_of(struct mr_kw_text *t, struct mr_str low) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < low.n; i++)
        h = (h ^ (uint8_t)low.p[i]) * 16777619u;
    uint32_t k = h & t->mask;
    for (; t->slot[k]; k = (k + 1) & t->mask)
        if (mr_str_eq(t->term[t->slot[k] - 1].low, low))
            return t->slot[k] - 1;
    struct mr_kw_term *x = &t->term[t->n_terms++];
    *x = (struct mr_kw_term){.low = low, .last_sentence = UINT32_MAX};
    const char *p = low.p;
    enum script s = script_of(mr_uc_next(&p, low.p + low.n));
    size_t least = s == HAN || s == KATAKANA ? 2 : 3;
    x->number = true;
    for (size_t i = 0; i < low.n; i++)
        x->number =
            x->number && !((uint8_t)low.p[i] >= 0x80 || (low.p[i] >= 'a' && low.p[i] <= 'z'));
    x->stop = mr_words_chars(low) < least || (s == HIRAGANA && t->kana_stops) ||
              mr_stopword(t->stop, low);
    return (t->slot[k] = t->n_terms) - 1;
}

static bool add_token(struct mr_kw_text *t, const char *p, const char *end, bool joined,
                      bool first) {
    struct mr_str raw = {p, (size_t)(end - p)};
    if (raw.n > MR_KW_WORD_MAX || t->n_tokens == MR_KW_TOKENS_MAX)
        return true;
    struct mr_str low = mr_words_lower(t->arena, raw);
    if (!low.p)
        return false;
    uint32_t id = term_of(t, low);
    struct mr_kw_term *x = &t->term[id];
    x->count++;
    const char *q = p;
    if (raw.n > 1 && mr_words_is_upper(raw))
        x->acronym++;
    else if (!first && mr_uc_flags(mr_uc_next(&q, end)) & MR_UC_LOWER)
        x->capital++;
    if (x->last_sentence != t->n_sentences) {
        x->last_sentence = t->n_sentences;
        x->sentences++;
    }
    t->token[t->n_tokens++] = (struct mr_kw_token){.start = (uint32_t)(p - t->text.p),
                                                   .end = (uint32_t)(end - t->text.p),
                                                   .sentence = t->n_sentences,
                                                   .term = id,
                                                   .joined = joined && !first};
    return true;
}

/* Where the word that starts at p ends: letters with single marks inside them, or one script. */
static const char *word_end(const struct mr_kw_text *t, const char *p, const char *end,
                            enum script s) {
    unsigned chars = 0;
    while (p < end) {
        const char *q = p;
        uint32_t cp = mr_uc_next(&q, end);
        enum script now = script_of(cp);
        if (now != s) {
            const char *r = q;
            bool mark = cp == '\'' || cp == 0x2019 || cp == '-' || cp == '.' || cp == '&';
            if (s != LETTER || !mark || q == end || script_of(mr_uc_next(&r, end)) != LETTER)
                return p;
        } else if (s == HAN) {
            struct mr_str c = {p, (size_t)(q - p)};
            if (chars == 2 || (chars && mr_stopword(t->stop, c)))
                return p;
            if (mr_stopword(t->stop, c))
                return q;
        }
        chars++;
        p = q;
    }
    return p;
}

static bool read_sentence(struct mr_kw_text *t, const char *p, const char *end) {
    bool joined = false, first = true;
    while (p < end) {
        const char *q = p;
        uint32_t cp = mr_uc_next(&q, end);
        enum script s = script_of(cp);
        if (s == OTHER) {
            joined = joined && mr_uc_flags(cp) & MR_UC_SPACE;
            p = q;
            continue;
        }
        q = word_end(t, p, end, s);
        if (!add_token(t, p, q, joined, first))
            return false;
        joined = (size_t)(q - p) <= MR_KW_WORD_MAX;
        first = false;
        p = q;
    }
    t->n_sentences++;
    return true;
}

/* The sentences of each term, and neighbours. */
static bool count_neighbours(struct mr_kw_text *t) {
    if (!mr_kw_table_init(&t->pairs, t->n_tokens, t->arena))
        return false;
    for (uint32_t k = 0; k < t->n_terms; k++) {
        struct mr_kw_term *x = &t->term[k];
        if (!(x->at = mr_arena_array(t->arena, x->sentences, sizeof *x->at)))
            return false;
        x->sentences = 0;
        x->last_sentence = UINT32_MAX;
    }
    for (uint32_t i = 0; i < t->n_tokens; i++) {
        const struct mr_kw_token *w = &t->token[i];
        struct mr_kw_term *x = &t->term[w->term];
        if (x->last_sentence != w->sentence)
            x->at[x->sentences++] = x->last_sentence = w->sentence;
        if (!w->joined || !i)
            continue;
        struct mr_kw_term *before = &t->term[w[-1].term];
        if (x->number || before->number)
            continue;
        bool fresh = !mr_kw_add(&t->pairs, mr_kw_pair(w[-1].term, w->term));
        x->left++;
        before->right++;
        x->left_own += fresh;
        before->right_own += fresh;
    }
    return true;
}

int mr_kw_read(struct mr_kw_text *t, const char *lang, struct mr_err *e) {
    struct mr_span *s;
    size_t n, size = 64;
    t->stop = mr_stopwords(lang);
    t->kana_stops = lang && !strcmp(lang, "ja");
    int r = mr_sentences(t->text, t->arena, &s, &n, e);
    if (r)
        return r;
    size_t most = t->text.n / 2 + 2; /* words have a character and something between them … */
    most = most * 2 < MR_KW_TOKENS_MAX ? most * 2 : MR_KW_TOKENS_MAX; /* … or are of two scripts */
    while (size < most * 2)
        size *= 2;
    t->mask = (uint32_t)size - 1;
    t->token = mr_arena_array(t->arena, most, sizeof *t->token);
    t->term = mr_arena_array(t->arena, most, sizeof *t->term);
    t->slot = mr_arena_zalloc(t->arena, size * sizeof *t->slot);
    bool ok = t->token && t->term && t->slot;
    for (size_t i = 0; ok && i < n && t->n_tokens < MR_KW_TOKENS_MAX; i++)
        ok = read_sentence(t, t->text.p + s[i].start, t->text.p + s[i].end);
    if (!ok || !count_neighbours(t))
        return mr_fail(e, MR_ENOMEM, "out of memory reading keywords");
    return 0;
}
