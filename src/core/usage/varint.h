/* LEB128 unsigned numbers, as the roll-up blobs use them. */
#ifndef MR_CORE_USAGE_VARINT_H
#define MR_CORE_USAGE_VARINT_H

#include "base/buf.h"

#define MR_VARINT_MAX 10

/* Writes up to MR_VARINT_MAX bytes; how many. */
static inline size_t mr_varint_put(char *p, uint64_t v) {
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (char)(v | 0x80);
    p[n++] = (char)v;
    return n;
}

/* Takes one off the front of *s; false when cut off or over 64 bits. */
static inline bool mr_varint_get(struct mr_str *s, uint64_t *ret) {
    uint64_t v = 0;
    for (unsigned shift = 0; s->n > 0; shift += 7) {
        uint8_t c = (uint8_t)*s->p;
        s->p++, s->n--;
        if (shift == 63 && c > 1)
            return false;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = v;
            return true;
        }
        if (shift == 63)
            return false;
    }
    return false;
}

#endif
