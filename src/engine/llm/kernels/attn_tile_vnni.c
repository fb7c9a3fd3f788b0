/* Attention of a prompt: 16 tokens as lanes, up to three query heads at a time. */
#include "engine/llm/kernels/attn.h"
#include "engine/llm/kernels/simd_vnni.h"

#include <stdint.h>
#include <string.h>

#define CELLS   MR_ATTN_CELLS /* of a tile */
#define HEADS   3             /* computed together */
#define AT_ONCE 8             /* cells, or elements of the output, whose sums are in registers */

struct room {
    float k[CELLS * MR_ATTN_D_MAX], v[CELLS * MR_ATTN_D_MAX];
    __m512 mask[CELLS];
    __m512 q[MR_ATTN_D_MAX * HEADS], out[MR_ATTN_D_MAX * HEADS], p[CELLS * HEADS];
    __m512 scale[HEADS], sum[HEADS];
};

struct tile {
    const struct mr_attn *a;
    size_t token, tokens, kv_head, head; /* from here on, `tokens` of them */
};

size_t mr_attn_items(const struct mr_attn *a) {
    return (a->tokens + MR_ATTN_TOKENS - 1) / MR_ATTN_TOKENS * a->kv_heads;
}

size_t mr_attn_room(const struct mr_attn *a) {
    (void)a;
    return sizeof(struct room) + 63;
}

/* q of 16 tokens, turned: element by element, the tokens in lanes. */
static void load_q(const struct tile *t, size_t heads, struct room *r) {
    const struct mr_attn *a = t->a;
    float lane[16];
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < a->d; i++) {
            for (size_t k = 0; k < 16; k++) {
                const char *q = a->q + (t->token + (k < t->tokens ? k : 0)) * a->q_token +
                                (t->head + h) * a->q_head;
                memcpy(&lane[k], q + i * sizeof(float), sizeof(float));
            }
            r->q[i * heads + h] = _mm512_mul_ps(_mm512_loadu_ps(lane), _mm512_set1_ps(a->scale));
        }
}

enum seen { SEEN_NONE, SEEN_SOME, SEEN_ALL };

/* What the tokens of the tile see of the cells from `cell` on; the mask, turned, when it is some.
 */
static enum seen load_mask(const struct tile *t, size_t cell, size_t n, struct room *r) {
    const struct mr_attn *a = t->a;
    if (!a->mask && n == CELLS)
        return SEEN_ALL;
    const __m512i never = _mm512_set1_epi16((short)0xfc00);
    __mmask32 hidden = 0xffffffff;
    __m512i bits = _mm512_setzero_si512();
    __mmask32 part[2] = {n >= 32 ? 0xffffffff : (__mmask32)((1u << n) - 1), 0};
    if (n > 32)
        part[1] = n >= CELLS ? 0xffffffff : (__mmask32)((1u << (n - 32)) - 1);
    float *to = (float *)r->mask;
    for (size_t k = 0; k < t->tokens && a->mask; k++)
        for (size_t i = 0; i < 2; i++) {
            const char *m = a->mask + (t->token + k) * a->mask_token + (cell + 32 * i) * 2;
            __m512i v = _mm512_mask_loadu_epi16(never, part[i], m);
            hidden &= _mm512_cmpeq_epi16_mask(v, never);
            bits = _mm512_or_si512(bits, v);
        }
    if (a->mask && hidden == 0xffffffff)
        return SEEN_NONE;
    if (n == CELLS && !_mm512_test_epi16_mask(bits, bits))
        return SEEN_ALL;
    const __m512i at =
        _mm512_mullo_epi32(_mm512_set1_epi32(16),
                           _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    for (size_t k = 0; k < 16; k++)
        for (size_t i = 0; i < 4; i++) {
            size_t left = n > 16 * i ? n - 16 * i : 0;
            __mmask16 in = (__mmask16)(left < 16 ? (1u << left) - 1 : 0xffff);
            __m256i v = _mm256_setzero_si256();
            if (a->mask && k < t->tokens)
                v = _mm256_maskz_loadu_epi16(in, a->mask + (t->token + k) * a->mask_token +
                                                     (cell + 16 * i) * 2);
            __m512 f = _mm512_mask_cvtph_ps(_mm512_set1_ps(-INFINITY), in, v);
            _mm512_i32scatter_ps(to + 256 * i + k, at, f, 4);
        }
    return SEEN_SOME;
}

static void load_kv(const struct tile *t, size_t cell, size_t n, struct room *r) {
    const struct mr_attn *a = t->a;
    for (size_t c = 0; c < CELLS; c++) {
        const char *k = a->k + (cell + c) * a->k_cell + t->kv_head * a->k_head;
        const char *v = a->v + (cell + c) * a->v_cell + t->kv_head * a->v_head;
        for (size_t i = 0; i < a->d; i += 16) {
            __m512 none = _mm512_setzero_ps();
            _mm512_storeu_ps(r->k + c * a->d + i, c < n ? mr_half16(k + 2 * i) : none);
            _mm512_storeu_ps(r->v + c * a->d + i, c < n ? mr_half16(v + 2 * i) : none);
        }
    }
}

/* p = q k' + mask for all cells, and the largest of them. */
MR_INLINE void scores(struct room *r, size_t d, int heads, bool masked, __m512 *most) {
    for (size_t c = 0; c < CELLS; c += AT_ONCE) {
        __m512 s[AT_ONCE * HEADS];
#pragma GCC unroll 24
        for (int i = 0; i < AT_ONCE * heads; i++)
            s[i] = masked ? r->mask[c + (size_t)(i / heads)] : _mm512_setzero_ps();
        for (size_t i = 0; i < d; i++) {
#pragma GCC unroll 8
            for (int j = 0; j < AT_ONCE; j++) {
                __m512 k = _mm512_set1_ps(r->k[(c + (size_t)j) * d + i]);
#pragma GCC unroll 3
                for (int h = 0; h < heads; h++)
                    s[j * heads + h] =
                        _mm512_fmadd_ps(r->q[i * (size_t)heads + (size_t)h], k, s[j * heads + h]);
            }
        }
#pragma GCC unroll 24
        for (int i = 0; i < AT_ONCE * heads; i++) {
            if (masked)
                s[i] = _mm512_max_ps(s[i], _mm512_set1_ps(MR_SCORE_LOWEST));
            most[i % heads] = _mm512_max_ps(most[i % heads], s[i]);
            r->p[c * (size_t)heads + (size_t)i] = s[i];
        }
    }
}

/* Scores to weights; sums and outputs so far follow when the common power of two grows. */
MR_INLINE void weigh(struct room *r, size_t d, int heads, const __m512 *most) {
#pragma GCC unroll 3
    for (int h = 0; h < heads; h++) {
        __m512 scale = _mm512_max_ps(r->scale[h], mr_scale16(most[h])), sum;
        __m512 shrink = _mm512_scalef_ps(_mm512_set1_ps(1), _mm512_sub_ps(r->scale[h], scale));
        sum = _mm512_mul_ps(r->sum[h], shrink);
        for (size_t c = 0; c < CELLS; c++) {
            __m512 *p = &r->p[c * (size_t)heads + (size_t)h];
            *p = mr_weight16(*p, scale);
            sum = _mm512_add_ps(sum, *p);
        }
        r->sum[h] = sum;
        if (_mm512_cmp_ps_mask(scale, r->scale[h], _CMP_NEQ_UQ))
            for (size_t i = 0; i < d; i++) {
                __m512 *o = &r->out[i * (size_t)heads + (size_t)h];
                *o = _mm512_mul_ps(*o, shrink);
            }
        r->scale[h] = scale;
    }
}

MR_INLINE void outputs(struct room *r, size_t d, int heads) {
    for (size_t i = 0; i < d; i += AT_ONCE) {
        __m512 o[AT_ONCE * HEADS];
#pragma GCC unroll 24
        for (int j = 0; j < AT_ONCE * heads; j++)
            o[j] = r->out[i * (size_t)heads + (size_t)j];
        for (size_t c = 0; c < CELLS; c++) {
#pragma GCC unroll 8
            for (int j = 0; j < AT_ONCE; j++) {
                __m512 v = _mm512_set1_ps(r->v[c * d + i + (size_t)j]);
#pragma GCC unroll 3
                for (int h = 0; h < heads; h++)
                    o[j * heads + h] =
                        _mm512_fmadd_ps(r->p[c * (size_t)heads + (size_t)h], v, o[j * heads + h]);
            }
        }
#pragma GCC unroll 24
        for (int j = 0; j < AT_ONCE * heads; j++)
            r->out[i * (size_t)heads + (size_t)j] = o[j];
    }
}

static void store(const struct tile *t, size_t heads, const struct room *r) {
    const struct mr_attn *a = t->a;
    float lane[16];
    for (size_t h = 0; h < heads; h++) {
        __mmask16 some = _mm512_cmp_ps_mask(r->sum[h], _mm512_setzero_ps(), _CMP_GT_OQ);
        __m512 by = _mm512_maskz_div_ps(some, _mm512_set1_ps(1), r->sum[h]);
        for (size_t i = 0; i < a->d; i++) {
            _mm512_storeu_ps(lane, _mm512_mul_ps(r->out[i * heads + h], by));
            for (size_t k = 0; k < t->tokens; k++)
                memcpy(a->out + (t->token + k) * a->out_token + (t->head + h) * a->out_head +
                           i * sizeof(float),
                       &lane[k], sizeof(float));
        }
    }
}

MR_INLINE void some_heads(const struct tile *t, struct room *r, int heads) {
    const struct mr_attn *a = t->a;
    load_q(t, (size_t)heads, r);
    for (int h = 0; h < heads; h++) {
        r->scale[h] = _mm512_set1_ps(MR_SCALE_LOWEST);
        r->sum[h] = _mm512_setzero_ps();
    }
    for (size_t i = 0; i < a->d * (size_t)heads; i++)
        r->out[i] = _mm512_setzero_ps();
    for (size_t cell = 0; cell < a->cells; cell += CELLS) {
        size_t n = a->cells - cell < CELLS ? a->cells - cell : CELLS;
        enum seen seen = load_mask(t, cell, n, r);
        if (seen == SEEN_NONE)
            continue;
        load_kv(t, cell, n, r);
        __m512 most[HEADS];
        for (int h = 0; h < heads; h++)
            most[h] = _mm512_set1_ps(MR_SCORE_LOWEST);
        if (seen == SEEN_SOME)
            scores(r, a->d, heads, true, most);
        else
            scores(r, a->d, heads, false, most);
        weigh(r, a->d, heads, most);
        outputs(r, a->d, heads);
    }
    store(t, (size_t)heads, r);
}

static void one_head(const struct tile *t, struct room *r) {
    some_heads(t, r, 1);
}
static void two_heads(const struct tile *t, struct room *r) {
    some_heads(t, r, 2);
}
static void three_heads(const struct tile *t, struct room *r) {
    some_heads(t, r, 3);
}

void mr_attn_item(const struct mr_attn *a, size_t item, void *room) {
    size_t group = a->heads / a->kv_heads;
    struct room *r = (struct room *)((char *)room + (-(uintptr_t)room & 63));
    struct tile t = {.a = a,
                     .token = item / a->kv_heads * MR_ATTN_TOKENS,
                     .kv_head = item % a->kv_heads,
                     .head = item % a->kv_heads * group};
    t.tokens = a->tokens - t.token < MR_ATTN_TOKENS ? a->tokens - t.token : MR_ATTN_TOKENS;
    for (size_t left = group; left;) {
        size_t n = left == 4 ? 2 : left < HEADS ? left : HEADS;
        (n == 1 ? one_head : n == 2 ? two_heads : three_heads)(&t, r);
        t.head += n;
        left -= n;
    }
}
