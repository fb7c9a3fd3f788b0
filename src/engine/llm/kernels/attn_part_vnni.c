/* Attention of a single token: the elements of a head as lanes, up to four query heads at a time.
 */
#include "engine/llm/kernels/attn.h"
#include "engine/llm/kernels/simd_vnni.h"

#include <stdint.h>
#include <string.h>

#define CELLS MR_ATTN_CELLS
#define HEADS 4

/* A part: of each query head the largest score, the sum of weights, and d weighted sums; padded so
 * that every head starts a line. */
static size_t head_floats(const struct mr_attn *a) {
    return a->d + 16;
}

size_t mr_attn_part_floats(const struct mr_attn *a) {
    return a->heads / a->kv_heads * head_floats(a);
}

/* Which of the cells the token sees, and their mask (scores start from it). */
static uint64_t visible(const struct mr_attn *a, size_t token, size_t cell, size_t n, float *mask) {
    uint64_t seen = 0;
    for (size_t i = 0; 16 * i < n; i++) {
        size_t left = n - 16 * i;
        __mmask16 in = (__mmask16)(left < 16 ? (1u << left) - 1 : 0xffff);
        __m512 f = _mm512_setzero_ps();
        if (a->mask)
            f = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(in, a->mask + token * a->mask_token +
                                                                 (cell + 16 * i) * 2));
        _mm512_storeu_ps(mask + 16 * i, f);
        seen |= (uint64_t)_mm512_mask_cmp_ps_mask(in, f, _mm512_set1_ps(-INFINITY), _CMP_NEQ_UQ)
                << 16 * i;
    }
    return seen;
}

struct run {
    const struct mr_attn *a;
    const char *q, *k, *v; /* of the first head, of the first cell */
    size_t n;              /* cells that are seen */
    uint8_t cell[CELLS];
    float mask[CELLS], p[HEADS][CELLS];
};

MR_INLINE void part_scores(struct run *r, int heads) {
    const struct mr_attn *a = r->a;
    for (size_t c = 0; c < r->n; c++) {
        const char *k = r->k + r->cell[c] * a->k_cell;
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
            r->p[h][c] = _mm512_reduce_add_ps(s[h]) * a->scale + r->mask[r->cell[c]];
    }
}

/* Weights of the run's cells; what the part holds shrinks to the new maximum. */
static void part_weigh(struct run *r, size_t h, float *part) {
    const struct mr_attn *a = r->a;
    __m512 most = _mm512_set1_ps(part[0]), sum = _mm512_setzero_ps();
    for (size_t c = r->n; c % 16; c++)
        r->p[h][c] = -INFINITY;
    for (size_t c = 0; c < r->n; c += 16)
        most = _mm512_max_ps(most, _mm512_loadu_ps(r->p[h] + c));
    float now = _mm512_reduce_max_ps(most);
    for (size_t c = 0; c < r->n; c += 16) {
        __m512 p = mr_exp16(_mm512_sub_ps(_mm512_loadu_ps(r->p[h] + c), _mm512_set1_ps(now)));
        _mm512_storeu_ps(r->p[h] + c, p);
        sum = _mm512_add_ps(sum, p);
    }
    if (now > part[0]) {
        __m512 shrink = mr_exp16(_mm512_set1_ps(part[0] - now));
        part[1] *= _mm512_cvtss_f32(shrink);
        for (size_t i = 16; i < 16 + a->d; i += 16)
            _mm512_storeu_ps(part + i, _mm512_mul_ps(_mm512_loadu_ps(part + i), shrink));
        part[0] = now;
    }
    part[1] += _mm512_reduce_add_ps(sum);
}

MR_INLINE void part_outputs(const struct run *r, int heads, float *part) {
    const struct mr_attn *a = r->a;
    size_t step = head_floats(a);
    for (size_t i = 0; i < a->d; i += 16) {
        __m512 o[HEADS];
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++)
            o[h] = _mm512_loadu_ps(part + (size_t)h * step + 16 + i);
        for (size_t c = 0; c < r->n; c++) {
            __m512 v = mr_half16(r->v + r->cell[c] * a->v_cell + 2 * i);
#pragma GCC unroll 4
            for (int h = 0; h < heads; h++)
                o[h] = _mm512_fmadd_ps(_mm512_set1_ps(r->p[h][c]), v, o[h]);
        }
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++)
            _mm512_storeu_ps(part + (size_t)h * step + 16 + i, o[h]);
    }
}

static void run_heads(struct run *r, size_t heads, float *part) {
    switch (heads) {
    case 1:
        part_scores(r, 1);
        break;
    case 2:
        part_scores(r, 2);
        break;
    case 3:
        part_scores(r, 3);
        break;
    default:
        part_scores(r, 4);
    }
    for (size_t h = 0; h < heads; h++)
        part_weigh(r, h, part + h * head_floats(r->a));
    switch (heads) {
    case 1:
        part_outputs(r, 1, part);
        break;
    case 2:
        part_outputs(r, 2, part);
        break;
    case 3:
        part_outputs(r, 3, part);
        break;
    default:
        part_outputs(r, 4, part);
    }
}

void mr_attn_part(const struct mr_attn *a, size_t token, size_t kv_head, size_t first, size_t of,
                  float *part) {
    size_t group = a->heads / a->kv_heads;
    struct run r = {.a = a};
    for (size_t h = 0; h < group; h++) {
        memset(part + h * head_floats(a), 0, head_floats(a) * sizeof *part);
        part[h * head_floats(a)] = -INFINITY;
    }
    for (size_t cell = first * CELLS; cell < a->cells; cell += of * CELLS) {
        size_t n = a->cells - cell < CELLS ? a->cells - cell : CELLS;
        uint64_t seen = visible(a, token, cell, n, r.mask);
        if (!seen)
            continue;
        r.n = 0;
        for (; seen; seen &= seen - 1)
            r.cell[r.n++] = (uint8_t)__builtin_ctzll(seen);
        r.k = a->k + cell * a->k_cell + kv_head * a->k_head;
        r.v = a->v + cell * a->v_cell + kv_head * a->v_head;
        for (size_t h = 0; h < group; h += HEADS) {
            r.q = a->q + token * a->q_token + (kv_head * group + h) * a->q_head;
            run_heads(&r, group - h < HEADS ? group - h : HEADS, part + h * head_floats(a));
        }
    }
}

void mr_attn_join(const struct mr_attn *a, size_t token, size_t kv_head, const float *part,
                  size_t n, size_t stride) {
    size_t group = a->heads / a->kv_heads;
    for (size_t h = 0; h < group; h++, part += head_floats(a)) {
        float most = -INFINITY, sum = 0, by;
        for (size_t k = 0; k < n; k++)
            most = part[k * stride] > most ? part[k * stride] : most;
        char *out = a->out + token * a->out_token + (kv_head * group + h) * a->out_head;
        memset(out, 0, a->d * sizeof(float));
        if (most == -INFINITY)
            continue;
        for (size_t k = 0; k < n; k++)
            sum += part[k * stride + 1] * expf(part[k * stride] - most);
        for (size_t k = 0; k < n; k++) {
            by = expf(part[k * stride] - most) / sum;
            for (size_t i = 0; i < a->d; i += 16) {
                __m512 o = _mm512_loadu_ps(out + 4 * i);
                o = _mm512_fmadd_ps(_mm512_loadu_ps(part + k * stride + 16 + i), _mm512_set1_ps(by),
                                    o);
                _mm512_storeu_ps(out + 4 * i, o);
            }
        }
    }
}
