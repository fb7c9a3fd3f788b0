#include "model/trees/op.h"

#include "model/ops/util.h"
#include "model/trees/prep.h"

static int prepare(struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    struct mr_trees m;
    struct mr_trees_prep *p;
    mr_trees_view(op, slots[op->out].width, slots[op->in[0]].width, &m);
    int r = mr_trees_prep_new(&m, mr_trees_cpu(), &p, e);
    if (!r)
        op->prepared = p;
    return r;
}

static void unprepare(struct mr_op *op) {
    mr_trees_prep_free(op->prepared);
    op->prepared = NULL;
}

static int eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    return mr_trees_run(op->prepared, mr_op_in(op, f, 0)->dense, f->rows, mr_op_out(op, f)->dense,
                        f->arena, e);
}

static double cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    return ((const struct mr_trees_prep *)op->prepared)->row_ns;
}

static size_t memory(const struct mr_op *op) {
    return ((const struct mr_trees_prep *)op->prepared)->bytes;
}

extern const struct mr_op_type mr_op_trees;
const struct mr_op_type mr_op_trees = {.id = MR_OP_TREES,
                                       .name = "trees",
                                       .check = mr_trees_check,
                                       .prepare = prepare,
                                       .unprepare = unprepare,
                                       .eval = eval,
                                       .cost = cost,
                                       .memory = memory};
