/* Inside the engine layer: the instance and what its parts share. */
#ifndef MR_ENGINE_INTERNAL_H
#define MR_ENGINE_INTERNAL_H

#include "base/hash.h"
#include "engine/engine.h"

#include <stdatomic.h>

#define MR_ROWS_MAX   100000u            /* rows of one request */
#define MR_VALUES_MAX ((size_t)32 << 20) /* numbers or cells of one request */

/* Feature names -> column, open addressing. */
struct mr_names {
    const struct mr_str *name; /* n, or NULL when the model has no names */
    uint32_t n;
    uint32_t mask;  /* slots - 1 */
    uint32_t *slot; /* column + 1, 0 = free */
};
int mr_names_init(struct mr_names *m, const struct mr_str *name, uint32_t n, struct mr_err *e);
void mr_names_release(struct mr_names *m);
/* Column of a name, UINT32_MAX when unknown. */
uint32_t mr_names_find(const struct mr_names *m, struct mr_str name);
/* The known name with the smallest edit distance, or UINT32_MAX when none is near. */
uint32_t mr_names_nearest(const struct mr_names *m, struct mr_str name);

/* What a model accepts, and one request read against it. */
struct mr_shape {
    const struct mr_model_info *info;
    struct mr_names names;
};
struct mr_input {
    size_t rows;
    bool batch;
    double *dense;         /* rows * n_features when the input is dense */
    struct mr_cell *cells; /* else */
};
/* Reads the request's `data`. Strings in `ret` point into the JSON document. MR_EINVAL when it does
 * not fit the model (width, names), MR_EFIELD when a value has the wrong kind; e->field is
 * "data[2][1]" or "data[2].petal_width". MR_ETOOBIG over the caps. */
int mr_input_read(const struct mr_shape *s, yyjson_val *data, struct mr_arena *arena,
                  struct mr_input *ret, struct mr_err *e);
/* The rows as read, as JSON. */
void mr_input_print(const struct mr_shape *s, const struct mr_input *in, struct mr_buf *out);

/* Labels rendered once at load. */
struct mr_labels {
    uint32_t n;
    struct mr_str *json; /* n; bytes behind the array */
};
struct mr_output {
    const struct mr_model_info *info;
    struct mr_labels *labels; /* info->n_outputs */
};
int mr_output_init(struct mr_output *o, const struct mr_model_info *info, struct mr_err *e);
void mr_output_release(struct mr_output *o);
/* Appends the reply members for results of consecutive blocks of rows. */
int mr_output_write(const struct mr_output *o, const struct mr_result *block, size_t n_blocks,
                    bool batch, struct mr_buf *out, struct mr_err *e);

struct mr_onnx; /* onnx/onnx.h */

struct mr_instance {
    atomic_uint refs;
    enum mr_engine_kind kind;
    int64_t timeout_ms;
    /* native */
    struct mr_model *model;
    struct mr_shape shape;
    struct mr_output output;
    /* onnx */
    struct mr_onnx *onnx;
};

int mr_native_load(struct mr_instance *i, int fd, const struct mr_model_spec *spec,
                   struct mr_err *e);
void mr_native_release(struct mr_instance *i);
int mr_native_predict(struct mr_instance *i, yyjson_val *data, bool want_features,
                      struct mr_arena *arena, struct mr_buf *out, struct mr_run *ret,
                      struct mr_err *e);
/* Runs the rows in blocks, so that a time limit can end big batches. Results are in the arena. */
int mr_native_blocks(const struct mr_instance *i, const struct mr_input *in, struct mr_arena *arena,
                     struct mr_result **ret, size_t *ret_n, struct mr_err *e);
void mr_native_input_schema(const struct mr_instance *i, struct mr_buf *out);

#endif
