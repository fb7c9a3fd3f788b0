/* A tesseract worker's words into lines. */
#include "engine/vision/ocr_lines.h"
#include "engine/vision/ocr_priv.h"
#include "engine/vision/ocr_wire.h"

#include <math.h>

struct cursor {
    const char *p, *end;
};

static bool take(struct cursor *c, void *out, size_t n) {
    if (n > (size_t)(c->end - c->p))
        return false;
    memcpy(out, c->p, n);
    c->p += n;
    return true;
}

static double within(double v, double most) {
    return v < 0 ? 0 : v > most ? most : v;
}

static bool take_word(struct cursor *c, const struct mr_image *im, double scale,
                      struct mr_arena *arena, struct mr_text_word *ret, uint32_t *ret_line) {
    struct mr_ocr_wire_word w;
    if (!take(c, &w, sizeof w) || !w.bytes || w.bytes > (size_t)(c->end - c->p) ||
        !isfinite(w.confidence) || w.x0 > w.x1 || w.y0 > w.y1)
        return false;
    struct mr_str text = {c->p, w.bytes};
    c->p += w.bytes;
    if (!mr_utf8_valid(text))
        return false;
    *ret = (struct mr_text_word){
        .text = mr_arena_keep(arena, text),
        .confidence = within((double)w.confidence / 100, 1),
        .box = {within(w.x0 / scale, im->width), within(w.y0 / scale, im->height),
                within(w.x1 / scale, im->width), within(w.y1 / scale, im->height)}};
    *ret_line = w.line;
    return ret->text.p != NULL;
}

int mr_tess_parse(const char *p, size_t n, const struct mr_image *im, double scale,
                  struct mr_arena *arena, struct mr_text_line **ret, size_t *ret_n,
                  struct mr_err *e) {
    struct cursor c = {p, p + n};
    int32_t code;
    uint32_t words;
    if (!take(&c, &code, sizeof code) || code || !take(&c, &words, sizeof words) ||
        words > MR_OCR_WORDS_MAX || words > n / sizeof(struct mr_ocr_wire_word))
        return mr_fail(e, MR_EPREDICT, "the text reader's process answered nonsense");
    struct mr_text_word *word = mr_arena_array(arena, words + 1, sizeof *word);
    struct mr_text_line *line = mr_arena_array(arena, words + 1, sizeof *line);
    if (!word || !line)
        return mr_fail(e, MR_ETOOBIG, "the picture has too much text");
    size_t lines = 0;
    uint32_t last = 0, at;
    for (uint32_t k = 0; k < words; k++) {
        if (!take_word(&c, im, scale, arena, &word[k], &at))
            return mr_fail(e, MR_EPREDICT, "the text reader's process answered nonsense");
        if (!lines || at != last)
            line[lines++] = (struct mr_text_line){.word = &word[k]};
        line[lines - 1].n_word++;
        last = at;
    }
    int r = 0;
    for (size_t k = 0; !r && k < lines; k++)
        r = mr_ocr_line_finish(&line[k], arena, e);
    if (r)
        return r;
    *ret = line;
    *ret_n = lines;
    return 0;
}
