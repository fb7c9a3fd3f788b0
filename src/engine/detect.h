/* What an uploaded file is, by its content. Pure; runs in the intake child. */
#ifndef MR_ENGINE_DETECT_H
#define MR_ENGINE_DETECT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum mr_file_kind {
    MR_FILE_UNKNOWN = 0,
    MR_FILE_PICKLE, /* plain or joblib, raw or compressed */
    MR_FILE_XGB_JSON,
    MR_FILE_XGB_UBJ,
    MR_FILE_LGB_TEXT,
    MR_FILE_ONNX,
    MR_FILE_REFUSED, /* recognised, not served */
};

/* Kind of a file that can be tried; for MR_FILE_REFUSED and MR_FILE_UNKNOWN `e` says what it is and
 * what the user can do (MR_EUNSUPPORTED for models of other kinds, MR_EINVAL for no models). */
enum mr_file_kind mr_detect(struct mr_str file, struct mr_str file_name, struct mr_err *e);
/* Package of a pickled class that another kind of upload serves ("torch.nn…" -> the PyTorch text);
 * false when there is nothing better to say than the converter's own error. */
bool mr_detect_refuse_class(struct mr_str class_name, struct mr_err *e);

#endif
