/* LEB128 unsigned numbers, as the roll-up blobs use them. */
#ifndef MR_CORE_USAGE_VARINT_H
#define MR_CORE_USAGE_VARINT_H

#include "base/buf.h"

static inline void mr_varint_add(struct mr_buf *b, uint64_t v) {
    for (; v >= 0x80; v >>= 7)
        mr_buf_char(b, (char)(v | 0x80));
    mr_buf_char(b, (char)v);
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
