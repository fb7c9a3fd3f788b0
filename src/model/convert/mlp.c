/* Multi-layer perceptrons: coefs_ and intercepts_, one pair a layer. */
#include "model/convert/families.h"

static int activation(const struct mr_pk *obj, uint32_t *ret, struct mr_err *e) {
    static const char *const name[] = {[MR_ACT_IDENTITY] = "identity",
                                       [MR_ACT_RELU] = "relu",
                                       [MR_ACT_TANH] = "tanh",
                                       [MR_ACT_LOGISTIC] = "logistic"};
    struct mr_str s = mr_get_str(obj, "activation");
    for (uint32_t i = 0; i < 4; i++)
        if (mr_str_is(s, name[i])) {
            *ret = i;
            return 0;
        }
    return mr_refuse_attr(obj, "activation", e, "is not one of identity, relu, tanh, logistic");
}

/* Weights of all layers, padded as MR_OP_MLP wants them. */
struct net {
    uint32_t n_layers, dims[MR_MLP_MAX_LAYERS + 1];
    double *w;
    size_t n_w;
};

static int layer(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *w,
                 const struct mr_pk *b, struct net *net, uint32_t i, struct mr_err *e) {
    size_t rows, cols, br, bc;
    const double *wv, *bv;
    int r = mr_node_matrix(c, obj, w, "coefs_", false, &wv, &rows, &cols, e);
    if (!r)
        r = mr_node_matrix(c, obj, b, "intercepts_", false, &bv, &br, &bc, e);
    if (r)
        return r;
    if (rows != net->dims[i] || !cols || cols > MR_MAX_WIDTH || br * bc != cols)
        return mr_refuse_attr(obj, "coefs_", e, "layer %u has the shape %zu x %zu", i, rows, cols);
    size_t stride = mr_linear_stride((uint32_t)cols), n = (rows + 1) * stride;
    double *all = mr_convert_array(c, net->n_w + n, sizeof *all, e);
    if (!all)
        return MR_ENOMEM;
    if (net->n_w)
        memcpy(all, net->w, net->n_w * sizeof *all);
    double *p = all + net->n_w;
    for (size_t j = 0; j <= rows; j++)
        for (size_t k = 0; k < stride; k++)
            *p++ = k >= cols ? 0 : j < rows ? wv[j * cols + k] : bv[k];
    net->w = all;
    net->n_w += n;
    net->dims[i + 1] = (uint32_t)cols;
    return 0;
}

static int forward(struct mr_convert *c, const struct mr_pk *obj, uint32_t in, uint32_t *ret,
                   struct mr_err *e) {
    const struct mr_pk *w, *b;
    struct mr_pk *const *wv, *const *bv;
    size_t nw, nb;
    uint32_t act = 0;
    struct net net = {0};
    int r = activation(obj, &act, e);
    if (!r)
        r = mr_convert_need(obj, "coefs_", &w, e);
    if (!r)
        r = mr_convert_need(obj, "intercepts_", &b, e);
    if (r)
        return r;
    if (!mr_pk_seq(w, &wv, &nw) || !mr_pk_seq(b, &bv, &nb) || !nw || nw != nb ||
        nw > MR_MLP_MAX_LAYERS)
        return mr_refuse_attr(obj, "coefs_", e, "is not a list of 1 to %d layers",
                              MR_MLP_MAX_LAYERS);
    net.n_layers = (uint32_t)nw;
    net.dims[0] = mr_build_slot_width(c->b, in);
    for (uint32_t i = 0; i < nw; i++)
        if ((r = layer(c, obj, wv[i], bv[i], &net, i, e)))
            return r;
    in = mr_convert_dense(c, in);
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_mlp_params));
    struct mr_ref dims = mr_blob_u32(&blob, net.dims, nw + 1),
                  wr = mr_blob_f64(&blob, net.w, net.n_w);
    struct mr_mlp_params *p = mr_blob_head(&blob);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_mlp_params){.n_layers = net.n_layers, .activation = act, .dims = dims, .w = wr};
    *ret = mr_emit(c, MR_OP_MLP, in, net.dims[nw], &blob);
    return 0;
}

int mr_convert_mlp_regressor(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                             struct mr_estimator_out *ret, struct mr_err *e) {
    uint32_t y;
    int r = forward(c, obj, in, &y, e);
    if (r)
        return r;
    struct mr_str out = mr_get_str(obj, "out_activation_");
    if (mr_str_is(out, "exp")) /* loss="poisson" */
        y = mr_emit_link(c, y, MR_LINK_EXP);
    else if (!mr_str_is(out, "identity"))
        return mr_refuse_attr(obj, "out_activation_", e, "is not identity");
    return mr_regress_columns(c, obj, y, ret, e);
}

/* Several labels a row: each column of the sigmoid layer is its own yes or no. */
static int multilabel(struct mr_convert *c, const struct mr_pk *obj, uint32_t p, uint32_t n,
                      struct mr_estimator_out *ret, struct mr_err *e) {
    static const struct mr_label no_yes[2] = {{.i = 0}, {.i = 1, .f = 1}};
    if (n > sizeof ret->out / sizeof *ret->out)
        return mr_unsupported(obj, e, "predicts %u labels a row; at most 64 are served", n);
    ret->n_outputs = n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t col = mr_emit_column(c, p, i);
        ret->out[i] = (struct mr_build_output){.pred_slot = mr_emit_threshold(c, col, 0.5),
                                               .proba_slot = mr_emit_link(c, col, MR_LINK_PAIR),
                                               .label_kind = MR_LABEL_INT,
                                               .classes = no_yes,
                                               .n_classes = 2};
    }
    return 0;
}

int mr_convert_mlp_classifier(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                              struct mr_estimator_out *ret, struct mr_err *e) {
    const struct mr_pk *lb;
    uint32_t y;
    int r = mr_convert_need(obj, "_label_binarizer", &lb, e);
    if (!r)
        r = mr_get_classes(c, obj, "classes_", &ret->out[0], e);
    if (!r)
        r = forward(c, obj, in, &y, e);
    if (r)
        return r;
    struct mr_str type = mr_get_str(lb, "y_type_"), out = mr_get_str(obj, "out_activation_");
    uint32_t n = mr_build_slot_width(c->b, y), k = ret->out[0].n_classes;
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    if (mr_str_is(out, "logistic") && mr_str_is(type, "multilabel-indicator") && n == k)
        return multilabel(c, obj, mr_emit_link(c, y, MR_LINK_SIGMOID), n, ret, e);
    if (mr_str_is(out, "logistic") && n == 1 && k == 2) {
        uint32_t p = mr_emit_link(c, y, MR_LINK_SIGMOID);
        ret->out[0].pred_slot = mr_emit_threshold(c, p, 0.5);
        ret->out[0].proba_slot = mr_emit_link(c, p, MR_LINK_PAIR);
        return 0;
    }
    if (mr_str_is(out, "softmax") && n == k && k > 2) {
        ret->out[0].proba_slot = mr_emit_link(c, y, MR_LINK_SOFTMAX);
        ret->out[0].pred_slot = mr_emit_argmax(c, ret->out[0].proba_slot);
        return 0;
    }
    return mr_refuse_attr(obj, "out_activation_", e, "does not fit %u outputs and %u classes", n,
                          k);
}
