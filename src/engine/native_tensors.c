/* Compiled programs on tensors: a matrix or one column an input in; labels or values and
 * probabilities out, with the types that scikit-learn's arrays have. */
#include "base/half.h"
#include "engine/internal.h"
#include "engine/tensor_run.h"

#include <math.h>

#define NO_SLOT UINT32_MAX

/* --- what it takes and gives ---------------------------------------------------------------- */

static int32_t label_type(const struct mr_model_info *info, const struct mr_model_output *o) {
    if (info->task == MR_TASK_REGRESS || info->task == MR_TASK_TRANSFORM)
        return MR_ONNX_DOUBLE;
    if (!o->classes)
        return MR_ONNX_INT64; /* cluster numbers, 1 and -1 of outlier models */
    switch (o->label_kind) {
    case MR_LABEL_INT:
        return MR_ONNX_INT64;
    case MR_LABEL_FLOAT:
        return MR_ONNX_DOUBLE;
    case MR_LABEL_BOOL:
        return MR_ONNX_BOOL;
    default:
        return MR_ONNX_STRING;
    }
}

/* The one type of all outputs' predictions: text when it must be. */
static int32_t predict_type(const struct mr_model_info *info) {
    int32_t type = label_type(info, &info->outputs[0]);
    for (uint32_t k = 1; k < info->n_outputs; k++)
        if (label_type(info, &info->outputs[k]) != type)
            return MR_ONNX_STRING;
    return type;
}

static bool has_proba(const struct mr_model_info *info) {
    for (uint32_t k = 0; k < info->n_outputs; k++)
        if (info->outputs[k].proba_slot == NO_SLOT)
            return false;
    return info->n_outputs > 0;
}

static struct mr_onnx_value matrix(struct mr_str name, int32_t elem, int64_t width) {
    return (struct mr_onnx_value){
        .name = name, .kind = MR_ONNX_TENSOR, .elem = elem, .rank = 2, .dim = {-1, width}};
}

static bool is_text(const struct mr_model_info *info) {
    return info->text_input && info->input_kind == MR_SLOT_CELLS;
}

/* Transformers and regressors of several targets answer rows as wide as what they computed. */
static int64_t predict_width(const struct mr_model_info *info) {
    bool wide =
        info->task == MR_TASK_TRANSFORM || (info->task == MR_TASK_REGRESS && info->n_outputs == 1);
    return wide ? info->output_width : info->n_outputs;
}

int mr_native_io(const struct mr_instance *i, struct mr_arena *arena, struct mr_tensor_io *ret,
                 struct mr_err *e) {
    const struct mr_model_info *info = i->shape.info;
    bool mixed = info->input_kind == MR_SLOT_CELLS && !is_text(info);
    size_t n_in = mixed ? info->n_features : 1, n_out = 1;
    struct mr_onnx_value *in = mr_arena_array(arena, n_in + 1, sizeof *in);
    struct mr_onnx_value *out = mr_arena_array(arena, info->n_outputs + 1, sizeof *out);
    if (!in || !out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    in[0] =
        matrix(MR_LIT("input"), is_text(info) ? MR_ONNX_STRING : MR_ONNX_DOUBLE, info->n_features);
    for (uint32_t k = 0; mixed && k < n_in; k++) {
        char *name = info->feature_names ? NULL : mr_arena_fmt(arena, "input_%u", k);
        in[k] = matrix(name ? mr_str(name) : MR_LIT("input"), MR_ONNX_STRING, 1);
        if (info->feature_names)
            in[k].name = info->feature_names[k];
    }
    out[0] = matrix(MR_LIT("predict"), predict_type(info), predict_width(info));
    for (uint32_t k = 0; has_proba(info) && k < info->n_outputs; k++) {
        char *name =
            mr_arena_fmt(arena, info->n_outputs > 1 ? "predict_proba_%u" : "predict_proba", k);
        if (!name)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        out[n_out++] = matrix(mr_str(name), MR_ONNX_DOUBLE, info->outputs[k].n_classes);
    }
    *ret = (struct mr_tensor_io){.in = in,
                                 .n_in = n_in,
                                 .out = out,
                                 .n_out = n_out,
                                 .columns = !is_text(info) && info->n_features > 1,
                                 .any_in = !mixed,
                                 .platform = info->framework};
    return 0;
}

/* --- in ------------------------------------------------------------------------------------- */

static bool number_at(const struct mr_tensor *t, size_t k, double *ret) {
    switch (t->elem) {
    case MR_ONNX_DOUBLE:
        *ret = ((const double *)t->data)[k];
        return true;
    case MR_ONNX_FLOAT:
        *ret = (double)((const float *)t->data)[k];
        return true;
    case MR_ONNX_FLOAT16:
        *ret = (double)mr_half_to_float(((const uint16_t *)t->data)[k]);
        return true;
    case MR_ONNX_INT64:
        *ret = (double)((const int64_t *)t->data)[k];
        return true;
    case MR_ONNX_UINT64:
        *ret = (double)((const uint64_t *)t->data)[k];
        return true;
    case MR_ONNX_INT32:
        *ret = ((const int32_t *)t->data)[k];
        return true;
    case MR_ONNX_UINT32:
        *ret = ((const uint32_t *)t->data)[k];
        return true;
    case MR_ONNX_INT16:
        *ret = ((const int16_t *)t->data)[k];
        return true;
    case MR_ONNX_UINT16:
        *ret = ((const uint16_t *)t->data)[k];
        return true;
    case MR_ONNX_INT8:
        *ret = ((const int8_t *)t->data)[k];
        return true;
    case MR_ONNX_UINT8:
    case MR_ONNX_BOOL:
        *ret = ((const uint8_t *)t->data)[k];
        return true;
    default:
        return false;
    }
}

/* Element k of a tensor into value `at` of the input. */
static int put(const struct mr_instance *i, const struct mr_named_tensor *t, size_t k,
               const struct mr_input *in, size_t at, struct mr_err *e) {
    int len = (int)(t->name.n > 60 ? 60 : t->name.n);
    double v;
    if (in->cells && t->t.elem == MR_ONNX_STRING) {
        in->cells[at] = (struct mr_cell){.num = NAN, .s = t->t.str[k]};
        return 0;
    }
    if (!number_at(&t->t, k, &v))
        return mr_fail_field(e, MR_EINVAL, "inputs",
                             "input '%.*s' is BYTES, but this model takes numbers", len, t->name.p);
    if (isinf(v) || (isnan(v) && !i->shape.info->accepts_missing))
        return mr_fail_field(e, MR_EINVAL, "inputs",
                             "value %zu of input '%.*s' is %s, which this model does not take", k,
                             len, t->name.p, isinf(v) ? "infinite" : "not a number");
    if (in->cells)
        in->cells[at] = (struct mr_cell){.num = v};
    else
        in->dense[at] = v;
    return 0;
}

static int wrong_shape(const struct mr_instance *i, const struct mr_named_tensor *t,
                       struct mr_err *e) {
    char text[96];
    int n = 0;
    for (int k = 0; k < t->t.rank && n < 80; k++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%lld", k ? ", " : "",
                      (long long)t->t.dim[k]);
    text[n < (int)sizeof text ? n : (int)sizeof text - 1] = 0;
    return mr_fail_field(
        e, MR_EINVAL, "inputs", "input '%.*s' has the shape [%s], but the model takes [rows, %u]%s",
        (int)(t->name.n > 60 ? 60 : t->name.n), t->name.p, text, i->shape.info->n_features,
        i->shape.info->n_features > 1 ? ", or one input [rows, 1] a feature" : "");
}

static int make_input(const struct mr_instance *i, size_t rows, struct mr_arena *arena,
                      struct mr_input *in, struct mr_err *e) {
    const struct mr_model_info *info = i->shape.info;
    size_t n = rows * info->n_features;
    if (!rows)
        return mr_fail_field(e, MR_EINVAL, "inputs", "the inputs have no rows");
    if (rows > MR_ROWS_MAX || n > MR_VALUES_MAX)
        return mr_fail_field(e, MR_ETOOBIG, "inputs", "%zu rows are too many; at most %u", rows,
                             MR_ROWS_MAX);
    *in = (struct mr_input){.rows = rows, .batch = true};
    if (info->input_kind == MR_SLOT_DENSE)
        in->dense = mr_arena_array(arena, n + 1, sizeof *in->dense);
    else
        in->cells = mr_arena_array(arena, n + 1, sizeof *in->cells);
    if (!in->dense && !in->cells)
        return mr_fail(e, MR_ETOOBIG, "the inputs are too large for the memory of one request");
    return 0;
}

static int read_matrix(const struct mr_instance *i, const struct mr_named_tensor *t,
                       struct mr_arena *arena, struct mr_input *in, struct mr_err *e) {
    uint32_t width = i->shape.info->n_features;
    bool flat = t->t.rank == 1 && width == 1;
    if (!flat && (t->t.rank != 2 || t->t.dim[1] != (int64_t)width))
        return wrong_shape(i, t, e);
    int rc = make_input(i, (size_t)t->t.dim[0], arena, in, e);
    if (rc)
        return rc;
    if (in->dense && t->t.elem == MR_ONNX_DOUBLE && !i->shape.info->accepts_missing) {
        /* The common case as one loop: a sum of x * 0 is NaN when any is not finite. */
        const double *from = t->t.data;
        double probe = 0;
        for (size_t k = 0; k < t->t.count; k++)
            probe += (in->dense[k] = from[k]) * 0;
        if (probe == 0)
            return 0;
    }
    for (size_t k = 0; !rc && k < t->t.count; k++)
        rc = put(i, t, k, in, k, e);
    return rc;
}

static const struct mr_named_tensor *find(const struct mr_named_tensor *in, size_t n,
                                          struct mr_str name) {
    for (size_t k = 0; k < n; k++)
        if (mr_str_eq(in[k].name, name))
            return &in[k];
    return NULL;
}

/* One input a feature: by name where the model has names, else in order. */
static int read_columns(const struct mr_instance *i, const struct mr_named_tensor *t, size_t n,
                        struct mr_arena *arena, struct mr_input *in, struct mr_err *e) {
    const struct mr_model_info *info = i->shape.info;
    uint32_t width = info->n_features;
    if (n != width)
        return mr_fail_field(e, MR_EINVAL, "inputs",
                             "%zu inputs, but the model takes one matrix [rows, %u] or %u columns",
                             n, width, width);
    int rc = make_input(i, t[0].t.rank ? (size_t)t[0].t.dim[0] : 1, arena, in, e);
    for (uint32_t k = 0; !rc && k < width; k++) {
        const struct mr_named_tensor *c =
            info->feature_names ? find(t, n, info->feature_names[k]) : &t[k];
        if (!c)
            return mr_fail_field(
                e, MR_EINVAL, "inputs", "the input '%.*s' is missing",
                (int)(info->feature_names[k].n > 60 ? 60 : info->feature_names[k].n),
                info->feature_names[k].p);
        if (c->t.rank < 1 || c->t.count != in->rows || (size_t)c->t.dim[0] != in->rows)
            return mr_fail_field(
                e, MR_EINVAL, "inputs", "the column '%.*s' must have the shape [%zu] or [%zu, 1]",
                (int)(c->name.n > 60 ? 60 : c->name.n), c->name.p, in->rows, in->rows);
        for (size_t r = 0; !rc && r < in->rows; r++)
            rc = put(i, c, r, in, r * width + k, e);
    }
    return rc;
}

static int read_text(const struct mr_instance *i, const struct mr_named_tensor *t,
                     struct mr_arena *arena, struct mr_input *in, struct mr_err *e) {
    if (t->t.elem != MR_ONNX_STRING || t->t.rank < 1 || (size_t)t->t.dim[0] != t->t.count)
        return mr_fail_field(e, MR_EINVAL, "inputs",
                             "this text model takes BYTES of the shape [rows] or [rows, 1]");
    int rc = make_input(i, t->t.count, arena, in, e);
    for (size_t k = 0; !rc && k < t->t.count; k++)
        rc = put(i, t, k, in, k, e);
    return rc;
}

static int read_inputs(const struct mr_instance *i, const struct mr_named_tensor *t, size_t n,
                       struct mr_arena *arena, struct mr_input *in, struct mr_err *e) {
    const struct mr_model_info *info = i->shape.info;
    if (!n)
        return mr_fail_field(e, MR_EINVAL, "inputs", "there are no inputs");
    for (size_t k = 0; k < n; k++)
        for (size_t s = 0; t[k].t.elem == MR_ONNX_STRING && s < t[k].t.count; s++)
            if (!mr_utf8_valid(t[k].t.str[s]))
                return mr_fail_field(e, MR_EINVAL, "inputs", "value %zu of '%.*s' is not UTF-8", s,
                                     (int)(t[k].name.n > 60 ? 60 : t[k].name.n), t[k].name.p);
    if (is_text(info) && n == 1)
        return read_text(i, t, arena, in, e);
    if (n > 1)
        return read_columns(i, t, n, arena, in, e);
    return read_matrix(i, t, arena, in, e);
}

/* --- out ------------------------------------------------------------------------------------ */

/* The text of a prediction, for outputs of several types. */
static struct mr_str label_text(const struct mr_instance *i, uint32_t k, double v,
                                struct mr_arena *arena) {
    const struct mr_model_output *o = &i->shape.info->outputs[k];
    if (o->classes && o->label_kind == MR_LABEL_STR)
        return o->classes[(uint32_t)v].s;
    if (o->classes)
        return i->output.labels[k].json[(uint32_t)v];
    char *p = mr_arena_fmt(arena, "%.17g", v);
    return p ? mr_str(p) : mr_strn(NULL, 0);
}

/* One prediction into element `at` of the output tensor's own array. */
static int put_label(const struct mr_instance *i, uint32_t k, double v, const struct mr_tensor *t,
                     size_t at, struct mr_arena *arena, struct mr_err *e) {
    const struct mr_model_info *info = i->shape.info;
    const struct mr_model_output *o = &info->outputs[k];
    bool class = o->classes && info->task != MR_TASK_REGRESS && info->task != MR_TASK_TRANSFORM;
    if (class && !(v >= 0 && v < o->n_classes))
        return mr_fail(e, MR_EPREDICT, "the model answered class number %g of %u", v, o->n_classes);
    switch (t->elem) {
    case MR_ONNX_INT64:
        if (!class && !(fabs(v) < 9e15 && v == floor(v)))
            return mr_fail(e, MR_EPREDICT, "the model answered %g where a whole number is due", v);
        ((int64_t *)(uintptr_t)t->data)[at] = class ? o->classes[(uint32_t)v].i : (int64_t)v;
        return 0;
    case MR_ONNX_DOUBLE:
        ((double *)(uintptr_t)t->data)[at] = class ? o->classes[(uint32_t)v].f : v;
        return 0;
    case MR_ONNX_BOOL:
        ((uint8_t *)(uintptr_t)t->data)[at] = o->classes[(uint32_t)v].i != 0;
        return 0;
    default: {
        struct mr_str s = label_text(i, k, v, arena);
        ((struct mr_str *)(uintptr_t)t->str)[at] = s;
        return s.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
    }
    }
}

static int make_tensor(struct mr_arena *arena, int32_t elem, size_t rows, size_t width,
                       struct mr_tensor *ret, struct mr_err *e) {
    size_t count;
    *ret = (struct mr_tensor){.elem = elem, .rank = 2, .dim = {(int64_t)rows, (int64_t)width}};
    if (__builtin_mul_overflow(rows, width, &count))
        return mr_fail(e, MR_ETOOBIG, "the answer is too large");
    ret->count = count;
    if (elem == MR_ONNX_STRING)
        ret->str = mr_arena_array(arena, count + 1, sizeof *ret->str);
    else
        ret->data = mr_arena_array(arena, count + 1, mr_onnx_elem_size(elem));
    return ret->str || ret->data
               ? 0
               : mr_fail(e, MR_ETOOBIG, "the answer is too large for the memory of one request");
}

/* Slot `slot` of all blocks as one tensor of doubles. */
static int dense_out(const struct mr_result *block, size_t n_blocks, uint32_t slot, size_t rows,
                     struct mr_arena *arena, struct mr_tensor *ret, struct mr_err *e) {
    size_t width = block[0].slot[slot].width, at = 0;
    int rc = make_tensor(arena, MR_ONNX_DOUBLE, rows, width, ret, e);
    for (size_t b = 0; !rc && b < n_blocks; b++) {
        size_t n = block[b].rows * width;
        memcpy((double *)(uintptr_t)ret->data + at, block[b].slot[slot].dense, n * sizeof(double));
        at += n;
    }
    return rc;
}

static int predict_out(const struct mr_instance *i, const struct mr_result *block, size_t n_blocks,
                       size_t rows, struct mr_arena *arena, struct mr_tensor *ret,
                       struct mr_err *e) {
    const struct mr_model_info *info = i->shape.info;
    uint32_t n = info->n_outputs, slot = info->outputs[0].pred_slot;
    if (info->task == MR_TASK_TRANSFORM || (n == 1 && block[0].slot[slot].width != 1))
        return dense_out(block, n_blocks, slot, rows, arena, ret, e);
    int rc = make_tensor(arena, predict_type(info), rows, n, ret, e);
    size_t row = 0;
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t r = 0; r < block[b].rows; r++, row++)
            for (uint32_t k = 0; !rc && k < n; k++) {
                const struct mr_vec *v = &block[b].slot[info->outputs[k].pred_slot];
                rc = put_label(i, k, v->dense[r * v->width], ret, row * n + k, arena, e);
            }
    return rc;
}

int mr_native_run(struct mr_instance *i, const struct mr_named_tensor *in, size_t n_in,
                  struct mr_arena *arena, struct mr_named_tensor **ret, size_t *ret_n,
                  size_t *ret_rows, struct mr_err *e) {
    const struct mr_model_info *info = i->shape.info;
    struct mr_tensor_io io;
    struct mr_input input;
    struct mr_result *block = NULL;
    size_t n_blocks = 0;
    int rc = mr_native_io(i, arena, &io, e);
    if (!rc)
        rc = read_inputs(i, in, n_in, arena, &input, e);
    if (!rc)
        rc = mr_native_blocks(i, &input, arena, &block, &n_blocks, e);
    if (rc)
        return rc;
    struct mr_named_tensor *out = mr_arena_array(arena, io.n_out, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    out[0].name = io.out[0].name;
    rc = predict_out(i, block, n_blocks, input.rows, arena, &out[0].t, e);
    for (uint32_t k = 0; !rc && k + 1 < io.n_out; k++) {
        out[k + 1].name = io.out[k + 1].name;
        rc = dense_out(block, n_blocks, info->outputs[k].proba_slot, input.rows, arena,
                       &out[k + 1].t, e);
    }
    if (rc)
        return rc;
    *ret = out;
    *ret_n = io.n_out;
    *ret_rows = input.rows;
    return 0;
}
