/* Compiled programs, evaluated in the caller's thread. */
#include "engine/internal.h"

#include "base/cleanup.h"
#include "base/clock.h"

#define QUICK_NS     100e3
#define BLOCK_NS     5e6 /* time between looks at the clock */
#define BLOCK_ROWS   64
#define FEATURES_MAX ((size_t)8 << 20)

int mr_native_load(struct mr_instance *i, int fd, const struct mr_model_spec *spec,
                   struct mr_err *e) {
    int r = mr_model_open(fd, &i->model, e);
    if (r)
        return r;
    const struct mr_model_info *info = mr_model_info(i->model);
    r = mr_instance_fits(i, spec->memory_limit, e);
    if (r)
        return r;
    i->shape.info = info;
    r = mr_names_init(&i->shape.names, info->feature_names, info->n_features, e);
    if (!r)
        r = mr_output_init(&i->output, info, e);
    return r;
}

void mr_native_release(struct mr_instance *i) {
    mr_names_release(&i->shape.names);
    if (i->output.labels)
        mr_output_release(&i->output);
    mr_model_free(i->model);
}

static int add_features(const struct mr_instance *i, const struct mr_input *in,
                        struct mr_arena *arena, struct mr_run *ret, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    mr_buf_init(&b, FEATURES_MAX);
    mr_input_print(&i->shape, in, &b);
    char *p = mr_buf_ok(&b) ? mr_arena_strn(arena, b.p, b.n) : NULL;
    if (!p)
        return mr_fail(e, MR_ETOOBIG, "the features read are too many to show");
    ret->features_read = (struct mr_str){p, b.n};
    return 0;
}

int mr_native_blocks(const struct mr_instance *i, const struct mr_input *in, struct mr_arena *arena,
                     struct mr_result **ret, size_t *ret_n, struct mr_err *e) {
    const struct mr_model_info *info = i->shape.info;
    double per_row = info->est_row_ns > 1 ? info->est_row_ns : 1;
    size_t block = in->rows, width = info->n_features;
    int64_t deadline = 0;
    if (i->timeout_ms && (double)in->rows * per_row > QUICK_NS) {
        block = (size_t)(BLOCK_NS / per_row) / BLOCK_ROWS * BLOCK_ROWS;
        block = block < BLOCK_ROWS ? BLOCK_ROWS : block;
        deadline = mr_mono_ns() + i->timeout_ms * 1000000;
    }
    size_t n_blocks = (in->rows + block - 1) / block;
    struct mr_result *result = mr_arena_array(arena, n_blocks, sizeof *result);
    if (!result)
        return mr_fail(e, MR_ETOOBIG, "the batch is too large for the memory of one request");
    for (size_t b = 0; b < n_blocks; b++) {
        size_t from = b * block, rows = in->rows - from < block ? in->rows - from : block;
        int r =
            mr_model_run(i->model, in->dense ? in->dense + from * width : NULL,
                         in->cells ? in->cells + from * width : NULL, rows, arena, &result[b], e);
        if (r)
            return r;
        if (deadline && mr_mono_ns() > deadline)
            return mr_fail(e, MR_ETIMEOUT, "the prediction took longer than %lld ms",
                           (long long)i->timeout_ms);
    }
    *ret = result;
    *ret_n = n_blocks;
    return 0;
}

int mr_native_predict(struct mr_instance *i, yyjson_val *data, bool want_features,
                      struct mr_arena *arena, struct mr_buf *out, struct mr_run *ret,
                      struct mr_err *e) {
    struct mr_input in;
    int r = mr_input_read(&i->shape, data, arena, &in, e);
    if (r)
        return r;
    struct mr_run run = {.rows = in.rows, .batch = in.batch};
    if (want_features && (r = add_features(i, &in, arena, &run, e)))
        return r;

    struct mr_result *result;
    size_t n_blocks;
    r = mr_native_blocks(i, &in, arena, &result, &n_blocks, e);
    if (r)
        return r;
    size_t start = out->n;
    r = mr_output_write(&i->output, result, n_blocks, in.batch, out, e);
    if (r) {
        if (out->p)
            out->n = start;
        return r;
    }
    *ret = run;
    return 0;
}

void mr_native_input_schema(const struct mr_instance *i, struct mr_buf *out) {
    const struct mr_model_info *info = i->shape.info;
    const char *kind = info->text_input                    ? "text"
                       : info->input_kind == MR_SLOT_CELLS ? "mixed"
                                                           : "numeric";
    mr_buf_fmt(out, "{\"kind\":\"%s\",\"n_features\":%u,\"accepts_missing\":%s", kind,
               info->n_features, info->accepts_missing ? "true" : "false");
    if (info->feature_names) {
        mr_buf_cstr(out, ",\"features\":[");
        for (uint32_t k = 0; k < info->n_features; k++) {
            if (k)
                mr_buf_char(out, ',');
            mr_buf_cstr(out, "{\"name\":");
            mr_buf_json(out, info->feature_names[k]);
            mr_buf_fmt(out, ",\"type\":\"%s\"}",
                       info->input_kind == MR_SLOT_CELLS ? "number or string" : "number");
        }
        mr_buf_char(out, ']');
    }
    mr_buf_char(out, '}');
}
