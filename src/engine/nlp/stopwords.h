/* Function words of the main languages, our own lists, lower case. Pure. */
#ifndef MR_ENGINE_NLP_STOPWORDS_H
#define MR_ENGINE_NLP_STOPWORDS_H

#include "base/str.h"

/* Words between blanks, or NULL for a language without a list. lang: "en", … */
const char *mr_stopwords(const char *lang);
/* `low` is lower case. list: mr_stopwords', NULL: none. */
bool mr_stopword(const char *list, struct mr_str low);

#endif
