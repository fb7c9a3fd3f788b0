#include "engine/vision/pp_priv.h"

#include <math.h>

/* The net often gives a blank between words less than "nothing", but much more than it gives it
 * inside of words (below 0.05). */
#define SPACE_SURE 0.2

int mr_pp_spell(const float *prob, size_t columns, size_t classes, const struct mr_lines *keys,
                struct mr_arena *arena, struct mr_pp_char **ret, size_t *ret_n, struct mr_err *e) {
    if (classes != keys->n + 2)
        return mr_fail(e, MR_EPREDICT, "the recogniser has %zu classes for %zu characters", classes,
                       keys->n);
    struct mr_pp_char *out = mr_arena_array(arena, columns + 1, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    size_t n = 0, before = 0, run = 0;
    double space = 0, space_at = 0; /* the likeliest blank since the last character */
    for (size_t t = 0; t < columns; t++) {
        const float *p = prob + t * classes;
        size_t best = 0;
        for (size_t k = 1; k < classes; k++)
            if (p[k] > p[best])
                best = k;
        double v = (double)p[best];
        if (!isfinite(v))
            return mr_fail(e, MR_EPREDICT, "the recogniser gave no number");
        double at = ((double)t + 0.5) / (double)columns;
        if (best && best == before) { /* one character over several columns */
            out[n - 1].at += (at - out[n - 1].at) / (double)++run;
            out[n - 1].confidence = fmax(out[n - 1].confidence, v);
        } else if (best) {
            if (n && space >= SPACE_SURE && best <= keys->n &&
                !mr_str_is(out[n - 1].text, " ")) /* fits: "nothing" had a column for it */
                out[n++] = (struct mr_pp_char){MR_LIT(" "), space, space_at};
            struct mr_str text = best <= keys->n ? keys->line[best - 1] : MR_LIT(" ");
            out[n++] = (struct mr_pp_char){text, v, at};
            run = 1;
            space = 0;
        } else if ((double)p[classes - 1] > space) {
            space = (double)p[classes - 1];
            space_at = at;
        }
        before = best;
    }
    *ret = out;
    *ret_n = n;
    return 0;
}
