/* A small network: softmax(relu(x W1 + b1) W2 + b2), written by tools/models/sentiment.py.
 *
 * File, little-endian: "MRSC", u32 version (1), inputs, hidden, outputs; floats W1 [inputs,
 * hidden], b1, W2 [hidden, outputs], b2. Immutable after loading. */
#ifndef MR_ENGINE_NLP_NET_H
#define MR_ENGINE_NLP_NET_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define MR_NET_FILE_MAX ((size_t)16 << 20)

struct mr_net;
/* MR_EREFUSED: damaged. */
int mr_net_new(struct mr_str file, struct mr_net **ret, struct mr_err *e);
void mr_net_free(struct mr_net *c);
uint64_t mr_net_memory(const struct mr_net *c);
unsigned mr_net_inputs(const struct mr_net *c);
unsigned mr_net_outputs(const struct mr_net *c);
/* One probability an output. */
void mr_net_run(const struct mr_net *c, const float *x, double *ret);

#endif
