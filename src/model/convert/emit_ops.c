#include "model/convert/emit.h"

uint32_t mr_emit(struct mr_convert *c, uint32_t op_id, uint32_t in, uint32_t width,
                 struct mr_blob *blob) {
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, width);
    mr_build_op(c->b, op_id, &in, 1, out, blob);
    return out;
}

uint32_t mr_emit_link(struct mr_convert *c, uint32_t in, enum mr_link link) {
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_link));
    struct mr_p_link *p = mr_blob_head(&blob);
    if (p)
        *p = (struct mr_p_link){.link = link, .scale = 1};
    bool pair = link == MR_LINK_SIGMOID_PAIR || link == MR_LINK_PAIR || link == MR_LINK_NEG_PAIR;
    return mr_emit(c, MR_OP_LINK, in, pair ? 2 : mr_build_slot_width(c->b, in), &blob);
}

uint32_t mr_emit_argmax(struct mr_convert *c, uint32_t in) {
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_argmax));
    return mr_emit(c, MR_OP_ARGMAX, in, 1, &blob);
}

uint32_t mr_emit_threshold(struct mr_convert *c, uint32_t in, double t) {
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_threshold));
    struct mr_p_threshold *p = mr_blob_head(&blob);
    if (p)
        p->t = t;
    return mr_emit(c, MR_OP_THRESHOLD, in, mr_build_slot_width(c->b, in), &blob);
}

uint32_t mr_emit_column(struct mr_convert *c, uint32_t in, uint32_t col) {
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_select));
    struct mr_ref cols = mr_blob_u32(&blob, &col, 1);
    struct mr_p_select *p = mr_blob_head(&blob);
    if (p)
        p->cols = cols;
    return mr_emit(c, MR_OP_SELECT, in, 1, &blob);
}

uint32_t mr_emit_concat(struct mr_convert *c, const uint32_t *in, uint32_t n, uint32_t width) {
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_p_concat));
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, width);
    mr_build_op(c->b, MR_OP_CONCAT, in, n, out, &blob);
    return out;
}

/* One op takes MR_OP_MAX_IN inputs: more are summed in groups first. */
uint32_t mr_emit_mean(struct mr_convert *c, const uint32_t *in, uint32_t n, double divisor) {
    uint32_t width = mr_build_slot_width(c->b, in[0]), sum = MR_NO_SLOT, at = 0;
    while (at < n) {
        uint32_t group[MR_OP_MAX_IN], k = 0;
        if (sum != MR_NO_SLOT)
            group[k++] = sum;
        while (k < MR_OP_MAX_IN && at < n)
            group[k++] = in[at++];
        struct mr_blob blob;
        mr_blob_begin(c->b, &blob, sizeof(struct mr_p_mean));
        struct mr_p_mean *p = mr_blob_head(&blob);
        if (p)
            p->divisor = at == n ? divisor : 1;
        sum = mr_build_slot(c->b, MR_SLOT_DENSE, width);
        mr_build_op(c->b, MR_OP_MEAN, group, k, sum, &blob);
    }
    return sum;
}

static int emit_linear(struct mr_convert *c, uint32_t in, uint32_t n_in, uint32_t n_out,
                       const double *w, const double *b, uint32_t flags, double threshold,
                       uint32_t *ret, struct mr_err *e) {
    size_t stride = mr_linear_stride(n_out);
    if (!n_in || !n_out || n_in > MR_MAX_WIDTH || n_out > MR_MAX_WIDTH)
        return mr_fail(e, MR_EREFUSED, "a weight matrix of %u x %u is out of range", n_out, n_in);
    double *t = mr_convert_array(c, n_in * stride, sizeof *t, e);
    double *bias = mr_convert_array(c, stride, sizeof *bias, e);
    if (!t || !bias)
        return MR_ENOMEM;
    for (size_t k = 0; k < stride; k++)
        bias[k] = b && k < n_out ? b[k] : 0;
    for (size_t j = 0; j < n_in; j++)
        for (size_t k = 0; k < stride; k++)
            t[j * stride + k] = k < n_out ? w[k * n_in + j] : 0;
    if (mr_build_slot_kind(c->b, in) == MR_SLOT_CELLS)
        in = mr_convert_dense(c, in);
    struct mr_blob blob;
    mr_blob_begin(c->b, &blob, sizeof(struct mr_linear_params));
    struct mr_ref wr = mr_blob_f64(&blob, t, n_in * stride);
    struct mr_ref br = mr_blob_f64(&blob, bias, stride);
    struct mr_linear_params *p = mr_blob_head(&blob);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *p = (struct mr_linear_params){.n_in = n_in,
                                   .n_out = n_out,
                                   .stride = (uint32_t)stride,
                                   .flags = flags,
                                   .threshold = threshold,
                                   .w = wr,
                                   .b = br};
    *ret = mr_emit(c, MR_OP_LINEAR, in, n_out, &blob);
    return 0;
}

int mr_emit_linear(struct mr_convert *c, uint32_t in, uint32_t n_in, uint32_t n_out,
                   const double *w, const double *b, uint32_t *ret, struct mr_err *e) {
    return emit_linear(c, in, n_in, n_out, w, b, 0, 0, ret, e);
}

int mr_emit_linear_bin(struct mr_convert *c, uint32_t in, uint32_t n_in, uint32_t n_out,
                       const double *w, const double *b, const double *binarize, uint32_t *ret,
                       struct mr_err *e) {
    return emit_linear(c, in, n_in, n_out, w, b, binarize ? MR_LINEAR_BINARIZE : 0,
                       binarize ? *binarize : 0, ret, e);
}

int mr_emit_linear_f32(struct mr_convert *c, uint32_t in, uint32_t n_in, uint32_t n_out,
                       const double *w, const double *b, uint32_t *ret, struct mr_err *e) {
    return emit_linear(c, in, n_in, n_out, w, b, MR_LINEAR_F32, 0, ret, e);
}

int mr_emit_difference(struct mr_convert *c, uint32_t in, uint32_t *ret, struct mr_err *e) {
    static const double w[2] = {-1, 1};
    return mr_emit_linear(c, in, 2, 1, w, NULL, ret, e);
}

int mr_blob_blocks(struct mr_convert *c, struct mr_blob *blob, const double *x, size_t n,
                   size_t n_in, struct mr_ref *ret, struct mr_err *e) {
    size_t blocks = (n + 7) / 8;
    double *t = mr_convert_array(c, blocks * 8, n_in * sizeof *t, e);
    if (!t)
        return MR_ENOMEM;
    for (size_t i = 0; i < blocks * 8; i++)
        for (size_t j = 0; j < n_in; j++)
            t[(i / 8 * n_in + j) * 8 + i % 8] = i < n ? x[i * n_in + j] : 0;
    *ret = mr_blob_f64(blob, t, blocks * 8 * n_in);
    return 0;
}

void mr_classify_decision(struct mr_convert *c, uint32_t decision, struct mr_estimator_out *ret) {
    ret->task = MR_TASK_CLASSIFY;
    ret->n_outputs = 1;
    ret->decision_slot = decision;
    ret->out[0].proba_slot = MR_NO_SLOT;
    ret->out[0].pred_slot = mr_build_slot_width(c->b, decision) == 1
                                ? mr_emit_threshold(c, decision, 0)
                                : mr_emit_argmax(c, decision);
}

int mr_regress_columns(struct mr_convert *c, const struct mr_pk *obj, uint32_t slot,
                       struct mr_estimator_out *ret, struct mr_err *e) {
    uint32_t n = mr_build_slot_width(c->b, slot);
    if (n > sizeof ret->out / sizeof *ret->out)
        return mr_unsupported(obj, e, "predicts %u values a row; at most 64 are served", n);
    ret->task = MR_TASK_REGRESS;
    ret->n_outputs = n;
    for (uint32_t i = 0; i < n; i++)
        ret->out[i] = (struct mr_build_output){
            .pred_slot = n == 1 ? slot : mr_emit_column(c, slot, i), .proba_slot = MR_NO_SLOT};
    return 0;
}
