/* The files of the sentiment model: a network, or a lexicon up to a line "==" and a text for VADER,
 * whose scores stay in their ranges. */
#include "engine/nlp/lexicon.h"
#include "engine/nlp/net.h"
#include "engine/nlp/vader.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_net(struct mr_str in) {
    struct mr_net *n = NULL;
    double p[64], sum = 0;
    static float x[8192];
    if (mr_net_new(in, &n, NULL))
        return;
    mr_net_run(n, x, p);
    for (unsigned i = 0; i < mr_net_outputs(n); i++)
        sum += p[i];
    if (!(fabs(sum - 1) < 1e-6))
        __builtin_trap();
    mr_net_free(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_str in = mr_strn((const char *)data, size), file = in, text = {"", 0};
    struct mr_lexicon *l = NULL;
    if (mr_str_starts(in, MR_LIT("MRSC"))) {
        read_net(in);
        return 0;
    }
    for (size_t i = 0; i + 4 <= size; i++)
        if (!memcmp(in.p + i, "\n==\n", 4)) {
            file.n = i;
            text = mr_strn(in.p + i + 4, size - i - 4);
            break;
        }
    if (mr_lexicon_new(file, &l, NULL))
        return 0;
    struct mr_arena a;
    struct mr_vader v;
    mr_arena_init(&a, (size_t)64 << 20);
    if (!mr_vader(l, text, &a, &v, NULL)) {
        double shares = v.positive + v.neutral + v.negative;
        if (!(fabs(v.compound) <= 1) || !(fabs(shares - 1) < 1e-6 || shares == 0))
            __builtin_trap();
    }
    mr_arena_release(&a);
    mr_lexicon_free(l);
    return 0;
}
