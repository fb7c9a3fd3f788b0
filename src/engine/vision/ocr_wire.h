/* What the server and a tesseract worker say to each other (messages of io/child.h, both the same
 * program on the same machine; the server checks what comes all the same).
 *
 * worker -> server   once: i32 code, then text; 0 = ready
 * server -> worker   struct mr_ocr_page, then width * height bytes of grey
 * worker -> server   i32 code; not 0: text. 0: u32 words, each a struct mr_ocr_wire_word and its
 *                    text */
#ifndef MR_ENGINE_VISION_OCR_WIRE_H
#define MR_ENGINE_VISION_OCR_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define MR_OCR_PIXELS_MAX  ((uint64_t)16 << 20) /* larger pictures are shrunk before */
#define MR_OCR_REPLY_MAX   ((size_t)16 << 20)
#define MR_OCR_WORDS_MAX   100000u
#define MR_OCR_EXIT_LIMITS 3

struct mr_ocr_page {
    uint32_t width, height;
    uint32_t ppi; /* what the text's size suggests; tesseract's own guess when 0 */
};
struct mr_ocr_wire_word {
    uint32_t line;    /* grows by one at the begin of a line */
    float confidence; /* 0..100 */
    int32_t x0, y0, x1, y1;
    uint32_t bytes;
};

#endif
