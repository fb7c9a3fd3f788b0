/* A text file of a model's folder, a name a line. */
#ifndef MR_ENGINE_VISION_LINES_H
#define MR_ENGINE_VISION_LINES_H

#include "base/err.h"
#include "base/str.h"

struct mr_lines {
    struct mr_str *line; /* without the newline; owned with `text` */
    size_t n;
    char *text;
};
/* At most 1 MiB of valid UTF-8. MR_ENOTFOUND, MR_EREFUSED. */
int mr_lines_read(const char *dir, const char *file, struct mr_lines *ret, struct mr_err *e);
void mr_lines_release(struct mr_lines *l);

#endif
