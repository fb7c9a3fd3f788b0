/* From a text to its terms, as scikit-learn's vectorizers do it: lower case, accents, tokens, stop
 * words, n-grams (sklearn.feature_extraction.text, _VectorizerMixin). */
#ifndef MR_MODEL_TEXT_ANALYZE_H
#define MR_MODEL_TEXT_ANALYZE_H

#include "base/arena.h"
#include "model/text/pattern.h"
#include "model/text/strset.h"

enum mr_text_kind { MR_TEXT_WORD = 1, MR_TEXT_CHAR = 2, MR_TEXT_CHAR_WB = 3 };
enum mr_text_strip { MR_STRIP_NONE = 0, MR_STRIP_ASCII = 1, MR_STRIP_UNICODE = 2 };

#define MR_TEXT_MAX_NGRAM 64
#define MR_TEXT_MAX_DOC   (64u << 20) /* bytes of one text */

struct mr_analyzer {
    uint8_t kind, strip;
    bool lowercase, has_stop;
    uint32_t min_n, max_n;     /* 1 <= min_n <= max_n <= MR_TEXT_MAX_NGRAM */
    struct mr_pattern pattern; /* MR_TEXT_WORD */
    struct mr_strset stop;
    /* ASCII texts cut by a run pattern: the character after lower-casing, and in the run or not. */
    uint8_t ascii_low[128], ascii_in[128];
};
/* Fills the byte tables; call once kind, lowercase and pattern are set. */
void mr_analyzer_ready(struct mr_analyzer *a);

/* Terms are slices of `text`: an n-gram of words is contiguous because tokens are laid down with
 * one space between them. */
struct mr_term {
    uint32_t off, n;
};
struct mr_terms {
    struct mr_arena *arena;
    const char *text;
    struct mr_term *v;
    size_t n;
    /* scratch, reused from text to text */
    size_t v_cap;
    char *buf, *tok;
    size_t buf_n, buf_cap, tok_n, tok_cap;
    struct mr_term *w;
    size_t w_n, w_cap;
};

/* Terms of one text, in no promised order. `t` is zeroed but for the arena before the first call;
 * the result holds until the next. Threads: `a` is shared, `t` is not. */
int mr_analyze(const struct mr_analyzer *a, struct mr_str doc, struct mr_terms *t,
               struct mr_err *e);

extern const uint32_t mr_stop_english_n;
extern const char *const mr_stop_english[];

#endif
