/* Identifiers: UUID version 7 (RFC 9562), sortable by creation time, made by any node.
 * Printed in a family's style by its prefix: "dep-018f…". Thread-safe. */
#ifndef MR_BASE_ID_H
#define MR_BASE_ID_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_id {
    uint8_t b[16];
};

#define MR_ID_HEX 33 /* 32 hex digits and a NUL */
/* Cannot fail: falls back from the kernel's generator only to blocking on it. */
struct mr_id mr_id_new(void);
void mr_id_hex(struct mr_id id, char out[MR_ID_HEX]);
/* 32 lower-case hex digits, whole slice. */
bool mr_id_parse(struct mr_str s, struct mr_id *ret);
/* "<prefix><hex>" into out (cap bytes); false when it does not fit. */
bool mr_id_print(const char *prefix, struct mr_id id, char *out, size_t cap);
/* Reads "<prefix><hex>" back. */
bool mr_id_parse_prefixed(const char *prefix, struct mr_str s, struct mr_id *ret);
static inline bool mr_id_eq(struct mr_id a, struct mr_id b) {
    return memcmp(a.b, b.b, 16) == 0;
}

/* Cryptographically strong random bytes (getrandom, blocking until seeded). */
void mr_random(void *p, size_t n);

#endif
