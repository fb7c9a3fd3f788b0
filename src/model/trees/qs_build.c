/* QuickScorer layouts. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "model/trees/prep.h"

#include <math.h>
#include <stdlib.h>

#define MAX_TABLE    (64u << 20) /* bytes of leaf tables; larger ensembles walk */
#define MAX_FEATURES 4096u       /* wider rows are not worth turning into columns */

struct tree_info {
    uint32_t tree, nodes, leaves;
};

/* Walks one tree left to right: numbers its leaves and gives each node its mask. Trees of more than
 * 32 leaves end the walk early. */
struct visit {
    const struct mr_trees *m;
    uint32_t n_leaves, n_nodes;
    uint32_t leaf[MR_QS_LEAVES]; /* leaf numbers of the ensemble */
    uint32_t node[MR_QS_LEAVES]; /* node numbers */
    uint32_t mask[MR_QS_LEAVES];
};

struct step {
    int32_t node;
    uint32_t first; /* leaves seen when the node was entered */
    uint8_t stage;  /* 0: enter, 1: left done */
};

static bool visit_tree(struct visit *v, uint32_t t) {
    struct step stack[MR_QS_LEAVES + 2];
    uint32_t n = 0, at[MR_QS_LEAVES + 2] = {0};
    v->n_leaves = v->n_nodes = 0;
    stack[n++] = (struct step){v->m->root[t], 0, 0};
    while (n) {
        struct step *s = &stack[n - 1];
        if (s->node < 0) {
            if (v->n_leaves == MR_QS_LEAVES)
                return false;
            v->leaf[v->n_leaves++] = (uint32_t)~s->node;
            n--;
        } else if (s->stage == 0) {
            if (v->n_nodes == MR_QS_LEAVES || n > MR_QS_LEAVES)
                return false;
            s->stage = 1;
            s->first = v->n_leaves;
            at[n - 1] = v->n_nodes;
            v->node[v->n_nodes++] = (uint32_t)s->node;
            stack[n++] = (struct step){v->m->left[s->node], 0, 0};
        } else {
            uint32_t width = v->n_leaves - s->first;
            uint32_t left = width >= 32 ? UINT32_MAX : ((1u << width) - 1) << s->first;
            v->mask[at[n - 1]] = ~left;
            *s = (struct step){v->m->right[s->node], 0, 0};
        }
    }
    return true;
}

static int by_nodes(const void *a, const void *b) {
    const struct tree_info *x = a, *y = b;
    if (x->nodes != y->nodes)
        return x->nodes < y->nodes ? -1 : 1;
    return (x->tree > y->tree) - (x->tree < y->tree);
}

/* Leaf tables at place i of a layout. */
static void fill_leaves(struct mr_trees_prep *p, const struct visit *v, double *value,
                        int32_t *number, size_t i) {
    for (uint32_t k = 0; k < v->n_leaves; k++) {
        uint32_t leaf = v->leaf[k];
        if (value)
            value[i * MR_QS_LEAVES + k] = p->m.leaf[leaf];
        number[i * MR_QS_LEAVES + k] =
            p->sum == MR_SUM_COUNT ? (int32_t)p->leaf_class[leaf] : (int32_t)leaf;
    }
}

/* Leaves of each class as bits: v's tree at bits[k * step]. */
static void fill_class_bits(struct mr_trees_prep *p, const struct visit *v, uint32_t *bits,
                            size_t step) {
    for (uint32_t k = 0; k < v->n_leaves; k++)
        bits[p->leaf_class[v->leaf[k]] * step] |= 1u << k;
}

static int groups(struct mr_trees_prep *p, const struct tree_info *info) {
    struct mr_qs *q = &p->qs;
    const struct mr_trees *m = &p->m;
    uint32_t lanes = q->lanes, rows = 0;
    q->n_groups = (m->n_trees + lanes - 1) / lanes;
    q->start = mr_prep_alloc(p, q->n_groups, sizeof *q->start);
    q->steps = mr_prep_alloc(p, q->n_groups, sizeof *q->steps);
    if (!q->start || !q->steps)
        return MR_ENOMEM;
    for (uint32_t g = 0; g < q->n_groups; g++) {
        uint32_t last = (g + 1) * lanes < m->n_trees ? (g + 1) * lanes : m->n_trees;
        q->start[g] = rows;
        q->steps[g] = info[last - 1].nodes;
        rows += q->steps[g];
    }
    size_t n = (size_t)rows * lanes, places = (size_t)q->n_groups * lanes;
    q->t = mr_prep_alloc(p, n, sizeof *q->t);
    q->mask = mr_prep_alloc(p, n, sizeof *q->mask);
    q->feature = mr_prep_alloc(p, n, 1);
    q->order = mr_prep_alloc(p, places, sizeof *q->order);
    q->number = mr_prep_alloc(p, places * MR_QS_LEAVES, sizeof *q->number);
    if (p->sum == MR_SUM_ONE || p->sum == MR_SUM_ONE_F32)
        q->value = mr_prep_alloc(p, places * MR_QS_LEAVES, sizeof *q->value);
    if (p->sum == MR_SUM_COUNT)
        q->class_bits = mr_prep_alloc(p, places * m->n_out, sizeof *q->class_bits);
    if (!q->t || !q->mask || !q->feature || !q->order || !q->number ||
        (p->sum == MR_SUM_ONE && !q->value) || (p->sum == MR_SUM_COUNT && !q->class_bits))
        return MR_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        q->t[i] = INFINITY;
        q->mask[i] = UINT32_MAX;
    }
    struct visit v = {.m = m};
    for (uint32_t i = 0; i < m->n_trees; i++) {
        if (!visit_tree(&v, info[i].tree))
            return MR_EINTERNAL;
        q->order[i] = info[i].tree;
        fill_leaves(p, &v, q->value, q->number, i);
        if (p->sum == MR_SUM_COUNT)
            fill_class_bits(
                p, &v, q->class_bits + (size_t)(i / lanes) * m->n_out * lanes + i % lanes, lanes);
        for (uint32_t k = 0; k < v.n_nodes; k++) {
            size_t at = ((size_t)q->start[i / lanes] + k) * lanes + i % lanes;
            q->t[at] = mr_float_down(m->threshold[v.node[k]]);
            q->mask[at] = v.mask[k];
            bool left = m->node_flag[v.node[k]] & MR_NODE_DEFAULT_LEFT;
            q->feature[at] = (uint8_t)(m->feature[v.node[k]] | (left ? 0 : MR_QS_NAN_RIGHT));
        }
    }
    return 0;
}

struct sorted {
    struct mr_qs_node n;
    uint32_t feature;
};

static int by_feature(const void *a, const void *b) {
    const struct sorted *x = a, *y = b;
    if (x->feature != y->feature)
        return x->feature < y->feature ? -1 : 1;
    return (x->n.t > y->n.t) - (x->n.t < y->n.t);
}

/* Nodes by feature with ascending thresholds: lane = row. */
static int by_row(struct mr_trees_prep *p) {
    struct mr_qs *q = &p->qs;
    const struct mr_trees *m = &p->m;
    MR_AUTO_FREE struct sorted *all = mr_calloc(m->n_nodes + 1, sizeof *all);
    q->node = mr_prep_alloc(p, m->n_nodes, sizeof *q->node);
    q->from = mr_prep_alloc(p, (size_t)m->n_features + 2, sizeof *q->from);
    q->row_number = mr_prep_alloc(p, (size_t)m->n_trees * MR_QS_LEAVES, sizeof *q->row_number);
    if (p->sum == MR_SUM_COUNT)
        q->row_class_bits = mr_prep_alloc(p, (size_t)m->n_trees * m->n_out, sizeof(uint32_t));
    if (!(m->flags & MR_TREES_VECTOR))
        q->row_value = mr_prep_alloc(p, (size_t)m->n_trees * MR_QS_LEAVES, sizeof *q->row_value);
    if (!all || !q->node || !q->from || !q->row_number ||
        (!(m->flags & MR_TREES_VECTOR) && !q->row_value) ||
        (p->sum == MR_SUM_COUNT && !q->row_class_bits))
        return MR_ENOMEM;
    struct visit v = {.m = m};
    size_t n = 0;
    for (uint32_t t = 0; t < m->n_trees; t++) {
        if (!visit_tree(&v, t) || n + v.n_nodes > m->n_nodes)
            return MR_EINTERNAL;
        fill_leaves(p, &v, q->row_value, q->row_number, t);
        if (p->sum == MR_SUM_COUNT)
            fill_class_bits(p, &v, q->row_class_bits + (size_t)t * m->n_out, 1);
        for (uint32_t k = 0; k < v.n_nodes; k++)
            all[n++] = (struct sorted){{mr_float_down(m->threshold[v.node[k]]), v.mask[k], t},
                                       m->feature[v.node[k]]};
    }
    qsort(all, n, sizeof *all, by_feature);
    for (size_t i = 0; i < n; i++) {
        q->node[i] = all[i].n;
        q->from[all[i].feature + 1]++;
    }
    for (uint32_t f = 0; f < m->n_features; f++)
        q->from[f + 1] += q->from[f];
    return 0;
}

int mr_qs_build(struct mr_trees_prep *p, struct mr_err *e) {
    const struct mr_trees *m = &p->m;
    size_t table = (size_t)m->n_trees * MR_QS_LEAVES * (sizeof(double) + sizeof(int32_t));
    if (m->n_trees == 0 || table > MAX_TABLE || m->n_features > MAX_FEATURES)
        return 0;
    MR_AUTO_FREE struct tree_info *info = mr_calloc(m->n_trees, sizeof *info);
    if (!info)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    struct visit v = {.m = m};
    for (uint32_t t = 0; t < m->n_trees; t++) {
        if (!visit_tree(&v, t))
            return 0; /* too many leaves */
        info[t] = (struct tree_info){t, v.n_nodes, v.n_leaves};
    }
    qsort(info, m->n_trees, sizeof *info, by_nodes);
    p->qs.lanes = p->level == MR_LEVEL_AVX512 ? 16 : 8;
    int r = m->n_features <= MR_QS_FEATURES ? groups(p, info) : 0;
    if (!r)
        r = by_row(p);
    if (r)
        return mr_fail(e, r, r == MR_ENOMEM ? "out of memory" : "the trees changed while read");
    p->has_qs = true;
    return 0;
}
