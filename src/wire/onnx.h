/* Reading the description of an ONNX model: a capped walk of its protobuf (ModelProto, onnx.proto3
 * of ONNX 1.16), without weights. ONNX Runtime reads the model itself, in its own sandbox; this
 * walk finds inputs, outputs and sizes, and refuses what must not reach it (external data).
 *
 * Strings point into the file bytes. Pure; no threads of its own. */
#ifndef MR_WIRE_ONNX_H
#define MR_WIRE_ONNX_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* TensorProto.DataType; the same numbers as ONNXTensorElementDataType of the C API. */
enum mr_onnx_type {
    MR_ONNX_FLOAT = 1,
    MR_ONNX_UINT8 = 2,
    MR_ONNX_INT8 = 3,
    MR_ONNX_UINT16 = 4,
    MR_ONNX_INT16 = 5,
    MR_ONNX_INT32 = 6,
    MR_ONNX_INT64 = 7,
    MR_ONNX_STRING = 8,
    MR_ONNX_BOOL = 9,
    MR_ONNX_FLOAT16 = 10,
    MR_ONNX_DOUBLE = 11,
    MR_ONNX_UINT32 = 12,
    MR_ONNX_UINT64 = 13,
};
const char *
mr_onnx_type_name(int32_t type); /* "float32", "int64", "string"; "type 42" -> "other" */

#define MR_ONNX_MAX_RANK   8
#define MR_ONNX_MAX_VALUES 64

enum mr_onnx_kind {
    MR_ONNX_TENSOR = 1,
    MR_ONNX_SEQUENCE_MAP = 2, /* zipmap: one map label -> probability a row */
    MR_ONNX_OTHER = 3,
};

struct mr_onnx_value {
    struct mr_str name;
    enum mr_onnx_kind kind;
    int32_t elem;                  /* tensors: element type; maps: key type */
    int rank;                      /* tensors: number of dimensions, -1 = not stated */
    int64_t dim[MR_ONNX_MAX_RANK]; /* -1 = dynamic */
};

struct mr_onnx_model {
    int64_t ir_version;
    int64_t opset; /* of the default domain, 0 = none */
    struct mr_str producer, producer_version;
    struct mr_str main_op; /* TreeEnsembleClassifier …; empty when no ai.onnx.ml estimator */
    uint32_t n_inputs, n_outputs;         /* inputs without those that are initializers */
    struct mr_onnx_value *input, *output; /* in the arena */
    uint64_t n_nodes, n_initializers;
    uint64_t weight_bytes;
};

/* MR_EINVAL: not an ONNX model (also: other protobuf). MR_EREFUSED: damaged or over a cap.
 * MR_EUNSUPPORTED: external data, more inputs or outputs than the caps, ranks above 8. */
int mr_onnx_parse(struct mr_str file, struct mr_arena *arena, struct mr_onnx_model *ret,
                  struct mr_err *e);
/* Begins like a ModelProto. Cheap. */
bool mr_onnx_sniff(struct mr_str file);

#endif
