/* Linear, MLP, Gaussian, centre and calibration operations on cases worked out by hand, and
 * parameter blobs that must not pass check(). */
#include "model/op_ids.h"
#include "model/ops/dense_kernel.h"
#include "model/ops/linear_params.h"
#include "op_test.h"

static struct op_test t;

static void linear(uint32_t n_in, uint32_t n_out, const double *w, const double *b) {
    uint32_t s = mr_linear_stride(n_out);
    op_begin(&t, MR_OP_LINEAR, sizeof(struct mr_linear_params));
    double pw[4096] = {0}, pb[64] = {0};
    for (uint32_t j = 0; j < n_in; j++)
        for (uint32_t k = 0; k < n_out; k++)
            pw[j * s + k] = w[j * n_out + k];
    for (uint32_t k = 0; k < n_out; k++)
        pb[k] = b[k];
    struct mr_linear_params *p = (void *)t.blob;
    p->n_in = n_in;
    p->n_out = n_out;
    p->stride = s;
    p->w = op_put(&t, pw, (size_t)n_in * s, 8);
    p->b = op_put(&t, pb, s, 8);
}

/* Every width class (1, 4, wide, wide with 32-column blocks), one to nine rows, against a plain
 * loop. */
MR_TEST(linear_shapes) {
    static const uint32_t outs[] = {1, 2, 4, 5, 8, 9, 30, 32, 33, 57};
    double w[57 * 19], b[57], x[9 * 19];
    for (size_t i = 0; i < sizeof w / 8; i++)
        w[i] = sin((double)i * 1.7);
    for (size_t i = 0; i < sizeof x / 8; i++)
        x[i] = cos((double)i * 0.9) * 10;
    for (size_t i = 0; i < 57; i++)
        b[i] = (double)i / 3;
    for (size_t o = 0; o < sizeof outs / 4; o++)
        for (uint32_t n_in = 1; n_in <= 19; n_in += 6)
            for (size_t rows = 1; rows <= 9; rows += 2) {
                uint32_t n_out = outs[o];
                linear(n_in, n_out, w, b);
                CHECK_INT(op_check(&t, n_in, n_out), 0);
                const double *y = op_run(&t, x, rows);
                for (size_t r = 0; r < rows; r++)
                    for (uint32_t k = 0; k < n_out; k++) {
                        double s = b[k];
                        for (uint32_t j = 0; j < n_in; j++)
                            s += w[j * n_out + k] * x[r * n_in + j];
                        CHECK_NEAR(y[r * n_out + k], s, 1e-13);
                    }
                op_end(&t);
            }
}

MR_TEST(linear_sparse_and_binarize) {
    linear(3, 2, (const double[]){1, 10, 2, 20, 3, 30}, (const double[]){0.5, -0.5});
    struct mr_linear_params *p = (void *)t.blob;
    p->flags = MR_LINEAR_BINARIZE;
    p->threshold = 1;
    CHECK_INT(op_check(&t, 3, 2), 0);
    const double *y = op_run(&t, (const double[]){1, 1.5, 7}, 1);
    CHECK_NEAR(y[0], 5.5, 0);
    CHECK_NEAR(y[1], 49.5, 0);
    /* the same row, sparse: column 1 not stored */
    size_t start[2] = {0, 2};
    uint32_t index[2] = {0, 2};
    double value[2] = {1, 7};
    t.decl[0].kind = MR_SLOT_SPARSE;
    CHECK_INT(op_check(&t, 3, 2), 0);
    t.slot[0] = (struct mr_vec){.kind = MR_SLOT_SPARSE, .width = 3};
    t.slot[0].sparse.start = start;
    t.slot[0].sparse.index = index;
    t.slot[0].sparse.value = value;
    struct mr_frame f = {.rows = 1, .arena = &t.arena, .slot = t.slot};
    CHECK_INT(t.op.type->eval(&t.op, &f, &t.err), 0);
    CHECK_NEAR(t.slot[1].dense[0], 3.5, 0);
    CHECK_NEAR(t.slot[1].dense[1], 29.5, 0);
    p->threshold = -1; /* would turn zeros that are not stored into ones */
    CHECK_INT(op_check(&t, 3, 2), MR_EREFUSED);
    op_end(&t);
}

#define REFUSES(field, value)                                                                      \
    do {                                                                                           \
        __typeof__(p->field) keep_ = p->field;                                                     \
        p->field = (value);                                                                        \
        CHECK_INT(op_check(&t, in_, out_), MR_EREFUSED);                                           \
        p->field = keep_;                                                                          \
        CHECK_INT(op_check(&t, in_, out_), 0);                                                     \
    } while (0)

MR_TEST(linear_hostile) {
    const uint32_t in_ = 3, out_ = 2;
    linear(3, 2, (const double[6]){1, 2, 3, 4, 5, 6}, (const double[2]){0, 0});
    struct mr_linear_params *p = (void *)t.blob;
    CHECK_INT(op_check(&t, 3, 2), 0);
    REFUSES(n_in, 0);
    REFUSES(n_in, 4);
    REFUSES(n_in, UINT32_MAX);
    REFUSES(n_out, 3);
    REFUSES(stride, 8);
    REFUSES(stride, 0);
    REFUSES(flags, 3);
    REFUSES(flags, 4);
    REFUSES(w.off, 1);
    REFUSES(w.off, UINT64_MAX - 7);
    REFUSES(w.n, 11);
    REFUSES(w.n, UINT64_MAX / 8);
    REFUSES(b.off, 1u << 20);
    CHECK_INT(op_check(&t, 4, 2), MR_EREFUSED);
    CHECK_INT(op_check(&t, 3, 3), MR_EREFUSED);
    t.decl[0].kind = MR_SLOT_CELLS;
    CHECK_INT(op_check(&t, 3, 2), MR_EREFUSED);
    t.decl[0].kind = MR_SLOT_DENSE;
    t.op.n_in = 2;
    CHECK_INT(op_check(&t, 3, 2), MR_EREFUSED);
    t.op.n_in = 1;
    t.n = sizeof *p - 8;
    CHECK_INT(op_check(&t, 3, 2), MR_EREFUSED);
    op_end(&t);
}

/* 2 -> 2 (relu) -> 1: h = relu([x0 - x1, x0 + x1 - 3]), y = 2 h0 - h1 + 0.25. */
MR_TEST(mlp_by_hand) {
    const uint32_t in_ = 2, out_ = 1;
    op_begin(&t, MR_OP_MLP, sizeof(struct mr_mlp_params));
    struct mr_mlp_params *p = (void *)t.blob;
    p->n_layers = 2;
    p->activation = MR_ACT_RELU;
    p->dims = OP_U32(&t, 2, 2, 1);
    p->w = OP_F64(&t, 1, 1, 0, 0, -1, 1, 0, 0, 0, -3, 0, 0, 2, -1, 0.25);
    CHECK_INT(op_check(&t, 2, 1), 0);
    const double *y = op_run(&t, (const double[]){5, 1, 1, 5}, 2);
    CHECK_NEAR(y[0], 2 * 4 - 3 + 0.25, 0);
    CHECK_NEAR(y[1], -3 + 0.25, 0);
    p->activation = MR_ACT_TANH;
    CHECK_NEAR(op_run(&t, (const double[]){5, 1}, 1)[0], 2 * tanh(4) - tanh(3) + 0.25, 1e-15);
    p->activation = MR_ACT_LOGISTIC;
    CHECK_NEAR(op_run(&t, (const double[]){5, 1}, 1)[0],
               2 / (1 + exp(-4)) - 1 / (1 + exp(-3)) + 0.25, 1e-15);
    REFUSES(n_layers, 0);
    REFUSES(n_layers, 1);
    REFUSES(n_layers, 3);
    REFUSES(n_layers, UINT32_MAX);
    REFUSES(activation, 4);
    REFUSES(dims.n, 2);
    REFUSES(dims.off, 3);
    REFUSES(w.n, 14);
    uint32_t *dims = (uint32_t *)(t.blob + p->dims.off);
    dims[1] = 0;
    CHECK_INT(op_check(&t, 2, 1), MR_EREFUSED);
    dims[1] = UINT32_MAX;
    CHECK_INT(op_check(&t, 2, 1), MR_EREFUSED);
    op_end(&t);
}

MR_TEST(gnb_by_hand) {
    const uint32_t in_ = 2, out_ = 2;
    op_begin(&t, MR_OP_GNB, sizeof(struct mr_gnb_params));
    struct mr_gnb_params *p = (void *)t.blob;
    p->n_in = p->n_class = 2;
    p->mean = OP_F64(&t, 0, 0, 1, 2);
    p->var = OP_F64(&t, 1, 1, 0.5, 2);
    p->bias = OP_F64(&t, -1, -2);
    CHECK_INT(op_check(&t, 2, 2), 0);
    const double *y = op_run(&t, (const double[]){3, 4}, 1);
    CHECK_NEAR(y[0], -1 - 0.5 * 25, 0);
    CHECK_NEAR(y[1], -2 - 0.5 * (4 / 0.5 + 4 / 2.0), 0);
    REFUSES(n_class, 0);
    REFUSES(n_class, 3);
    REFUSES(mean.n, 3);
    REFUSES(var.off, 1);
    REFUSES(bias.n, 1);
    op_end(&t);
}

/* Class 0: axis (1, 0) only; class 1: both axes, scaled by 2. */
MR_TEST(qda_by_hand) {
    const uint32_t in_ = 2, out_ = 2;
    op_begin(&t, MR_OP_QDA, sizeof(struct mr_qda_params));
    struct mr_qda_params *p = (void *)t.blob;
    p->n_in = p->n_class = 2;
    p->mean = OP_F64(&t, 0, 0, 1, 1);
    p->rank = OP_U32(&t, 1, 2);
    p->rot = OP_F64(&t, 1, 0, 2, 0, 0, 2);
    p->bias = OP_F64(&t, 0.5, 0.25);
    CHECK_INT(op_check(&t, 2, 2), 0);
    const double *y = op_run(&t, (const double[]){3, 5}, 1);
    CHECK_NEAR(y[0], -0.5 * 9 + 0.5, 0);
    CHECK_NEAR(y[1], -0.5 * (16 + 64) + 0.25, 0);
    REFUSES(n_class, 0);
    REFUSES(rot.n, 4);
    REFUSES(rank.n, 1);
    uint32_t *rank = (uint32_t *)(t.blob + p->rank.off);
    rank[1] = 3;
    CHECK_INT(op_check(&t, 2, 2), MR_EREFUSED);
    rank[1] = UINT32_MAX;
    CHECK_INT(op_check(&t, 2, 2), MR_EREFUSED);
    op_end(&t);
}

/* Centres (0, 0), (2, 0), (0, 2): (1, 0) is as near to the first as to the second. */
MR_TEST(kmeans_by_hand) {
    const uint32_t in_ = 2, out_ = 1;
    double block[16] = {0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0};
    op_begin(&t, MR_OP_KMEANS, sizeof(struct mr_kmeans_params));
    struct mr_kmeans_params *p = (void *)t.blob;
    p->n_in = 2;
    p->n_cluster = 3;
    p->mode = MR_KMEANS_INDEX;
    p->metric = MR_METRIC_EUCLIDEAN;
    p->x = op_put(&t, block, 16, 8);
    CHECK_INT(op_check(&t, 2, 1), 0);
    const double *y = op_run(&t, (const double[]){1, 0, 1.1, 0, 0.5, 1.6}, 3);
    CHECK_NEAR(y[0], 0, 0);
    CHECK_NEAR(y[1], 1, 0);
    CHECK_NEAR(y[2], 2, 0);
    REFUSES(n_cluster, 0);
    REFUSES(n_cluster, 9);
    REFUSES(mode, 0);
    REFUSES(mode, 4);
    REFUSES(metric, MR_METRIC_COSINE);
    REFUSES(x.n, 8);
    p->mode = MR_KMEANS_DISTANCE;
    CHECK_INT(op_check(&t, 2, 3), 0);
    y = op_run(&t, (const double[]){3, 4}, 1);
    CHECK_NEAR(y[0], 5, 0);
    CHECK_NEAR(y[1], sqrt(17), 0);
    CHECK_NEAR(y[2], sqrt(13), 0);
    op_end(&t);
}

/* Root -> (left leaf at x = 0, label 1 | right at x = 10 -> leaves at 9 and 11, labels 0 and 2). */
MR_TEST(kmeans_tree) {
    op_begin(&t, MR_OP_KMEANS, sizeof(struct mr_kmeans_params));
    struct mr_kmeans_params *p = (void *)t.blob;
    p->n_in = 1;
    p->n_cluster = 3;
    p->mode = MR_KMEANS_TREE;
    p->metric = MR_METRIC_EUCLIDEAN;
    p->x = OP_F64(&t, 5, 0, 10, 9, 11);
    p->node = OP_U32(&t, 1, 2, 0, 0, 0, 1, 3, 4, 0, 0, 0, 0, 0, 0, 2);
    CHECK_INT(op_check(&t, 1, 1), 0);
    const double *y = op_run(&t, (const double[]){5, 6, 10.5}, 3);
    CHECK_NEAR(y[0], 1, 0); /* a tie goes left */
    CHECK_NEAR(y[1], 0, 0);
    CHECK_NEAR(y[2], 2, 0);
    uint32_t *node = (uint32_t *)(t.blob + p->node.off);
    static const struct {
        int at;
        uint32_t v;
    } bad[] = {{0, 5}, {0, 0}, {6, 2}, {7, 1}, {6, UINT32_MAX}, {5, 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t keep = node[bad[i].at];
        node[bad[i].at] = bad[i].v;
        CHECK_INT(op_check(&t, 1, 1), MR_EREFUSED);
        node[bad[i].at] = keep;
    }
    CHECK_INT(op_check(&t, 1, 1), 0);
    op_end(&t);
}

/* Column 0 has two categories, column 1 three. */
MR_TEST(catnb_by_hand) {
    const uint32_t in_ = 2, out_ = 2;
    op_begin(&t, MR_OP_CATNB, sizeof(struct mr_catnb_params));
    struct mr_catnb_params *p = (void *)t.blob;
    p->n_in = p->n_class = 2;
    p->start = OP_U32(&t, 0, 2, 5);
    p->table = OP_F64(&t, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10);
    p->bias = OP_F64(&t, 0.5, 0.25);
    CHECK_INT(op_check(&t, 2, 2), 0);
    const double *y = op_run(&t, (const double[]){1, 2.9, -0.5, 0}, 2);
    CHECK_NEAR(y[0], -3 - 9 + 0.5, 0);
    CHECK_NEAR(y[1], -4 - 10 + 0.25, 0);
    CHECK_NEAR(y[2], -1 - 5 + 0.5, 0);
    CHECK(!op_run(&t, (const double[]){2, 0}, 1));
    CHECK(!op_run(&t, (const double[]){-1, 0}, 1));
    CHECK(!op_run(&t, (const double[]){0, NAN}, 1));
    REFUSES(n_in, 0);
    REFUSES(n_class, 1);
    REFUSES(n_class, UINT32_MAX);
    REFUSES(start.n, 2);
    REFUSES(table.n, 8);
    REFUSES(table.off, UINT64_MAX);
    ((uint32_t *)(t.blob + p->start.off))[1] = 6;
    CHECK_INT(op_check(&t, 2, 2), MR_EREFUSED);
    op_end(&t);
}

MR_TEST(calibrate_by_hand) {
    const uint32_t in_ = 2, out_ = 2;
    op_begin(&t, MR_OP_CALIBRATE, sizeof(struct mr_calibrate_params));
    struct mr_calibrate_params *p = (void *)t.blob;
    p->n_in = 1;
    p->n_class = 2;
    p->kind = MR_CAL_SIGMOID;
    p->first = 1;
    p->target = OP_U32(&t, 1);
    p->a = OP_F64(&t, -2);
    p->b = OP_F64(&t, 0.5);
    CHECK_INT(op_check(&t, 2, 2), 0);
    const double *y = op_run(&t, (const double[]){99, 1}, 1);
    CHECK_NEAR(y[1], 1 / (1 + exp(-1.5)), 1e-16);
    CHECK_NEAR(y[0], 1 - 1 / (1 + exp(-1.5)), 1e-16);
    REFUSES(n_in, 0);
    REFUSES(n_in, 2);
    REFUSES(first, UINT32_MAX);
    REFUSES(n_class, 1);
    REFUSES(kind, 3);
    REFUSES(a.n, 0);
    *(uint32_t *)(t.blob + p->target.off) = 2;
    CHECK_INT(op_check(&t, 2, 2), MR_EREFUSED);
    op_end(&t);
}

MR_TEST(isotonic_by_hand) {
    const uint32_t in_ = 3, out_ = 3;
    op_begin(&t, MR_OP_CALIBRATE, sizeof(struct mr_calibrate_params));
    struct mr_calibrate_params *p = (void *)t.blob;
    p->n_in = p->n_class = 3;
    p->kind = MR_CAL_ISOTONIC;
    p->target = OP_U32(&t, 0, 1, 2);
    p->start = OP_U32(&t, 0, 2, 5, 6);
    p->tx = OP_F64(&t, 0, 1, 0, 1, 3, 7);
    p->ty = OP_F64(&t, 0, 1, 0, 0.5, 1, 0.25);
    CHECK_INT(op_check(&t, 3, 3), 0);
    const double *y = op_run(&t, (const double[]){0.5, 2, 100, -1, -1, -1}, 2);
    CHECK_NEAR(y[0], 0.5 / 1.5, 1e-16);
    CHECK_NEAR(y[1], 0.75 / 1.5, 1e-16);
    CHECK_NEAR(y[2], 0.25 / 1.5, 1e-16);
    CHECK_NEAR(y[3], 0, 0);
    CHECK_NEAR(y[5], 1, 0);
    REFUSES(start.n, 3);
    REFUSES(tx.n, 5);
    REFUSES(ty.n, 5);
    ((uint32_t *)(t.blob + p->start.off))[1] = 0; /* a map without thresholds */
    CHECK_INT(op_check(&t, 3, 3), MR_EREFUSED);
    op_end(&t);
}

/* All kernels of this CPU agree: distances bit for bit with the plain loop, exp within 2 units. */
MR_TEST(kernels_agree) {
    const struct mr_dense_kernel *k[] = {&mr_dense_base, mr_dense_kernel()};
    double x[13], p[13 * 48], out[48], v[77];
    for (int i = 0; i < 13; i++)
        x[i] = sin(i * 3.1);
    for (int i = 0; i < 13 * 48; i++)
        p[i] = cos(i * 0.7);
    for (int i = 0; i < 2; i++)
        for (size_t blocks = 1; blocks <= 6; blocks++) {
            k[i]->dist8(MR_DIST_SQ, x, 13, p, blocks, out);
            for (size_t q = 0; q < blocks * 8; q++) {
                double s = 0;
                for (size_t j = 0; j < 13; j++) {
                    double d = x[j] - p[(q / 8 * 13 + j) * 8 + q % 8];
                    s += d * d;
                }
                CHECK_NEAR(out[q], s, 0);
            }
            k[i]->dist8(MR_DIST_MAX, x, 13, p, blocks, out);
            for (size_t q = 0; q < blocks * 8; q++) {
                double s = 0;
                for (size_t j = 0; j < 13; j++)
                    s = fmax(s, fabs(x[j] - p[(q / 8 * 13 + j) * 8 + q % 8]));
                CHECK_NEAR(out[q], s, 0);
            }
        }
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 77; j++)
            v[j] = -689 + j * 17.93;
        v[3] = -1000;
        v[4] = 0;
        v[5] = -INFINITY;
        v[6] = 800;
        k[i]->exp(v, 77);
        for (int j = 0; j < 77; j++) {
            double want = exp(j == 3   ? -1000
                              : j == 4 ? 0
                              : j == 5 ? -INFINITY
                              : j == 6 ? 800
                                       : -689 + j * 17.93);
            if (isfinite(want))
                CHECK_NEAR(v[j], want, want * 4e-16);
            else
                CHECK(v[j] == want);
        }
        double nan = NAN;
        k[i]->exp(&nan, 1);
        CHECK(isnan(nan));
    }
}

MR_TEST_MAIN(CASE(linear_shapes), CASE(linear_sparse_and_binarize), CASE(linear_hostile),
             CASE(mlp_by_hand), CASE(gnb_by_hand), CASE(qda_by_hand), CASE(kmeans_by_hand),
             CASE(kmeans_tree), CASE(catnb_by_hand), CASE(calibrate_by_hand),
             CASE(isotonic_by_hand), CASE(kernels_agree))
