/* fastText model files: refused, or a model that predicts one of its labels. */
#include "engine/nlp/fasttext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct mr_str text[] = {{"", 0},
                                         {"the haus is __label__en \xc3\xbc"
                                          "ber\xff",
                                          30},
                                         {"a b c d e f g h i j k l m n o p q r s\n t", 41}};
    struct mr_fasttext *f = NULL;
    struct mr_err e = {0};
    if (mr_fasttext_new(mr_strn((const char *)data, size), &f, &e)) {
        if (!e.msg[0])
            __builtin_trap();
        return 0;
    }
    for (int i = 0; i < 3; i++) {
        uint32_t label;
        double p;
        if (mr_fasttext_predict(f, text[i], &label, &p)) {
            if (label >= mr_fasttext_labels(f))
                __builtin_trap();
            mr_fasttext_label(f, label);
        }
    }
    mr_fasttext_free(f);
    return 0;
}
