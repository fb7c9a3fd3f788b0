/* Token patterns and the text analyzer: options and pattern from the first bytes, then the text.
 * Terms must lie inside the text that they are slices of. */
#include "model/text/analyze.h"
#include "model/text/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint32_t off[] = {0, 3, 5, 6};
    static const char bytes[] = "theisa";
    if (size < 4)
        return 0;
    struct mr_analyzer a = {.kind = (uint8_t)(1 + data[0] % 3),
                            .strip = data[0] / 3 % 3,
                            .lowercase = data[0] & 64,
                            .has_stop = data[0] & 128,
                            .min_n = 1 + data[1] % 4,
                            .max_n = 1 + data[1] % 4 + data[1] / 4 % 4};
    size_t pat = data[2] % 32;
    data += 3, size -= 3;
    pat = pat < size ? pat : size;
    struct mr_err e = {0};
    struct mr_str src = {(const char *)data, pat};
    if (pat == 0)
        src = MR_LIT("(?u)\\b\\w\\w+\\b");
    if (mr_pattern_compile(src, &a.pattern, &e)) {
        if (!e.msg[0])
            __builtin_trap();
        return 0;
    }
    mr_analyzer_ready(&a);
    struct mr_strtab tab = {3, off, bytes};
    if (a.has_stop && mr_strset_init(&a.stop, &tab, &e))
        return 0;
    struct mr_arena arena;
    mr_arena_init(&arena, 16u << 20);
    struct mr_terms t = {.arena = &arena};
    volatile uint64_t sum = 0;
    for (int pass = 0; pass < 2; pass++)
        if (mr_analyze(&a, mr_strn((const char *)data + pat, size - pat), &t, &e) == 0)
            for (size_t i = 0; i < t.n; i++) {
                struct mr_str s = {t.text + t.v[i].off, t.v[i].n};
                if (s.n == 0 || !mr_utf8_valid(s)) /* every term is whole characters */
                    __builtin_trap();
                sum = sum + mr_strset_hash(1, s.p, s.n);
            }
    mr_arena_release(&arena);
    mr_strset_release(&a.stop);
    return 0;
}
