/* Converters of linear, kernel and neighbour models over damaged state: golden files are parsed,
 * one attribute is broken, and the refusal must name it. */
#include "base/cleanup.h"
#include "model/convert/convert.h"
#include "mr_test.h"

#define DIR MR_SRC_DIR "/tests/golden/models/new/"

static void *data;
static size_t size;
static struct mr_pk_doc *doc;
static struct mr_pk *root;

static void open_model(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s%s.pkl", DIR, name);
    MR_AUTO_FCLOSE FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    if (!f)
        exit(1);
    fseek(f, 0, SEEK_END);
    size = (size_t)ftell(f);
    rewind(f);
    data = mr_malloc(size);
    CHECK_INT(fread(data, 1, size, f), size);
    struct mr_pk_limits limits = mr_pk_default_limits();
    struct mr_err e = {0};
    CHECK_INT(mr_pickle_load(data, size, &limits, &doc, &e), 0);
    root = (struct mr_pk *)(uintptr_t)mr_pickle_root(doc);
}

static void close_model(void) {
    mr_pickle_free(doc);
    mr_free(data);
}

/* Where the object's state dict holds the attribute. */
static struct mr_pk **attr_of(const struct mr_pk *obj, const char *name) {
    struct mr_pk *state = obj->o.state;
    for (size_t i = 0; i + 1 < state->l.n; i += 2)
        if (mr_str_is(state->l.v[i]->s, name))
            return &state->l.v[i + 1];
    fprintf(stderr, "no attribute %s\n", name);
    exit(1);
}
static struct mr_pk **attr(const char *name) {
    return attr_of(root, name);
}

/* Converts; returns the code and leaves the message in `e`. */
static int convert(struct mr_err *e) {
    struct mr_arena a;
    mr_arena_init(&a, 1 << 28);
    struct mr_build *b = mr_build_new(&a);
    *e = (struct mr_err){0};
    int r = mr_convert_pickle(doc, b, e);
    mr_build_free(b);
    mr_arena_release(&a);
    return r;
}

/* The broken attribute is refused by name; put back, the model converts. */
static void refused(struct mr_pk **n, struct mr_pk broken, int code, const char *named, int line) {
    struct mr_pk *keep = *n;
    struct mr_err e;
    *n = &broken;
    int r = convert(&e);
    *n = keep;
    if (r != code || !strstr(e.msg, named)) {
        fprintf(stderr, "line %d: code %d, \"%s\" (wanted %d naming %s)\n", line, r, e.msg, code,
                named);
        CHECK(0);
    }
    CHECK_INT(convert(&e), 0);
}
#define REFUSED(name, broken) refused(attr(name), broken, MR_EREFUSED, name, __LINE__)

static struct mr_pk none(void) {
    return (struct mr_pk){.type = MR_PK_NONE};
}
static struct mr_pk integer(int64_t i) {
    return (struct mr_pk){.type = MR_PK_INT, .i = i};
}
static struct mr_pk real(double f) {
    return (struct mr_pk){.type = MR_PK_FLOAT, .f = f};
}
static struct mr_pk text(const char *s) {
    return (struct mr_pk){.type = MR_PK_STR, .s = mr_str(s)};
}
/* The array with one row less. */
static struct mr_pk shorter(struct mr_pk *const *n) {
    struct mr_pk s = **n;
    CHECK_INT(s.type, MR_PK_ARRAY);
    s.a.count -= s.a.count / s.a.shape[0];
    s.a.shape[0]--;
    return s;
}
/* A copy of the array's data whose first value is `v`. */
static struct mr_pk with_first(struct mr_pk *const *n, double v) {
    static uint8_t copy[1 << 20];
    struct mr_pk s = **n;
    CHECK_INT(s.type, MR_PK_ARRAY);
    size_t bytes = (size_t)s.a.count * s.a.dtype->d.size;
    CHECK(bytes <= sizeof copy);
    memcpy(copy, s.a.data, bytes);
    if (s.a.dtype->d.kind == 'f') {
        memcpy(copy, &v, 8);
    } else {
        int64_t i = (int64_t)v;
        memcpy(copy, &i, s.a.dtype->d.size); /* little-endian */
    }
    s.a.data = copy;
    return s;
}

MR_TEST(linear_attributes) {
    open_model("lr_iris");
    REFUSED("coef_", none());
    REFUSED("coef_", text("x"));
    refused(attr("coef_"), real(1), MR_EREFUSED, "reads 1 columns", __LINE__);
    refused(attr("coef_"), shorter(attr("coef_")), MR_EREFUSED, "for 2 outputs", __LINE__);
    REFUSED("coef_", with_first(attr("coef_"), NAN));
    REFUSED("coef_", with_first(attr("coef_"), INFINITY));
    REFUSED("intercept_", shorter(attr("intercept_")));
    REFUSED("intercept_", none());
    refused(attr("classes_"), none(), MR_EREFUSED, "class labels", __LINE__);
    refused(attr("n_features_in_"), integer(5), MR_EREFUSED, "reads 4 columns", __LINE__);
    refused(attr("n_features_in_"), integer(0), MR_EREFUSED, "columns", __LINE__);
    close_model();
    open_model("ridge_clf_iris");
    refused(attr("coef_"), shorter(attr("coef_")), MR_EREFUSED, "for 2 outputs", __LINE__);
    close_model();
    open_model("linear_linnerud");
    REFUSED("intercept_", shorter(attr("intercept_")));
    close_model();
}

MR_TEST(svm_attributes) {
    open_model("svc_proba_iris_rbf");
    REFUSED("support_vectors_", none());
    REFUSED("support_vectors_", with_first(attr("support_vectors_"), NAN));
    REFUSED("_dual_coef_", shorter(attr("_dual_coef_")));
    refused(attr("support_vectors_"), shorter(attr("support_vectors_")), MR_EREFUSED, "_dual_coef_",
            __LINE__);
    REFUSED("_intercept_", shorter(attr("_intercept_")));
    REFUSED("_gamma", none());
    REFUSED("_gamma", real(NAN));
    REFUSED("degree", integer(-1));
    REFUSED("degree", integer(INT64_MAX));
    REFUSED("_n_support", shorter(attr("_n_support")));
    REFUSED("_probA", shorter(attr("_probA")));
    REFUSED("_probB", with_first(attr("_probB"), NAN));
    refused(attr("kernel"), text("precomputed"), MR_EUNSUPPORTED, "kernel", __LINE__);
    refused(attr("kernel"), none(), MR_EUNSUPPORTED, "kernel", __LINE__);
    close_model();
}

MR_TEST(sparse_attributes) {
    open_model("more_svc_sparse_rbf");
    const struct mr_pk *csr = *attr("support_vectors_");
    struct mr_pk **index = attr_of(csr, "indices"), **start = attr_of(csr, "indptr");
    struct mr_pk **value = attr_of(csr, "data"), **shape = attr_of(csr, "_shape");
    refused(index, with_first(index, 4), MR_EREFUSED, "indices", __LINE__);
    refused(index, with_first(index, -1), MR_EREFUSED, "indices", __LINE__);
    refused(index, with_first(index, 1), MR_EREFUSED, "column twice", __LINE__);
    refused(index, shorter(index), MR_EREFUSED, "indices", __LINE__);
    refused(start, with_first(start, 1), MR_EREFUSED, "damaged", __LINE__);
    refused(start, with_first(start, INT32_MAX), MR_EREFUSED, "indptr", __LINE__);
    refused(start, shorter(start), MR_EREFUSED, "indptr", __LINE__);
    refused(value, with_first(value, NAN), MR_EREFUSED, "support_vectors_", __LINE__);
    refused(value, none(), MR_EREFUSED, "support_vectors_", __LINE__);
    refused(shape, none(), MR_EREFUSED, "damaged", __LINE__);
    refused((*shape)->l.v, integer(INT64_MAX), MR_EREFUSED, "damaged", __LINE__);
    refused((*shape)->l.v + 1, integer(0), MR_EREFUSED, "damaged", __LINE__);
    refused((*shape)->l.v + 1, integer(1 << 25), MR_EUNSUPPORTED, "text vectorizer", __LINE__);
    close_model();
}

MR_TEST(neighbour_attributes) {
    open_model("knn_iris_kd_tree");
    REFUSED("n_neighbors", integer(0));
    REFUSED("n_neighbors", integer(151));
    REFUSED("n_neighbors", integer(INT64_MIN));
    REFUSED("_fit_method", text("auto"));
    REFUSED("_fit_X", with_first(attr("_fit_X"), NAN));
    refused(attr("_fit_X"), shorter(attr("_fit_X")), MR_EREFUSED, "_tree", __LINE__);
    REFUSED("_tree", none());
    REFUSED("_y", with_first(attr("_y"), 3));
    REFUSED("_y", with_first(attr("_y"), -1));
    REFUSED("_y", shorter(attr("_y")));
    refused(attr("weights"), (struct mr_pk){.type = MR_PK_GLOBAL}, MR_EUNSUPPORTED, "function",
            __LINE__);
    refused(attr("effective_metric_"), text("haversine"), MR_EUNSUPPORTED, "haversine", __LINE__);
    struct mr_pk *tree = *attr("_tree");
    CHECK_INT(tree->type, MR_PK_OBJ);
    struct mr_pk **part = tree->o.state->l.v; /* data, idx_array, node_data, node_bounds, … */
    for (int i = 0; i < 4; i++)
        refused(&part[i], none(), MR_EREFUSED, "_tree", __LINE__);
    refused(&part[0], shorter(&part[0]), MR_EREFUSED, "_tree", __LINE__);
    refused(&part[1], with_first(&part[1], 150), MR_EREFUSED, "_tree", __LINE__);
    refused(&part[1], with_first(&part[1], -1), MR_EREFUSED, "_tree", __LINE__);
    refused(&part[2], shorter(&part[2]), MR_EREFUSED, "_tree", __LINE__);
    refused(&part[3], shorter(&part[3]), MR_EREFUSED, "_tree", __LINE__);
    size_t n = tree->o.state->l.n;
    tree->o.state->l.n = 3;
    struct mr_err e;
    CHECK_INT(convert(&e), MR_EREFUSED);
    tree->o.state->l.n = n;
    close_model();
}

MR_TEST(network_attributes) {
    open_model("mlp_iris_relu");
    REFUSED("coefs_", none());
    REFUSED("activation", text("softplus"));
    REFUSED("out_activation_", text("logistic"));
    struct mr_pk **w = (*attr("coefs_"))->l.v, **b = (*attr("intercepts_"))->l.v;
    refused(&w[0], shorter(&w[0]), MR_EREFUSED, "coefs_", __LINE__);
    refused(&w[1], shorter(&w[1]), MR_EREFUSED, "coefs_", __LINE__);
    refused(&w[0], with_first(&w[0], -INFINITY), MR_EREFUSED, "coefs_", __LINE__);
    refused(&b[1], shorter(&b[1]), MR_EREFUSED, "coefs_", __LINE__);
    (*attr("intercepts_"))->l.n--;
    struct mr_err e;
    CHECK_INT(convert(&e), MR_EREFUSED);
    (*attr("intercepts_"))->l.n++;
    close_model();
}

MR_TEST(density_attributes) {
    open_model("gnb_iris");
    REFUSED("theta_", shorter(attr("theta_")));
    REFUSED("var_", with_first(attr("var_"), 0));
    REFUSED("var_", with_first(attr("var_"), -1));
    REFUSED("var_", shorter(attr("var_")));
    REFUSED("class_prior_", shorter(attr("class_prior_")));
    close_model();
    open_model("qda_iris");
    REFUSED("means_", shorter(attr("means_")));
    REFUSED("rotations_", none());
    refused(&(*attr("scalings_"))->l.v[1], shorter(&(*attr("scalings_"))->l.v[1]), MR_EREFUSED,
            "rotations_", __LINE__);
    refused(&(*attr("scalings_"))->l.v[0], with_first(&(*attr("scalings_"))->l.v[0], 0),
            MR_EREFUSED, "scalings_", __LINE__);
    close_model();
    open_model("bnb_iris");
    REFUSED("feature_log_prob_", with_first(attr("feature_log_prob_"), 0));
    REFUSED("feature_log_prob_", shorter(attr("feature_log_prob_")));
    REFUSED("class_log_prior_", shorter(attr("class_log_prior_")));
    REFUSED("binarize", text("x"));
    close_model();
}

MR_TEST(projection_and_cluster_attributes) {
    open_model("pca_whiten");
    REFUSED("mean_", shorter(attr("mean_")));
    REFUSED("explained_variance_", shorter(attr("explained_variance_")));
    REFUSED("components_", none());
    close_model();
    open_model("kmeans_iris");
    REFUSED("cluster_centers_", none());
    REFUSED("cluster_centers_", with_first(attr("cluster_centers_"), NAN));
    close_model();
    open_model("lda_eigen");
    refused(attr("coef_"), shorter(attr("coef_")), MR_EREFUSED, "for 2 outputs", __LINE__);
    close_model();
    open_model("centroid_iris");
    REFUSED("centroids_", shorter(attr("centroids_")));
    refused(attr("metric"), text("cosine"), MR_EUNSUPPORTED, "metric", __LINE__);
    close_model();
}

MR_TEST(calibration_attributes) {
    open_model("calibrated_sigmoid");
    REFUSED("calibrated_classifiers_", none());
    const struct mr_pk *one = (*attr("calibrated_classifiers_"))->l.v[0];
    struct mr_pk **cal = attr_of(one, "calibrators"), **method = attr_of(one, "method");
    struct mr_pk **a = attr_of((*cal)->l.v[0], "a_");
    refused(cal, none(), MR_EREFUSED, "calibrators", __LINE__);
    refused(a, none(), MR_EREFUSED, "a_", __LINE__);
    refused(method, text("beta"), MR_EUNSUPPORTED, "beta", __LINE__);
    close_model();
}

MR_TEST_MAIN(CASE(linear_attributes), CASE(svm_attributes), CASE(sparse_attributes),
             CASE(neighbour_attributes), CASE(network_attributes), CASE(density_attributes),
             CASE(projection_and_cluster_attributes), CASE(calibration_attributes))
