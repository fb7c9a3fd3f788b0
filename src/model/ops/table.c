#include "model/program.h"

/* One line an operation: declared here, defined in its own file. Keep the order of op_ids.h. */
#define MR_OP_LIST(X)                                                                              \
    X(mr_op_select)                                                                                \
    X(mr_op_concat)                                                                                \
    X(mr_op_to_dense)                                                                              \
    X(mr_op_argmax)                                                                                \
    X(mr_op_threshold)                                                                             \
    X(mr_op_affine)                                                                                \
    X(mr_op_link)                                                                                  \
    X(mr_op_lookup)                                                                                \
    X(mr_op_mean)

#define DECLARE(name) extern const struct mr_op_type name;
MR_OP_LIST(DECLARE)

#define ENTRY(name) &name,
const struct mr_op_type *const mr_op_types[] = {MR_OP_LIST(ENTRY) NULL};
