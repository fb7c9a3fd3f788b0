/* Layout of a compiled model file (docs/MODEL_FORMAT.md). Private to src/model. */
#ifndef MR_MODEL_FILE_H
#define MR_MODEL_FILE_H

#include "model/program.h"

#define MR_MODEL_MAGIC   "MRMODEL\n"
#define MR_MODEL_VERSION 1u
#define MR_MODEL_ALIGN   64u
#define MR_MODEL_MAX     (1ull << 34) /* bytes of one file */
#define MR_MODEL_MAX_OUT 64u

struct mr_file_head {
    char magic[8];
    uint32_t version;
    uint32_t n_slots;
    uint32_t n_ops;
    uint32_t flags; /* 0 */
    uint64_t slots_off;
    uint64_t ops_off;
    uint64_t meta_off;
    uint64_t meta_len;
    uint64_t file_len;
};

struct mr_file_op {
    uint32_t type;
    uint32_t n_in;
    uint32_t out;
    uint32_t pad;
    uint64_t params_off; /* from the start of the file, 64-byte aligned */
    uint64_t params_len;
    uint32_t in[MR_OP_MAX_IN];
};

_Static_assert(sizeof(struct mr_file_head) == 64, "header layout");
_Static_assert(sizeof(struct mr_file_op) == 288, "op layout");
_Static_assert(sizeof(struct mr_slot_decl) == 8, "slot layout");

/* Whole-program checks shared by the reader (check.c): slots, order of writes, each op's own
 * check. `op` has type, inputs, output and params filled in. `written` (n_slots, at most
 * MR_MAX_SLOTS) says afterwards which slots have a value. */
int mr_program_check(const struct mr_slot_decl *slots, uint32_t n_slots, const struct mr_op *ops,
                     uint32_t n_ops, uint8_t *written, struct mr_err *e);
/* NULL when this build does not know the operation. */
const struct mr_op_type *mr_op_type_find(uint32_t id);

#endif
