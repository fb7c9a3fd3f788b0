/* A small network: softmax(relu(x W1 + b1) W2 + b2), written by tools/models/sentiment.py.
 *
 * File, little-endian: "MRSC", u32 version (1), inputs, hidden, outputs; floats W1 [inputs,
 * hidden], b1, W2 [hidden, outputs], b2. Immutable after loading. */
#ifndef MR_ENGINE_NLP_CLASSIFIER_H
#define MR_ENGINE_NLP_CLASSIFIER_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define MR_CLASSIFIER_FILE_MAX ((size_t)16 << 20)

struct mr_classifier;
/* MR_EREFUSED: damaged. */
int mr_classifier_new(struct mr_str file, struct mr_classifier **ret, struct mr_err *e);
void mr_classifier_free(struct mr_classifier *c);
uint64_t mr_classifier_memory(const struct mr_classifier *c);
unsigned mr_classifier_inputs(const struct mr_classifier *c);
unsigned mr_classifier_outputs(const struct mr_classifier *c);
/* One probability an output. */
void mr_classifier_run(const struct mr_classifier *c, const float *x, double *ret);

#endif
