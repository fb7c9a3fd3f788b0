/* First byte: the format; the rest: its data. */
#include "wire/decompress.h"

#include "base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    enum mr_comp kind = (enum mr_comp)(data[0] % (MR_COMP_ZF + 1));
    if (kind == MR_COMP_NONE)
        kind = mr_comp_detect(data + 1, size - 1);
    if (kind == MR_COMP_NONE)
        return 0;
    if (kind == MR_COMP_LZMA && size > 5 &&
        ((!data[5] && data[4] >= 16) || (data[5] && data[5] < 8)))
        return 0; /* a dictionary of 1 to 128 MiB: nothing but page faults */
    /* Big outputs take long to write and mmap: one first byte in 32 may pass the ratio's slack. */
    size_t n = 0, cap = data[0] >= 248 ? 3u << 19 : 1u << 16;
    uint8_t head[100], *out = NULL;
    struct mr_err e = {0};
    size_t got = mr_decompress_prefix(kind, data + 1, size - 1, head, sizeof head);
    if (mr_decompress(kind, data + 1, size - 1, cap, 100, &out, &n, &e)) {
        if (!e.msg[0])
            __builtin_trap();
        return 0;
    }
    if (n > cap || got > n || (got && __builtin_memcmp(out, head, got)))
        __builtin_trap(); /* both ways of reading agree; the short one stops at a member's end */
    mr_free(out);
    return 0;
}
