/* WordPiece as BERT's uncased models read text: control characters out, CJK characters apart,
 * accents off, lower case, punctuation apart, then the longest pieces of the vocabulary from the
 * left. The same pieces as Hugging Face's `tokenizers` gives
 * (tests/conformance/check_wordpiece.py).
 *
 * A vocabulary is one piece a line, its number the line's; pieces within a word begin with "##".
 * Immutable after loading, so thread-safe. */
#ifndef MR_ENGINE_NLP_WORDPIECE_H
#define MR_ENGINE_NLP_WORDPIECE_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define MR_WORDPIECE_VOCAB_MAX ((size_t)16 << 20)

struct mr_wordpiece;

/* Copies the vocabulary. MR_EINVAL: no [UNK], [CLS] or [SEP], or too large. */
int mr_wordpiece_new(struct mr_str vocab, struct mr_wordpiece **ret, struct mr_err *e);
void mr_wordpiece_free(struct mr_wordpiece *w);
uint64_t mr_wordpiece_memory(const struct mr_wordpiece *w);
uint32_t mr_wordpiece_cls(const struct mr_wordpiece *w);
uint32_t mr_wordpiece_sep(const struct mr_wordpiece *w);

/* The pieces of the text, without [CLS] and [SEP]; reading stops at `max`. Returns how many were
 * written. Bytes that are not UTF-8 read as U+FFFD, which is removed. The names of the special
 * tokens, where they stand in a text, are those tokens. */
size_t mr_wordpiece_encode(const struct mr_wordpiece *w, struct mr_str text, uint32_t *out,
                           size_t max);

#endif
