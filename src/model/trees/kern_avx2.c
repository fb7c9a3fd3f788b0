/* QuickScorer with AVX2: 8 trees of one row, or 8 rows of all trees. */
#include "model/trees/prep.h"

#include <immintrin.h>

/* Number of the lowest set bit, read from the exponent of that bit as a float. */
static inline __m256i lowest(__m256i live) {
    __m256i bit = _mm256_and_si256(live, _mm256_sub_epi32(_mm256_setzero_si256(), live));
    __m256i f = _mm256_castps_si256(_mm256_cvtepi32_ps(bit));
    __m256i exponent = _mm256_and_si256(_mm256_srli_epi32(f, 23), _mm256_set1_epi32(255));
    return _mm256_sub_epi32(exponent, _mm256_set1_epi32(127));
}

/* Leaves that stay: all where x <= t, those of the mask where x > t. */
static inline __m256i keep(__m256i live, __m256 v, __m256 t, __m256i mask) {
    __m256i right = _mm256_castps_si256(_mm256_cmp_ps(v, t, _CMP_GT_OQ));
    return _mm256_and_si256(live,
                            _mm256_or_si256(mask, _mm256_xor_si256(right, _mm256_set1_epi32(-1))));
}

bool mr_qs_row_avx2(const struct mr_trees_prep *p, const double *x, double *out, uint32_t *leaf) {
    const struct mr_qs *q = &p->qs;
    float row[MR_QS_FEATURES];
    bool exact = true;
    for (uint32_t f = 0; f < p->m.n_features; f++) {
        if (x[f] != x[f])
            return false;
        row[f] = p->f32 ? (float)x[f] : mr_float_down(x[f]);
        exact &= (double)row[f] == x[f];
    }
    const __m256i place = _mm256_slli_epi32(_mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), 5);
    uint32_t n = p->m.n_trees, count[16] = {0};
    __m256 tie = _mm256_setzero_ps();
    __m256d s = _mm256_setzero_pd(), u = s;
    for (uint32_t g = 0; g < q->n_groups; g++) {
        __m256i live = _mm256_set1_epi32(-1);
        size_t at = (size_t)q->start[g] * 8, end = at + (size_t)q->steps[g] * 8;
        for (; at < end; at += 8) {
            __m256i f = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(q->feature + at)));
            f = _mm256_and_si256(f, _mm256_set1_epi32(31));
            __m256 v = _mm256_i32gather_ps(row, f, 4), t = _mm256_load_ps(q->t + at);
            tie = _mm256_or_ps(tie, _mm256_cmp_ps(v, t, _CMP_EQ_OQ));
            live = keep(live, v, t, _mm256_load_si256((const __m256i *)(q->mask + at)));
        }
        __m256i pos = _mm256_add_epi32(lowest(live), place);
        if (p->sum == MR_SUM_ONE) {
            const double *v = q->value + (size_t)g * 256;
            s = _mm256_add_pd(s, _mm256_i32gather_pd(v, _mm256_castsi256_si128(pos), 8));
            u = _mm256_add_pd(u, _mm256_i32gather_pd(v, _mm256_extracti128_si256(pos, 1), 8));
            continue;
        }
        uint32_t tmp[8];
        _mm256_storeu_si256((__m256i *)tmp,
                            _mm256_i32gather_epi32(q->number + (size_t)g * 256, pos, 4));
        for (uint32_t k = 0; k < 8 && 8 * g + k < n; k++) {
            if (p->sum == MR_SUM_COUNT)
                count[tmp[k]]++;
            else
                leaf[q->order[8 * g + k]] = tmp[k];
        }
    }
    if (p->sum == MR_SUM_ONE) {
        double v[4];
        _mm256_storeu_pd(v, _mm256_add_pd(s, u));
        out[0] = v[0] + v[1] + v[2] + v[3];
    }
    for (uint32_t k = 0; p->sum == MR_SUM_COUNT && k < p->m.n_out; k++)
        out[k] = count[k];
    return p->f32 || exact || _mm256_movemask_ps(tie) == 0;
}

static uint32_t clear_leaves(const struct mr_trees_prep *p, const float *cols, uint32_t *live) {
    const struct mr_qs *q = &p->qs;
    __m256 tie = _mm256_setzero_ps();
    for (uint32_t t = 0; t < p->m.n_trees; t++)
        _mm256_store_si256((__m256i *)(live + (size_t)t * 8), _mm256_set1_epi32(-1));
    for (uint32_t f = 0; f < p->m.n_features; f++) {
        __m256 v = _mm256_load_ps(cols + (size_t)f * 8);
        for (uint32_t i = q->from[f]; i < q->from[f + 1]; i++) {
            struct mr_qs_node n = q->node[i];
            __m256 t = _mm256_set1_ps(n.t);
            tie = _mm256_or_ps(tie, _mm256_cmp_ps(v, t, _CMP_EQ_OQ));
            if (!_mm256_movemask_ps(_mm256_cmp_ps(v, t, _CMP_GT_OQ)))
                break;
            __m256i *l = (__m256i *)(live + (size_t)n.tree * 8);
            _mm256_store_si256(l, keep(_mm256_load_si256(l), v, t, _mm256_set1_epi32((int)n.mask)));
        }
    }
    return p->f32 ? 0 : (uint32_t)_mm256_movemask_ps(tie);
}

static void add_values(const struct mr_trees_prep *p, const uint32_t *live, double *acc) {
    const struct mr_trees *m = &p->m;
    for (uint32_t k = 0; k < m->n_out * 8; k++)
        acc[k] = m->bias[k / 8];
    for (uint32_t t = 0; t < m->n_trees; t++) {
        __m256i at = lowest(_mm256_load_si256((const __m256i *)(live + (size_t)t * 8)));
        const double *v = p->qs.row_value + (size_t)t * 32;
        double *to = acc + (p->sum == MR_SUM_MANY ? (size_t)m->tree_out[t] * 8 : 0);
        __m256d a = _mm256_i32gather_pd(v, _mm256_castsi256_si128(at), 8);
        __m256d b = _mm256_i32gather_pd(v, _mm256_extracti128_si256(at, 1), 8);
        a = _mm256_add_pd(a, _mm256_loadu_pd(to));
        b = _mm256_add_pd(b, _mm256_loadu_pd(to + 4));
        if (p->sum == MR_SUM_ONE_F32) { /* rounding after each addition is float addition */
            a = _mm256_cvtps_pd(_mm256_cvtpd_ps(a));
            b = _mm256_cvtps_pd(_mm256_cvtpd_ps(b));
        }
        _mm256_storeu_pd(to, a);
        _mm256_storeu_pd(to + 4, b);
    }
}

uint32_t mr_qs_block_avx2(const struct mr_trees_prep *p, const float *cols, uint32_t *live,
                          double *acc, uint32_t *leaf) {
    uint32_t tie = clear_leaves(p, cols, live), n_out = p->m.n_out;
    if (p->sum != MR_SUM_LEAVES && p->sum != MR_SUM_COUNT) {
        add_values(p, live, acc);
        return tie;
    }
    for (uint32_t k = 0; p->sum == MR_SUM_COUNT && k < n_out * 8; k++)
        acc[k] = 0;
    for (uint32_t t = 0; t < p->m.n_trees; t++) {
        __m256i at = lowest(_mm256_load_si256((const __m256i *)(live + (size_t)t * 8)));
        __m256i num = _mm256_i32gather_epi32(p->qs.row_number + (size_t)t * 32, at, 4);
        uint32_t tmp[8];
        _mm256_storeu_si256((__m256i *)(p->sum == MR_SUM_COUNT ? tmp : leaf + (size_t)t * 8), num);
        for (uint32_t k = 0; p->sum == MR_SUM_COUNT && k < 8; k++)
            acc[tmp[k] * 8 + k] += 1;
    }
    return tie;
}
