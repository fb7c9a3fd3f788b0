/* Attention of a single token: the elements of a head as lanes, up to four query heads at a time.
 */
#include "engine/llm/kernels/attn.h"
#include "engine/llm/kernels/simd_vnni.h"

#include <stdint.h>
#include <string.h>

#define CELLS MR_ATTN_CELLS
#define HEADS 4

struct run {
    const struct mr_attn *a;
    const char *q;  /* of the first head */
    size_t kv_head; /* which all of them share */
    float scale[HEADS], sum[HEADS], out[HEADS][MR_ATTN_D_MAX];
};

/* Seen cells of a block. */
struct block {
    size_t cell, n; /* the first of the block; how many are seen */
    uint8_t at[CELLS];
    float mask[CELLS], p[HEADS][CELLS];
};

static const char *cell_k(const struct run *r, const struct block *b, size_t c) {
    return r->a->k + (b->cell + b->at[c]) * r->a->k_cell + r->kv_head * r->a->k_head;
}

static const char *cell_v(const struct run *r, const struct block *b, size_t c) {
    return r->a->v + (b->cell + b->at[c]) * r->a->v_cell + r->kv_head * r->a->v_head;
}

/* Which of the cells the token sees. Cells of a sequence lie apart from each other, so the
 * processor does not guess the next ones: they are asked for. */
static void look(const struct run *r, size_t token, size_t cell, struct block *b) {
    const struct mr_attn *a = r->a;
    size_t n = a->cells - cell < CELLS ? a->cells - cell : CELLS;
    uint64_t seen = 0;
    for (size_t i = 0; 16 * i < n; i++) {
        size_t left = n - 16 * i;
        __mmask16 in = (__mmask16)(left < 16 ? (1u << left) - 1 : 0xffff);
        __m512 f = _mm512_setzero_ps();
        if (a->mask)
            f = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(in, a->mask + token * a->mask_token +
                                                                 (cell + 16 * i) * 2));
        _mm512_storeu_ps(b->mask + 16 * i, f);
        seen |= (uint64_t)_mm512_mask_cmp_ps_mask(in, f, _mm512_set1_ps(-INFINITY), _CMP_NEQ_UQ)
                << 16 * i;
    }
    b->cell = cell;
    for (b->n = 0; seen; seen &= seen - 1) {
        b->at[b->n] = (uint8_t)__builtin_ctzll(seen);
        for (size_t i = 0; i < 2 * a->d; i += 64) {
            _mm_prefetch(cell_k(r, b, b->n) + i, _MM_HINT_T0);
            _mm_prefetch(cell_v(r, b, b->n) + i, _MM_HINT_T0);
        }
        b->n++;
    }
}

MR_INLINE void scores(const struct run *r, struct block *b, int heads) {
    const struct mr_attn *a = r->a;
    for (size_t c = 0; c < b->n; c++) {
        const char *k = cell_k(r, b, c);
        __m512 s[HEADS];
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++)
            s[h] = _mm512_setzero_ps();
        for (size_t i = 0; i < a->d; i += 16) {
            __m512 x = mr_half16(k + 2 * i);
#pragma GCC unroll 4
            for (int h = 0; h < heads; h++)
                s[h] =
                    _mm512_fmadd_ps(_mm512_loadu_ps(r->q + (size_t)h * a->q_head + 4 * i), x, s[h]);
        }
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++)
            b->p[h][c] = _mm512_reduce_add_ps(s[h]) * a->scale + b->mask[b->at[c]];
    }
}

/* Scores to weights; the sum and the output so far follow when the common power of two grows. */
static void weigh(struct run *r, struct block *b, size_t h) {
    __m512 most = _mm512_set1_ps(MR_SCORE_LOWEST);
    for (size_t c = b->n; c % 16; c++)
        b->p[h][c] = MR_SCORE_LOWEST;
    for (size_t c = 0; c < b->n; c += 16)
        most = _mm512_max_ps(most, _mm512_loadu_ps(b->p[h] + c));
    __m512 was = _mm512_set1_ps(r->scale[h]);
    __m512 scale = _mm512_max_ps(was, mr_scale16(_mm512_set1_ps(_mm512_reduce_max_ps(most))));
    __m512 shrink = _mm512_scalef_ps(_mm512_set1_ps(1), _mm512_sub_ps(was, scale));
    for (size_t c = 0; c < b->n; c += 16)
        _mm512_storeu_ps(b->p[h] + c, mr_weight16(_mm512_loadu_ps(b->p[h] + c), scale));
    float sum = r->sum[h] * _mm512_cvtss_f32(shrink);
    for (size_t c = 0; c < b->n; c++) /* in the cells' order, whatever blocks they are in */
        sum += b->p[h][c];
    r->sum[h] = sum;
    r->scale[h] = _mm512_cvtss_f32(scale);
    if (_mm512_cmp_ps_mask(was, scale, _CMP_NEQ_UQ))
        for (size_t i = 0; i < r->a->d; i += 16)
            _mm512_storeu_ps(r->out[h] + i, _mm512_mul_ps(_mm512_loadu_ps(r->out[h] + i), shrink));
}

MR_INLINE void outputs(struct run *r, const struct block *b, int heads) {
    for (size_t i = 0; i < r->a->d; i += 16) {
        __m512 o[HEADS];
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++)
            o[h] = _mm512_loadu_ps(r->out[h] + i);
        for (size_t c = 0; c < b->n; c++) {
            __m512 v = mr_half16(cell_v(r, b, c) + 2 * i);
#pragma GCC unroll 4
            for (int h = 0; h < heads; h++)
                o[h] = _mm512_fmadd_ps(_mm512_set1_ps(b->p[h][c]), v, o[h]);
        }
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++)
            _mm512_storeu_ps(r->out[h] + i, o[h]);
    }
}

MR_INLINE void compute(struct run *r, struct block *b, int heads) {
    if (!b->n)
        return;
    scores(r, b, heads);
    for (int h = 0; h < heads; h++)
        weigh(r, b, (size_t)h);
    outputs(r, b, heads);
}

/* While one block is computed, the next is on its way from memory. */
MR_INLINE void some_heads(struct run *r, size_t token, int heads) {
    struct block b[2];
    size_t now = 0;
    b[1].n = 0;
    for (size_t cell = 0; cell < r->a->cells; cell += CELLS) {
        look(r, token, cell, &b[now]);
        if (!b[now].n)
            continue;
        now ^= 1;
        compute(r, &b[now], heads);
        b[now].n = 0;
    }
    compute(r, &b[now ^ 1], heads);
}

static void one_head(struct run *r, size_t token) {
    some_heads(r, token, 1);
}
static void two_heads(struct run *r, size_t token) {
    some_heads(r, token, 2);
}
static void three_heads(struct run *r, size_t token) {
    some_heads(r, token, 3);
}
static void four_heads(struct run *r, size_t token) {
    some_heads(r, token, 4);
}

void mr_attn_one(const struct mr_attn *a, size_t token, size_t kv_head) {
    static void (*const some[HEADS])(struct run *, size_t) = {one_head, two_heads, three_heads,
                                                              four_heads};
    size_t group = a->heads / a->kv_heads;
    for (size_t first = 0; first < group; first += HEADS) {
        size_t n = group - first < HEADS ? group - first : HEADS, head = kv_head * group + first;
        struct run r = {.a = a, .q = a->q + token * a->q_token + head * a->q_head};
        r.kv_head = kv_head;
        for (size_t h = 0; h < n; h++)
            r.scale[h] = MR_SCALE_LOWEST;
        some[n - 1](&r, token);
        for (size_t h = 0; h < n; h++) {
            char *out = a->out + token * a->out_token + (head + h) * a->out_head;
            __m512 by = _mm512_set1_ps(r.sum[h] > 0 ? 1 / r.sum[h] : 0);
            for (size_t i = 0; i < a->d; i += 16)
                _mm512_storeu_ps(out + 4 * i, _mm512_mul_ps(_mm512_loadu_ps(r.out[h] + i), by));
        }
    }
}
