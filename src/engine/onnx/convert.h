/* JSON to tensors and back, on the server's side. */
#ifndef MR_ENGINE_ONNX_CONVERT_H
#define MR_ENGINE_ONNX_CONVERT_H

#include "engine/engine.h"
#include "engine/onnx/tensors.h"

struct mr_onnx_schema {
    uint32_t n_in, n_out;
    const struct mr_onnx_value *in, *out;
};

/* The request's `data` as a request message. Accepted: nested lists for a model of one input (a
 * row, or a list of rows; an object's values in order); rows of one value an input, as lists or
 * objects by input name, for models of many [rows, 1] inputs; an object of nested lists by input
 * name. Sets rows and batch of *ret. Errors as mr_input_read. */
int mr_onnx_request(const struct mr_onnx_schema *s, yyjson_val *data, struct mr_buf *out,
                    struct mr_run *ret, struct mr_err *e);
/* A reply's outputs as members of the answer. A label with scores of its classes (skl2onnx) becomes
 * prediction and probabilities; one output becomes the prediction; several an object by name. */
int mr_onnx_answer(const struct mr_onnx_schema *s, const struct mr_onnx_result *o,
                   const struct mr_run *run, struct mr_buf *out, struct mr_err *e);

#endif
