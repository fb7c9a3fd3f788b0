/* QuickScorer with AVX-512: 16 trees of one row, or 16 rows of all trees. */
#include "model/trees/prep.h"

#include <immintrin.h>

#define DOWN (_MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)

/* Ties are kept as the smallest value of (x xor threshold) bits: 0 says that some were equal. Both
 * zeros count as one because thresholds are never -0 (mr_float_down) and an input of -0 is exact.
 */

/* Number of the lowest set bit. */
static inline __m512i lowest(__m512i live) {
    return _mm512_popcnt_epi32(
        _mm512_andnot_si512(live, _mm512_sub_epi32(live, _mm512_set1_epi32(1))));
}

struct row {
    __m512 f0, f1;
    bool missing, exact; /* exact: every value is a float */
};

/* Up to 32 doubles as floats in two registers. */
static inline __attribute__((always_inline)) struct row load_row(const double *x, uint32_t n,
                                                                 uint32_t zero, bool f32) {
    __m256 part[4];
    unsigned nan = 0, rounded = 0;
    for (uint32_t k = 0; k < 4; k++) {
        part[k] = _mm256_setzero_ps();
        if (8 * k >= n)
            continue;
        __mmask8 m = n - 8 * k >= 8 ? 0xff : (__mmask8)((1u << (n - 8 * k)) - 1);
        __m512d d = _mm512_maskz_loadu_pd(m, x + 8 * k);
        __mmask8 none = _mm512_cmp_pd_mask(d, d, _CMP_UNORD_Q);
        __mmask8 as_zero = (__mmask8)(zero >> 8 * k);
        d = _mm512_mask_mov_pd(d, none & as_zero, _mm512_setzero_pd());
        nan |= none & (__mmask8)~as_zero;
        part[k] = f32 ? _mm512_cvtpd_ps(d) : _mm512_cvt_roundpd_ps(d, DOWN);
        if (!f32)
            rounded |= _mm512_cmp_pd_mask(_mm512_cvtps_pd(part[k]), d, _CMP_NEQ_OQ);
    }
    return (struct row){_mm512_insertf32x8(_mm512_castps256_ps512(part[0]), part[1], 1),
                        _mm512_insertf32x8(_mm512_castps256_ps512(part[2]), part[3], 1), nan != 0,
                        rounded == 0};
}

static inline __attribute__((always_inline)) __m512i test(const struct mr_qs *q,
                                                          const struct row *r, size_t at, bool two,
                                                          bool ties, bool nan, __m512i *tie,
                                                          __m512i live) {
    /* The sign says where missing values go; the permutes read the low bits only. */
    __m512i f = _mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)(q->feature + at)));
    __m512 v = two ? _mm512_permutex2var_ps(r->f0, f, r->f1) : _mm512_permutexvar_ps(f, r->f0);
    __m512 t = _mm512_load_ps(q->t + at);
    if (ties)
        *tie = _mm512_min_epu32(*tie,
                                _mm512_xor_si512(_mm512_castps_si512(v), _mm512_castps_si512(t)));
    __mmask16 right = _mm512_cmp_ps_mask(v, t, _CMP_GT_OQ);
    if (nan)
        right |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) & _mm512_movepi32_mask(f);
    return _mm512_mask_and_epi32(live, right, live, _mm512_load_si512(q->mask + at));
}

static inline __m512i lowest_bit(__m512i live) {
    return _mm512_and_si512(live, _mm512_sub_epi32(_mm512_setzero_si512(), live));
}

/* Leaves left of the 16 trees of group g; the lowest is the exit. Two chains hide the latency of
 * the masks. */
static inline __attribute__((always_inline)) __m512i exits(const struct mr_qs *q, uint32_t g,
                                                           const struct row *r, bool two, bool ties,
                                                           bool nan, __m512i *tie) {
    __m512i a = _mm512_set1_epi32(-1), b = a;
    size_t at = (size_t)q->start[g] * 16, end = at + (size_t)q->steps[g] * 16;
    for (; at + 16 < end; at += 32) {
        a = test(q, r, at, two, ties, nan, tie, a);
        b = test(q, r, at + 16, two, ties, nan, tie, b);
    }
    if (at < end)
        a = test(q, r, at, two, ties, nan, tie, a);
    return _mm512_and_si512(a, b);
}

static inline __attribute__((always_inline)) bool qs_row(const struct mr_trees_prep *p,
                                                         const struct row *r, double *out,
                                                         uint32_t *leaf, bool two, bool ties,
                                                         bool nan, enum mr_trees_sum sum) {
    const struct mr_qs *q = &p->qs;
    const __m512i place = _mm512_slli_epi32(
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), 5);
    __m512d s = _mm512_setzero_pd(), u = s;
    uint32_t n = p->m.n_trees, count[16] = {0};
    __m512i tie = _mm512_set1_epi32(-1);
    for (uint32_t g = 0; g < q->n_groups; g++) {
        __m512i live = exits(q, g, r, two, ties, nan, &tie);
        if (sum == MR_SUM_COUNT) {
            __m512i bit = lowest_bit(live);
            const uint32_t *bits = q->class_bits + (size_t)g * p->m.n_out * 16;
            for (uint32_t k = 0; k < p->m.n_out; k++)
                count[k] += (uint32_t)__builtin_popcount(
                    _mm512_test_epi32_mask(bit, _mm512_load_si512(bits + (size_t)k * 16)));
            continue;
        }
        __m512i at = _mm512_add_epi32(lowest(live), place);
        if (sum == MR_SUM_ONE) {
            const double *v = q->value + (size_t)g * 512;
            s = _mm512_add_pd(s, _mm512_i32gather_pd(_mm512_castsi512_si256(at), v, 8));
            u = _mm512_add_pd(u, _mm512_i32gather_pd(_mm512_extracti64x4_epi64(at, 1), v, 8));
            continue;
        }
        __m512i num = _mm512_i32gather_epi32(at, q->number + (size_t)g * 512, 4);
        uint32_t tmp[16];
        _mm512_storeu_si512(tmp, num);
        for (uint32_t k = 0; k < 16 && 16 * g + k < n; k++)
            leaf[q->order[16 * g + k]] = tmp[k];
    }
    if (sum == MR_SUM_ONE)
        out[0] = _mm512_reduce_add_pd(_mm512_add_pd(s, u));
    for (uint32_t k = 0; sum == MR_SUM_COUNT && k < p->m.n_out; k++)
        out[k] = count[k];
    return !ties || _mm512_testn_epi32_mask(tie, tie) == 0;
}

/* The kind of sum as a constant, so that each kind gets a loop of its own. */
static inline __attribute__((always_inline)) bool by_sum(const struct mr_trees_prep *p,
                                                         const struct row *r, double *out,
                                                         uint32_t *leaf, bool two, bool ties,
                                                         bool nan) {
    switch (p->sum) {
    case MR_SUM_ONE:
        return qs_row(p, r, out, leaf, two, ties, nan, MR_SUM_ONE);
    case MR_SUM_COUNT:
        return qs_row(p, r, out, leaf, two, ties, nan, MR_SUM_COUNT);
    default:
        return qs_row(p, r, out, leaf, two, ties, nan, MR_SUM_LEAVES);
    }
}

/* Apart, so that the common case keeps its registers. */
static __attribute__((noinline)) bool
missing_row(const struct mr_trees_prep *p, const struct row *r, double *out, uint32_t *leaf) {
    return by_sum(p, r, out, leaf, true, true, true) || p->f32 || r->exact;
}

bool mr_qs_row_avx512(const struct mr_trees_prep *p, const double *x, double *out, uint32_t *leaf) {
    uint32_t n = p->m.n_features, zero = p->nan_zero_bits;
    bool two = n > 16;
    struct row r = p->f32 ? load_row(x, n, zero, true) : load_row(x, n, zero, false);
    if (r.missing)
        return p->nan_ok && missing_row(p, &r, out, leaf);
    if (p->f32 || r.exact)
        return two ? by_sum(p, &r, out, leaf, true, false, false)
                   : by_sum(p, &r, out, leaf, false, false, false);
    return two ? by_sum(p, &r, out, leaf, true, true, false)
               : by_sum(p, &r, out, leaf, false, true, false);
}

/* --- lane = row --------------------------------------------------------------------------------
 */

uint32_t mr_qs_cols_avx512(const struct mr_trees_prep *p, const double *x, size_t rows, float *tmp,
                           float *cols, bool *ret_exact) {
    uint32_t n = p->m.n_features, missing = 0;
    unsigned rounded = 0;
    for (size_t r = 0; r < rows; r++) {
        unsigned nan = 0;
        for (uint32_t f = 0; f < n; f += 8) {
            __mmask8 m = n - f >= 8 ? 0xff : (__mmask8)((1u << (n - f)) - 1);
            __m512d d = _mm512_maskz_loadu_pd(m, x + r * n + f);
            __m256 v = p->f32 ? _mm512_cvtpd_ps(d) : _mm512_cvt_roundpd_ps(d, DOWN);
            nan |= _mm512_cmp_pd_mask(d, d, _CMP_UNORD_Q);
            rounded |= _mm512_cmp_pd_mask(_mm512_cvtps_pd(v), d, _CMP_NEQ_UQ);
            _mm256_mask_storeu_ps(tmp + r * n + f, m, v);
        }
        missing |= (uint32_t)(nan != 0) << r;
    }
    __m512i row =
        _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                           _mm512_set1_epi32((int)n));
    __mmask16 used = rows >= 16 ? 0xffff : (__mmask16)((1u << rows) - 1);
    for (uint32_t f = 0; f < n; f++)
        _mm512_store_ps(cols + (size_t)f * 16,
                        _mm512_mask_i32gather_ps(_mm512_setzero_ps(), used, row, tmp + f, 4));
    *ret_exact = rounded == 0;
    return missing;
}

static inline __attribute__((always_inline)) uint32_t
clear_leaves(const struct mr_trees_prep *p, const float *cols, uint32_t *live, bool ties) {
    const struct mr_qs *q = &p->qs;
    __m512i tie = _mm512_set1_epi32(-1);
    for (uint32_t t = 0; t < p->m.n_trees; t++)
        _mm512_store_si512(live + (size_t)t * 16, _mm512_set1_epi32(-1));
    for (uint32_t f = 0; f < p->m.n_features; f++) {
        __m512 v = _mm512_load_ps(cols + (size_t)f * 16);
        for (uint32_t i = q->from[f]; i < q->from[f + 1]; i++) {
            struct mr_qs_node n = q->node[i];
            __m512 t = _mm512_set1_ps(n.t);
            __mmask16 right = _mm512_cmp_ps_mask(v, t, _CMP_GT_OQ);
            if (ties)
                tie = _mm512_min_epu32(
                    tie, _mm512_xor_si512(_mm512_castps_si512(v), _mm512_castps_si512(t)));
            if (!right)
                break;
            uint32_t *l = live + (size_t)n.tree * 16;
            __m512i old = _mm512_load_si512(l);
            _mm512_store_si512(
                l, _mm512_mask_and_epi32(old, right, old, _mm512_set1_epi32((int)n.mask)));
        }
    }
    return ties ? _mm512_testn_epi32_mask(tie, tie) : 0;
}

static void count_classes(const struct mr_trees_prep *p, const uint32_t *live, double *acc) {
    __m512i c[16];
    uint32_t n_out = p->m.n_out;
    for (uint32_t k = 0; k < n_out; k++)
        c[k] = _mm512_setzero_si512();
    for (uint32_t t = 0; t < p->m.n_trees; t++) {
        __m512i bit = lowest_bit(_mm512_load_si512(live + (size_t)t * 16));
        const uint32_t *bits = p->qs.row_class_bits + (size_t)t * n_out;
        for (uint32_t k = 0; k < n_out; k++)
            c[k] = _mm512_mask_add_epi32(
                c[k], _mm512_test_epi32_mask(bit, _mm512_set1_epi32((int)bits[k])), c[k],
                _mm512_set1_epi32(1));
    }
    for (uint32_t k = 0; k < n_out; k++) {
        _mm512_storeu_pd(acc + k * 16, _mm512_cvtepi32_pd(_mm512_castsi512_si256(c[k])));
        _mm512_storeu_pd(acc + k * 16 + 8, _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(c[k], 1)));
    }
}

/* Sums start from the bias and go on in the trees' order, as the libraries' do. */
static void add_values(const struct mr_trees_prep *p, const uint32_t *live, double *acc) {
    const struct mr_trees *m = &p->m;
    for (uint32_t k = 0; k < m->n_out * 16; k++)
        acc[k] = m->bias[k / 16];
    __m512d s = _mm512_loadu_pd(acc), u = _mm512_loadu_pd(acc + 8);
    for (uint32_t t = 0; t < m->n_trees; t++) {
        __m512i at = lowest(_mm512_load_si512(live + (size_t)t * 16));
        const double *v = p->qs.row_value + (size_t)t * 32;
        __m512d a = _mm512_i32gather_pd(_mm512_castsi512_si256(at), v, 8);
        __m512d b = _mm512_i32gather_pd(_mm512_extracti64x4_epi64(at, 1), v, 8);
        if (p->sum == MR_SUM_MANY) {
            double *to = acc + (size_t)m->tree_out[t] * 16;
            _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), a));
            _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), b));
        } else if (p->sum == MR_SUM_ONE) {
            s = _mm512_add_pd(s, a);
            u = _mm512_add_pd(u, b);
        } else { /* floats: exact in doubles, so rounding after each addition is float addition */
            s = _mm512_cvtps_pd(_mm512_cvtpd_ps(_mm512_add_pd(s, a)));
            u = _mm512_cvtps_pd(_mm512_cvtpd_ps(_mm512_add_pd(u, b)));
        }
    }
    if (p->sum != MR_SUM_MANY) {
        _mm512_storeu_pd(acc, s);
        _mm512_storeu_pd(acc + 8, u);
    }
}

uint32_t mr_qs_block_avx512(const struct mr_trees_prep *p, const float *cols, uint32_t *live,
                            double *acc, uint32_t *leaf) {
    uint32_t tie = p->f32 ? clear_leaves(p, cols, live, false) : clear_leaves(p, cols, live, true);
    if (p->sum == MR_SUM_COUNT)
        count_classes(p, live, acc);
    else if (p->sum != MR_SUM_LEAVES)
        add_values(p, live, acc);
    for (uint32_t t = 0; p->sum == MR_SUM_LEAVES && t < p->m.n_trees; t++) {
        __m512i at = lowest(_mm512_load_si512(live + (size_t)t * 16));
        _mm512_storeu_si512(leaf + (size_t)t * 16,
                            _mm512_i32gather_epi32(at, p->qs.row_number + (size_t)t * 32, 4));
    }
    return tie;
}
