/* Named entities: the small English spaCy network (tok2vec with hash embeddings, transition-based
 * BILUO parser) and spaCy's tokenizer rules in C; equal to spaCy (tests/conformance). Thread-safe.
 * Sources: spaCy 3.8 and thinc 8.3 (MIT), formats in docs/NLP.md. */
#ifndef MR_ENGINE_NLP_NER_H
#define MR_ENGINE_NLP_NER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct mr_ner;
int mr_ner_open(const char *dir, struct mr_ner **ret, struct mr_err *e);
void mr_ner_free(struct mr_ner *n);
uint64_t mr_ner_memory(const struct mr_ner *n);
struct mr_entity {
    struct mr_str text;
    const char *label;   /* "PERSON", "ORG", … lives as long as the model */
    uint32_t start, end; /* code points */
    double confidence;   /* product of the softmaxes over valid transitions, its tokens' geometric
                          * mean */
};
int mr_ner_read(struct mr_ner *n, struct mr_str text, struct mr_arena *arena,
                struct mr_entity **ret, size_t *ret_n, struct mr_err *e);

#endif
