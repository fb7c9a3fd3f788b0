/* WordPiece: the vocabulary up to a line "==", then the text. Pieces are numbers of lines, reading
 * stops at its limit, and a shorter limit gives the same beginning. */
#include "engine/nlp/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_str in = mr_strn((const char *)data, size), vocab = in, text = {"", 0};
    struct mr_wordpiece *w = NULL;
    uint32_t all[512], some[7], lines = 1;
    for (size_t i = 0; i + 4 <= size; i++)
        if (!memcmp(in.p + i, "\n==\n", 4)) {
            vocab.n = i;
            text = mr_strn(in.p + i + 4, size - i - 4);
            break;
        }
    for (size_t i = 0; i < vocab.n; i++)
        lines += vocab.p[i] == '\n';
    if (mr_wordpiece_new(vocab, &w, NULL))
        return 0;
    size_t n = mr_wordpiece_encode(w, text, all, 512), k = mr_wordpiece_encode(w, text, some, 7);
    if (n > 512 || k != (n < 7 ? n : 7) || memcmp(all, some, k * sizeof *all) != 0)
        __builtin_trap();
    for (size_t i = 0; i < n; i++)
        if (all[i] >= lines)
            __builtin_trap();
    mr_wordpiece_free(w);
    return 0;
}
