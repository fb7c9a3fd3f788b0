#include "model/trees/prep.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <math.h>

MR_DEFINE_CLEANUP(struct mr_trees_prep *, mr_trees_prep_free);

enum mr_trees_level mr_trees_cpu(void) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vpopcntdq"))
        return MR_LEVEL_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
        return MR_LEVEL_AVX2;
    return MR_LEVEL_SCALAR;
}

void *mr_prep_alloc(struct mr_trees_prep *p, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - 128)
        return NULL;
    bytes = (bytes + 127) / 64 * 64;
    void *q = mr_aligned(64, bytes);
    if (q) {
        memset(q, 0, bytes);
        p->bytes += bytes;
    }
    return q;
}

void mr_trees_prep_free(struct mr_trees_prep *p) {
    if (!p)
        return;
    void *all[] = {p->qs.start,          p->qs.steps,      p->qs.t,          p->qs.mask,
                   p->qs.feature,        p->qs.order,      p->qs.value,      p->qs.row_value,
                   p->qs.number,         p->qs.row_number, p->qs.node,       p->qs.class_bits,
                   p->qs.row_class_bits, p->qs.from,       p->walk.node,     p->walk.wide,
                   p->walk.leaf,         p->walk.root,     p->walk.depth,    p->walk.order,
                   p->leaf_class,        p->nan_zero,      p->walk.nan_right};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mr_free(all[i]);
    mr_free(p);
}

/* Leaf vectors that are all one 1 and zeros from a bias of 0 can be counted. */
static bool countable(const struct mr_trees *m) {
    if (!(m->flags & MR_TREES_VECTOR) || m->flags & MR_TREES_SUM_F32 || m->n_out < 2 ||
        m->n_out > 16)
        return false;
    for (uint32_t k = 0; k < m->n_out; k++)
        if (m->bias[k] != 0)
            return false;
    for (size_t i = 0; i < m->n_leaves; i++) {
        uint32_t ones = 0;
        for (uint32_t k = 0; k < m->n_out; k++) {
            double v = m->leaf[i * m->n_out + k];
            if (v != 0 && v != 1)
                return false;
            ones += v == 1;
        }
        if (ones != 1)
            return false;
    }
    return true;
}

static int classes_of_leaves(struct mr_trees_prep *p) {
    const struct mr_trees *m = &p->m;
    p->leaf_class = mr_prep_alloc(p, m->n_leaves + 1, 1);
    if (!p->leaf_class)
        return MR_ENOMEM;
    for (size_t i = 0; i < m->n_leaves; i++)
        for (uint32_t k = 0; k < m->n_out; k++)
            if (m->leaf[i * m->n_out + k] == 1)
                p->leaf_class[i] = (uint8_t)k;
    return 0;
}

static enum mr_trees_sum sum_of(const struct mr_trees *m) {
    if (countable(m))
        return MR_SUM_COUNT;
    if (m->flags & MR_TREES_VECTOR)
        return MR_SUM_LEAVES;
    if (m->flags & MR_TREES_SUM_F32)
        return m->n_out == 1 ? MR_SUM_ONE_F32 : MR_SUM_LEAVES;
    return m->n_out == 1 ? MR_SUM_ONE : MR_SUM_MANY;
}

static bool plain_nodes(const struct mr_trees *m) {
    for (size_t i = 0; i < m->n_nodes; i++)
        if (m->node_flag[i] & (MR_NODE_CATEGORY | MR_NODE_ZERO_MISSING))
            return false;
    return true;
}

/* Columns whose missing values are read as 0, when all nodes of each column agree. */
static int missing_rules(struct mr_trees_prep *p) {
    const struct mr_trees *m = &p->m;
    enum { UNSEEN, NO, YES };
    p->nan_zero = mr_prep_alloc(p, (size_t)m->n_features + 1, 1);
    if (!p->nan_zero)
        return MR_ENOMEM;
    p->nan_ok = true;
    for (size_t i = 0; i < m->n_nodes; i++) {
        uint8_t rule = m->node_flag[i] & MR_NODE_NAN_IS_ZERO ? YES : NO, *at;
        at = &p->nan_zero[m->feature[i]];
        p->nan_ok &= *at == UNSEEN || *at == rule;
        *at = rule;
    }
    for (uint32_t f = 0; f < m->n_features; f++) {
        p->nan_zero[f] = p->nan_zero[f] == YES;
        if (f < 32)
            p->nan_zero_bits |= (uint32_t)p->nan_zero[f] << f;
    }
    return 0;
}

int mr_trees_prep_new(const struct mr_trees *m, enum mr_trees_level level,
                      struct mr_trees_prep **ret, struct mr_err *e) {
    MR_CLEANUP(mr_trees_prep_free_p) struct mr_trees_prep *p = mr_calloc(1, sizeof *p);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    p->m = *m;
    p->level = level;
    p->bytes = sizeof *p;
    p->f32 = m->flags & MR_TREES_F32;
    p->sum = sum_of(m);
    p->fast = level > MR_LEVEL_REFERENCE && m->n_nodes > 0 && plain_nodes(m);
    double depth = m->n_trees ? log2((double)m->n_leaves / m->n_trees + 1) : 1;
    p->row_ns = 10 + m->n_trees * depth * 2.5;
    if (p->sum == MR_SUM_COUNT && classes_of_leaves(p) < 0)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    if (p->fast && missing_rules(p) < 0)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = 0;
    if (p->fast && level >= MR_LEVEL_AVX2)
        r = mr_qs_build(p, e);
    if (!r && p->fast && !(p->has_qs && m->n_features <= MR_QS_FEATURES))
        r = mr_walk_build(p, e);
    if (r)
        return r;
    if (p->has_qs)
        p->row_ns = 20 + (double)m->n_nodes * 0.13;
    else if (p->has_walk)
        p->row_ns = 20 + m->n_trees * (depth + 2) * 1.8;
    *ret = MR_TAKE(p);
    return 0;
}
