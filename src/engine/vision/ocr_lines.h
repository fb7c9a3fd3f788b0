/* Lines put together from words. */
#ifndef MR_ENGINE_VISION_OCR_LINES_H
#define MR_ENGINE_VISION_OCR_LINES_H

#include "engine/vision/vision.h"

/* Text (words with a blank between), box (around the words) and confidence (their mean, weighted by
 * their bytes) of a line whose words are set. n_word > 0. */
int mr_ocr_line_finish(struct mr_text_line *l, struct mr_arena *arena, struct mr_err *e);

#endif
