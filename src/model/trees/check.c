/* Proves an ensemble's structure: indices in range, one parent each, children after parents. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "model/ops/util.h"
#include "model/trees/op.h"

#define MAX_SETS (1u << 26)

void mr_trees_view(const struct mr_op *op, uint32_t n_out, uint32_t n_features,
                   struct mr_trees *ret) {
    const struct mr_p_trees *p = op->params;
    *ret = (struct mr_trees){
        .n_trees = p->n_trees,
        .n_out = n_out,
        .n_features = n_features,
        .flags = p->flags,
        .cat = p->cat,
        .n_nodes = p->left.n,
        .n_leaves = p->leaf.n / (p->flags & MR_TREES_VECTOR ? n_out : 1),
        .divisor = p->divisor,
        .bias = mr_ref_f64(op, p->bias),
        .root = mr_ref_i32(op, p->root),
        .tree_out = mr_ref_u32(op, p->tree_out),
        .feature = mr_ref_u32(op, p->feature),
        .threshold = mr_ref_f64(op, p->threshold),
        .left = mr_ref_i32(op, p->left),
        .right = mr_ref_i32(op, p->right),
        .node_flag = mr_ref_u8(op, p->node_flag),
        .leaf = mr_ref_f64(op, p->leaf),
        .cat_off = mr_ref_u32(op, p->cat_off),
        .cat_word = mr_ref_u32(op, p->cat_word),
    };
}

static bool lengths_ok(const struct mr_op *op, const struct mr_p_trees *p, uint32_t n_out) {
    uint64_t n = p->left.n;
    bool vector = p->flags & MR_TREES_VECTOR;
    return n <= INT32_MAX && p->leaf.n <= (uint64_t)INT32_MAX * n_out && p->right.n == n &&
           p->feature.n == n && p->threshold.n == n && p->node_flag.n == n && p->bias.n == n_out &&
           p->root.n == p->n_trees && p->tree_out.n == (vector ? 0 : p->n_trees) &&
           (!vector || p->leaf.n % n_out == 0) && mr_ref_f64(op, p->bias) &&
           mr_ref_i32(op, p->root) && mr_ref_u32(op, p->tree_out) && mr_ref_u32(op, p->feature) &&
           mr_ref_f64(op, p->threshold) && mr_ref_i32(op, p->left) && mr_ref_i32(op, p->right) &&
           mr_ref_u8(op, p->node_flag) && mr_ref_f64(op, p->leaf) && mr_ref_u32(op, p->cat_off) &&
           mr_ref_u32(op, p->cat_word);
}

static bool sets_ok(const struct mr_trees *m, uint64_t n_off, uint64_t n_word) {
    if (m->cat == MR_CAT_NONE)
        return n_off == 0;
    if (m->cat > MR_CAT_XGBOOST || n_off == 0 || n_off % 2 == 0 || n_off > 2ull * MAX_SETS + 1)
        return false;
    for (uint64_t i = 0; i < n_off; i++)
        if (m->cat_off[i] > n_word || (i && m->cat_off[i] < m->cat_off[i - 1]))
            return false;
    return true;
}

/* Marks the child as having its parent; false when out of range, not after `parent`, or taken. */
static bool claim(const struct mr_trees *m, uint8_t *node, uint8_t *leaf, int32_t child,
                  int64_t parent) {
    uint8_t *seen;
    if (child >= 0) {
        if ((size_t)child >= m->n_nodes || child <= parent)
            return false;
        seen = &node[child];
    } else {
        if ((size_t)~child >= m->n_leaves)
            return false;
        seen = &leaf[~child];
    }
    return *seen ? false : (*seen = 1, true);
}

static int check_links(const struct mr_op *op, const struct mr_trees *m, uint64_t n_sets,
                       struct mr_err *e) {
    MR_AUTO_FREE uint8_t *node = mr_calloc(m->n_nodes + m->n_leaves + 1, 1);
    if (!node)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    uint8_t *leaf = node + m->n_nodes;
    for (uint32_t t = 0; t < m->n_trees; t++) {
        if (!claim(m, node, leaf, m->root[t], -1))
            return mr_op_bad(op, "a tree's root is out of range", e);
        if (!(m->flags & MR_TREES_VECTOR) && m->tree_out[t] >= m->n_out)
            return mr_op_bad(op, "a tree's output is out of range", e);
    }
    for (size_t i = 0; i < m->n_nodes; i++) {
        if (!claim(m, node, leaf, m->left[i], (int64_t)i) ||
            !claim(m, node, leaf, m->right[i], (int64_t)i))
            return mr_op_bad(op, "a node's child is out of range", e);
        if (m->feature[i] >= m->n_features || m->node_flag[i] & ~MR_NODE_FLAGS_)
            return mr_op_bad(op, "a node's feature is out of range", e);
        double t = m->threshold[i];
        if (m->node_flag[i] & MR_NODE_CATEGORY && !(t >= 0 && t < (double)n_sets))
            return mr_op_bad(op, "a node's category set is out of range", e);
        if (t != t)
            return mr_op_bad(op, "a threshold is not a number", e);
    }
    return 0;
}

int mr_trees_check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    int r = mr_op_inputs(op, slots, 1, MR_SLOT_DENSE, e);
    if (!r)
        r = mr_op_params(op, sizeof(struct mr_p_trees), e);
    if (r)
        return r;
    const struct mr_p_trees *p = op->params;
    const struct mr_slot_decl *in = &slots[op->in[0]], *out = &slots[op->out];
    if (out->kind != MR_SLOT_DENSE || !(p->divisor > 0 || p->divisor < 0) ||
        !lengths_ok(op, p, out->width))
        return mr_op_bad(op, "arrays do not fit", e);
    struct mr_trees m;
    mr_trees_view(op, out->width, in->width, &m);
    if (!sets_ok(&m, p->cat_off.n, p->cat_word.n))
        return mr_op_bad(op, "category sets do not fit", e);
    return check_links(op, &m, p->cat_off.n / 2, e);
}
