/* What a text reader's process answers, and the words' way into lines. */
#include "engine/vision/ocr_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct mr_image im = {.width = 640, .height = 480};
    struct mr_arena a;
    struct mr_text_line *l;
    size_t lines;
    mr_arena_init(&a, (size_t)16 << 20);
    if (!mr_tess_parse((const char *)p, n, &im, 2, &a, &l, &lines, NULL))
        for (size_t k = 0; k < lines; k++)
            if (!l[k].n_word || !(l[k].box.x0 <= l[k].box.x1) || !(l[k].box.x1 <= im.width) ||
                !(l[k].confidence >= 0 && l[k].confidence <= 1))
                __builtin_trap();
    mr_arena_release(&a);
    return 0;
}
