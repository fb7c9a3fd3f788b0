/* Inside of a loaded model, shared by model.c and model_meta.c. */
#ifndef MR_MODEL_MODEL_PRIV_H
#define MR_MODEL_MODEL_PRIV_H

#include "model/file.h"
#include "model/model.h"

struct mr_model {
    void *map;
    size_t map_len;
    const struct mr_slot_decl *slots;
    uint32_t n_slots;
    struct mr_op *ops;
    uint32_t n_ops;
    uint32_t n_prepared; /* ops whose prepare() succeeded */
    struct mr_arena arena;
    struct mr_model_info info;
};

/* Reads the metadata document into m->info and checks the outputs against the slots. */
int mr_model_read_meta(struct mr_model *m, struct mr_str json, const uint8_t *written,
                       struct mr_err *e);

#endif
