#include "engine/nlp/net.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

#define INPUTS_MAX  8192
#define HIDDEN_MAX  1024
#define OUTPUTS_MAX 64

struct mr_net {
    uint32_t inputs, hidden, outputs;
    size_t n;
    float v[]; /* as in the file */
};

int mr_net_new(struct mr_str file, struct mr_net **ret, struct mr_err *e) {
    uint32_t head[4];
    const size_t at = 4 + sizeof head;
    if (file.n < at || memcmp(file.p, "MRSC", 4) != 0)
        return mr_fail(e, MR_EREFUSED, "this is not a classifier file");
    memcpy(head, file.p + 4, sizeof head);
    if (head[0] != 1 || !head[1] || head[1] > INPUTS_MAX || !head[2] || head[2] > HIDDEN_MAX ||
        !head[3] || head[3] > OUTPUTS_MAX)
        return mr_fail(e, MR_EREFUSED, "the classifier file's sizes are out of range");
    size_t n = (size_t)head[1] * head[2] + head[2] + (size_t)head[2] * head[3] + head[3];
    if (file.n != at + n * sizeof(float))
        return mr_fail(e, MR_EREFUSED, "the classifier file has %zu bytes, not %zu", file.n,
                       at + n * sizeof(float));
    struct mr_net *c = mr_malloc(sizeof *c + n * sizeof(float));
    if (!c)
        return mr_fail(e, MR_ENOMEM, "out of memory loading a classifier");
    *c = (struct mr_net){.inputs = head[1], .hidden = head[2], .outputs = head[3], .n = n};
    memcpy(c->v, file.p + at, n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(c->v[i]) < 1e6f)) {
            mr_free(c);
            return mr_fail(e, MR_EREFUSED, "a weight of the classifier is out of range");
        }
    *ret = c;
    return 0;
}

void mr_net_free(struct mr_net *c) {
    mr_free(c);
}
uint64_t mr_net_memory(const struct mr_net *c) {
    return sizeof *c + c->n * sizeof(float);
}
unsigned mr_net_inputs(const struct mr_net *c) {
    return c->inputs;
}
unsigned mr_net_outputs(const struct mr_net *c) {
    return c->outputs;
}

void mr_net_run(const struct mr_net *c, const float *x, double *ret) {
    float h[HIDDEN_MAX];
    const float *w1 = c->v, *b1 = w1 + (size_t)c->inputs * c->hidden;
    const float *w2 = b1 + c->hidden, *b2 = w2 + (size_t)c->hidden * c->outputs;
    memcpy(h, b1, c->hidden * sizeof *h);
    for (uint32_t i = 0; i < c->inputs; i++)
        for (uint32_t k = 0; k < c->hidden; k++)
            h[k] += x[i] * w1[(size_t)i * c->hidden + k];
    double max = -INFINITY, sum = 0;
    for (uint32_t o = 0; o < c->outputs; o++) {
        double z = b2[o];
        for (uint32_t k = 0; k < c->hidden; k++)
            if (h[k] > 0)
                z += (double)h[k] * w2[(size_t)k * c->outputs + o];
        ret[o] = z;
        max = z > max ? z : max;
    }
    for (uint32_t o = 0; o < c->outputs; o++)
        sum += ret[o] = exp(ret[o] - max);
    for (uint32_t o = 0; o < c->outputs; o++)
        ret[o] /= sum;
}
