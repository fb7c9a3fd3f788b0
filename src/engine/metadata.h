/* The metadata object that intake reports (model_metadata of a deployment). */
#ifndef MR_ENGINE_METADATA_H
#define MR_ENGINE_METADATA_H

#include "base/buf.h"
#include "model/model.h"
#include "wire/onnx.h"

/* `extra` warnings come on top of the model's own. */
void mr_metadata_native(const struct mr_model_info *info, const char *source,
                        const struct mr_str *extra, size_t n_extra, struct mr_buf *out);
void mr_metadata_onnx(const struct mr_onnx_model *m, uint64_t file_size, struct mr_buf *out);

/* Inputs or outputs as a JSON list of {"name","type","shape"}; null = any size. */
void mr_metadata_onnx_values(const struct mr_onnx_value *v, uint32_t n, struct mr_buf *out);

#endif
