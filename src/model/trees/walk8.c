/* Branchless walk: eight trees at a time take a step each; a leaf is its own child. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "model/trees/prep.h"

#include <math.h>
#include <stdlib.h>

#define NARROW_NODES    (1u << 24)
#define NARROW_FEATURES 256u

struct place {
    int32_t node;
    uint32_t at, depth;
};

static void put(struct mr_walk *w, uint32_t at, float t, uint32_t left, uint32_t feature) {
    if (w->node)
        w->node[at] = (struct mr_walk_node){t, left << 8 | feature};
    else
        w->wide[at] = (struct mr_walk_wide){t, left, feature};
}

/* Lays out tree t from node *n on; returns its depth. Pairs of children stay together. */
static uint32_t lay(const struct mr_trees *m, struct mr_walk *w, uint32_t t, struct place *stack,
                    uint32_t *n) {
    uint32_t depth = 0, top = 0;
    stack[top++] = (struct place){m->root[t], (*n)++, 0};
    while (top) {
        struct place s = stack[--top];
        if (s.depth > depth)
            depth = s.depth;
        if (s.node < 0) {
            put(w, s.at, INFINITY, s.at, 0);
            w->leaf[s.at] = (uint32_t)~s.node;
            continue;
        }
        uint32_t left = *n;
        *n += 2;
        w->nan_right[s.at] = !(m->node_flag[s.node] & MR_NODE_DEFAULT_LEFT);
        put(w, s.at, mr_float_down(m->threshold[s.node]), left, m->feature[s.node]);
        stack[top++] = (struct place){m->right[s.node], left + 1, s.depth + 1};
        stack[top++] = (struct place){m->left[s.node], left, s.depth + 1};
    }
    return depth;
}

struct by_depth {
    uint32_t tree, depth, root;
};

static int compare(const void *a, const void *b) {
    const struct by_depth *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    return (x->tree > y->tree) - (x->tree < y->tree);
}

int mr_walk_build(struct mr_trees_prep *p, struct mr_err *e) {
    const struct mr_trees *m = &p->m;
    struct mr_walk *w = &p->walk;
    size_t total = m->n_nodes + m->n_leaves;
    bool narrow = total < NARROW_NODES && m->n_features <= NARROW_FEATURES;
    if (total >= UINT32_MAX / 2)
        return 0;
    MR_AUTO_FREE struct place *stack = mr_calloc(m->n_nodes + 2, sizeof *stack);
    MR_AUTO_FREE struct by_depth *trees = mr_calloc((size_t)m->n_trees + 1, sizeof *trees);
    if (narrow)
        w->node = mr_prep_alloc(p, total, sizeof *w->node);
    else
        w->wide = mr_prep_alloc(p, total, sizeof *w->wide);
    w->leaf = mr_prep_alloc(p, total, sizeof *w->leaf);
    w->nan_right = mr_prep_alloc(p, total, 1);
    w->root = mr_prep_alloc(p, m->n_trees, sizeof *w->root);
    w->depth = mr_prep_alloc(p, m->n_trees, sizeof *w->depth);
    w->order = mr_prep_alloc(p, m->n_trees, sizeof *w->order);
    if (!stack || !trees || !(w->node || w->wide) || !w->leaf || !w->nan_right || !w->root ||
        !w->depth || !w->order)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    uint32_t n = 0;
    for (uint32_t t = 0; t < m->n_trees; t++) {
        uint32_t root = n;
        trees[t] = (struct by_depth){t, lay(m, w, t, stack, &n), root};
    }
    qsort(trees, m->n_trees, sizeof *trees, compare);
    for (uint32_t i = 0; i < m->n_trees; i++) {
        w->root[i] = trees[i].root;
        w->depth[i] = trees[i].depth;
        w->order[i] = trees[i].tree;
    }
    w->n = total;
    p->has_walk = true;
    return 0;
}

static inline uint32_t step(const struct mr_walk_node *node, const float *x, uint32_t i,
                            uint32_t *tie, const uint8_t *nan_right) {
    struct mr_walk_node q = node[i];
    float v = x[q.link & 255];
    *tie |= v == q.t;
    uint32_t right = v > q.t;
    if (nan_right)
        right |= (uint32_t)(v != v) & nan_right[i];
    return (q.link >> 8) + right;
}

static inline uint32_t step_wide(const struct mr_walk_wide *node, const float *x, uint32_t i,
                                 uint32_t *tie, const uint8_t *nan_right) {
    struct mr_walk_wide q = node[i];
    float v = x[q.feature];
    *tie |= v == q.t;
    uint32_t right = v > q.t;
    if (nan_right)
        right |= (uint32_t)(v != v) & nan_right[i];
    return q.left + right;
}

/* The compiler keeps the eight walks in registers; ties cost nothing when they are not asked for.
 */
static inline __attribute__((always_inline)) bool walk(const struct mr_trees_prep *p,
                                                       const float *x, uint32_t *leaf, bool wide,
                                                       bool ties, bool missing) {
    const struct mr_walk *w = &p->walk;
    const uint8_t *nr = missing ? w->nan_right : NULL;
    uint32_t n = p->m.n_trees, t = 0, tie = 0, none = 0;
    uint32_t *seen = ties ? &tie : &none;
    for (; t + MR_WALK_TREES <= n; t += MR_WALK_TREES) {
        uint32_t i[MR_WALK_TREES], deepest = w->depth[t + MR_WALK_TREES - 1];
        for (uint32_t k = 0; k < MR_WALK_TREES; k++)
            i[k] = w->root[t + k];
        for (uint32_t d = 0; d < deepest; d++) {
            uint32_t moved = 0;
            for (uint32_t k = 0; k < MR_WALK_TREES; k++) {
                uint32_t j =
                    wide ? step_wide(w->wide, x, i[k], seen, nr) : step(w->node, x, i[k], seen, nr);
                moved |= j ^ i[k];
                i[k] = j;
            }
            if (!moved)
                break;
        }
        for (uint32_t k = 0; k < MR_WALK_TREES; k++)
            leaf[w->order[t + k]] = w->leaf[i[k]];
    }
    for (; t < n; t++) {
        uint32_t i = w->root[t];
        for (uint32_t d = 0; d < w->depth[t]; d++)
            i = wide ? step_wide(w->wide, x, i, seen, nr) : step(w->node, x, i, seen, nr);
        leaf[w->order[t]] = w->leaf[i];
    }
    return !(ties && tie);
}

bool mr_walk_row(const struct mr_trees_prep *p, const float *x, bool missing, uint32_t *leaf) {
    bool wide = !p->walk.node;
    if (missing)
        return wide ? walk(p, x, leaf, true, true, true) : walk(p, x, leaf, false, true, true);
    if (p->f32)
        return wide ? walk(p, x, leaf, true, false, false) : walk(p, x, leaf, false, false, false);
    return wide ? walk(p, x, leaf, true, true, false) : walk(p, x, leaf, false, true, false);
}
