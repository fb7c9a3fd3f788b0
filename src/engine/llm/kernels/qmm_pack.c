/* Layouts of packed weights and activations; the conversion of weights runs once, at load. */
#include "engine/llm/kernels/qmm.h"

#include <string.h>

bool mr_qmm_usable(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

static size_t quants_size(enum mr_qmm_type type) {
    return MR_QMM_ROWS * MR_QMM_BLOCK / (type == MR_QMM_Q8_0 ? 1 : 2);
}

static size_t block_size(enum mr_qmm_type type) {
    return quants_size(type) + MR_QMM_ROWS * (type == MR_QMM_Q4_1 ? 4 : 2);
}

static size_t panel_size(enum mr_qmm_type type, size_t k) {
    return k / MR_QMM_BLOCK * block_size(type);
}

size_t mr_qmm_weights_size(enum mr_qmm_type type, size_t rows, size_t k) {
    return (rows + MR_QMM_ROWS - 1) / MR_QMM_ROWS * panel_size(type, k);
}

/* Quant `i` of a block of GGUF, 0..15 or, of Q8_0, moved by 128. */
static uint8_t quant(enum mr_qmm_type type, const uint8_t *q, size_t i) {
    if (type == MR_QMM_Q8_0)
        return q[i] ^ 0x80;
    return i < 16 ? q[i] & 15 : q[i - 16] >> 4;
}

static void pack_block(enum mr_qmm_type type, const uint8_t *q, size_t row, uint8_t *to) {
    for (size_t i = 0; i < MR_QMM_BLOCK; i++) {
        size_t group = i / 4, at = 4 * row + i % 4;
        uint8_t v = quant(type, q, i);
        if (type == MR_QMM_Q8_0)
            to[64 * group + at] = v;
        else
            to[64 * (group / 2) + at] |= (uint8_t)(v << 4 * (group % 2));
    }
}

void mr_qmm_pack(enum mr_qmm_type type, size_t rows, size_t k, const void *src, void *dst) {
    static const size_t bytes[] = {18, 20, 34};
    size_t blocks = k / MR_QMM_BLOCK, head = type == MR_QMM_Q4_1 ? 4 : 2; /* d, and m, come first */
    memset(dst, 0, mr_qmm_weights_size(type, rows, k));
    for (size_t r = 0; r < rows; r++) {
        size_t in = r % MR_QMM_ROWS;
        uint8_t *to = (uint8_t *)dst + r / MR_QMM_ROWS * panel_size(type, k);
        const uint8_t *from = (const uint8_t *)src + r * blocks * bytes[type];
        for (size_t b = 0; b < blocks; b++, to += block_size(type), from += bytes[type]) {
            uint8_t *d = to + quants_size(type) + 2 * in;
            memcpy(d, from, 2);
            if (type == MR_QMM_Q4_1)
                memcpy(d + 2 * MR_QMM_ROWS, from + 2, 2);
            pack_block(type, from + head, in, to);
        }
    }
}

size_t mr_qmm_acts_size(size_t n, size_t k) {
    return n * (k / MR_QMM_BLOCK) * (MR_QMM_BLOCK + 8);
}

size_t mr_qmm_tiles(size_t n) {
    return (n + MR_QMM_COLS - 1) / MR_QMM_COLS;
}

/* Tiles as even as can be: 13 columns are 7 and 6, not 12 and 1. */
size_t mr_qmm_tile_at(size_t n, size_t t) {
    size_t tiles = mr_qmm_tiles(n);
    if (!tiles)
        return 0;
    size_t more = n % tiles;
    return t * (n / tiles) + (t < more ? t : more);
}
