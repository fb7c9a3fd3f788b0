/* The inference request of the KServe v2 protocol (Open Inference Protocol, REST), and its answer,
 * with tensors as JSON or as raw bytes behind the JSON (the binary tensor data extension:
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md).
 * Pure; input is hostile. */
#ifndef MR_API_KSERVE_REQUEST_H
#define MR_API_KSERVE_REQUEST_H

#include "base/buf.h"
#include "engine/tensor_run.h"

#define MR_KSERVE_INPUTS_MAX  4096 /* as wide as a table with one input a column */
#define MR_KSERVE_OUTPUTS_MAX 256

struct mr_kserve_output {
    struct mr_str name;
    bool binary;
};
struct mr_kserve_request {
    struct mr_str id; /* p NULL: none */
    struct mr_named_tensor *in;
    size_t n_in;
    struct mr_kserve_output *out; /* as asked for; n_out 0 = all */
    size_t n_out;
    bool binary; /* for outputs that do not say */
};
/* json_len: bytes of JSON at the body's beginning (Inference-Header-Content-Length), -1 = all of
 * it. All is in the arena or in the body. MR_EINVAL / MR_EFIELD / MR_ETOOBIG. */
int mr_kserve_parse(struct mr_str body, int64_t json_len, struct mr_arena *arena,
                    struct mr_kserve_request *ret, struct mr_err *e);

/* "FP64"; "" for a type that the protocol does not know. */
const char *mr_kserve_type(int32_t elem);
/* 0 = unknown. */
int32_t mr_kserve_type_parse(struct mr_str s);
/* Bytes of an element; 0 for BYTES. */
size_t mr_kserve_type_size(int32_t elem);

struct mr_kserve_answer {
    struct mr_str model, version, id; /* id.p NULL: none */
    const struct mr_named_tensor *out;
    const bool *binary; /* n_out, or NULL: none */
    size_t n_out;
};
/* Appends the JSON, then the binary outputs; *ret_json_len is where they begin, or -1 when there
 * are none. */
int mr_kserve_answer(const struct mr_kserve_answer *a, struct mr_buf *b, int64_t *ret_json_len,
                     struct mr_err *e);
/* [{"name","datatype","shape"},…] */
void mr_kserve_put_values(const struct mr_onnx_value *v, size_t n, struct mr_buf *b);

#endif
