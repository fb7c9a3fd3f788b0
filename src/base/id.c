#include "base/id.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void mr_random(void *p, size_t n) {
    char *at = p;
    while (n) {
        ssize_t got = getrandom(at, n > 256 ? 256 : n, 0);
        if (got <= 0)
            continue; /* EINTR only: the source itself cannot fail once seeded */
        at += got;
        n -= (size_t)got;
    }
}

struct mr_id mr_id_new(void) {
    /* A pool of random bytes a thread: one system call for 64 ids. */
    static _Thread_local uint8_t pool[640];
    static _Thread_local size_t left;
    struct mr_id id;
    uint64_t ms = (uint64_t)(mr_now_us() / 1000);
    if (left < 10) {
        mr_random(pool, sizeof pool);
        left = sizeof pool;
    }
    left -= 10;
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(id.b + 6, pool + left, 10);
    memset(pool + left, 0, 10);
    id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0f));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

void mr_id_hex(struct mr_id id, char out[MR_ID_HEX]) {
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        out[2 * i] = hex[id.b[i] >> 4];
        out[2 * i + 1] = hex[id.b[i] & 15];
    }
    out[32] = 0;
}

static int nibble(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool mr_id_parse(struct mr_str s, struct mr_id *ret) {
    struct mr_id id;
    if (s.n != 32)
        return false;
    for (int i = 0; i < 16; i++) {
        int hi = nibble(s.p[2 * i]), lo = nibble(s.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        id.b[i] = (uint8_t)(hi << 4 | lo);
    }
    *ret = id;
    return true;
}

bool mr_id_print(const char *prefix, struct mr_id id, char *out, size_t cap) {
    size_t n = strlen(prefix);
    if (n + MR_ID_HEX > cap)
        return false;
    memcpy(out, prefix, n);
    mr_id_hex(id, out + n);
    return true;
}

bool mr_id_parse_prefixed(const char *prefix, struct mr_str s, struct mr_id *ret) {
    struct mr_str want = mr_str(prefix);
    if (!mr_str_starts(s, want))
        return false;
    return mr_id_parse(mr_strn(s.p + want.n, s.n - want.n), ret);
}
