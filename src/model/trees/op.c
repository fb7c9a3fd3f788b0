#include "model/trees/op.h"

#include "model/ops/util.h"

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    (void)e;
    const struct mr_vec *in = mr_op_in(op, f, 0);
    struct mr_vec *out = mr_op_out(op, f);
    struct mr_trees m;
    mr_trees_view(op, out->width, in->width, &m);
    for (size_t i = 0; i < f->rows; i++)
        mr_trees_row(&m, in->dense + i * in->width, out->dense + i * out->width);
    return 0;
}

extern const struct mr_op_type mr_op_trees;
const struct mr_op_type mr_op_trees = {
    .id = MR_OP_TREES, .name = "trees", .check = mr_trees_check, .eval = eval};
