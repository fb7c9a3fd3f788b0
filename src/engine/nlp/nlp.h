/* Text analysis on local models. Texts are UTF-8, checked by the caller (MR_EINVAL otherwise), at
 * most 1 MiB. Offsets are in Unicode code points. Handles are thread-safe; `dir` is the model's
 * folder in the models dir; results live in the arena. Blocks: not for loop threads. */
#ifndef MR_ENGINE_NLP_NLP_H
#define MR_ENGINE_NLP_NLP_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- sentence embeddings (all-MiniLM-L6-v2, 384 floats, unit length) ----------------------- */
struct mr_embedder;
int mr_embedder_open(const char *dir, struct mr_embedder **ret, struct mr_err *e);
void mr_embedder_free(struct mr_embedder *m);
uint64_t mr_embedder_memory(const struct mr_embedder *m);
unsigned mr_embedder_dim(const struct mr_embedder *m);
/* The network itself, for callers with tensors of their own (/v2); as long as the embedder. */
struct mr_onnx;
struct mr_onnx *mr_embedder_net(const struct mr_embedder *m);
/* n vectors one after another in *ret; texts over 256 word pieces are cut off as the model was
 * trained (ret_tokens, may be NULL: all word pieces read). Batched by length inside. */
int mr_embed(struct mr_embedder *m, const struct mr_str *texts, size_t n, struct mr_arena *arena,
             float **ret, uint32_t *ret_tokens, struct mr_err *e);

/* --- sentiment (English) ------------------------------------------------------------------- */
struct mr_sentiment;
int mr_sentiment_open(const char *dir, struct mr_sentiment **ret, struct mr_err *e);
void mr_sentiment_free(struct mr_sentiment *s);
uint64_t mr_sentiment_memory(const struct mr_sentiment *s);
struct mr_sentiment_result {
    const char *label;   /* "positive", "neutral", "negative" */
    double confidence;   /* the label's probability */
    double polarity;     /* -1 … 1 */
    double subjectivity; /* 0 … 1 */
};
/* Long texts are read sentence by sentence and weighed by length. */
int mr_sentiment_read(struct mr_sentiment *s, struct mr_embedder *m, struct mr_str text,
                      struct mr_arena *arena, struct mr_sentiment_result *ret, struct mr_err *e);
/* Polarity of one word or short phrase by the lexicon alone, for keywords. 0 = neutral/unknown. */
double mr_sentiment_word(const struct mr_sentiment *s, struct mr_str word);

/* --- language ------------------------------------------------------------------------------ */
struct mr_language;
int mr_language_open(const char *dir, struct mr_language **ret, struct mr_err *e);
void mr_language_free(struct mr_language *l);
uint64_t mr_language_memory(const struct mr_language *l);
/* ISO 639-1 where there is one ("en", "zh"), else 639-3; "und" with confidence 0 when the text has
 * no letters. */
int mr_language_detect(struct mr_language *l, struct mr_str text, char ret_code[8],
                       double *ret_confidence, struct mr_err *e);

/* --- keywords (YAKE: Campos et al. 2020, doi 10.1016/j.ins.2019.09.013) --------------------- */
struct mr_keyword {
    struct mr_str text;
    double relevance; /* 0 … 1, best first */
    uint32_t count;
};
/* lang: stop words for it ("en", …; unknown: none). */
int mr_keywords(struct mr_str text, const char *lang, unsigned max, struct mr_arena *arena,
                struct mr_keyword **ret, size_t *ret_n, struct mr_err *e);

/* --- extractive summary (TextRank over sentence embeddings) --------------------------------- */
struct mr_summary {
    struct mr_str text;
    uint32_t words, original_words;
};
/* Between min and max words where whole sentences allow it (max holds always). */
int mr_summarize(struct mr_embedder *m, struct mr_str text, uint32_t min_words, uint32_t max_words,
                 struct mr_arena *arena, struct mr_summary *ret, struct mr_err *e);

/* --- helpers shared by the parts and by callers ---------------------------------------------- */
struct mr_span {
    uint32_t start, end; /* bytes */
};
/* Sentence borders after Unicode UAX #29 in spirit, tuned for abbreviations and numbers. */
int mr_sentences(struct mr_str text, struct mr_arena *arena, struct mr_span **ret, size_t *ret_n,
                 struct mr_err *e);
uint32_t mr_word_count(struct mr_str text);

#endif
