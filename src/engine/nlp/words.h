/* Words of a text as Python's str.split sees them, with lower case. */
#ifndef MR_ENGINE_NLP_WORDS_H
#define MR_ENGINE_NLP_WORDS_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* str.lower(); p == NULL when memory ran out. */
struct mr_str mr_words_lower(struct mr_arena *a, struct mr_str s);
/* str.isupper(): cased characters, all of them capital. */
bool mr_words_is_upper(struct mr_str s);
/* The next run of what is not white space, cut off *rest; n == 0 at the end. */
struct mr_str mr_words_next(struct mr_str *rest);
size_t mr_words_chars(struct mr_str s); /* code points */
/* The text's beginning with at most `max` words as mr_word_count counts them. */
struct mr_str mr_first_words(struct mr_str text, uint32_t max);

#endif
