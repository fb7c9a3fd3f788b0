/* What the programs that conformance scripts run read: u32 length and text, again and again. */
#ifndef MR_NLP_TEXTS_H
#define MR_NLP_TEXTS_H

#include "base/alloc.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* False at the end; the text is freed by the caller. */
static inline bool mr_next_text(struct mr_str *ret) {
    uint32_t n;
    if (fread(&n, sizeof n, 1, stdin) != 1)
        return false;
    char *p = mr_malloc((size_t)n + 1);
    if (!p || fread(p, 1, n, stdin) != n)
        exit(2);
    *ret = mr_strn(p, n);
    return true;
}

#endif
