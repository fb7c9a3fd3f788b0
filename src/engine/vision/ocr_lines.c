#include "engine/vision/ocr_lines.h"

#include <math.h>

int mr_ocr_line_finish(struct mr_text_line *l, struct mr_arena *arena, struct mr_err *e) {
    size_t bytes = 0;
    double weight = 0, sum = 0;
    l->box = l->word[0].box;
    for (size_t k = 0; k < l->n_word; k++) {
        const struct mr_text_word *w = &l->word[k];
        bytes += w->text.n + 1;
        sum += w->confidence * (double)w->text.n;
        weight += (double)w->text.n;
        l->box.x0 = fmin(l->box.x0, w->box.x0);
        l->box.y0 = fmin(l->box.y0, w->box.y0);
        l->box.x1 = fmax(l->box.x1, w->box.x1);
        l->box.y1 = fmax(l->box.y1, w->box.y1);
    }
    char *text = mr_arena_alloc(arena, bytes);
    if (!text)
        return mr_fail(e, MR_ETOOBIG, "the picture has too much text");
    l->text = (struct mr_str){text, bytes - 1};
    for (size_t k = 0; k < l->n_word; k++) {
        memcpy(text, l->word[k].text.p, l->word[k].text.n);
        text += l->word[k].text.n;
        *text++ = k + 1 < l->n_word ? ' ' : 0;
    }
    l->confidence = weight > 0 ? sum / weight : 0;
    return 0;
}
