/* Word lists of a model folder: lexicon.tsv, written by tools/models/sentiment.py.
 *
 * A line is KIND, KEY and the kind's values, separated by tabs:
 *   valence   WORD  V                     VADER's lexicon
 *   booster   PHRASE  V                   degree words
 *   negation  WORD
 *   special   PHRASE  V                   idioms
 *   emoji     CHARACTER  DESCRIPTION
 *   pattern   WORD  POLARITY  SUBJECTIVITY  INTENSITY    the lexicon of TextBlob
 * Keys are lower case. Immutable after loading. */
#ifndef MR_ENGINE_NLP_LEXICON_H
#define MR_ENGINE_NLP_LEXICON_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define MR_LEXICON_FILE_MAX ((size_t)8 << 20)

enum mr_lexicon_kind {
    MR_LEX_VALENCE,
    MR_LEX_BOOSTER,
    MR_LEX_NEGATION,
    MR_LEX_SPECIAL,
    MR_LEX_EMOJI,
    MR_LEX_PATTERN,
    MR_LEX_KINDS
};
struct mr_lexicon_entry {
    struct mr_str key, text; /* text: of an emoji */
    double v[3];
    uint32_t hash;
    uint8_t kind;
};
struct mr_lexicon;

/* Copies the text. MR_EINVAL names the line. */
int mr_lexicon_new(struct mr_str file, struct mr_lexicon **ret, struct mr_err *e);
void mr_lexicon_free(struct mr_lexicon *l);
uint64_t mr_lexicon_memory(const struct mr_lexicon *l);
/* NULL when there is none. */
const struct mr_lexicon_entry *mr_lexicon_find(const struct mr_lexicon *l,
                                               enum mr_lexicon_kind kind, struct mr_str key);

#endif
