/* Inside of the builder, shared by build.c and build_write.c. */
#ifndef MR_MODEL_BUILD_PRIV_H
#define MR_MODEL_BUILD_PRIV_H

#include "base/buf.h"
#include "model/build.h"
#include "model/file.h"

struct mr_build_op {
    uint32_t type, n_in, out;
    uint32_t *in; /* n_in */
    uint8_t *params;
    size_t params_len;
    bool dropped;
};

struct mr_build {
    struct mr_arena *arena;
    struct mr_err err; /* err.code != 0: failed */
    struct mr_slot_decl *slot;
    uint32_t n_slot;
    struct mr_build_op *op;
    uint32_t n_op;
    void **bufs; /* every blob buffer, also of blobs that were given up */
    size_t n_buf, cap_buf;
    struct mr_build_output out[MR_MODEL_MAX_OUT];
    uint32_t n_out;
    struct mr_build_info info;
    bool has_info;
    struct mr_str *warn;
    uint32_t n_warn;
};

/* Turns a cell input that is only read as numbers into a dense one (and drops the conversions). */
void mr_build_numeric_input(struct mr_build *b);
/* The metadata document. */
void mr_build_meta(const struct mr_build *b, struct mr_buf *out);

#endif
