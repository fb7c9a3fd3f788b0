/* Keywords: YAKE (Campos et al. 2020, doi 10.1016/j.ins.2019.09.013). Scores are the paper's;
 * relevance is 1 / (1 + score). Phrases of up to three words. */
#include "base/alloc.h"
#include "engine/nlp/keywords_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 3
#define ALIKE     0.8 /* of two phrases this alike the better one stays */

struct candidate {
    uint32_t token, words; /* where it is first */
    uint32_t count;
    double score;
};

static double median(const struct mr_kw_term *x) {
    uint32_t n = x->sentences;
    return n % 2 ? x->at[n / 2] : ((double)x->at[n / 2 - 1] + x->at[n / 2]) / 2;
}

static void score_terms(struct mr_kw_text *t) {
    double sum = 0, squares = 0, n = 0, max = 1;
    for (uint32_t k = 0; k < t->n_terms; k++) {
        const struct mr_kw_term *x = &t->term[k];
        max = x->count > max ? x->count : max;
        if (x->stop)
            continue;
        sum += x->count;
        squares += (double)x->count * x->count;
        n++;
    }
    double mean = n > 0 ? sum / n : 0;
    double usual = mean + (n > 0 ? sqrt(fmax(0, squares / n - mean * mean)) : 0);
    for (uint32_t k = 0; k < t->n_terms; k++) {
        struct mr_kw_term *x = &t->term[k];
        double share = x->count / max;
        double left = x->left ? (double)x->left_own / x->left : 0;
        double right = x->right ? (double)x->right_own / x->right : 0;
        double related = 1 + (left + right) * share;
        double cased = (x->acronym > x->capital ? x->acronym : x->capital) / (1 + log(x->count));
        double position = log(log(3 + median(x)));
        double often = x->count / (usual > 0 ? usual : 1);
        double spread = (double)x->sentences / t->n_sentences;
        x->score = position * related / (cased + often / related + spread / related);
    }
}

/* Product over sum of the words' scores; function words inside count by how firmly they stand
 * between their neighbours. */
static double score_phrase(const struct mr_kw_text *t, const struct candidate *c) {
    double product = 1, sum = 0;
    for (uint32_t k = 0; k < c->words; k++) {
        const struct mr_kw_token *w = &t->token[c->token + k];
        const struct mr_kw_term *x = &t->term[w->term];
        if (!x->stop) {
            product *= x->score;
            sum += x->score;
            continue;
        }
        double before = mr_kw_get(&t->pairs, mr_kw_pair(w[-1].term, w->term));
        double after = mr_kw_get(&t->pairs, mr_kw_pair(w->term, w[1].term));
        double firm = before / t->term[w[-1].term].count * (after / t->term[w[1].term].count);
        product *= 1 + (1 - firm);
        sum -= 1 - firm;
    }
    double below = (sum + 1) * c->count;
    return below > 1e-9 ? product / below : 1e9;
}

/* Up to three words that stand together and neither begin nor end with a function word. */
static bool is_phrase(const struct mr_kw_text *t, uint32_t at, uint32_t words) {
    if (at + words > t->n_tokens)
        return false;
    for (uint32_t k = 0; k < words; k++) {
        const struct mr_kw_token *w = &t->token[at + k];
        const struct mr_kw_term *x = &t->term[w->term];
        if (x->number || (k && !w->joined) || (x->stop && (k == 0 || k + 1 == words)))
            return false;
    }
    return true;
}

static uint64_t phrase_key(const struct mr_kw_text *t, uint32_t at, uint32_t words) {
    uint64_t key = words;
    for (uint32_t k = 0; k < words; k++) /* at most MR_KW_TOKENS_MAX < 2^16 terms: no collisions */
        key = key << 20 | t->token[at + k].term;
    return key + 1;
}

static int by_score(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

/* 1 - edit distance / length of the longer, over bytes of the lower-case words. */
static double likeness(struct mr_str a, struct mr_str b) {
    uint16_t row[WORDS_MAX * (MR_KW_WORD_MAX + 1) * 3 + 1];
    size_t longer = a.n > b.n ? a.n : b.n;
    if (!longer || b.n + 1 > sizeof row / sizeof *row ||
        (double)(longer - (a.n < b.n ? a.n : b.n)) > (double)longer * (1 - ALIKE))
        return 0;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = (uint16_t)j;
    for (size_t i = 1; i <= a.n; i++) {
        uint16_t diagonal = row[0];
        row[0] = (uint16_t)i;
        for (size_t j = 1; j <= b.n; j++) {
            uint16_t change = (uint16_t)(diagonal + (a.p[i - 1] != b.p[j - 1]));
            uint16_t step = (uint16_t)((row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1);
            diagonal = row[j];
            row[j] = change < step ? change : step;
        }
    }
    return 1 - (double)row[b.n] / (double)longer;
}

static bool contains(const struct mr_kw_text *t, const struct candidate *big,
                     const struct candidate *small) {
    for (uint32_t k = 0; k + small->words <= big->words; k++) {
        uint32_t i = 0;
        while (i < small->words &&
               t->token[big->token + k + i].term == t->token[small->token + i].term)
            i++;
        if (i == small->words)
            return true;
    }
    return false;
}

static struct mr_str surface(const struct mr_kw_text *t, const struct candidate *c) {
    uint32_t start = t->token[c->token].start, end = t->token[c->token + c->words - 1].end;
    return mr_strn(t->text.p + start, end - start);
}

/* The best ones that are not nearly another; a part of a longer one only when it also stands
 * alone. */
static size_t choose(const struct mr_kw_text *t, const struct candidate *c, size_t n, unsigned max,
                     const struct candidate **out) {
    size_t k = 0;
    for (size_t i = 0; i < n && k < max; i++) {
        bool keep = true;
        for (size_t j = 0; keep && j < k; j++) {
            if (contains(t, out[j], &c[i]))
                keep = c[i].count > out[j]->count;
            else if (contains(t, &c[i], out[j]))
                keep = c[i].count > 1;
            else
                keep = likeness(surface(t, out[j]), surface(t, &c[i])) < ALIKE;
        }
        if (keep)
            out[k++] = &c[i];
    }
    return k;
}

/* Every phrase once, with its count; NULL when memory ran out. */
static struct candidate *candidates(struct mr_kw_text *t, size_t *ret_n) {
    struct mr_kw_table number;
    size_t n = 0, most = (size_t)t->n_tokens * WORDS_MAX;
    struct candidate *c = mr_arena_array(t->arena, most ? most : 1, sizeof *c);
    if (!c || !mr_kw_table_init(&number, (uint32_t)most, t->arena))
        return NULL;
    for (uint32_t i = 0; i < t->n_tokens; i++)
        for (uint32_t words = 1; words <= WORDS_MAX; words++)
            if (is_phrase(t, i, words) && !mr_kw_add(&number, phrase_key(t, i, words)))
                c[n++] = (struct candidate){.token = i, .words = words};
    for (size_t k = 0; k < n; k++) {
        c[k].count = mr_kw_get(&number, phrase_key(t, c[k].token, c[k].words));
        c[k].score = score_phrase(t, &c[k]);
    }
    *ret_n = n;
    return c;
}

int mr_keywords(struct mr_str text, const char *lang, unsigned max, struct mr_arena *arena,
                struct mr_keyword **ret, size_t *ret_n, struct mr_err *e) {
    struct mr_arena scratch;
    mr_arena_init(&scratch, (size_t)64 << 20);
    struct mr_kw_text t = {.text = text, .arena = &scratch};
    size_t n = 0;
    max = max < 1000 ? max : 1000;
    int r = mr_kw_read(&t, lang, e);
    struct candidate *c = NULL;
    const struct candidate **best = mr_arena_array(&scratch, max + 1, sizeof(void *));
    struct mr_keyword *out = mr_arena_array(arena, max + 1, sizeof *out);
    if (!r) {
        score_terms(&t);
        c = candidates(&t, &n);
    }
    if (!r && (!c || !best || !out))
        r = mr_fail(e, MR_ENOMEM, "out of memory reading keywords");
    if (!r) {
        qsort(c, n, sizeof *c, by_score);
        size_t tried = (size_t)max * 20 + 100;
        n = choose(&t, c, n < tried ? n : tried, max, best);
        for (size_t k = 0; k < n; k++)
            out[k] = (struct mr_keyword){.text = mr_arena_keep(arena, surface(&t, best[k])),
                                         .relevance = 1 / (1 + best[k]->score),
                                         .count = best[k]->count};
        for (size_t k = 0; !r && k < n; k++)
            if (!out[k].text.p)
                r = mr_fail(e, MR_ENOMEM, "out of memory reading keywords");
    }
    mr_arena_release(&scratch);
    if (r)
        return r;
    *ret = out;
    *ret_n = n;
    return 0;
}
