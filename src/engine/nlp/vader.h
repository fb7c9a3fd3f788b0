/* VADER: sentiment by a rated lexicon and rules for degree words, negation, capitals, punctuation
 * and "but". Method: Hutto and Gilbert 2014 (ICWSM); the same compound as vaderSentiment 3.3.2
 * gives before rounding (tests/conformance/check_vader.py). */
#ifndef MR_ENGINE_NLP_VADER_H
#define MR_ENGINE_NLP_VADER_H

#include "base/arena.h"
#include "engine/nlp/lexicon.h"

/* Words of one text that are read; the rest is left out. The rule for "but" compares every word
 * with those before it. Texts are read sentence by sentence, so few reach this. */
#define MR_VADER_WORDS_MAX 1000

struct mr_vader {
    double compound;                    /* -1 … 1 */
    double positive, neutral, negative; /* shares, sum 1; all 0 without words */
    double sum;                         /* of valences, before it is squeezed into compound */
};
/* Pure; `arena` is for scratch. MR_ENOMEM. */
int mr_vader(const struct mr_lexicon *l, struct mr_str text, struct mr_arena *arena,
             struct mr_vader *ret, struct mr_err *e);

#endif
