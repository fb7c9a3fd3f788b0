/* The words of a text as YAKE counts them: read by keywords_read.c, scored by keywords.c. */
#ifndef MR_ENGINE_NLP_KEYWORDS_PRIV_H
#define MR_ENGINE_NLP_KEYWORDS_PRIV_H

#include "engine/nlp/nlp.h"

#define MR_KW_TOKENS_MAX 40000 /* of a text; the rest is not read */
#define MR_KW_WORD_MAX   80    /* bytes; longer ones are no words */

struct mr_kw_term {
    struct mr_str low;
    uint32_t count, capital, acronym;
    uint32_t left, right;         /* neighbours, all */
    uint32_t left_own, right_own; /* neighbours, each once */
    uint32_t sentences, last_sentence;
    uint32_t *at; /* the sentences it is in, in order: `sentences` of them */
    bool stop, number;
    double score;
};
struct mr_kw_token {
    uint32_t start, end, sentence;
    uint32_t term;
    bool joined; /* follows the token before it with nothing but blanks between */
};
struct mr_kw_table { /* 64-bit key to count; keys are not 0 */
    uint64_t *key;
    uint32_t *count;
    uint32_t mask;
};
struct mr_kw_text {
    struct mr_str text;
    struct mr_arena *arena;
    const char *stop; /* list, may be NULL */
    bool kana_stops;
    struct mr_kw_token *token;
    uint32_t n_tokens;
    struct mr_kw_term *term;
    uint32_t n_terms, *slot, mask;
    struct mr_kw_table pairs; /* term and the next, + 1 */
    uint32_t n_sentences;
};

int mr_kw_read(struct mr_kw_text *t, const char *lang, struct mr_err *e);
/* Adds one; returns the count before. */
uint32_t mr_kw_add(struct mr_kw_table *t, uint64_t key);
uint32_t mr_kw_get(const struct mr_kw_table *t, uint64_t key);
bool mr_kw_table_init(struct mr_kw_table *t, uint32_t entries, struct mr_arena *a);
static inline uint64_t mr_kw_pair(uint32_t a, uint32_t b) {
    return ((uint64_t)a << 32 | b) + 1;
}

#endif
