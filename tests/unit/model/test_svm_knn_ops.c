/* Support vector and neighbour operations on cases worked out by hand, and parameter blobs that
 * must not pass check(). */
#include "model/op_ids.h"
#include "model/ops/linear_params.h"
#include "op_test.h"

static struct op_test t;

#define REFUSES(field, value)                                                                      \
    do {                                                                                           \
        __typeof__(p->field) keep_ = p->field;                                                     \
        p->field = (value);                                                                        \
        CHECK_INT(op_check(&t, in_, out_), MR_EREFUSED);                                           \
        p->field = keep_;                                                                          \
        CHECK_INT(op_check(&t, in_, out_), 0);                                                     \
    } while (0)

/* Vectors (1, 0), (0, 1) of class 0 and (2, 2) of class 1; coefficients 1, 0.5, -1; bias 0.25. */
static struct mr_svm_params *svm(uint32_t kernel) {
    double block[16] = {1, 0, 2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0};
    op_begin(&t, MR_OP_SVM, sizeof(struct mr_svm_params));
    struct mr_svm_params *p = (void *)t.blob;
    p->n_in = 2;
    p->n_sv = 3;
    p->n_class = 2;
    p->kernel = kernel;
    p->degree = 3;
    p->gamma = 0.5;
    p->coef0 = 1;
    p->sv = op_put(&t, block, 16, 8);
    p->coef = OP_F64(&t, 1, 0.5, -1);
    p->bias = OP_F64(&t, 0.25);
    p->n_of = OP_U32(&t, 2, 1);
    return p;
}

MR_TEST(svm_kernels) {
    const double x[2] = {1, 3};
    svm(MR_SVM_LINEAR);
    CHECK_INT(op_check(&t, 2, 1), 0);
    CHECK_NEAR(op_run(&t, x, 1)[0], 1 + 1.5 - 8 + 0.25, 0);
    op_end(&t);
    svm(MR_SVM_RBF);
    CHECK_INT(op_check(&t, 2, 1), 0);
    CHECK_NEAR(op_run(&t, x, 1)[0], exp(-4.5) + 0.5 * exp(-2.5) - exp(-1) + 0.25, 1e-15);
    op_end(&t);
    svm(MR_SVM_POLY);
    CHECK_INT(op_check(&t, 2, 1), 0);
    CHECK_NEAR(op_run(&t, x, 1)[0], pow(1.5, 3) + 0.5 * pow(2.5, 3) - pow(5, 3) + 0.25, 1e-12);
    op_end(&t);
    svm(MR_SVM_SIGMOID);
    CHECK_INT(op_check(&t, 2, 1), 0);
    CHECK_NEAR(op_run(&t, x, 1)[0], tanh(1.5) + 0.5 * tanh(2.5) - tanh(5) + 0.25, 1e-15);
    op_end(&t);
}

MR_TEST(svm_sparse_is_dense) {
    static const double x[3][2] = {{1, 3}, {0, 2}, {0, 0}};
    for (uint32_t kernel = MR_SVM_LINEAR; kernel <= MR_SVM_SIGMOID; kernel++)
        for (int row = 0; row < 3; row++) {
            svm(kernel);
            CHECK_INT(op_check(&t, 2, 1), 0);
            double want = op_run(&t, x[row], 1)[0];
            struct mr_svm_params *p = (void *)t.blob;
            p->sparse = 1;
            p->sv = OP_F64(&t, 1, 1, 2, 2);
            p->start = OP_U32(&t, 0, 1, 2, 4);
            p->index = OP_U32(&t, 0, 1, 0, 1);
            t.decl[0].kind = MR_SLOT_SPARSE;
            CHECK_INT(op_check(&t, 2, 1), 0);
            size_t start[2] = {0, 0};
            uint32_t index[2];
            double value[2];
            for (uint32_t j = 0; j < 2; j++)
                if (x[row][j] != 0) {
                    index[start[1]] = j;
                    value[start[1]++] = x[row][j];
                }
            t.slot[0] = (struct mr_vec){.kind = MR_SLOT_SPARSE, .width = 2};
            t.slot[0].sparse.start = start;
            t.slot[0].sparse.index = index;
            t.slot[0].sparse.value = value;
            struct mr_frame f = {.rows = 1, .arena = &t.arena, .slot = t.slot};
            CHECK_INT(t.op.type->eval(&t.op, &f, &t.err), 0);
            CHECK_NEAR(t.slot[1].dense[0], want, 1e-14);
            uint32_t *idx = (uint32_t *)(t.blob + p->index.off),
                     *st = (uint32_t *)(t.blob + p->start.off);
            idx[3] = 2;
            CHECK_INT(op_check(&t, 2, 1), MR_EREFUSED);
            idx[3] = 1;
            st[1] = 3;
            CHECK_INT(op_check(&t, 2, 1), MR_EREFUSED);
            st[1] = 1;
            st[3] = 5;
            CHECK_INT(op_check(&t, 2, 1), MR_EREFUSED);
            op_end(&t);
        }
}

MR_TEST(svm_hostile) {
    const uint32_t in_ = 2, out_ = 1;
    struct mr_svm_params *p = svm(MR_SVM_RBF);
    CHECK_INT(op_check(&t, 2, 1), 0);
    REFUSES(n_in, 3);
    REFUSES(n_sv, 9);
    REFUSES(n_sv, UINT32_MAX);
    REFUSES(n_class, 1);
    REFUSES(n_class, 3);
    REFUSES(n_class, UINT32_MAX);
    REFUSES(kernel, 4);
    REFUSES(sparse, 1);
    REFUSES(sparse, 2);
    REFUSES(coef.n, 2);
    REFUSES(bias.off, 4);
    REFUSES(n_of.n, 1);
    ((uint32_t *)(t.blob + p->n_of.off))[0] = 3; /* sums to more vectors than there are */
    CHECK_INT(op_check(&t, 2, 1), MR_EREFUSED);
    ((uint32_t *)(t.blob + p->n_of.off))[0] = UINT32_MAX;
    CHECK_INT(op_check(&t, 2, 1), MR_EREFUSED);
    op_end(&t);
}

static struct mr_svm_post_params *post(uint32_t mode, uint32_t negate) {
    op_begin(&t, MR_OP_SVM_PROBA, sizeof(struct mr_svm_post_params));
    struct mr_svm_post_params *p = (void *)t.blob;
    p->mode = mode;
    p->n_class = 3;
    p->negate = negate;
    p->a = OP_F64(&t, -1, -1, -1);
    p->b = OP_F64(&t, 0, 0, 0);
    return p;
}

/* Pairs (0,1), (0,2), (1,2). */
MR_TEST(svm_votes) {
    post(MR_SVM_VOTE, 0);
    CHECK_INT(op_check(&t, 3, 1), 0);
    const double *y = op_run(&t, (const double[]){1, -1, 1, -1, -1, -1, 1, 1, 0, 0, 0, 0}, 4);
    CHECK_NEAR(y[0], 0, 0); /* one vote each: the first class */
    CHECK_NEAR(y[1], 2, 0);
    CHECK_NEAR(y[2], 0, 0);
    CHECK_NEAR(y[3], 2, 0); /* 0 is no vote for the first of a pair */
    op_end(&t);
    post(MR_SVM_OVR, 0);
    CHECK_INT(op_check(&t, 3, 3), 0);
    y = op_run(&t, (const double[]){2, -1, 1}, 1);
    CHECK_NEAR(y[0], 1 + 1 / (3 * 2.0), 1e-15);
    CHECK_NEAR(y[1], 1 - 1 / (3 * 2.0), 1e-15);
    CHECK_NEAR(y[2], 1 + 0, 1e-15);
    op_end(&t);
    post(MR_SVM_OVR, 1); /* positive is the second of a pair */
    CHECK_INT(op_check(&t, 3, 3), 0);
    y = op_run(&t, (const double[]){-2, 1, -1}, 1);
    CHECK_NEAR(y[0], 1 + 1 / (3 * 2.0), 1e-15);
    CHECK_NEAR(y[2], 1, 1e-15);
    op_end(&t);
}

MR_TEST(svm_coupling) {
    const uint32_t in_ = 3, out_ = 3;
    struct mr_svm_post_params *p = post(MR_SVM_COUPLE, 0);
    CHECK_INT(op_check(&t, 3, 3), 0);
    const double *y = op_run(&t, (const double[]){0, 0, 0, 50, 50, 0}, 2);
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(y[i], 1.0 / 3, 1e-15); /* indifferent pairs */
    CHECK(y[3] > 0.99);
    CHECK_NEAR(y[3] + y[4] + y[5], 1, 1e-12);
    CHECK_NEAR(y[4], y[5], 1e-3);
    REFUSES(mode, 0);
    REFUSES(mode, 4);
    REFUSES(n_class, 1);
    REFUSES(n_class, 4);
    REFUSES(n_class, UINT32_MAX);
    REFUSES(negate, 2);
    REFUSES(a.n, 2);
    REFUSES(b.off, 1u << 30);
    op_end(&t);
}

/* Five points on a line: 0, 1, 2, 3, 10. */
static struct mr_knn_params *line(uint32_t method) {
    op_begin(&t, MR_OP_KNN, sizeof(struct mr_knn_params));
    struct mr_knn_params *p = (void *)t.blob;
    p->n_in = 1;
    p->n_fit = 5;
    p->k = 2;
    p->metric = MR_METRIC_EUCLIDEAN;
    p->method = method;
    if (method == MR_KNN_BRUTE) {
        p->x = OP_F64(&t, 0, 1, 2, 3, 10, 0, 0, 0);
        p->norm = OP_F64(&t, 0, 1, 4, 9, 100);
        return p;
    }
    p->n_node = 3; /* children hold rows {4, 3} and {2, 1, 0} */
    p->x = OP_F64(&t, 10, 3, 2, 1, 0);
    p->order = OP_U32(&t, 4, 3, 2, 1, 0);
    p->node = OP_U32(&t, 0, 5, 0, 0, 2, 1, 2, 5, 1);
    if (method == MR_KNN_BALLTREE) {
        p->lo = OP_F64(&t, 3.2, 6.5, 1);
        p->radius = OP_F64(&t, 6.8, 3.5, 1);
    } else {
        p->lo = OP_F64(&t, 0, 3, 0);
        p->hi = OP_F64(&t, 10, 10, 2);
    }
    return p;
}

MR_TEST(knn_order_of_ties) {
    const double x[] = {2.5, 1, 9};
    line(MR_KNN_BRUTE);
    CHECK_INT(op_check(&t, 1, 4), 0);
    const double *y = op_run(&t, x, 3);
    CHECK_NEAR(y[0], 0.5, 0);
    CHECK_NEAR(y[1], 0.5, 0);
    CHECK_NEAR(y[2] + y[3], 5, 0);
    CHECK_NEAR(y[4], 0, 0); /* at 1: itself, then 0 and 2 tie; the first offered stays */
    CHECK_NEAR(y[6], 1, 0);
    CHECK_NEAR(y[7], 0, 0);
    CHECK_NEAR(y[8], 1, 0);
    CHECK_NEAR(y[9], 6, 0);
    op_end(&t);
    for (uint32_t method = MR_KNN_KDTREE; method <= MR_KNN_BALLTREE; method++) {
        line(method);
        CHECK_INT(op_check(&t, 1, 4), 0);
        y = op_run(&t, x, 3);
        CHECK_NEAR(y[0], 0.5, 0);
        CHECK_NEAR(y[2] + y[3], 5, 0);
        CHECK_NEAR(y[6], 1, 0);
        CHECK_NEAR(y[7], 2, 0); /* the leaf offers row 2 before row 0 */
        CHECK_NEAR(y[10], 4, 0);
        op_end(&t);
    }
}

MR_TEST(knn_metrics) {
    static const struct {
        uint32_t metric;
        double want;
    } cases[] = {{MR_METRIC_EUCLIDEAN, 5},
                 {MR_METRIC_MANHATTAN, 7},
                 {MR_METRIC_CHEBYSHEV, 4},
                 {MR_METRIC_MINKOWSKI, 4.497941445275415}};
    for (size_t i = 0; i < 4; i++) {
        double block[16] = {0};
        op_begin(&t, MR_OP_KNN, sizeof(struct mr_knn_params));
        struct mr_knn_params *p = (void *)t.blob;
        *p = (struct mr_knn_params){.n_in = 2, .n_fit = 1, .k = 1, .method = MR_KNN_BRUTE};
        p->metric = cases[i].metric;
        p->p = 3;
        p->x = op_put(&t, block, 16, 8);
        p->norm = OP_F64(&t, 0);
        CHECK_INT(op_check(&t, 2, 2), 0);
        CHECK_NEAR(op_run(&t, (const double[]){3, -4}, 1)[0], cases[i].want, 1e-14);
        p->metric = MR_METRIC_MINKOWSKI;
        p->p = NAN;
        CHECK_INT(op_check(&t, 2, 2), MR_EREFUSED);
        op_end(&t);
    }
}

MR_TEST(knn_hostile) {
    const uint32_t in_ = 1, out_ = 4;
    struct mr_knn_params *p = line(MR_KNN_KDTREE);
    CHECK_INT(op_check(&t, 1, 4), 0);
    REFUSES(k, 0);
    REFUSES(k, 6);
    REFUSES(n_fit, 4);
    REFUSES(n_fit, UINT32_MAX);
    REFUSES(n_in, 0);
    REFUSES(metric, 0);
    REFUSES(metric, MR_METRIC_COSINE);
    REFUSES(method, 0);
    REFUSES(method, 4);
    REFUSES(method, MR_KNN_BALLTREE); /* no radii in the blob */
    REFUSES(n_node, 0);
    REFUSES(n_node, 2);
    REFUSES(n_node, UINT32_MAX);
    REFUSES(lo.n, 2);
    REFUSES(hi.off, 1);
    uint32_t *node = (uint32_t *)(t.blob + p->node.off),
             *order = (uint32_t *)(t.blob + p->order.off);
    static const struct {
        int at;
        uint32_t v;
    } bad[] = {{5, 0}, {4, 6}, {3, 3}, {8, 7}, {6, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t keep = node[bad[i].at];
        node[bad[i].at] = bad[i].v;
        CHECK_INT(op_check(&t, 1, 4), MR_EREFUSED);
        node[bad[i].at] = keep;
    }
    order[2] = 5;
    CHECK_INT(op_check(&t, 1, 4), MR_EREFUSED);
    op_end(&t);
}

MR_TEST(knn_pooling) {
    const uint32_t in_ = 6, out_ = 2;
    op_begin(&t, MR_OP_KNN_POOL, sizeof(struct mr_knn_pool_params));
    struct mr_knn_pool_params *p = (void *)t.blob;
    p->k = 3;
    p->n_fit = 4;
    p->n_class = 2;
    p->y = OP_U32(&t, 1, 0, 1, 0);
    CHECK_INT(op_check(&t, 6, 2), 0);
    const double near[] = {0.5, 1, 2, 0, 1, 3, 0, 1, 2, 0, 1, 3};
    const double *y = op_run(&t, near, 1);
    CHECK_NEAR(y[0], 2.0 / 3, 1e-16);
    p->by_distance = 1;
    y = op_run(&t, near, 2);
    CHECK_NEAR(y[1], 2 / 3.5, 1e-16);
    CHECK_NEAR(y[2], 0, 0); /* an exact hit takes all */
    CHECK_NEAR(y[3], 1, 0);
    CHECK(!op_run(&t, (const double[]){1, 1, 1, 0, 1, 4}, 1)); /* row number out of range */
    CHECK(!op_run(&t, (const double[]){1, 1, 1, 0, 1, NAN}, 1));
    REFUSES(k, 2);
    REFUSES(k, 0);
    REFUSES(n_fit, 5);
    REFUSES(n_class, 1);
    REFUSES(n_class, UINT32_MAX);
    REFUSES(by_distance, 2);
    p->n_class = 0;
    p->n_out = 2;
    p->y = OP_F64(&t, 1, 10, 2, 20, 3, 30, 4, 40);
    p->by_distance = 0;
    CHECK_INT(op_check(&t, 6, 2), 0);
    y = op_run(&t, near, 1);
    CHECK_NEAR(y[0], 7.0 / 3, 1e-15);
    CHECK_NEAR(y[1], 70.0 / 3, 1e-14);
    REFUSES(n_out, 0);
    REFUSES(n_out, 3);
    op_end(&t);
}

MR_TEST_MAIN(CASE(svm_kernels), CASE(svm_sparse_is_dense), CASE(svm_hostile), CASE(svm_votes),
             CASE(svm_coupling), CASE(knn_order_of_ties), CASE(knn_metrics), CASE(knn_hostile),
             CASE(knn_pooling))
