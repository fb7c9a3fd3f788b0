/* The reference walker: every kind of node, one step at a time. */
#include "model/trees/trees.h"

#include <math.h>

#define ZERO_THRESHOLD 1e-35f /* LightGBM: kZeroThreshold */
#define XGB_MAX_CAT    16777216.0

static bool in_set(const struct mr_trees *m, uint32_t list, uint32_t v) {
    uint32_t from = m->cat_off[list], words = m->cat_off[list + 1] - from;
    return v / 32 < words && (m->cat_word[from + v / 32] >> (v % 32) & 1);
}

static bool category_left(const struct mr_trees *m, size_t i, double x) {
    bool missing_left = m->node_flag[i] & MR_NODE_DEFAULT_LEFT;
    uint32_t set = (uint32_t)m->threshold[i];
    switch (m->cat) {
    case MR_CAT_LIGHTGBM:
        return x > -1 && x < 2147483648.0 && in_set(m, 2 * set, (uint32_t)x);
    case MR_CAT_SKLEARN: {
        if (!(x >= 0))
            return missing_left;
        /* scikit-learn narrows the value to a byte */
        uint32_t v = x < 2147483648.0 ? (uint32_t)x & 255 : 0;
        return in_set(m, 2 * set, v) || (!in_set(m, 2 * set + 1, v) && missing_left);
    }
    default:
        if (x != x)
            return missing_left;
        return x >= 0 && x < XGB_MAX_CAT && in_set(m, 2 * set, (uint32_t)x);
    }
}

static bool goes_left(const struct mr_trees *m, size_t i, double x) {
    uint8_t flag = m->node_flag[i];
    if (m->flags & MR_TREES_F32)
        x = (float)x;
    if (flag & MR_NODE_CATEGORY)
        return category_left(m, i, x);
    if (x != x) {
        if (!(flag & MR_NODE_NAN_IS_ZERO))
            return flag & MR_NODE_DEFAULT_LEFT;
        x = 0;
    }
    if ((flag & MR_NODE_ZERO_MISSING) && x >= -(double)ZERO_THRESHOLD &&
        x <= (double)ZERO_THRESHOLD)
        return flag & MR_NODE_DEFAULT_LEFT;
    return x <= m->threshold[i];
}

size_t mr_trees_walk(const struct mr_trees *m, uint32_t t, const double *x) {
    int32_t i = m->root[t];
    while (i >= 0)
        i = goes_left(m, (size_t)i, x[m->feature[i]]) ? m->left[i] : m->right[i];
    return (size_t)~i;
}

static void row_f32(const struct mr_trees *m, const double *x, double *out) {
    bool vector = m->flags & MR_TREES_VECTOR;
    for (uint32_t k = 0; k < m->n_out; k++)
        out[k] = (float)m->bias[k];
    for (uint32_t t = 0; t < m->n_trees; t++) {
        size_t leaf = mr_trees_walk(m, t, x);
        if (!vector)
            out[m->tree_out[t]] = (float)out[m->tree_out[t]] + (float)m->leaf[leaf];
        for (uint32_t k = 0; vector && k < m->n_out; k++)
            out[k] = (float)out[k] + (float)m->leaf[leaf * m->n_out + k];
    }
}

void mr_trees_row(const struct mr_trees *m, const double *x, double *out) {
    if (m->flags & MR_TREES_SUM_F32) {
        row_f32(m, x, out);
    } else {
        bool vector = m->flags & MR_TREES_VECTOR;
        memcpy(out, m->bias, m->n_out * sizeof *out);
        for (uint32_t t = 0; t < m->n_trees; t++) {
            size_t leaf = mr_trees_walk(m, t, x);
            if (!vector)
                out[m->tree_out[t]] += m->leaf[leaf];
            for (uint32_t k = 0; vector && k < m->n_out; k++)
                out[k] += m->leaf[leaf * m->n_out + k];
        }
    }
    for (uint32_t k = 0; k < m->n_out; k++)
        out[k] /= m->divisor;
}
