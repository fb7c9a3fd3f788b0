#include "model/file.h"

const struct mr_op_type *mr_op_type_find(uint32_t id) {
    for (const struct mr_op_type *const *t = mr_op_types; *t; t++)
        if ((*t)->id == id)
            return *t;
    return NULL;
}

static int check_slots(const struct mr_slot_decl *slots, uint32_t n, struct mr_err *e) {
    if (n == 0 || n > MR_MAX_SLOTS)
        return mr_fail(e, MR_EREFUSED, "compiled model: %u slots", n);
    for (uint32_t i = 0; i < n; i++) {
        if (slots[i].kind < MR_SLOT_DENSE || slots[i].kind > MR_SLOT_SPARSE)
            return mr_fail(e, MR_EREFUSED, "compiled model: slot %u has kind %u", i, slots[i].kind);
        if (slots[i].width == 0 || slots[i].width > MR_MAX_WIDTH)
            return mr_fail(e, MR_EREFUSED, "compiled model: slot %u has width %u", i,
                           slots[i].width);
    }
    if (slots[0].kind == MR_SLOT_SPARSE)
        return mr_fail(e, MR_EREFUSED, "compiled model: sparse input");
    return 0;
}

static int check_op(const struct mr_slot_decl *slots, uint32_t n_slots, const struct mr_op *op,
                    uint32_t number, uint8_t *written, struct mr_err *e) {
    if (op->n_in == 0 || op->n_in > MR_OP_MAX_IN)
        return mr_fail(e, MR_EREFUSED, "compiled model: op %u has %u inputs", number, op->n_in);
    for (uint32_t k = 0; k < op->n_in; k++)
        if (op->in[k] >= n_slots || !written[op->in[k]])
            return mr_fail(e, MR_EREFUSED, "compiled model: op %u reads slot %u before it is set",
                           number, op->in[k]);
    if (op->out >= n_slots || written[op->out])
        return mr_fail(e, MR_EREFUSED, "compiled model: op %u writes slot %u twice", number,
                       op->out);
    written[op->out] = 1;
    return op->type->check(op, slots, e);
}

int mr_program_check(const struct mr_slot_decl *slots, uint32_t n_slots, const struct mr_op *ops,
                     uint32_t n_ops, uint8_t *written, struct mr_err *e) {
    int r = check_slots(slots, n_slots, e);
    if (r)
        return r;
    memset(written, 0, n_slots);
    written[0] = 1;
    if (n_ops > MR_MAX_OPS)
        return mr_fail(e, MR_EREFUSED, "compiled model: %u operations", n_ops);
    for (uint32_t i = 0; i < n_ops; i++)
        if ((r = check_op(slots, n_slots, &ops[i], i, written, e)) < 0)
            return r;
    return 0;
}
