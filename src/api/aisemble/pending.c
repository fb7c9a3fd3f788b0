/* Analyses that this build lacks say so; each goes with the part that brings it. */
#include "engine/llm/grammar.h"
#include "engine/nlp/nlp.h"

static int lacks(const char *what, struct mr_err *e) {
    return mr_fail(e, MR_EUNAVAIL, "this build cannot do %s yet", what);
}

int mr_grammar_from_schema(yyjson_val *schema, struct mr_buf *out, struct mr_err *e) {
    (void)schema, (void)out;
    return lacks("JSON Schema", e);
}
int mr_keywords(struct mr_str text, const char *lang, unsigned max, struct mr_arena *arena,
                struct mr_keyword **ret, size_t *ret_n, struct mr_err *e) {
    (void)text, (void)lang, (void)max, (void)arena, (void)ret, (void)ret_n;
    return lacks("keywords", e);
}
int mr_sentences(struct mr_str text, struct mr_arena *arena, struct mr_span **ret, size_t *ret_n,
                 struct mr_err *e) {
    (void)text, (void)arena, (void)ret, (void)ret_n;
    return lacks("sentences", e);
}
int mr_sentiment_read(struct mr_sentiment *s, struct mr_embedder *m, struct mr_str text,
                      struct mr_arena *arena, struct mr_sentiment_result *ret, struct mr_err *e) {
    (void)s, (void)m, (void)text, (void)arena, (void)ret;
    return lacks("sentiment", e);
}
double mr_sentiment_word(const struct mr_sentiment *s, struct mr_str word) {
    (void)s, (void)word;
    return 0;
}
int mr_summarize(struct mr_embedder *m, struct mr_str text, uint32_t min_words, uint32_t max_words,
                 struct mr_arena *arena, struct mr_summary *ret, struct mr_err *e) {
    (void)m, (void)text, (void)min_words, (void)max_words, (void)arena, (void)ret;
    return lacks("summaries", e);
}
uint32_t mr_word_count(struct mr_str text) {
    (void)text;
    return 0;
}
