/* One run in the worker: tensors in, tensors out. */
#include "base/cleanup.h"
#include "engine/onnx/ort_abi.h"
#include "engine/onnx/worker_priv.h"

int mr_onnx_check(struct mr_onnx_worker *w, ort_status *s, struct mr_err *e) {
    if (!s)
        return 0;
    int r = mr_fail(e, MR_EPREDICT, "%s", ORT(w->ort, GetErrorMessage)(s));
    ORT(w->ort, ReleaseStatus)(s);
    return r;
}

static int make_strings(struct mr_onnx_worker *w, const struct mr_tensor *t, struct mr_arena *a,
                        ort_value **ret, struct mr_err *e) {
    const char **s = mr_arena_array(a, t->count ? t->count : 1, sizeof *s);
    if (!s)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t k = 0; k < t->count; k++)
        s[k] = t->str[k].p; /* NUL-terminated by mr_tensors_get_tensor */
    int r = mr_onnx_check(
        w,
        ORT(w->ort, CreateTensorAsOrtValue)(w->alloc, t->dim, (size_t)t->rank, MR_ONNX_STRING, ret),
        e);
    return r ? r : mr_onnx_check(w, ORT(w->ort, FillStringTensor)(*ret, s, t->count), e);
}

static int make_value(struct mr_onnx_worker *w, const struct mr_tensor *t, struct mr_arena *a,
                      ort_value **ret, struct mr_err *e) {
    if (t->elem == MR_ONNX_STRING)
        return make_strings(w, t, a, ret, e);
    return mr_onnx_check(w,
                         ORT(w->ort, CreateTensorWithDataAsOrtValue)(
                             w->memory, (void *)t->data, t->count * mr_onnx_elem_size(t->elem),
                             t->dim, (size_t)t->rank, t->elem, ret),
                         e);
}

static int take_strings(struct mr_onnx_worker *w, ort_value *v, struct mr_arena *a,
                        struct mr_tensor *t, struct mr_err *e) {
    size_t bytes = 0;
    int r = mr_onnx_check(w, ORT(w->ort, GetStringTensorDataLength)(v, &bytes), e);
    if (r)
        return r;
    char *p = mr_arena_alloc(a, bytes + 1);
    size_t *off = mr_arena_array(a, t->count + 1, sizeof *off);
    struct mr_str *s = mr_arena_array(a, t->count + 1, sizeof *s);
    if (!p || !off || !s)
        return mr_fail(e, MR_ETOOBIG, "the model's answer is too large");
    r = mr_onnx_check(w, ORT(w->ort, GetStringTensorContent)(v, p, bytes, off, t->count), e);
    for (size_t k = 0; !r && k < t->count; k++) {
        size_t end = k + 1 < t->count ? off[k + 1] : bytes;
        s[k] = (struct mr_str){p + off[k], end - off[k]};
    }
    t->str = s;
    return r;
}

static int take_tensor(struct mr_onnx_worker *w, ort_value *v, struct mr_arena *a,
                       struct mr_tensor *t, struct mr_err *e) {
    ort_shape_info *info = NULL;
    size_t rank = 0;
    int elem = 0;
    *t = (struct mr_tensor){0};
    int r = mr_onnx_check(w, ORT(w->ort, GetTensorTypeAndShape)(v, &info), e);
    if (!r)
        r = mr_onnx_check(w, ORT(w->ort, GetTensorElementType)(info, &elem), e);
    if (!r)
        r = mr_onnx_check(w, ORT(w->ort, GetDimensionsCount)(info, &rank), e);
    if (!r && rank > MR_ONNX_MAX_RANK)
        r = mr_fail(e, MR_EPREDICT, "an output has %zu dimensions", rank);
    if (!r)
        r = mr_onnx_check(w, ORT(w->ort, GetDimensions)(info, t->dim, rank), e);
    if (!r)
        r = mr_onnx_check(w, ORT(w->ort, GetTensorShapeElementCount)(info, &t->count), e);
    if (info)
        ORT(w->ort, ReleaseTensorTypeAndShapeInfo)(info);
    if (r)
        return r;
    t->elem = elem;
    t->rank = (int)rank;
    if (elem == MR_ONNX_STRING)
        return take_strings(w, v, a, t, e);
    if (!mr_onnx_elem_size(elem))
        return mr_fail(e, MR_EPREDICT, "an output is of a type that is not served (%s)",
                       mr_onnx_type_name(elem));
    return mr_onnx_check(w, ORT(w->ort, GetTensorMutableData)(v, (void **)&t->data), e);
}

/* zipmap: maps with the same keys; keys and values become [rows, entries] tensors. */
static int put_maps(struct mr_onnx_worker *w, ort_value *seq, struct mr_arena *a,
                    struct mr_buf *out, struct mr_err *e) {
    size_t n = 0;
    int r = mr_onnx_check(w, ORT(w->ort, GetValueCount)(seq, &n), e);
    MR_CLEANUP(mr_buf_release) struct mr_buf keys;
    MR_CLEANUP(mr_buf_release) struct mr_buf vals;
    mr_buf_init(&keys, MR_ONNX_MESSAGE_MAX / 2);
    mr_buf_init(&vals, MR_ONNX_MESSAGE_MAX / 2);
    struct mr_tensor k0 = {.elem = MR_ONNX_INT64}, v0 = {.elem = MR_ONNX_FLOAT};
    for (size_t i = 0; !r && i < n; i++) {
        ort_value *map = NULL, *k = NULL, *v = NULL;
        struct mr_tensor kt, vt;
        r = mr_onnx_check(w, ORT(w->ort, GetValue)(seq, (int)i, w->alloc, &map), e);
        if (!r)
            r = mr_onnx_check(w, ORT(w->ort, GetValue)(map, 0, w->alloc, &k), e);
        if (!r)
            r = mr_onnx_check(w, ORT(w->ort, GetValue)(map, 1, w->alloc, &v), e);
        if (!r)
            r = take_tensor(w, k, a, &kt, e);
        if (!r)
            r = take_tensor(w, v, a, &vt, e);
        if (!r && i == 0)
            k0 = kt, v0 = vt;
        if (!r && (kt.count != k0.count || vt.count != k0.count || kt.elem != k0.elem ||
                   vt.elem != v0.elem || vt.elem == MR_ONNX_STRING))
            r = mr_fail(e, MR_EPREDICT, "the maps of an output differ in their keys");
        if (!r && kt.elem == MR_ONNX_STRING)
            for (size_t s = 0; s < kt.count; s++) {
                mr_tensors_put_u32(&keys, (uint32_t)kt.str[s].n);
                mr_buf_str(&keys, kt.str[s]);
            }
        else if (!r)
            mr_buf_add(&keys, kt.data, kt.count * mr_onnx_elem_size(kt.elem));
        if (!r)
            mr_buf_add(&vals, vt.data, vt.count * mr_onnx_elem_size(vt.elem));
        ort_value *all[] = {v, k, map};
        for (int x = 0; x < 3; x++)
            if (all[x])
                ORT(w->ort, ReleaseValue)(all[x]);
    }
    if (r)
        return r;
    if (!mr_buf_ok(&keys) || !mr_buf_ok(&vals))
        return mr_fail(e, MR_ETOOBIG, "the model's answer is too large");
    int64_t dim[] = {(int64_t)n, (int64_t)k0.count};
    mr_tensors_put_u32(out, MR_ONNX_SEQUENCE_MAP);
    mr_tensors_put_tensor_head(out, k0.elem, 2, dim, keys.n);
    mr_buf_add(out, keys.p, keys.n);
    mr_tensors_put_tensor_head(out, v0.elem, 2, dim, vals.n);
    mr_buf_add(out, vals.p, vals.n);
    return 0;
}

static int put_output(struct mr_onnx_worker *w, ort_value *v, struct mr_arena *a,
                      struct mr_buf *out, struct mr_err *e) {
    int type = 0;
    int r = mr_onnx_check(w, ORT(w->ort, GetValueType)(v, &type), e);
    if (r)
        return r;
    if (type == ORT_VALUE_SEQUENCE_)
        return put_maps(w, v, a, out, e);
    if (type != ORT_VALUE_TENSOR_)
        return mr_fail(e, MR_EPREDICT, "an output is neither a tensor nor a list of maps");
    struct mr_tensor t;
    r = take_tensor(w, v, a, &t, e);
    if (r)
        return r;
    mr_tensors_put_u32(out, MR_ONNX_TENSOR);
    mr_tensors_put_tensor(out, &t);
    return 0;
}

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int run_session(struct mr_onnx_worker *w, bool wide, ort_value **in, ort_value **out,
                       struct mr_err *e) {
    int64_t from = clock_ns(CLOCK_MONOTONIC);
    wide = wide && mr_onnx_pace_wide(&w->pace, from);
    if (wide)
        mr_onnx_threads_begin(&w->threads);
    int64_t cpu = wide ? clock_ns(CLOCK_PROCESS_CPUTIME_ID) : 0;
    int r = mr_onnx_check(w,
                          ORT(w->ort, Run)(wide ? w->wide : w->session, NULL, w->in_name,
                                           (const ort_value *const *)in, w->model.n_inputs,
                                           w->out_name, w->model.n_outputs, out),
                          e);
    if (wide) {
        int64_t now = clock_ns(CLOCK_MONOTONIC);
        mr_onnx_threads_end(&w->threads);
        mr_onnx_pace_note(&w->pace, (unsigned)w->hello.threads, now, now - from,
                          clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    }
    return r;
}

int mr_onnx_worker_run(struct mr_onnx_worker *w, bool wide, struct mr_reader rd, struct mr_arena *a,
                       struct mr_buf *out, struct mr_err *e) {
    ort_value *in[MR_ONNX_MAX_VALUES] = {0}, *res[MR_ONNX_MAX_VALUES] = {0};
    uint32_t count;
    int r = 0;
    if (!mr_tensors_get_u32(&rd, &count) || count != w->model.n_inputs)
        r = mr_fail(e, MR_EINTERNAL, "damaged request");
    for (uint32_t k = 0; !r && k < count; k++) {
        struct mr_tensor t;
        r = mr_tensors_get_tensor(&rd, a, &t) ? make_value(w, &t, a, &in[k], e)
                                              : mr_fail(e, MR_EINTERNAL, "damaged request");
    }
    if (!r)
        r = run_session(w, wide, in, res, e);
    mr_tensors_put_u32(out, w->model.n_outputs);
    for (uint32_t k = 0; !r && k < w->model.n_outputs; k++)
        r = put_output(w, res[k], a, out, e);
    for (uint32_t k = 0; k < MR_ONNX_MAX_VALUES; k++) {
        if (in[k])
            ORT(w->ort, ReleaseValue)(in[k]);
        if (res[k])
            ORT(w->ort, ReleaseValue)(res[k]);
    }
    if (!r && !mr_buf_ok(out))
        r = mr_fail(e, MR_ETOOBIG, "the model's answer is too large");
    return r;
}
