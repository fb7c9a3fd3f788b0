/* Choosing a kernel for each row or block of rows, and adding up leaves. */
#include "model/trees/prep.h"

static void finish(const struct mr_trees *m, double *out) {
    for (uint32_t k = 0; k < m->n_out; k++)
        out[k] /= m->divisor;
}

/* Values of the leaves, tree by tree; leaf[t * step]. */
static void add_leaves(const struct mr_trees_prep *p, const uint32_t *leaf, size_t step,
                       double *out) {
    const struct mr_trees *m = &p->m;
    bool vector = m->flags & MR_TREES_VECTOR, f32 = m->flags & MR_TREES_SUM_F32;
    if (p->sum == MR_SUM_COUNT) {
        uint32_t count[16] = {0};
        for (uint32_t t = 0; t < m->n_trees; t++)
            count[p->leaf_class[leaf[t * step]]]++;
        for (uint32_t k = 0; k < m->n_out; k++)
            out[k] = count[k] / m->divisor;
        return;
    }
    for (uint32_t k = 0; k < m->n_out; k++)
        out[k] = f32 ? (float)m->bias[k] : m->bias[k];
    for (uint32_t t = 0; t < m->n_trees; t++) {
        const double *v = m->leaf + (size_t)leaf[t * step] * (vector ? m->n_out : 1);
        double *to = vector ? out : out + m->tree_out[t];
        for (uint32_t k = 0; k < (vector ? m->n_out : 1); k++)
            to[k] = f32 ? (float)to[k] + (float)v[k] : to[k] + v[k];
    }
    finish(m, out);
}

/* Leaves are numbers in `leaf`, or sums without bias are in `out` already. */
static void after_row(const struct mr_trees_prep *p, const uint32_t *leaf, double *out) {
    if (p->sum == MR_SUM_COUNT) {
        finish(&p->m, out);
    } else if (p->sum == MR_SUM_ONE) {
        out[0] += p->m.bias[0];
        finish(&p->m, out);
    } else {
        add_leaves(p, leaf, 1, out);
    }
}

static void walk_one(const struct mr_trees_prep *p, const double *x, float *row, uint32_t *leaf,
                     double *out) {
    bool missing = false, exact = true;
    for (uint32_t f = 0; f < p->m.n_features; f++) {
        double v = x[f];
        if (v != v) {
            v = p->nan_zero[f] ? 0 : v;
            missing |= !p->nan_zero[f];
        }
        row[f] = p->f32 ? (float)v : mr_float_down(v);
        exact &= (double)row[f] == v || v != v;
    }
    if ((!missing || p->nan_ok) && (mr_walk_row(p, row, missing, leaf) || p->f32 || exact))
        add_leaves(p, leaf, 1, out);
    else
        mr_trees_row(&p->m, x, out);
}

static void one(const struct mr_trees_prep *p, const double *x, float *row, uint32_t *leaf,
                double *out) {
    if (p->has_walk) {
        walk_one(p, x, row, leaf, out);
        return;
    }
    bool ok = p->level == MR_LEVEL_AVX512 ? mr_qs_row_avx512(p, x, out, leaf)
                                          : mr_qs_row_avx2(p, x, out, leaf);
    if (ok)
        after_row(p, leaf, out);
    else
        mr_trees_row(&p->m, x, out);
}

struct block {
    float *cols, *tmp;
    uint32_t *live, *leaf;
    double *acc;
    float *row; /* for single rows among them */
    uint32_t *one_leaf;
};

/* Columns of up to `lanes` rows as floats; returns the rows with missing values as bits and whether
 * all values are floats. */
static uint32_t transpose(const struct mr_trees_prep *p, const double *x, size_t rows,
                          uint32_t lanes, float *cols, bool *ret_exact) {
    uint32_t missing = 0, n = p->m.n_features;
    bool exact = true;
    for (size_t r = 0; r < rows; r++) {
        const double *v = x + r * n;
        bool nan = false;
        for (uint32_t f = 0; f < n; f++) {
            float y = (float)v[f];
            nan |= v[f] != v[f];
            exact &= (double)y == v[f];
            cols[(size_t)f * lanes + r] = y;
        }
        missing |= (uint32_t)nan << r;
    }
    for (size_t r = 0; !p->f32 && !exact && r < rows; r++)
        for (uint32_t f = 0; f < n; f++)
            cols[(size_t)f * lanes + r] = mr_float_down(x[r * n + f]);
    *ret_exact = exact;
    return missing;
}

static void run_block(const struct mr_trees_prep *p, const double *x, size_t rows,
                      const struct block *b, double *out) {
    uint32_t lanes = p->qs.lanes, n_out = p->m.n_out;
    bool exact;
    uint32_t slow = lanes == 16 ? mr_qs_cols_avx512(p, x, rows, b->tmp, b->cols, &exact)
                                : transpose(p, x, rows, lanes, b->cols, &exact);
    uint32_t tie = lanes == 16 ? mr_qs_block_avx512(p, b->cols, b->live, b->acc, b->leaf)
                               : mr_qs_block_avx2(p, b->cols, b->live, b->acc, b->leaf);
    if (!p->f32 && !exact)
        slow |= tie;
    for (size_t r = 0; r < rows; r++, out += n_out, x += p->m.n_features) {
        if (slow >> r & 1) {
            one(p, x, b->row, b->one_leaf, out);
        } else if (p->sum == MR_SUM_LEAVES) {
            add_leaves(p, b->leaf + r, lanes, out);
        } else {
            for (uint32_t k = 0; k < n_out; k++)
                out[k] = b->acc[(size_t)k * lanes + r];
            finish(&p->m, out);
        }
    }
}

static void *aligned(struct mr_arena *a, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - 64)
        return NULL;
    char *p = mr_arena_alloc(a, bytes + 64);
    return p ? p + (-(uintptr_t)p & 63) : NULL;
}

static int blocks(const struct mr_trees_prep *p, const double *x, size_t *rows, double *out,
                  struct mr_arena *scratch) {
    uint32_t lanes = p->qs.lanes, n = p->m.n_trees;
    struct block b = {.cols = aligned(scratch, (size_t)p->m.n_features * lanes, sizeof(float)),
                      .tmp = aligned(scratch, (size_t)p->m.n_features * lanes, sizeof(float)),
                      .row = aligned(scratch, p->m.n_features, sizeof(float)),
                      .one_leaf = aligned(scratch, n, sizeof(uint32_t)),
                      .live = aligned(scratch, (size_t)n * lanes, sizeof(uint32_t)),
                      .acc = aligned(scratch, (size_t)p->m.n_out * lanes, sizeof(double)),
                      .leaf = aligned(scratch, p->sum == MR_SUM_LEAVES ? (size_t)n * lanes : 1,
                                      sizeof(uint32_t))};
    size_t done = 0;
    if (!b.cols || !b.tmp || !b.live || !b.row || !b.one_leaf || !b.acc || !b.leaf)
        return MR_ENOMEM;
    memset(b.cols, 0, (size_t)p->m.n_features * lanes * sizeof(float));
    while (*rows - done >= lanes * 3 / 4) {
        size_t k = *rows - done < lanes ? *rows - done : lanes;
        run_block(p, x + done * p->m.n_features, k, &b, out + done * p->m.n_out);
        done += k;
    }
    *rows -= done;
    return 0;
}

int mr_trees_run(const struct mr_trees_prep *p, const double *x, size_t rows, double *out,
                 struct mr_arena *scratch, struct mr_err *e) {
    const struct mr_trees *m = &p->m;
    if (!p->fast || (!p->has_qs && !p->has_walk)) {
        for (size_t i = 0; i < rows; i++)
            mr_trees_row(m, x + i * m->n_features, out + i * m->n_out);
        return 0;
    }
    if (p->has_qs && rows >= p->qs.lanes * 3 / 4) {
        size_t left = rows;
        if (blocks(p, x, &left, out, scratch))
            return mr_fail(e, MR_ENOMEM, "%zu rows need more memory than this model may use", rows);
        x += (rows - left) * m->n_features;
        out += (rows - left) * m->n_out;
        rows = left;
    }
    uint32_t *leaf = mr_arena_array(scratch, m->n_trees, sizeof *leaf);
    float *row = p->has_walk ? mr_arena_array(scratch, m->n_features, sizeof *row) : NULL;
    if (!leaf || (p->has_walk && !row))
        return mr_fail(e, MR_ENOMEM, "%zu rows need more memory than this model may use", rows);
    for (size_t i = 0; i < rows; i++)
        one(p, x + i * m->n_features, row, leaf, out + i * m->n_out);
    return 0;
}
