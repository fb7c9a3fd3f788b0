/* libsvm's models: SVC, NuSVC, SVR, NuSVR, OneClassSVM.
 *
 * The underscored attributes are libsvm's own (scikit-learn flips the public dual_coef_ and
 * intercept_ of two-class models). Vectors are grouped by class in the order of classes_. */
#include "model/convert/families.h"

#include <math.h>

#define MAX_DENSE ((size_t)1 << 26) /* values of a densified matrix */

struct vectors {
    size_t n, width;
    const double *dense;           /* n * width, or NULL */
    const double *value;           /* sparse */
    const uint32_t *index, *start; /* sparse: columns, n + 1 offsets */
    size_t nnz;
};

static bool is_csr(const struct mr_pk *n) {
    struct mr_str s = mr_pk_class_short(n);
    return mr_str_is(s, "csr_matrix") || mr_str_is(s, "csr_array");
}

struct entry {
    uint32_t column;
    double value;
};

static int by_column(const void *a, const void *b) {
    uint32_t x = ((const struct entry *)a)->column, y = ((const struct entry *)b)->column;
    return x < y ? -1 : x > y;
}

static bool ascends(const uint32_t *index, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (index[i] <= index[i - 1])
            return false;
    return true;
}

/* Columns must ascend within a row: the kernels merge two sorted lists. scipy may leave them in any
 * order. */
static int sort_rows(struct mr_convert *c, const struct mr_pk *obj, const char *attr,
                     const struct vectors *v, uint32_t *index, double *value, struct mr_err *e) {
    struct entry *tmp = NULL;
    for (size_t r = 0; r < v->n; r++) {
        size_t at = v->start[r], n = v->start[r + 1] - at;
        if (ascends(index + at, n))
            continue;
        if (!tmp && !(tmp = mr_convert_array(c, v->nnz, sizeof *tmp, e)))
            return MR_ENOMEM;
        for (size_t i = 0; i < n; i++)
            tmp[i] = (struct entry){index[at + i], value[at + i]};
        qsort(tmp, n, sizeof *tmp, by_column);
        for (size_t i = 0; i < n; i++) {
            index[at + i] = tmp[i].column;
            value[at + i] = tmp[i].value;
        }
        if (!ascends(index + at, n))
            return mr_refuse_attr(obj, attr, e, "stores a column twice");
    }
    return 0;
}

static int read_csr(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *csr,
                    const char *attr, struct vectors *v, struct mr_err *e) {
    const struct mr_pk *shape = mr_pk_attr(csr, "_shape"), *data = mr_pk_attr(csr, "data");
    struct mr_pk *const *dim;
    int64_t rows, cols;
    size_t n_dim, n, one;
    if (!mr_pk_seq(shape, &dim, &n_dim) || n_dim != 2 || !mr_pk_int(dim[0], &rows) ||
        !mr_pk_int(dim[1], &cols) || rows < 0 || rows > (1 << 28) || cols < 1 ||
        cols > MR_MAX_WIDTH || !data)
        return mr_refuse_attr(obj, attr, e, "is a damaged sparse matrix");
    const double *value;
    int r = mr_node_matrix(c, obj, data, attr, false, &value, &n, &one, e);
    n *= one;
    if (!r && n > UINT32_MAX / 2)
        r = mr_refuse_attr(obj, attr, e, "has too many values");
    if (!r)
        r = mr_get_u32(c, csr, "indices", n, (uint32_t)cols, &v->index, e);
    if (!r)
        r = mr_get_u32(c, csr, "indptr", (size_t)rows + 1, (uint32_t)n + 1, &v->start, e);
    if (r)
        return r;
    for (int64_t i = 0; i < rows; i++)
        if (v->start[i] > v->start[i + 1])
            return mr_refuse_attr(obj, attr, e, "is a damaged sparse matrix");
    if (v->start[0] != 0 || v->start[rows] != n)
        return mr_refuse_attr(obj, attr, e, "is a damaged sparse matrix");
    double *copy = mr_convert_array(c, n, sizeof *copy, e);
    if (!copy)
        return MR_ENOMEM;
    if (n)
        memcpy(copy, value, n * sizeof *copy);
    v->n = (size_t)rows;
    v->width = (size_t)cols;
    v->value = copy;
    v->nnz = n;
    return sort_rows(c, obj, attr, v, (uint32_t *)(uintptr_t)v->index, copy, e);
}

static int densify(struct mr_convert *c, const struct mr_pk *obj, struct vectors *v,
                   struct mr_err *e) {
    if (v->n * v->width > MAX_DENSE)
        return mr_unsupported(obj, e,
                              "was fitted on sparse rows of %zu columns; it is served behind a "
                              "text vectorizer only",
                              v->width);
    double *d = mr_convert_array(c, v->n * v->width, sizeof *d, e);
    if (!d)
        return MR_ENOMEM;
    memset(d, 0, v->n * v->width * sizeof *d);
    for (size_t r = 0; r < v->n; r++)
        for (size_t i = v->start[r]; i < v->start[r + 1]; i++)
            d[r * v->width + v->index[i]] = v->value[i];
    v->dense = d;
    return 0;
}

int mr_get_rows(struct mr_convert *c, const struct mr_pk *obj, const char *attr, const double **ret,
                size_t *ret_rows, size_t *ret_cols, struct mr_err *e) {
    const struct mr_pk *node;
    int r = mr_convert_need(obj, attr, &node, e);
    if (r)
        return r;
    if (!is_csr(node))
        return mr_node_matrix(c, obj, node, attr, false, ret, ret_rows, ret_cols, e);
    struct vectors v = {0};
    r = read_csr(c, obj, node, attr, &v, e);
    if (!r)
        r = densify(c, obj, &v, e);
    if (r)
        return r;
    *ret = v.dense;
    *ret_rows = v.n;
    *ret_cols = v.width;
    return 0;
}

static int kernel_of(const struct mr_pk *obj, struct mr_svm_params *p, struct mr_err *e) {
    static const char *const name[] = {[MR_SVM_LINEAR] = "linear",
                                       [MR_SVM_POLY] = "poly",
                                       [MR_SVM_RBF] = "rbf",
                                       [MR_SVM_SIGMOID] = "sigmoid"};
    struct mr_str s = mr_get_str(obj, "kernel");
    for (p->kernel = 0; p->kernel < 4; p->kernel++)
        if (mr_str_is(s, name[p->kernel]))
            break;
    if (p->kernel == 4)
        return mr_unsupported(obj, e, "has a kernel other than linear, poly, rbf and sigmoid");
    int64_t degree;
    int r = mr_get_num(obj, "_gamma", &p->gamma, e);
    if (!r)
        r = mr_get_num(obj, "coef0", &p->coef0, e);
    if (!r)
        r = mr_get_int(obj, "degree", 0, 1000000, &degree, e);
    if (!r)
        p->degree = (uint32_t)degree;
    return r;
}

static int support_vectors(struct mr_convert *c, const struct mr_pk *obj, uint32_t *in,
                           struct vectors *v, struct mr_err *e) {
    const struct mr_pk *node;
    int r = mr_convert_need(obj, "support_vectors_", &node, e);
    if (r)
        return r;
    if (!is_csr(node)) {
        r = mr_node_matrix(c, obj, node, "support_vectors_", false, &v->dense, &v->n, &v->width, e);
    } else {
        r = read_csr(c, obj, node, "support_vectors_", v, e);
        if (!r && mr_build_slot_kind(c->b, *in) != MR_SLOT_SPARSE)
            r = densify(c, obj, v, e);
    }
    if (!r && v->n > (1u << 28))
        r = mr_refuse_attr(obj, "support_vectors_", e, "has too many rows");
    if (!r)
        r = mr_want_width(c, obj, *in, v->width, e);
    if (!r && v->dense)
        *in = mr_convert_dense(c, *in);
    return r;
}

/* n_class 0: one function over all vectors. */
static int decision(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t n_class,
                    uint32_t *ret, struct mr_err *e) {
    struct mr_svm_params p = {.n_class = n_class};
    struct vectors v = {0};
    const double *coef, *bias;
    const uint32_t *n_of = NULL;
    size_t rows = n_class ? n_class - 1 : 1, values = n_class ? (size_t)n_class * rows / 2 : 1;
    int r = kernel_of(obj, &p, e);
    if (!r)
        r = support_vectors(c, obj, &in, &v, e);
    size_t cr, cc;
    if (!r)
        r = mr_get_rows(c, obj, "_dual_coef_", &coef, &cr, &cc, e);
    if (!r && (cr != rows || cc != v.n) && cr * cc != 0)
        r = mr_refuse_attr(obj, "_dual_coef_", e, "has the shape %zu x %zu, not %zu x %zu", cr, cc,
                           rows, v.n);
    if (!r && cr * cc == 0 && rows * v.n != 0)
        r = mr_refuse_attr(obj, "_dual_coef_", e, "is empty");
    if (!r)
        r = mr_get_vector(c, obj, "_intercept_", values, &bias, e);
    if (!r && n_class)
        r = mr_get_u32(c, obj, "_n_support", n_class, (uint32_t)v.n + 1, &n_of, e);
    if (r)
        return r;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n_class; i++)
        sum += n_of[i];
    if (n_class && sum != v.n)
        return mr_refuse_attr(obj, "_n_support", e, "does not add up to %zu vectors", v.n);
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof p);
    if (v.dense) {
        r = mr_blob_blocks(c, &blob, v.dense, v.n, v.width, &p.sv, e);
    } else {
        p.sparse = 1;
        p.sv = mr_blob_f64(&blob, v.value, v.nnz);
        p.start = mr_blob_u32(&blob, v.start, v.n + 1);
        p.index = mr_blob_u32(&blob, v.index, v.nnz);
    }
    if (r)
        return r;
    p.n_in = (uint32_t)v.width;
    p.n_sv = (uint32_t)v.n;
    p.coef = mr_blob_f64(&blob, coef, rows * v.n);
    p.bias = mr_blob_f64(&blob, bias, values);
    p.n_of = mr_blob_u32(&blob, n_of, n_class);
    void *head = mr_blob_head(&blob);
    if (!head)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    memcpy(head, &p, sizeof p);
    *ret = mr_emit(c, MR_OP_SVM, in, (uint32_t)values, &blob);
    return 0;
}

uint32_t mr_emit_svm_post(struct mr_convert *c, uint32_t in, enum mr_svm_post mode, uint32_t k,
                          bool negate, double cut, const double *a, const double *b) {
    size_t pairs = a ? (size_t)k * (k - 1) / 2 : 0;
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_svm_post_params));
    struct mr_ref ar = mr_blob_f64(&blob, a, pairs), br = mr_blob_f64(&blob, b, pairs);
    struct mr_svm_post_params *p = mr_blob_head(&blob);
    if (p)
        *p = (struct mr_svm_post_params){
            .mode = mode, .n_class = k, .negate = negate, .cut = cut, .a = ar, .b = br};
    return mr_emit(c, MR_OP_SVM_PROBA, in, mode == MR_SVM_VOTE ? 1 : k, &blob);
}

/* probability=True leaves one sigmoid a pair; "deprecated" (the default since 1.9) means False. */
static int probabilities(struct mr_convert *c, const struct mr_pk *obj, uint32_t dec, uint32_t k,
                         struct mr_build_output *out, struct mr_err *e) {
    const struct mr_pk *a = mr_pk_attr(obj, "_probA");
    bool on = false;
    mr_pk_bool(mr_pk_attr(obj, "probability"), &on);
    if (!on || mr_pk_len(a) == 0)
        return 0;
    size_t pairs = (size_t)k * (k - 1) / 2;
    const double *av, *bv;
    int r = mr_get_vector(c, obj, "_probA", pairs, &av, e);
    if (!r)
        r = mr_get_vector(c, obj, "_probB", pairs, &bv, e);
    if (!r)
        out->proba_slot = mr_emit_svm_post(c, dec, MR_SVM_COUPLE, k, false, 0, av, bv);
    return r;
}

int mr_convert_svc(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    struct mr_build_output *out = &ret->out[0];
    uint32_t dec;
    int r = mr_get_classes(c, obj, "classes_", out, e);
    if (!r && (out->n_classes < 2 || out->n_classes > 1024))
        r = mr_refuse_attr(obj, "classes_", e, "has %u entries (2 to 1024)", out->n_classes);
    uint32_t k = out->n_classes;
    if (!r)
        r = decision(c, obj, in, k, &dec, e);
    if (r)
        return r;
    bool ovr = mr_str_is(mr_get_str(obj, "decision_function_shape"), "ovr"), ties = false;
    mr_pk_bool(mr_pk_attr(obj, "break_ties"), &ties);
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    out->proba_slot = MR_NO_SLOT;
    if (k == 2) /* positive means the second class */
        ret->decision_slot = mr_emit_link(c, dec, MR_LINK_NEGATE);
    else /* the one-against-one shape keeps libsvm's sign */
        ret->decision_slot =
            ovr ? mr_emit_svm_post(c, dec, MR_SVM_OVR, k, false, 0, NULL, NULL) : dec;
    if (ties && ovr && k > 2)
        out->pred_slot = mr_emit_argmax(c, ret->decision_slot);
    else
        out->pred_slot = mr_emit_svm_post(c, dec, MR_SVM_VOTE, k, false, 0, NULL, NULL);
    return probabilities(c, obj, dec, k, out, e);
}

int mr_convert_svr(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                   struct mr_estimator_out *ret, struct mr_err *e) {
    uint32_t y;
    int r = decision(c, obj, in, 0, &y, e);
    return r ? r : mr_regress_columns(c, obj, y, ret, e);
}

int mr_convert_one_class_svm(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                             struct mr_estimator_out *ret, struct mr_err *e) {
    static const struct mr_label labels[2] = {{.i = -1, .f = -1}, {.i = 1, .f = 1}};
    uint32_t y;
    int r = decision(c, obj, in, 0, &y, e);
    if (r)
        return r;
    ret->task = MR_TASK_OUTLIER;
    ret->n_outputs = 1;
    ret->decision_slot = y;
    ret->out[0] = (struct mr_build_output){.pred_slot = mr_emit_threshold(c, y, 0),
                                           .proba_slot = MR_NO_SLOT,
                                           .label_kind = MR_LABEL_INT,
                                           .classes = labels,
                                           .n_classes = 2};
    return 0;
}
