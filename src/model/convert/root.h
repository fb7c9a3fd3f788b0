/* What the outermost object of a pickle says about the model's input. Private to convert/. */
#ifndef MR_MODEL_CONVERT_ROOT_H
#define MR_MODEL_CONVERT_ROOT_H

#include "model/convert/convert.h"

struct mr_root_input {
    uint32_t width; /* 0 = not found */
    bool text;
    const struct mr_str *feature_names; /* width of them, or NULL */
    struct mr_str version;              /* of the library that wrote the model, or empty */
};

/* Looks through pipelines, searches and ensembles for the first step that knows its columns. */
int mr_root_input(struct mr_arena *a, const struct mr_pk *root, struct mr_root_input *ret,
                  struct mr_err *e);

#endif
