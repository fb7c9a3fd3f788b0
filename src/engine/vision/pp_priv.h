/* The steps of reading text with PP-OCR's nets that are arithmetic: where lines are (DB, Liao et
 * al. 2020), and what the recogniser's columns spell (CTC, Graves et al. 2006). */
#ifndef MR_ENGINE_VISION_PP_PRIV_H
#define MR_ENGINE_VISION_PP_PRIV_H

#include "base/arena.h"
#include "engine/vision/image.h"
#include "engine/vision/lines.h"

#define MR_PP_BOXES_MAX 1000

/* A rectangle that may be turned. Its height runs along (-uy, ux). */
struct mr_quad {
    double cx, cy; /* centre, pixels */
    double ux, uy; /* unit vector along the width: along the text */
    double w, h;
};
struct mr_pp_hull_point {
    double x, y;
};
/* The rectangle of least area around a convex polygon of n > 0 points, its width the side that is
 * closer to level. */
struct mr_quad mr_pp_least_rect(const struct mr_pp_hull_point *p, size_t n);

/* From the detector's map of w x h probabilities: the lines in reading order, at most
 * MR_PP_BOXES_MAX, in pixels of the map. */
int mr_pp_boxes(const float *map, uint32_t w, uint32_t h, struct mr_arena *arena,
                struct mr_quad **ret, size_t *ret_n, struct mr_err *e);

struct mr_pp_char {
    struct mr_str text; /* of the keys, or a blank */
    double confidence;
    double at; /* 0..1 along the line: the middle of its columns */
};
/* `prob`: columns * classes; class 0 is nothing, class k is keys->line[k - 1], the class after the
 * last key is a blank. MR_EPREDICT for numbers that are none. */
int mr_pp_spell(const float *prob, size_t columns, size_t classes, const struct mr_lines *keys,
                struct mr_arena *arena, struct mr_pp_char **ret, size_t *ret_n, struct mr_err *e);

#endif
