/* ONNX models on named tensors: inputs by name, types and shapes as the model states them. */
#include "engine/onnx/onnx.h"
#include "engine/tensor_run.h"

/* A list of maps goes out as two tensors, values under its own name and keys under this. */
#define KEYS ".keys"

static bool is_map(const struct mr_onnx_value *v) {
    return v->kind == MR_ONNX_SEQUENCE_MAP;
}

int mr_onnx_io(const struct mr_onnx *m, struct mr_arena *arena, struct mr_tensor_io *ret,
               struct mr_err *e) {
    size_t n_in, n_out, k = 0;
    const struct mr_onnx_value *in = mr_onnx_inputs(m, &n_in), *from = mr_onnx_outputs(m, &n_out);
    struct mr_onnx_value *out = mr_arena_array(arena, n_out * 2 + 1, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < n_out; i++) {
        out[k] = from[i];
        if (!is_map(&from[i])) {
            k++;
            continue;
        }
        out[k].kind = MR_ONNX_TENSOR;
        out[k].elem = MR_ONNX_FLOAT;
        out[k].rank = 2;
        out[k].dim[0] = out[k].dim[1] = -1;
        out[k + 1] = out[k];
        out[k + 1].elem = from[i].elem;
        char *name = mr_arena_fmt(arena, "%.*s" KEYS, (int)from[i].name.n, from[i].name.p);
        if (!name)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        out[k + 1].name = mr_str(name);
        k += 2;
    }
    *ret = (struct mr_tensor_io){
        .in = in, .n_in = n_in, .out = out, .n_out = k, .platform = MR_LIT("onnx_onnxv1")};
    return 0;
}

static int check(const struct mr_onnx_value *v, const struct mr_named_tensor *t, struct mr_err *e) {
    int len = (int)(t->name.n > 60 ? 60 : t->name.n);
    if (t->t.elem != v->elem)
        return mr_fail_field(e, MR_EINVAL, "inputs", "input '%.*s' is %s, but the model takes %s",
                             len, t->name.p, mr_onnx_type_name(t->t.elem),
                             mr_onnx_type_name(v->elem));
    if (v->rank >= 0 && t->t.rank != v->rank)
        return mr_fail_field(e, MR_EINVAL, "inputs",
                             "input '%.*s' has %d dimensions, but the model takes %d", len,
                             t->name.p, t->t.rank, v->rank);
    for (int k = 0; k < v->rank; k++)
        if (v->dim[k] >= 0 && t->t.dim[k] != v->dim[k])
            return mr_fail_field(e, MR_EINVAL, "inputs",
                                 "dimension %d of input '%.*s' is %lld, but the model takes %lld",
                                 k, len, t->name.p, (long long)t->t.dim[k], (long long)v->dim[k]);
    return 0;
}

/* The given tensors in the model's order. */
static int in_order(const struct mr_onnx_value *want, size_t n, const struct mr_named_tensor *in,
                    size_t n_in, struct mr_tensor *ret, struct mr_err *e) {
    if (n != n_in)
        return mr_fail_field(e, MR_EINVAL, "inputs", "the model has %zu input%s, not %zu", n,
                             n == 1 ? "" : "s", n_in);
    for (size_t k = 0; k < n; k++) {
        size_t at = 0;
        while (at < n_in && !mr_str_eq(in[at].name, want[k].name))
            at++;
        if (at == n_in)
            return mr_fail_field(e, MR_EINVAL, "inputs", "the model's input '%.*s' is missing",
                                 (int)(want[k].name.n > 60 ? 60 : want[k].name.n), want[k].name.p);
        int rc = check(&want[k], &in[at], e);
        if (rc)
            return rc;
        ret[k] = in[at].t;
    }
    return 0;
}

int mr_onnx_run_named(struct mr_onnx *m, const struct mr_named_tensor *in, size_t n_in,
                      struct mr_arena *arena, struct mr_named_tensor **ret, size_t *ret_n,
                      size_t *ret_rows, struct mr_err *e) {
    struct mr_tensor_io io;
    struct mr_onnx_result *o;
    size_t n_out, k = 0;
    int rc = mr_onnx_io(m, arena, &io, e);
    if (rc)
        return rc;
    struct mr_tensor *ordered = mr_arena_array(arena, io.n_in + 1, sizeof *ordered);
    struct mr_named_tensor *out = mr_arena_array(arena, io.n_out + 1, sizeof *out);
    if (!ordered || !out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    rc = in_order(io.in, io.n_in, in, n_in, ordered, e);
    if (!rc)
        rc = mr_onnx_run(m, ordered, io.n_in, false, arena, &o, &n_out, e);
    if (rc)
        return rc;
    const struct mr_onnx_value *from = mr_onnx_outputs(m, &n_out);
    for (size_t i = 0; i < n_out; i++) {
        bool map = o[i].kind == MR_ONNX_SEQUENCE_MAP;
        if (map != is_map(&from[i]))
            return mr_fail(e, MR_EPREDICT, "the model answered another kind of value than it said");
        out[k].name = io.out[k].name;
        out[k++].t = map ? o[i].vals : o[i].t;
        if (map) {
            out[k].name = io.out[k].name;
            out[k++].t = o[i].t;
        }
    }
    *ret = out;
    *ret_n = k;
    *ret_rows = io.n_in && ordered[0].rank > 0 ? (size_t)ordered[0].dim[0] : 1;
    return 0;
}
