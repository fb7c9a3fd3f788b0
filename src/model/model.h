/* A loaded compiled model. Immutable after open; mr_model_run is thread-safe. */
#ifndef MR_MODEL_MODEL_H
#define MR_MODEL_MODEL_H

#include "model/build.h"
#include "model/program.h"

struct mr_model;

/* Maps and checks a compiled file (fd is not kept). MR_EREFUSED when anything is out of range. */
int mr_model_open(int fd, struct mr_model **ret, struct mr_err *e);
void mr_model_free(struct mr_model *m);

struct mr_model_output {
    uint32_t pred_slot, proba_slot; /* proba_slot UINT32_MAX = none */
    enum mr_label_kind label_kind;
    const struct mr_label *classes; /* n_classes */
    uint32_t n_classes;
};

struct mr_model_info {
    enum mr_task task;
    struct mr_str framework, framework_version, model_type;
    enum mr_slot_kind input_kind; /* DENSE or CELLS */
    uint32_t n_features;
    const struct mr_str *feature_names; /* n_features, or NULL */
    bool accepts_missing;
    bool text_input;
    uint32_t n_outputs;
    const struct mr_model_output *outputs;
    uint32_t n_warnings;
    const struct mr_str *warnings;
    uint32_t output_width; /* proba width of output 0, else its pred width */
    size_t memory;         /* bytes mapped and prepared */
    double est_row_ns;     /* rough cost of one row, for choosing loop thread or pool */
};
/* Lives as long as the model. */
const struct mr_model_info *mr_model_info(const struct mr_model *m);

/* Runs over `rows` rows. Input: `dense` (rows * n_features) when input_kind is DENSE, else `cells`.
 * The result's slots live in `arena`: read them through mr_result_*. */
struct mr_result {
    size_t rows;
    const struct mr_vec *slot;
};
int mr_model_run(const struct mr_model *m, const double *dense, const struct mr_cell *cells,
                 size_t rows, struct mr_arena *arena, struct mr_result *ret, struct mr_err *e);

#endif
