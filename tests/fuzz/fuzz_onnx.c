/* The ONNX description reader on arbitrary bytes. */
#include "wire/onnx.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct mr_arena a;
    struct mr_err e = {0};
    struct mr_onnx_model m;
    mr_arena_init(&a, 64 << 20);
    int r = mr_onnx_parse((struct mr_str){(const char *)p, n}, &a, &m, &e);
    if (r ? e.code != r || !e.msg[0] : !m.n_inputs || !m.n_outputs)
        abort();
    size_t sum = 0;
    for (uint32_t i = 0; !r && i < m.n_inputs + m.n_outputs; i++) {
        const struct mr_onnx_value *v = i < m.n_inputs ? &m.input[i] : &m.output[i - m.n_inputs];
        for (size_t k = 0; k < v->name.n; k++)
            sum += (unsigned char)v->name.p[k];
        if (v->rank > MR_ONNX_MAX_RANK)
            abort();
    }
    if (sum == 1)
        mr_onnx_sniff((struct mr_str){(const char *)p, n});
    mr_arena_release(&a);
    return 0;
}
