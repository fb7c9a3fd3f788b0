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

static size_t panel_size(enum mr_qmm_type type, size_t k) {
    size_t n = k / MR_QMM_BLOCK;
    size_t size = n * (quants_size(type) + MR_QMM_ROWS * (type == MR_QMM_Q4_1 ? 4 : 2));
    return (size + 63) / 64 * 64;
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
    size_t blocks = k / MR_QMM_BLOCK, quants = quants_size(type), block = bytes[type];
    size_t head = type == MR_QMM_Q4_1 ? 4 : 2; /* d, and m, come first */
    memset(dst, 0, mr_qmm_weights_size(type, rows, k));
    for (size_t r = 0; r < rows; r++) {
        uint8_t *panel = (uint8_t *)dst + r / MR_QMM_ROWS * panel_size(type, k);
        size_t in = r % MR_QMM_ROWS;
        for (size_t b = 0; b < blocks; b++) {
            const uint8_t *from = (const uint8_t *)src + (r * blocks + b) * block;
            uint8_t *d = panel + blocks * quants + (b * MR_QMM_ROWS + in) * 2;
            memcpy(d, from, 2);
            if (type == MR_QMM_Q4_1)
                memcpy(d + blocks * MR_QMM_ROWS * 2, from + 2, 2);
            pack_block(type, from + head, in, panel + b * quants);
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
