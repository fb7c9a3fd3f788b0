#include "model/ops/text.h"

#include <math.h>

int mr_text_check(const struct mr_op *op, const struct mr_text_params *p, struct mr_err *e) {
    if (p->kind < MR_TEXT_WORD || p->kind > MR_TEXT_CHAR_WB || p->strip > MR_STRIP_UNICODE ||
        p->lowercase > 1 || p->has_stop > 1 || p->min_n < 1 || p->min_n > p->max_n ||
        p->max_n > MR_TEXT_MAX_NGRAM)
        return mr_fail(e, MR_EREFUSED, "text operation: parameters out of range");
    struct mr_strtab stop;
    if (p->has_stop && !mr_ref_strtab(op, p->stop, &stop))
        return mr_fail(e, MR_EREFUSED, "text operation: broken stop words");
    const uint8_t *pat = mr_ref_u8(op, p->pattern);
    if (!pat)
        return mr_fail(e, MR_EREFUSED, "text operation: broken token pattern");
    if (p->kind != MR_TEXT_WORD)
        return 0;
    struct mr_pattern tmp;
    return mr_pattern_compile(mr_strn((const char *)pat, (size_t)p->pattern.n), &tmp, e);
}

int mr_text_prepare(const struct mr_op *op, const struct mr_text_params *p, struct mr_analyzer *ret,
                    struct mr_err *e) {
    memset(ret, 0, sizeof *ret);
    ret->kind = (uint8_t)p->kind;
    ret->strip = (uint8_t)p->strip;
    ret->lowercase = p->lowercase;
    ret->min_n = p->min_n;
    ret->max_n = p->max_n;
    if (p->kind == MR_TEXT_WORD) {
        struct mr_str s = {(const char *)mr_ref_u8(op, p->pattern), (size_t)p->pattern.n};
        int rc = mr_pattern_compile(s, &ret->pattern, e);
        if (rc)
            return rc;
    }
    mr_analyzer_ready(ret);
    if (p->has_stop && p->kind == MR_TEXT_WORD) {
        struct mr_strtab stop;
        if (!mr_ref_strtab(op, p->stop, &stop))
            return mr_fail(e, MR_EREFUSED, "text operation: broken stop words");
        int rc = mr_strset_init(&ret->stop, &stop, e);
        if (rc)
            return rc;
        ret->has_stop = true;
    }
    return 0;
}

void mr_text_release(struct mr_analyzer *a) {
    mr_strset_release(&a->stop);
}

int mr_tfidf_check(const struct mr_op *op, const struct mr_tfidf_params *p, uint32_t width,
                   struct mr_err *e) {
    if (p->sublinear > 1 || p->norm > MR_NORM_MAX || (p->idf.n && p->idf.n != width) ||
        !mr_ref_f64(op, p->idf))
        return mr_fail(e, MR_EREFUSED, "tf-idf: parameters out of range");
    return 0;
}

void mr_tfidf_row(bool sublinear, uint32_t norm, const double *idf, const uint32_t *index,
                  double *value, size_t n) {
    if (sublinear)
        for (size_t i = 0; i < n; i++)
            value[i] = value[i] == 1 ? 1 : log(value[i]) + 1;
    if (idf)
        for (size_t i = 0; i < n; i++)
            value[i] *= idf[index[i]];
    double sum = 0;
    switch (norm) {
    case MR_NORM_L1:
        for (size_t i = 0; i < n; i++)
            sum += fabs(value[i]);
        break;
    case MR_NORM_L2:
        for (size_t i = 0; i < n; i++)
            sum += value[i] * value[i];
        sum = sqrt(sum);
        break;
    case MR_NORM_MAX:
        for (size_t i = 0; i < n; i++)
            sum = fabs(value[i]) > sum ? fabs(value[i]) : sum;
        break;
    default:
        return;
    }
    if (sum != 0)
        for (size_t i = 0; i < n; i++)
            value[i] /= sum;
}

int mr_rows_init(struct mr_rows *r, struct mr_arena *arena, size_t rows, struct mr_err *e) {
    *r = (struct mr_rows){.arena = arena};
    r->start = rows < SIZE_MAX ? mr_arena_array(arena, rows + 1, sizeof *r->start) : NULL;
    if (!r->start)
        return mr_fail(e, MR_ETOOBIG, "the prediction needs more memory than it may use");
    r->start[0] = 0;
    return mr_rows_room(r, 64, e);
}

int mr_rows_room(struct mr_rows *r, size_t more, struct mr_err *e) {
    if (r->cap - r->n >= more)
        return 0;
    size_t cap = r->cap * 2 > r->n + more ? r->cap * 2 : r->n + more;
    uint32_t *index = mr_arena_array(r->arena, cap, sizeof *index);
    double *value = mr_arena_array(r->arena, cap, sizeof *value);
    if (!index || !value)
        return mr_fail(e, MR_ETOOBIG, "the prediction needs more memory than it may use");
    if (r->n) {
        memcpy(index, r->index, r->n * sizeof *index);
        memcpy(value, r->value, r->n * sizeof *value);
    }
    r->index = index;
    r->value = value;
    r->cap = cap;
    return 0;
}

void mr_rows_finish(const struct mr_rows *r, uint32_t width, struct mr_vec *out) {
    out->kind = MR_SLOT_SPARSE;
    out->width = width;
    out->sparse.start = r->start;
    out->sparse.index = r->index;
    out->sparse.value = r->value;
}

void mr_sort_u32(uint32_t *v, uint32_t *tmp, size_t n) {
    if (n <= 48) {
        for (size_t i = 1; i < n; i++) {
            uint32_t x = v[i];
            size_t k = i;
            for (; k > 0 && v[k - 1] > x; k--)
                v[k] = v[k - 1];
            v[k] = x;
        }
        return;
    }
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= v[i];
    uint32_t *from = v, *to = tmp;
    for (unsigned shift = 0; shift < 32 && any >> shift; shift += 8) {
        size_t at[257] = {0};
        for (size_t i = 0; i < n; i++)
            at[(from[i] >> shift & 255) + 1]++;
        for (int k = 0; k < 256; k++)
            at[k + 1] += at[k];
        for (size_t i = 0; i < n; i++)
            to[at[from[i] >> shift & 255]++] = from[i];
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != v)
        memcpy(v, from, n * sizeof *v);
}

/* MurmurHash3_x86_32, by its published description (Appleby, 2011). */
uint32_t mr_murmur3_32(const void *p, size_t n, uint32_t seed) {
    const uint8_t *s = p;
    const uint32_t c1 = 0xcc9e2d51, c2 = 0x1b873593;
    uint32_t h = seed, k;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        memcpy(&k, s + i, 4);
        k *= c1;
        k = (k << 15 | k >> 17) * c2;
        h ^= k;
        h = (h << 13 | h >> 19) * 5 + 0xe6546b64;
    }
    k = 0;
    for (size_t j = n; j > i; j--)
        k = k << 8 | s[j - 1];
    if (n > i) {
        k *= c1;
        h ^= (k << 15 | k >> 17) * c2;
    }
    h ^= (uint32_t)n;
    h = (h ^ h >> 16) * 0x85ebca6b;
    h = (h ^ h >> 13) * 0xc2b2ae35;
    return h ^ h >> 16;
}
