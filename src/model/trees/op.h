/* The operation around the kernels. Private to src/model/trees. */
#ifndef MR_MODEL_TREES_OP_H
#define MR_MODEL_TREES_OP_H

#include "model/trees/trees.h"

int mr_trees_check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e);

#endif
