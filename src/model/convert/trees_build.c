#include "model/convert/trees_build.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "model/op_ids.h"
#include "model/ops/params.h"

#define MAX_NODES 200000000u

static int no_memory(struct mr_err *e) {
    return mr_fail(e, MR_ENOMEM, "out of memory while reading the model's trees");
}

/* Room for one more item in each of the arrays that share a capacity. */
static bool grow(void *arr, size_t cap, size_t size) {
    void **p = arr;
    void *q = mr_reallocarray(*p, cap, size);
    if (q)
        *p = q;
    return q != NULL;
}

int mr_tb_init(struct mr_tree_builder *tb, uint32_t n_out, uint32_t n_features, uint32_t flags,
               struct mr_err *e) {
    *tb = (struct mr_tree_builder){.n_out = n_out, .n_features = n_features, .flags = flags};
    tb->leaf_width = flags & MR_TREES_VECTOR ? n_out : 1;
    if (n_out == 0 || n_out > MR_MAX_WIDTH)
        return mr_fail(e, MR_EREFUSED, "a tree ensemble with %u outputs", n_out);
    tb->bias = mr_calloc(n_out, sizeof(double));
    return tb->bias ? 0 : no_memory(e);
}

void mr_tb_release(struct mr_tree_builder *tb) {
    void *all[] = {tb->bias,      tb->root, tb->left,      tb->right,   tb->tree_out, tb->feature,
                   tb->threshold, tb->leaf, tb->node_flag, tb->cat_off, tb->cat_word};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mr_free(all[i]);
    *tb = (struct mr_tree_builder){0};
}

static bool room_node(struct mr_tree_builder *tb) {
    if (tb->n_nodes < tb->cap_nodes)
        return true;
    size_t cap = tb->cap_nodes ? tb->cap_nodes * 2 : 1024;
    if (cap > MAX_NODES || !grow(&tb->left, cap, 4) || !grow(&tb->right, cap, 4) ||
        !grow(&tb->feature, cap, 4) || !grow(&tb->threshold, cap, 8) ||
        !grow(&tb->node_flag, cap, 1))
        return false;
    tb->cap_nodes = cap;
    return true;
}

static bool room_leaf(struct mr_tree_builder *tb) {
    if (tb->n_leaves < tb->cap_leaves)
        return true;
    size_t cap = tb->cap_leaves ? tb->cap_leaves * 2 : 1024;
    if (cap > MAX_NODES || !grow(&tb->leaf, cap, sizeof(double) * tb->leaf_width))
        return false;
    tb->cap_leaves = cap;
    return true;
}

static bool room_tree(struct mr_tree_builder *tb) {
    if (tb->n_trees < tb->cap_trees)
        return true;
    size_t cap = tb->cap_trees ? tb->cap_trees * 2 : 256;
    if (cap > MAX_NODES || !grow(&tb->root, cap, 4) || !grow(&tb->tree_out, cap, 4))
        return false;
    tb->cap_trees = cap;
    return true;
}

/* A node still to be placed and where its number goes. */
struct todo {
    int64_t node;
    int64_t parent; /* our number, -1 for the root */
    bool right;
};

static void link_child(struct mr_tree_builder *tb, const struct todo *t, int32_t number) {
    if (t->parent < 0)
        tb->root[tb->n_trees] = number;
    else if (t->right)
        tb->right[t->parent] = number;
    else
        tb->left[t->parent] = number;
}

static int add_leaf(struct mr_tree_builder *tb, const struct mr_tree_src *s, const struct todo *t,
                    struct mr_err *e) {
    if (!room_leaf(tb))
        return no_memory(e);
    const double *v = s->value + (size_t)t->node * tb->leaf_width;
    memcpy(tb->leaf + tb->n_leaves * tb->leaf_width, v, tb->leaf_width * sizeof *v);
    link_child(tb, t, ~(int32_t)tb->n_leaves);
    tb->n_leaves++;
    return 0;
}

static int add_node(struct mr_tree_builder *tb, const struct mr_tree_src *s, const struct todo *t,
                    struct mr_err *e) {
    int64_t f = s->feature[t->node];
    if (s->map && f >= 0)
        f = (size_t)f < s->n_map ? (int64_t)s->map[f] : -1;
    if (f < 0 || f >= tb->n_features)
        return mr_fail(e, MR_EREFUSED, "a tree splits on column %lld of %u", (long long)f,
                       tb->n_features);
    double x = s->threshold[t->node];
    if (x != x)
        return mr_fail(e, MR_EREFUSED, "a tree has a threshold that is not a number");
    if (!room_node(tb))
        return no_memory(e);
    size_t i = tb->n_nodes++;
    tb->feature[i] = (uint32_t)f;
    tb->threshold[i] = x;
    tb->node_flag[i] = s->flags ? s->flags[t->node] : 0;
    link_child(tb, t, (int32_t)i);
    return 0;
}

/* Places nodes in depth-first order, left first. */
static int place(struct mr_tree_builder *tb, const struct mr_tree_src *s, struct todo *stack,
                 uint8_t *seen, struct mr_err *e) {
    size_t n = 0;
    stack[n++] = (struct todo){0, -1, false};
    seen[0] = 1;
    while (n) {
        struct todo t = stack[--n];
        bool leaf = s->left[t.node] < 0;
        int r = leaf ? add_leaf(tb, s, &t, e) : add_node(tb, s, &t, e);
        if (r)
            return r;
        if (leaf)
            continue;
        int64_t child[2] = {s->right[t.node], s->left[t.node]};
        for (int k = 0; k < 2; k++) {
            if (child[k] <= 0 || (size_t)child[k] >= s->n || seen[child[k]])
                return mr_fail(e, MR_EREFUSED, "a tree's nodes are linked wrongly");
            seen[child[k]] = 1;
            stack[n++] = (struct todo){child[k], (int64_t)tb->n_nodes - 1, k == 0};
        }
    }
    return 0;
}

int mr_tb_add(struct mr_tree_builder *tb, const struct mr_tree_src *s, uint32_t out,
              struct mr_err *e) {
    if (s->n == 0 || s->n > MAX_NODES || out >= tb->n_out)
        return mr_fail(e, MR_EREFUSED, "a tree is empty or too large");
    MR_AUTO_FREE struct todo *stack = mr_calloc(s->n + 1, sizeof *stack);
    MR_AUTO_FREE uint8_t *seen = mr_calloc(s->n, 1);
    if (!stack || !seen || !room_tree(tb))
        return no_memory(e);
    int r = place(tb, s, stack, seen, e);
    if (r)
        return r;
    tb->tree_out[tb->n_trees++] = out;
    return 0;
}

static bool words(struct mr_tree_builder *tb, const uint32_t *v, size_t n) {
    while (tb->cap_word < tb->n_word + n) {
        size_t cap = tb->cap_word ? tb->cap_word * 2 : 256;
        if (cap > MAX_NODES || !grow(&tb->cat_word, cap, 4))
            return false;
        tb->cap_word = cap;
    }
    if (tb->n_off + 2 > tb->cap_off) {
        size_t cap = tb->cap_off ? tb->cap_off * 2 : 64;
        if (cap > MAX_NODES || !grow(&tb->cat_off, cap, 4))
            return false;
        tb->cap_off = cap;
    }
    if (tb->n_off == 0)
        tb->cat_off[tb->n_off++] = 0;
    if (n)
        memcpy(tb->cat_word + tb->n_word, v, n * sizeof *v);
    tb->n_word += n;
    tb->cat_off[tb->n_off++] = (uint32_t)tb->n_word;
    return true;
}

int64_t mr_tb_set(struct mr_tree_builder *tb, const uint32_t *v, size_t n, const uint32_t *known,
                  size_t n_known, struct mr_err *e) {
    if (!words(tb, v, n) || !words(tb, known, n_known))
        return no_memory(e);
    return (int64_t)(tb->n_off - 1) / 2 - 1;
}

uint32_t mr_tb_op(struct mr_tree_builder *tb, struct mr_convert *c, uint32_t in, double divisor) {
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, tb->n_out);
    struct mr_p_trees p = {.n_trees = (uint32_t)tb->n_trees,
                           .flags = tb->flags,
                           .cat = tb->n_off ? tb->cat : MR_CAT_NONE,
                           .divisor = divisor};
    struct mr_blob b;
    mr_blob_begin(c->b, &b, sizeof p);
    p.bias = mr_blob_f64(&b, tb->bias, tb->n_out);
    p.root = mr_blob_i32(&b, tb->root, tb->n_trees);
    p.tree_out = mr_blob_u32(&b, tb->tree_out, tb->flags & MR_TREES_VECTOR ? 0 : tb->n_trees);
    p.feature = mr_blob_u32(&b, tb->feature, tb->n_nodes);
    p.threshold = mr_blob_f64(&b, tb->threshold, tb->n_nodes);
    p.left = mr_blob_i32(&b, tb->left, tb->n_nodes);
    p.right = mr_blob_i32(&b, tb->right, tb->n_nodes);
    p.node_flag = mr_blob_bytes(&b, tb->node_flag, tb->n_nodes);
    p.leaf = mr_blob_f64(&b, tb->leaf, tb->n_leaves * tb->leaf_width);
    p.cat_off = mr_blob_u32(&b, tb->cat_off, tb->n_off);
    p.cat_word = mr_blob_u32(&b, tb->cat_word, tb->n_word);
    memcpy(mr_blob_head(&b), &p, sizeof p);
    mr_build_op(c->b, MR_OP_TREES, &in, 1, out, &b);
    return out;
}
