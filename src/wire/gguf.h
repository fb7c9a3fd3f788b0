/* The header of a GGUF file (versions 2 and 3, little-endian): what it says about itself, and
 * whether its tensors lie inside the file. Format: the GGUF specification of ggml. Files are
 * untrusted; llama.cpp aborts on some damaged ones, so they are looked at here first. Pure. */
#ifndef MR_WIRE_GGUF_H
#define MR_WIRE_GGUF_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_gguf {
    uint32_t version;
    uint64_t n_tensors, n_values;
    struct mr_str architecture, name, type; /* type: "model", "adapter", …; "" = not stated */
    struct mr_str chat_template;            /* "" = none */
    struct mr_str bos;                      /* text of the token of that number; "" = none */
    int64_t file_type;                      /* enum llama_ftype; -1 = not stated */
    uint64_t context_length, embedding_length;
    uint64_t vocabulary; /* tokens listed */
    uint64_t parameters; /* elements of all tensors */
    uint64_t split_count;
    uint64_t header_bytes; /* up to the first tensor */
};
/* `file` is the whole file, mapped; slices of *ret point into it. MR_EREFUSED for what is damaged
 * or cut off, MR_EUNSUPPORTED for other versions and byte orders; both say what is wrong. */
int mr_gguf_parse(struct mr_str file, struct mr_gguf *ret, struct mr_err *e);

/* "Q8_0" …; "unknown" for numbers without a name. */
const char *mr_gguf_file_type_name(int64_t file_type);

#endif
