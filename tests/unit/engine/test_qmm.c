/* Products of quantised weights against plain sums over the same blocks, for every number of
 * columns that a tile can have, ends that fill no panel, and work split as threads split it. */
#include "engine/llm/kernels/qmm.h"
#include "mr_test.h"

static uint32_t seed = 7;

static uint32_t next(void) {
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static uint16_t half(float v) { /* normal numbers only, cut */
    uint32_t b;
    memcpy(&b, &v, 4);
    return (uint16_t)((b >> 16 & 0x8000) | ((b >> 23 & 255) - 112) << 10 | (b >> 13 & 1023));
}

static double full(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    double v = ldexp(1024 + (h & 1023), (h >> 10 & 31) - 25);
    return h & 0x8000 ? -v : v;
}

static const size_t bytes[] = {18, 20, 34};

static void make_weights(enum mr_qmm_type type, size_t n_blocks, uint8_t *w) {
    for (size_t b = 0; b < n_blocks; b++, w += bytes[type]) {
        uint16_t d = half((float)(next() % 1000 + 10) / 50000 * (next() % 2 ? 1.0f : -1.0f));
        uint16_t m = half((float)(next() % 1000 + 1) / -9000);
        for (size_t i = 0; i < bytes[type]; i++)
            w[i] = (uint8_t)next();
        memcpy(w, &d, 2);
        if (type == MR_QMM_Q4_1)
            memcpy(w + 2, &m, 2);
    }
}

/* Element i of a block, by the definition of the formats. */
static double weight(enum mr_qmm_type type, const uint8_t *w, size_t i) {
    if (type == MR_QMM_Q8_0)
        return full(w) * (int8_t)w[2 + i];
    const uint8_t *q = w + (type == MR_QMM_Q4_1 ? 4 : 2);
    int v = i < 16 ? q[i] & 15 : q[i - 16] >> 4;
    return type == MR_QMM_Q4_1 ? full(w) * v + full(w + 2) : full(w) * (v - 8);
}

/* What is left of 32 activations after rounding to 8 bits. */
static void rounded(const float *x, double *ret) {
    float most = 0;
    for (size_t i = 0; i < 32; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    for (size_t i = 0; i < 32; i++)
        ret[i] = most > 0 ? (double)(most / 127) * rintf(x[i] * (127 / most)) : 0;
}

struct shape {
    enum mr_qmm_type type;
    size_t rows, k, n, threads;
};

static double *want_of(struct shape s, const uint8_t *w, const float *x, size_t pitch,
                       double *ret_largest) {
    double *want = calloc(s.rows * s.n, sizeof *want), act[32];
    *ret_largest = 0;
    for (size_t c = 0; c < s.n; c++)
        for (size_t b = 0; b < s.k / 32; b++) {
            rounded(x + c * pitch + b * 32, act);
            for (size_t r = 0; r < s.rows; r++)
                for (size_t i = 0; i < 32; i++)
                    want[c * s.rows + r] +=
                        act[i] * weight(s.type, w + (r * (s.k / 32) + b) * bytes[s.type], i);
        }
    for (size_t i = 0; i < s.rows * s.n; i++)
        *ret_largest = fmax(*ret_largest, fabs(want[i]));
    return want;
}

static void *room(size_t n) {
    return aligned_alloc(64, (n + 63) / 64 * 64);
}

static void try(struct shape s) {
    const float untouched = 12345;
    size_t pitch = s.k + 5, out_pitch = s.rows + 3, blocks = s.rows * (s.k / 32);
    uint8_t *w = malloc(blocks * bytes[s.type]);
    float *x = malloc(s.n * pitch * sizeof *x), *out = malloc(s.n * out_pitch * sizeof *out);
    void *packed = room(mr_qmm_weights_size(s.type, s.rows, s.k));
    void *acts = room(mr_qmm_acts_size(s.n, s.k));
    make_weights(s.type, blocks, w);
    for (size_t i = 0; i < s.n * pitch; i++)
        x[i] = i / 32 % 5 == 4 ? 0 : ((float)(next() % 20001) - 10000) / (float)(next() % 3000 + 9);
    for (size_t i = 0; i < s.n * out_pitch; i++)
        out[i] = untouched;
    mr_qmm_pack(s.type, s.rows, s.k, w, packed);
    size_t panels = (s.rows + 15) / 16, tiles = mr_qmm_tiles(s.n);
    for (size_t t = 0; t < s.threads; t++)
        mr_qmm_acts(s.type, s.n, s.k, x, pitch * sizeof *x, acts, tiles * t / s.threads,
                    tiles * (t + 1) / s.threads);
    for (size_t t = 0; t < s.threads; t++)
        mr_qmm_mul(s.type, packed, s.rows, s.k, acts, s.n, out, out_pitch * sizeof *out,
                   panels * t / s.threads, panels * (t + 1) / s.threads);
    double largest, *want = want_of(s, w, x, pitch, &largest);
    size_t wrong = 0;
    for (size_t c = 0; c < s.n; c++) {
        for (size_t r = 0; r < s.rows; r++)
            wrong += fabs((double)out[c * out_pitch + r] - want[c * s.rows + r]) > 2e-6 * largest;
        for (size_t r = s.rows; r < out_pitch; r++)
            wrong += out[c * out_pitch + r] != untouched;
    }
    if (wrong)
        fprintf(stderr, "type %d, %zu x %zu, %zu columns, %zu threads: %zu wrong\n", s.type, s.rows,
                s.k, s.n, s.threads, wrong);
    CHECK_INT(wrong, 0);
    free(w);
    free(x);
    free(out);
    free(packed);
    free(acts);
    free(want);
}

MR_TEST(products_are_those_of_plain_sums) {
    if (!mr_qmm_usable())
        return;
    for (int type = MR_QMM_Q4_0; type <= MR_QMM_Q8_0; type++) {
        for (size_t n = 1; n <= 40; n++)
            try((struct shape){type, 17 + n % 19, 32 + 32 * (n % 4), n, 1 + n % 3});
        try((struct shape){type, 1, 32, 1, 3});
        try((struct shape){type, 48, 576, 70, 2});
        try((struct shape){type, 16, 2048, 300, 3}); /* more than stays in the cache */
    }
}

MR_TEST(extreme_values) {
    if (!mr_qmm_usable())
        return;
    enum { K = 64 };
    uint8_t w[16 * 2 * 34];
    float x[K], out[16];
    _Alignas(64) uint8_t packed[4096], acts[192];
    for (int type = MR_QMM_Q4_0; type <= MR_QMM_Q8_0; type++) {
        make_weights(type, 32, w);
        for (size_t i = 0; i < sizeof w / sizeof *w; i++)
            if (i % bytes[type] >= (type == MR_QMM_Q4_1 ? 4 : 2))
                w[i] = type == MR_QMM_Q8_0 ? 0x80 : 0xff;
        for (size_t i = 0; i < K; i++)
            x[i] = i % 32 ? -3e30f : 3e30f;
        CHECK(mr_qmm_weights_size(type, 16, K) <= sizeof packed);
        mr_qmm_pack(type, 16, K, w, packed);
        mr_qmm_acts(type, 1, K, x, sizeof x, acts, 0, 1);
        mr_qmm_mul(type, packed, 16, K, acts, 1, out, sizeof out, 0, 1);
        for (size_t r = 0; r < 16; r++) {
            double want = 0;
            for (size_t i = 0; i < K; i++)
                want += (double)x[i] * weight(type, w + (2 * r + i / 32) * bytes[type], i % 32);
            CHECK_NEAR(out[r] / want, 1, 1e-5);
        }
    }
}

MR_TEST(tiles_cover_all_columns_evenly) {
    for (size_t n = 0; n < 200; n++) {
        size_t tiles = mr_qmm_tiles(n);
        CHECK_INT(mr_qmm_tile_at(n, 0), 0);
        CHECK_INT(mr_qmm_tile_at(n, tiles), n);
        for (size_t t = 0; t < tiles; t++) {
            size_t cols = mr_qmm_tile_at(n, t + 1) - mr_qmm_tile_at(n, t);
            CHECK(cols >= n / tiles && cols <= MR_QMM_COLS);
        }
    }
}

MR_TEST_MAIN(CASE(products_are_those_of_plain_sums), CASE(extreme_values),
             CASE(tiles_cover_all_columns_evenly))
